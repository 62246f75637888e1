"""The gateway's own paths on the traffic port, below `/-/` (contract 4): probes, house codes, nothing else."""

import pytest

from gateway import settings
from gateway.app import Gateway, create_app
from gateway.own import is_own
from normalizers import HouseCode
from tests.gateway.asgi import ask

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
    said = await ask(gateway, "/-/problems")

    listed = said.json()["problems"]
    assert [problem["code"] for problem in listed] == [house.code for house in HouseCode]
    assert all(problem["type"] == f"https://docs.example/problems/{problem['code']}" for problem in listed)
    assert all(problem["meaning"] and problem["advice"] and problem["title"] for problem in listed)


@pytest.mark.parametrize("house", HouseCode)
async def test_house_code(gateway: Gateway, house: HouseCode) -> None:
    """A house code is told with its meaning, and with the codes of each configured vendor that become it."""
    said = await ask(gateway, f"/-/problems/{house.code}")

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
    facts = (await ask(gateway, "/-/problems/insufficient_credits")).json()

    assert set(facts["vendors"]) == {"pixii", "eu"}
    assert "INSUFFICIENT_CREDITS" in {row["code"] for row in facts["vendors"]["eu"]}


@pytest.mark.parametrize(
    ("path", "method"),
    [
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
