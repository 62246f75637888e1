"""The gateway's own paths on the traffic port, below `/-/` (contract 4): probes, house codes, nothing else."""

import html
import subprocess
import sys

import jsonschema
import pytest

from gateway import settings
from gateway.app import Gateway, create_app
from gateway.own import is_own
from normalizers import HouseCode, problem_schema
from tests.gateway.asgi import ask

# A program, not a browser.
PROGRAM = [("host", "localhost"), ("accept", "application/json")]
BROWSER = [("host", "localhost"), ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")]

TEXT = """
problems: {base_uri: "https://docs.example/problems/"}
vendors: {pixii: {base_url: "http://127.0.0.1:9"}, eu: {base_url: "http://127.0.0.1:9", normalizer: {extends: pixii}}}
"""


@pytest.fixture
def gateway() -> Gateway:
    """A gateway to two vendors."""
    return create_app(settings.loads(TEXT, environ={}))


@pytest.mark.parametrize(
    ("path", "root_path", "own"),
    [
        ("/-/healthy", "", True),
        ("/-/", "", True),
        ("/-", "", True),
        ("/mounted/-/healthy", "/mounted", True),
        ("/mounted/-", "/mounted", True),
        ("/-/healthy", "/mounted", True),
        ("/mounted/pixii/-/x", "/mounted", False),
        ("/-x", "", False),
        ("/%2D/healthy", "", False),
        ("/-%2Fhealthy", "", False),
        ("/pixii/-/healthy", "", False),
        ("//-/healthy", "", False),
        ("/", "", False),
    ],
)
def test_is_own(path: str, root_path: str, own: bool) -> None:
    """The first segment of the raw path decides, undecoded, behind the path at which the gateway is mounted."""
    assert is_own({"raw_path": path.encode(), "root_path": root_path}) is own


async def test_probes(gateway: Gateway) -> None:
    """The process is healthy; it is ready until it drains, whatever its vendors do (W-162)."""
    before = [(await ask(gateway, path)).status for path in ("/-/healthy", "/-/ready")]
    gateway.drain()
    healthy, ready = await ask(gateway, "/-/healthy"), await ask(gateway, "/-/ready")

    assert before == [200, 200]
    assert (healthy.status, healthy.json()) == (200, {"status": "healthy"})
    assert (ready.status, ready.json()) == (503, {"status": "not ready"})


async def test_probe_by_head(gateway: Gateway) -> None:
    """A probe may ask without wanting the content."""
    assert (await ask(gateway, "/-/ready", "HEAD")).status == 200


async def test_every_house_code(gateway: Gateway) -> None:
    """The list holds each house code once, with its type as envelopes spell it."""
    said = await ask(gateway, "/-/problems", headers=PROGRAM)

    listed = said.json()["problems"]
    assert [problem["code"] for problem in listed] == [house.code for house in HouseCode]
    assert all(problem["type"] == f"https://docs.example/problems/{problem['code']}" for problem in listed)
    assert all(problem["meaning"] and problem["advice"] and problem["title"] for problem in listed)


@pytest.mark.parametrize("house", HouseCode)
async def test_house_code(gateway: Gateway, house: HouseCode) -> None:
    """A house code is told with its meaning, and with the codes of each configured vendor that become it."""
    said = await ask(gateway, f"/-/problems/{house.code}", headers=PROGRAM)

    facts = said.json()
    assert (said.status, facts["status"], facts["fault"], facts["retryable"]) == (
        200,
        house.status,
        house.fault.value,
        house.retryable,
    )
    for name, rows in facts["vendors"].items():
        lane = gateway.runtime.lanes[name]
        for row in rows:
            known = lane.vendor.row(row["code"])
            assert known is not None
            assert house in {known.house, known.without_credential}
            assert row["description"] == known.description


async def test_vendor_codes_are_told(gateway: Gateway) -> None:
    """Each configured vendor's codes are listed under the name it has in the settings."""
    facts = (await ask(gateway, "/-/problems/insufficient_credits", headers=PROGRAM)).json()

    assert set(facts["vendors"]) == {"pixii", "eu"}
    assert "INSUFFICIENT_CREDITS" in {row["code"] for row in facts["vendors"]["eu"]}


async def test_vendor_words_are_told(gateway: Gateway) -> None:
    """Each code stands with the vendor's own description and advice, and with what the caller's own key changes."""
    facts = (await ask(gateway, "/-/problems/unauthenticated", headers=PROGRAM)).json()

    (row,) = facts["vendors"]["pixii"]
    assert row == {
        "code": "UNAUTHORIZED",
        "kind": "http",
        "status": 401,
        "description": "Missing or invalid API key",
        "advice": "Check your API key is correct and has not been revoked",
        "house_code": "vendor_account_error",
        "with_own_credential": "unauthenticated",
    }


@pytest.mark.parametrize("house", HouseCode)
async def test_example_is_an_envelope(gateway: Gateway, house: HouseCode) -> None:
    """The envelope that a page shows is one that a caller could get."""
    facts = (await ask(gateway, f"/-/problems/{house.code}", headers=PROGRAM)).json()

    example = facts["example"]
    jsonschema.validate(example, problem_schema())
    assert (example["code"], example["type"], example["status"]) == (house.code, facts["type"], house.status)


@pytest.mark.parametrize("house", HouseCode)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_type_leads_to_a_page(gateway: Gateway, house: HouseCode, method: str) -> None:
    """The path of every `type` answers a browser with a page that says how to mend it (W-004)."""
    said = await ask(gateway, f"/-/problems/{house.code}", method, BROWSER)

    assert (said.status, said.header("content-type")) == (200, "text/html; charset=utf-8")
    page = said.body.decode()
    assert house.title in html.unescape(page)
    assert "What to do" in page
    assert "Whose move it is" in page


async def test_index_is_a_page(gateway: Gateway) -> None:
    """The index leads to every page."""
    page = (await ask(gateway, "/-/problems", headers=BROWSER)).body.decode()

    assert all(f'href="problems/{house.code}"' in page for house in HouseCode)
    assert "JOB_NOT_FOUND" in page


@pytest.mark.parametrize("path", ["/-/problems", "/-/problems/conflict"])
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("text/*;q=0.5, application/json;q=0.4", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/*, text/html;q=0.9", "application/json"),
        ("application/json, text/plain, */*;q=0.1", "application/json"),
        ("text/html;q=0, */*", "application/json"),
        ("application/json;q=x", "text/html; charset=utf-8"),
    ],
)
async def test_html_or_json(gateway: Gateway, path: str, accept: str | None, kind: str) -> None:
    """A program that asks for JSON gets it, everybody else a page; `Vary` says what it depended on (W-108)."""
    said = await ask(gateway, path, headers=[("host", "a"), *([("accept", accept)] if accept else [])])

    assert (said.status, said.header("content-type"), said.header("vary")) == (200, kind, "Accept")


@pytest.mark.parametrize(
    "path", ["/-/problems", "/-/problems/conflict", "/-/pages/errgate.css", "/-/pages/problems.js"]
)
async def test_policy(gateway: Gateway, path: str) -> None:
    """A page may load what stands beside it and nothing else, and stands in no other page's frame."""
    said = await ask(gateway, path, headers=BROWSER)

    policy = said.header("content-security-policy") or ""
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (said.header("x-frame-options"), said.header("x-content-type-options")) == ("DENY", "nosniff")


async def test_described_vendor() -> None:
    """A vendor that the settings describe stands on the pages with its rows, its words escaped."""
    text = """
vendors:
  acme:
    base_url: http://127.0.0.1:9
    normalizer: {codes: {OUT: {house: conflict, description: "<b>sold out</b>", advice: "wait & see"}}}
"""
    gateway = create_app(settings.loads(text, environ={}))

    page = (await ask(gateway, "/-/problems/conflict", headers=BROWSER)).body.decode()
    index = (await ask(gateway, "/-/problems", headers=BROWSER)).body.decode()

    assert "&lt;b&gt;sold out&lt;/b&gt;" in page
    assert "wait &amp; see" in page
    assert "<code>OUT</code>" in index


async def test_asset_is_asked_for_again(gateway: Gateway) -> None:
    """A browser that has an asset learns that it has not changed, without the asset."""
    first = await ask(gateway, "/-/pages/errgate.css")
    tag = first.header("etag") or ""

    again = await ask(gateway, "/-/pages/errgate.css", headers=[("host", "a"), ("if-none-match", tag)])

    assert (first.status, first.header("content-type")) == (200, "text/css; charset=utf-8")
    assert (again.status, again.body) == (304, b"")


def test_jinja_is_not_loaded_before_a_page() -> None:
    """A gateway that nobody asks for a page never imports the template engine."""
    code = "import sys, gateway.app, gateway.cli.codes; sys.exit('jinja2' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/-/pages/nothing.css", "GET"),
        ("/-/pages/", "GET"),
        ("/-/pages/..%2Fproblems.py", "GET"),
        ("/-/pages/__init__.py", "GET"),
        ("/-/problems/no_such_code", "GET"),
        ("/-/problems/NOT_FOUND", "GET"),
        ("/-/nothing", "GET"),
        ("/-/healthy/", "GET"),
        ("/-/problems/", "GET"),
        ("/-/", "GET"),
        ("/-", "GET"),
        ("/-/nothing", "POST"),
        ("/-/nothing", "BREW"),
        ("/-/metrics", "GET"),
        ("/-/config", "GET"),
        ("/-/reload", "POST"),
    ],
)
async def test_nothing(gateway: Gateway, path: str, method: str) -> None:
    """What is not there is 404 in the house's envelope; the admin port's paths are not here (W-163)."""
    said = await ask(gateway, path, method, [("host", "a"), ("x-request-id", "mine-0001")])

    problem = said.json()
    assert (said.status, problem["code"], problem["source"]) == (404, "not_found", "gateway")
    assert problem["type"] == "https://docs.example/problems/not_found"
    assert problem["instance"].startswith("urn:uuid:")
    assert problem["request_id"] == said.header("x-request-id") == "mine-0001"
    assert said.header("content-type") == "application/problem+json"
    assert (said.header("errgate-code"), said.header("errgate-fault")) == ("not_found", "caller")
    assert said.header("x-should-retry") == "false"


@pytest.mark.parametrize(("path", "method"), [("/-/healthy", "POST"), ("/-/problems", "DELETE"), ("/-/ready", "BREW")])
async def test_other_method(gateway: Gateway, path: str, method: str) -> None:
    """A method that a path does not know is 405 in the house's envelope, with those that it knows (W-069)."""
    said = await ask(gateway, path, method)

    assert (said.status, said.json()["code"], said.header("allow")) == (405, "method_not_allowed", "GET, HEAD")


async def test_nothing_is_counted(gateway: Gateway) -> None:
    """What is asked below `/-/` is no traffic."""
    await ask(gateway, "/-/nothing")
    await ask(gateway, "/-/healthy")

    body, _ = await gateway.exposition("")

    assert not [
        line for line in body.splitlines() if line.startswith(b"errgate_requests_total{") and b" 0.0" not in line
    ]
