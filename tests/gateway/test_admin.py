"""The admin port: open to a scrape, and to an operator who is where a browser cannot be lured to (contract 4)."""

import base64

import pytest

from gateway import settings
from gateway.admin import carries, is_ours
from gateway.app import Gateway, create_app
from tests.gateway.asgi import Said, ask

TOKEN = "correct-horse-battery-staple"

OPEN = "vendors: {pixii: {base_url: http://127.0.0.1:9}}"
GUARDED = f"""
server: {{hosts: [gate.example], admin: {{host: 0.0.0.0, token: "{TOKEN}"}}}}
vendors: {{pixii: {{base_url: "http://127.0.0.1:9", credential: {{header: Authorization, value: Bearer hush-hush}}}}}}
callers: open
"""

# Everything that an operator asks.
GUARDED_PATHS = (
    ("/-/reload", "POST"),
    ("/-/config", "GET"),
    ("/-/status", "GET"),
    ("/", "GET"),
    ("/explain", "GET"),
    ("/drift", "GET"),
    ("/-/console", "GET"),
    ("/-/problems", "GET"),
    ("/-/problems/conflict", "GET"),
    ("/-/pages/errgate.css", "GET"),
)
# Everything that a scrape or a probe asks.
OPEN_PATHS = ("/metrics", "/-/healthy", "/-/ready")


def basic(userinfo: bytes) -> str:
    """Basic credentials."""
    return f"Basic {base64.b64encode(userinfo).decode()}"


@pytest.fixture
def loopback() -> Gateway:
    """A gateway whose admin port is on loopback, without a token."""
    return create_app(settings.loads(OPEN, environ={}))


@pytest.fixture
def beyond() -> Gateway:
    """A gateway whose admin port is beyond loopback, with a token."""
    return create_app(settings.loads(GUARDED, environ={}))


async def asked(gateway: Gateway, path: str, method: str, **headers: str) -> Said:
    """A request of an operator's; `host` is an address unless it is given."""
    return await ask(gateway.admin, path, method, list({"host": "127.0.0.1:9090", **headers}.items()))


@pytest.mark.parametrize("path", OPEN_PATHS)
async def test_never_guarded(beyond: Gateway, path: str) -> None:
    """Metrics and probes answer everybody, whatever their Host says and without a token."""
    said = await asked(beyond, path, "GET", host="evil.example")

    assert said.status == 200


async def test_metrics(loopback: Gateway) -> None:
    """A scrape gets the text format, and OpenMetrics when it asks for it."""
    plain = await asked(loopback, "/metrics", "GET")
    asking = await asked(loopback, "/metrics", "GET", accept="application/openmetrics-text; version=1.0.0")

    assert b"# TYPE errgate_requests_total counter" in plain.body
    assert (plain.header("content-type") or "").startswith("text/plain")
    assert asking.body.endswith(b"# EOF\n")
    assert (asking.header("content-type") or "").startswith("application/openmetrics-text")


@pytest.mark.parametrize(("path", "method"), GUARDED_PATHS)
@pytest.mark.parametrize(
    "given",
    [f"Bearer {TOKEN}", f"bearer   {TOKEN} ", basic(b"anybody:" + TOKEN.encode()), basic(b":" + TOKEN.encode())],
)
async def test_token(beyond: Gateway, path: str, method: str, given: str) -> None:
    """The token is taken as Bearer and as Basic's password, under any name."""
    said = await asked(beyond, path, method, authorization=given)

    assert said.status in {200, 422}


@pytest.mark.parametrize(("path", "method"), GUARDED_PATHS)
@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Digest {TOKEN}",
        TOKEN,
        basic(TOKEN.encode() + b":"),
        basic(b"anybody:wrong"),
        "Basic !!!",
        "Basic \xe9",
        "Bearer \xe9",
    ],
)
async def test_no_token(beyond: Gateway, path: str, method: str, given: str | None) -> None:
    """Without the token, or with anything else, the answer is 401 in the house's envelope, with both challenges."""
    said = await asked(beyond, path, method, **({} if given is None else {"authorization": given}))

    assert said.status == 401
    assert said.json()["code"] == "unauthenticated"
    assert said.header("www-authenticate") == 'Basic realm="errgate admin", Bearer realm="errgate admin"'
    assert (said.header("errgate-code"), said.header("cache-control")) == ("unauthenticated", "no-store")
    assert said.header("proxy-status") == "errgate; error=http_request_error"
    assert TOKEN.encode() not in said.body


@pytest.mark.parametrize(("path", "method"), GUARDED_PATHS)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:9090", "", "[", "127.0.0.1.evil.example", "2130706433"])
async def test_foreign_host(loopback: Gateway, path: str, method: str, host: str) -> None:
    """A name that DNS can lead here is 421: no page may rebind its way in (W-163)."""
    said = await asked(loopback, path, method, host=host)

    assert said.status == 421
    assert said.json()["code"] == "misdirected_request"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 422),
        ("http://127.0.0.1:9090", 422),
        ("https://127.0.0.1:9090", 422),
        ("http://127.0.0.1", 403),
        ("http://evil.example", 403),
        ("http://127.0.0.1:9090.evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
    ],
)
async def test_origin(loopback: Gateway, origin: str | None, status: int) -> None:
    """A POST that says another origin than this one is refused; a script that says none is not a browser."""
    said = await asked(loopback, "/-/reload", "POST", **({} if origin is None else {"origin": origin}))

    assert said.status == status


async def test_origin_of_a_get(loopback: Gateway) -> None:
    """A GET changes nothing, and another origin could not read its answer."""
    assert (await asked(loopback, "/-/status", "GET", origin="http://evil.example")).status == 200


@pytest.mark.parametrize(
    ("authority", "ours"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:9090", True),
        ("10.1.2.3:80", True),
        ("[::1]", True),
        ("[::1]:9090", True),
        ("localhost", True),
        ("LocalHost:9090", True),
        ("gate.example", True),
        ("gate.example:1", True),
        ("named.example:7", True),
        ("named.example:8", False),
        ("named.example", False),
        ("GATE.example", True),
        ("localhost.evil.example", False),
        ("evil.example", False),
        ("::1", False),
        ("", False),
        (":9090", False),
        ("[", False),
        ("[::1", True),
        ("\u2100", False),
    ],
)
def test_is_ours(authority: str, ours: bool) -> None:
    """An address, localhost and the configured authorities are ours; one without a port stands for every port."""
    assert is_ours(authority, ("gate.example", "named.example:7")) is ours


def test_carries_no_more_than_bytes() -> None:
    """A token beyond ASCII is compared as the bytes that came."""
    sent = "gehéim".encode().decode("latin-1")

    assert carries(f"Bearer {sent}", "gehéim")
    assert carries(basic("x:gehéim".encode()), "gehéim")
    assert not carries("Bearer gehéim", "gehéim")


async def test_reload_without_a_file(loopback: Gateway) -> None:
    """A gateway that was given its settings by hand has nothing to read again, and says so."""
    said = await asked(loopback, "/-/reload", "POST")

    assert said.status == 422
    assert said.json()["reloaded"] is False
    assert "without a settings file" in said.json()["faults"][0]


async def test_reload() -> None:
    """Settings that can be read again are in force at once."""
    gateway = create_app(settings.loads(OPEN, environ={}), reread=lambda _: settings.loads(GUARDED_LATER, environ={}))

    said = await asked(gateway, "/-/reload", "POST")

    assert (said.status, said.json()) == (200, {"reloaded": True, "faults": []})
    assert list(gateway.runtime.lanes) == ["apixo"]
    await gateway.runtime.aclose()


GUARDED_LATER = "vendors: {apixo: {base_url: http://127.0.0.1:9}}"


async def test_config_is_masked(beyond: Gateway) -> None:
    """The settings are shown, their secrets are not."""
    said = await asked(beyond, "/-/config", "GET", authorization=f"Bearer {TOKEN}")

    assert said.json()["vendors"]["pixii"]["base_url"] == "http://127.0.0.1:9"
    assert b"hush" not in said.body
    assert TOKEN.encode() not in said.body


async def test_status(loopback: Gateway) -> None:
    """What a person on call asks first: the state, and each vendor's connections."""
    ready = (await asked(loopback, "/-/status", "GET")).json()
    loopback.drain()
    draining = (await asked(loopback, "/-/status", "GET")).json()

    assert (ready["state"], draining["state"]) == ("ready", "draining")
    assert ready["requests_in_flight"] == 0
    assert ready["vendors"]["pixii"]["connections"] == {"busy": 0, "idle": 0, "free": 100}
    assert ready["vendors"]["pixii"]["normalizer"] == "pixii"


@pytest.mark.parametrize(
    ("path", "allow"), [("/-/reload", "POST"), ("/metrics", "GET, HEAD"), ("/-/status", "GET, HEAD")]
)
async def test_other_method(loopback: Gateway, path: str, allow: str) -> None:
    """A method that a path does not know is 405 in the house's envelope, with those that it knows (W-069)."""
    said = await asked(loopback, path, "PUT")

    assert (said.status, said.json()["code"], said.header("allow")) == (405, "method_not_allowed", allow)


@pytest.mark.parametrize("method", ["GET", "POST", "BREW"])
@pytest.mark.parametrize("path", ["/nothing", "/-/", "/-/nothing", "/metrics/"])
async def test_nothing(loopback: Gateway, path: str, method: str) -> None:
    """What the admin port does not have is 404 in the house's envelope."""
    said = await asked(loopback, path, method)

    assert said.status == 404
    assert said.json()["code"] == "not_found"
    assert said.header("content-type") == "application/problem+json"
