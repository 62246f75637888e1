"""The console's pages without a browser: who gets a page, who gets JSON, and what is refused."""

from urllib.parse import urlencode

import pytest
from starlette.types import Message

from gateway import settings
from gateway.app import Gateway, create_app
from gateway.console.explained import ASKED_LIMIT_BYTES
from gateway.pages import POLICY, render
from gateway.pages.rendering import clock, fill, prose, stamp
from normalizers import HouseCode, Problem, Source, VendorError
from tests.gateway.asgi import Said, ask

PROGRAM = ("accept", "application/json")
TEXT = "vendors: {pixii: {base_url: http://127.0.0.1:9}, acme: {base_url: http://127.0.0.1:9, normalizer: generic}}"


@pytest.fixture
def gateway() -> Gateway:
    """A gateway to two vendors, one of which nothing is known of."""
    return create_app(settings.loads(TEXT, environ={}))


async def get(gateway: Gateway, path: str, *headers: tuple[str, str]) -> Said:
    """A page of the admin port."""
    return await ask(gateway.admin, path, headers=[("host", "localhost"), *headers])


async def post(gateway: Gateway, content: bytes, *headers: tuple[str, str]) -> Said:
    """A form that is sent to the explain page."""
    said: list[Message] = []
    received = [
        {"type": "http.request", "body": content[at : at + 65_536], "more_body": True}
        for at in range(0, len(content), 65_536)
    ]
    received.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return received.pop(0)

    async def send(message: Message) -> None:
        said.append(message)

    given = {"host": "localhost", "origin": "http://localhost", **dict(headers)}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/explain",
        "raw_path": b"/explain",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    await gateway.admin(scope, receive, send)
    return Said(said)


@pytest.mark.parametrize("path", ["/", "/explain", "/drift", "/-/problems", "/-/problems/conflict"])
async def test_pages(gateway: Gateway, path: str) -> None:
    """Each is a page under the one policy, and what it shows is asked for anew each time."""
    said = await get(gateway, path)

    assert (said.status, said.header("content-type")) == (200, "text/html; charset=utf-8")
    assert said.header("content-security-policy") == POLICY
    assert said.header("cache-control") in {"no-store", "no-cache"}
    assert b"pixii" in said.body or path == "/-/problems/conflict"
    assert b"style=" not in said.body
    assert b"<script>" not in said.body


@pytest.mark.parametrize("name", ["errgate.css", "live.js", "copy.js", "problems.js", "icon.svg"])
async def test_assets(gateway: Gateway, name: str) -> None:
    """Everything that a page names beside itself is there, on the port that serves the page."""
    said = await get(gateway, f"/-/pages/{name}")

    assert said.status == 200
    assert (said.header("content-type") or "").startswith(("text/css", "text/javascript", "image/svg+xml"))
    assert said.header("x-content-type-options") == "nosniff"


async def test_live(gateway: Gateway) -> None:
    """What the live page's script reads has every vendor, and the failures after the one that it knows."""
    recent = gateway.metrics.recent
    problem = Problem(
        HouseCode.CONFLICT, Source.VENDOR, "no", vendor="acme", vendor_error=VendorError(409, "X"), label="other"
    )
    for number in range(3):
        recent.failed(
            problem,
            vendor="acme",
            route="other",
            caller="none",
            method="GET",
            status=409,
            vendor_status=409,
            outcome="caller_fault",
            request_id=f"r{number}",
            instance="urn:uuid:1",
        )

    every, later = (await get(gateway, "/-/console")).json(), (await get(gateway, "/-/console?after=2")).json()

    assert set(every["vendors"]) == {"pixii", "acme"}
    assert [failure["request_id"] for failure in every["failures"]] == ["r0", "r1", "r2"]
    assert [failure["request_id"] for failure in later["failures"]] == ["r2"]
    assert (later["last"], later["epoch"]) == (3, every["epoch"])


@pytest.mark.parametrize("after", ["", "x", "-1", "1e3", "\u0663", "9" * 30])
async def test_a_number_that_is_none(gateway: Gateway, after: str) -> None:
    """A number of a failure that cannot be read is none, and nothing breaks."""
    said = await get(gateway, f"/-/console?{urlencode({'after': after})}")

    assert (said.status, said.json()["failures"]) == (200, [])


async def test_drift(gateway: Gateway) -> None:
    """A program reads the drift as JSON."""
    gateway.metrics.recent.unmapped(
        "acme", Problem(HouseCode.CONFLICT, Source.VENDOR, "no", vendor_error=VendorError(409, "NEW")), "http"
    )

    pixii, acme = (await get(gateway, "/drift", PROGRAM)).json()["vendors"]

    assert (pixii["unknown"], len(pixii["silent"])) == ([], 15)
    assert [code["code"] for code in acme["unknown"]] == ["NEW"]
    assert acme["snippet"] == 'normalizer: {extends: generic, codes: {"NEW": conflict}}'


async def test_explain(gateway: Gateway) -> None:
    """A form brings a page with the verdict; a program gets it as JSON."""
    form = urlencode({"vendor": "pixii", "status": "404", "body": '{"code": "JOB_NOT_FOUND"}'}).encode()

    page, facts = await post(gateway, form), await post(gateway, form, PROGRAM)

    assert page.status == 200
    assert b"Callers get 404" in page.body
    assert facts.json()["verdict"]["envelopes"][0]["code"] == "not_found"


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"vendor=nobody&status=400",
        b"status=\xff\xfe&vendor=%FF",
        b"&".join(b"a%d=1" % number for number in range(50)),
        b"vendor=pixii&status=400&headers=%0d%0anone",
    ],
)
async def test_explain_nonsense(gateway: Gateway, form: bytes) -> None:
    """A form that nobody can have filled in is answered with the page, and never breaks it."""
    said = await post(gateway, form)

    assert said.status in {200, 422}
    assert (said.header("content-type") or "").startswith("text/html")


async def test_explain_too_much(gateway: Gateway) -> None:
    """A reply that is longer than any is not read to its end."""
    said = await post(gateway, b"body=" + b"x" * (ASKED_LIMIT_BYTES + 1), PROGRAM)

    assert (said.status, said.json()["wrong"]["body"]) == (422, "A reply to be explained has 2 MiB at most.")


async def test_explain_from_elsewhere(gateway: Gateway) -> None:
    """A form on another site cannot ask."""
    said = await post(gateway, b"", ("origin", "http://evil.example"))

    assert said.status == 403


async def test_numbers_are_read_twice_a_second_at_most(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many look at once, what was counted is read once, and nothing is read before anybody looks."""
    read = []

    async def samples() -> list[object]:
        read.append(1)
        return []

    monkeypatch.setattr(gateway, "samples", samples)
    before = len(read)

    for _ in range(5):
        await get(gateway, "/-/console")

    assert (before, len(read)) == (0, 1)


async def test_a_vendor_without_a_name_in_html() -> None:
    """Whatever stands in the settings is text on a page, never markup."""
    text = """
vendors:
  acme:
    base_url: http://127.0.0.1:9
    limits: [{name: minute, requests: 1, per: minute}]
    normalizer: {title: "<script>alert(1)</script>", codes: {"<b>X</b>": conflict}}
"""
    gateway = create_app(settings.loads(text, environ={}))

    pages = [(await get(gateway, path)).body for path in ("/", "/drift", "/explain", "/-/problems/conflict")]

    assert not [page for page in pages if b"<script>alert" in page or b"<b>X" in page]
    assert b"&lt;b&gt;X&lt;/b&gt;" in pages[3]


async def test_no_vendor_at_all() -> None:
    """A page of a gateway without a vendor says so."""
    drift = await render("drift.html", vendors=[], here="drift")

    assert "The settings name no vendor." in drift


def test_prose() -> None:
    """Words in backticks are code, everything else is text."""
    assert prose("Read `errors` & <b>") == "Read <code>errors</code> &amp; &lt;b&gt;"


def test_times() -> None:
    """A time is told to a person and to a program, in UTC."""
    assert (clock(0.5), stamp(0.5)) == ("1970-01-01 00:00:00 UTC", "1970-01-01T00:00:00Z")


def test_a_template_that_lacks_a_fact() -> None:
    """A template that names what it was not given fails, instead of leaving a hole in the page."""
    with pytest.raises(Exception, match="undefined"):
        fill("drift.html", here="drift")
