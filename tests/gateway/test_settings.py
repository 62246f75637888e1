"""Settings: defaults, and what follows from them. Whole files, right and wrong, are in `settings/`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings, SettingsError, loads
from gateway.settings.faults import Fault, KeyPath
from gateway.settings.normalizer import Described
from gateway.settings.resolve import describe_all, resolve
from gateway.settings.shape import validate
from gateway.settings.values import write_duration, write_share, write_size
from gateway.settings.vendors import VendorSettings

ACME = "vendors:\n  acme:\n    base_url: https://api.acme.example\n"

# Contract 3, as `/-/config` spells it; what is not available yet has the value that asks for nothing.
DEFAULTS: dict[str, Any] = {
    "server": {
        "name": "errgate",
        "host": "127.0.0.1",
        "port": 8080,
        "hosts": [],
        "admin": {"host": "127.0.0.1", "port": 9090, "token": None},
        "workers": 1,
        "trusted_proxies": [],
        "timeouts": {"head": "10s", "body_idle": "30s", "write_idle": "60s", "keep_alive": "75s"},
        "max_connections": 10000,
        "max_in_flight": 2000,
        "max_request_body": "32MiB",
        "shutdown": {"lameduck": "5s", "grace": None},
        "tls": {"certificate": None, "key": None},
    },
    "problems": {"base_uri": "/-/problems/", "vendor_messages": "always", "rate_limit_headers": True},
    "callers": None,
    "vendors": {
        "acme": {
            "base_url": "https://api.acme.example",
            "plaintext": False,
            "hosts": [],
            "normalizer": None,
            "credential": "none",
            "errors": "envelope",
            "job_failures": "annotate",
            "routes": [],
            "only_routes": False,
            "timeouts": {
                "connect": "5s",
                "first_byte": "120s",
                "idle": "60s",
                "total": "300s",
                "max_duration": "1h",
            },
            "max_connections": 100,
            "max_request_body": None,
            "limits": [],
            "on_vendor_limit": "hold",
            "hold": {"max": "60s", "max_quota": "1h"},
            "retries": {"max": 1, "budget": "10%", "statuses": [], "idempotency_key": False},
            "breaker": None,
            "forward": {
                "cookies": False,
                "trace": False,
                "caller_address": False,
                "get_body": False,
                "escaped_slash": "pass",
            },
            "tls": {"ca": None, "certificate": None, "key": None, "server_name": None},
            "proxy": None,
            "http2": False,
            "engine": "http1",
        }
    },
    "limit_store": {"url": "memory", "ca": None, "when_away": "share"},
    "log": {"format": "json", "level": "info", "requests": True},
}


def refused(text: str, **environ: str) -> list[str]:
    """The faults of a text."""
    with pytest.raises(SettingsError) as wrong:
        loads(text, environ=environ)
    return wrong.value.faults


def keys(model: Mapping[str, Any], path: str = "") -> dict[str, object]:
    """Every value by its dotted key."""
    found: dict[str, object] = {}
    for key, value in model.items():
        inside = keys(value, f"{path}{key}.") if isinstance(value, dict) else {}
        found |= inside or {f"{path}{key}": value}
    return found


@pytest.mark.parametrize(("key", "value"), keys(DEFAULTS).items())
def test_default(key: str, value: object) -> None:
    """A key that is left out has the contract's default."""
    assert keys(loads(ACME).masked())[key] == value


def test_no_other_keys() -> None:
    """There are no keys but the contract's."""
    assert keys(loads(ACME).masked()).keys() == keys(DEFAULTS).keys()


def test_masked_settings_are_settings() -> None:
    """What `/-/config` shows can be loaded again, apart from secrets."""
    shown = loads(ACME).masked()

    assert loads(json.dumps(shown)).masked() == loads(ACME).masked()


def test_units() -> None:
    """In code a duration is seconds, a size bytes, a share a number from 0 to 1."""
    settings = loads(f'{ACME}    timeouts: {{idle: 250ms, total: 2m}}\n    max_request_body: "64KiB"\n')
    acme = settings.vendors["acme"]

    assert (acme.timeouts.idle, acme.timeouts.total, acme.max_request_body) == (0.25, 120.0, 65536)
    assert acme.retries.budget == 0.1


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        (write_duration(0.25), "250ms"),
        (write_duration(1.5), "1500ms"),
        (write_duration(0), "0s"),
        (write_duration(90), "90s"),
        (write_duration(7200), "2h"),
        (write_size(1), "1B"),
        (write_size(1536), "1536B"),
        (write_size(1 << 30), "1GiB"),
        (write_share(0.025), "2.5%"),
    ],
)
def test_values_are_spelled_as_in_the_file(written: str, spelled: str) -> None:
    """A value is written back as a person would have."""
    assert written == spelled


def test_admin_token_from_a_secret_is_a_token() -> None:
    """The word `none` opens the admin port only where the file itself says it."""
    said = loads("server: {admin: {token: none}}").server.admin
    secret = loads('server: {admin: {token: "${TOKEN}"}}', environ={"TOKEN": "none"}).server.admin

    assert said.secret is None
    assert secret.secret is not None
    assert secret.secret.get_secret_value() == "none"
    assert loads("server: {admin: {token: none}}").masked()["server"]["admin"]["token"] == "none"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "'::1'", "'[::1]'"])
def test_loopback(host: str) -> None:
    """On loopback neither callers nor a token are asked for."""
    text = f"{ACME}    credential: {{header: X-Api-Key, value: k}}\n"

    settings = loads(f"server: {{host: {host}, admin: {{host: {host}}}}}\n{text}")

    assert settings.callers is None


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "'::'", "errgate.localhost", "'::ffff:127.0.0.1'"])
def test_beyond_loopback(host: str) -> None:
    """Everything else is beyond loopback: a credential needs callers there, the admin port a token."""
    text = f"{ACME}    credential: {{header: X-Api-Key, value: k}}\n"

    faults = refused(f"server: {{host: {host}, admin: {{host: {host}}}}}\n{text}")

    assert [fault.split(": ")[1] for fault in faults] == ["callers", "server.admin.token"]


def test_passthrough_needs_no_callers() -> None:
    """Without a credential of ours there is nothing to guard."""
    assert loads(f"server: {{host: 0.0.0.0}}\n{ACME}    credential: passthrough\n").named_callers == {}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://api.acme.example", ("https", "api.acme.example", 443, "api.acme.example", b"")),
        ("https://API.acme.example:443/", ("https", "api.acme.example", 443, "api.acme.example", b"")),
        ("https://api.acme.example/v1/", ("https", "api.acme.example", 443, "api.acme.example", b"/v1")),
        ("http://127.0.0.1:8000/a%2Fb", ("http", "127.0.0.1", 8000, "127.0.0.1:8000", b"/a%2Fb")),
        ("http://[::1]", ("http", "::1", 80, "[::1]", b"")),
    ],
)
def test_where_a_vendor_is(url: str, place: tuple[object, ...]) -> None:
    """A base URL is taken apart once, for whoever dials and whoever writes the request."""
    acme = loads(f"vendors: {{acme: {{base_url: '{url}'}}}}").vendors["acme"]

    assert (acme.scheme, acme.host, acme.port, acme.authority, acme.base_path) == place


@pytest.mark.parametrize(
    ("said", "route", "deadlines"),
    [
        ("", None, (120.0, 300.0)),
        ("", "train", (120.0, 300.0)),
        ("", "generate", (300.0, 300.0)),
        ("timeouts: {first_byte: 60s}", "train", (60.0, 300.0)),
        ("timeouts: {first_byte: 60s, total: 90s}", "generate", (300.0, 300.0)),
        ("timeouts: {first_byte: 400s, total: 500s}", "generate", (400.0, 500.0)),
        ("routes: [{name: generate, path: /x, timeouts: {first_byte: 30s}}]", "generate", (30.0, 300.0)),
        ("routes: [{name: own, path: /x, timeouts: {total: 40s}}]", "own", (120.0, 40.0)),
        (
            "normalizer: {extends: pikzels, routes: [{name: train, path: /x, timeouts: {total: 9s}}]}",
            "train",
            (120.0, 9.0),
        ),
    ],
)
def test_deadlines_of_a_route(said: str, route: str | None, deadlines: tuple[float, float]) -> None:
    """A route's own deadlines win; then the vendor's, which never shortens what the route is known to take."""
    pikzels = loads(
        f"vendors:\n  pikzels:\n    base_url: https://api.pikzels.com\n    credential: passthrough\n    {said}\n"
    ).vendors["pikzels"]

    timeouts = pikzels.timeouts_for(route)

    assert (timeouts.first_byte, timeouts.total) == deadlines


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 5.0),
        (ACME, 305.0),
        (f"{ACME}    routes: [{{name: slow, path: /slow, timeouts: {{total: 400s}}}}]\n", 405.0),
        (f"server: {{shutdown: {{grace: 0s}}}}\n{ACME}", 0.0),
    ],
)
def test_grace(text: str, seconds: float) -> None:
    """Running requests get the longest `total` and 5 s, unless the file says how long."""
    assert loads(text).grace_seconds == seconds


@pytest.mark.parametrize("said", ["generic", "{extends: generic}"])
def test_knowing_nothing(said: str) -> None:
    """`generic` knows nothing of a vendor, even of one with a built-in name."""
    pixii = loads(f"vendors: {{pixii: {{base_url: https://a.example, normalizer: {said}}}}}").vendors["pixii"]

    assert (pixii.vendor.rows, pixii.route_names) == ((), frozenset())


def test_unresolved_vendor() -> None:
    """A vendor that `load` did not make has no normalizer, and says so."""
    with pytest.raises(RuntimeError, match=r"load\(\) or loads\(\)"):
        _ = VendorSettings(base_url="https://api.acme.example").vendor


def test_description_that_the_core_refuses() -> None:
    """What the core refuses in a described vendor, though its shape is right, is a fault and no traceback."""
    described = Described.model_construct({"code"}, code=("error/code",))
    acme = VendorSettings.model_construct({"normalizer"}, base_url="https://a.example", normalizer=described)
    settings = Settings.model_construct(vendors={"acme": acme})
    resolve(settings)

    faults = describe_all(settings)

    assert [fault.path for fault in faults] == [("vendors", "acme", "normalizer")]


def test_values_that_the_models_cannot_take_at_all() -> None:
    """Where nothing can be taken out any more, the fault stands for the whole file."""
    settings, faults, broken = validate({"callers": {"\0mapping": {"key_sha256": 1}}}, Path())

    assert (settings, broken) == (Settings(), {()})
    assert faults


def test_fault_is_explained_from_above() -> None:
    """A fault at or above a key explains what is found there; one below or beside does not."""
    fault = Fault(("server", "port"), "", about=(("server", "host"),))

    explained: list[list[KeyPath]] = [[("server",)], [("server", "port")], [("server", "host")], [()]]
    assert all(fault.explained_by(broken) for broken in explained)
    assert not fault.explained_by([("server", "port", "x"), ("server", "name"), ("log",)])
