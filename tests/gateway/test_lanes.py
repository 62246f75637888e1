"""Generations of the settings: what a reload takes over, what it closes, and whose request a Host says it is."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import settings
from gateway.lanes import CLOSING, Addresses, Runtime
from gateway.metrics import Metrics
from gateway.problems import Refused
from gateway.settings import Settings
from normalizers import HouseCode

URL = "http://127.0.0.1:9"


def loads(vendors: dict[str, dict[str, Any]], **server: object) -> Settings:
    """Settings for these vendors."""
    return settings.loads(yaml.safe_dump({"server": server, "vendors": vendors}), environ={})


def runtime(**vendors: dict[str, Any]) -> Runtime:
    """A generation for these vendors."""
    return Runtime(loads(vendors), Metrics("1"))


SAME = (
    {"errors": "header"},
    {"timeouts": {"total": "9s"}},
    {"credential": {"header": "X-Key", "value": "k"}},
    {"only_routes": True},
)
OTHER = (
    {"base_url": "http://127.0.0.2:9"},
    {"max_connections": 7},
    {"proxy": "http://127.0.0.1:3128"},
    {"tls": {"server_name": "vendor.example"}},
    {"http2": True},
    {"engine": "http1"},
)


@pytest.mark.parametrize("change", SAME)
async def test_connections_stay(change: dict[str, Any]) -> None:
    """What does not change the dialling keeps the connections."""
    before = runtime(pixii={"base_url": URL})

    after = before.following(loads({"pixii": {"base_url": URL, **change}}))

    assert after.lanes["pixii"].upstream is before.lanes["pixii"].upstream


@pytest.mark.parametrize("change", OTHER)
async def test_connections_are_new(change: dict[str, Any]) -> None:
    """What changes where or how a vendor is dialled makes new connections."""
    pixii = {"base_url": "https://127.0.0.1:9", "engine": "httpx"}
    before = runtime(pixii=pixii)

    after = before.following(loads({"pixii": {**pixii, **change}}))

    assert after.lanes["pixii"].upstream is not before.lanes["pixii"].upstream


def test_renewed_authority(tmp_path: Path) -> None:
    """A certificate is known by what it says: renewed under the same name it is a new one."""
    ca = tmp_path / "ca.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*make, "-subj", "/CN=ca", "-keyout", "key.pem", "-out", ca], cwd=tmp_path, check=True)
    text = {"pixii": {"base_url": "https://127.0.0.1:9", "tls": {"ca": str(ca)}}}
    before = Runtime(loads(text), Metrics("1"))

    same = before.following(loads(text))
    ca.write_bytes(ca.read_bytes() + b"\n")
    renewed = before.following(loads(text))

    assert same.lanes["pixii"].upstream is before.lanes["pixii"].upstream
    assert renewed.lanes["pixii"].upstream is not before.lanes["pixii"].upstream


class Counting:
    """An upstream that counts how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        """Count."""
        self.closed += 1


def watched(generation: Runtime, monkeypatch: pytest.MonkeyPatch, name: str) -> Counting:
    """Count how often a lane's connections are closed."""
    counting = Counting()
    monkeypatch.setattr(generation.lanes[name].upstream, "aclose", counting.aclose)
    return counting


async def settled() -> None:
    """Wait until what was retired is closed."""
    if CLOSING:
        await asyncio.wait(CLOSING)


async def test_retired_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a running request what the next generation does not use is closed at once; what it uses is not."""
    before = runtime(pixii={"base_url": URL}, apixo={"base_url": URL})
    kept, dropped = watched(before, monkeypatch, "pixii"), watched(before, monkeypatch, "apixo")
    after = before.following(loads({"pixii": {"base_url": URL}}))

    before.retire(after)
    await settled()

    assert (kept.closed, dropped.closed) == (0, 1)


async def test_retired_behind_the_last_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A running request keeps its generation's connections until it ends."""
    before = runtime(pixii={"base_url": URL})
    dropped = watched(before, monkeypatch, "pixii")
    before.enter()
    before.enter()
    before.retire(before.following(loads({"apixo": {"base_url": URL}})))
    before.leave()
    await settled()
    assert dropped.closed == 0

    before.leave()
    await settled()

    assert dropped.closed == 1


async def test_retired_with_nothing_to_close() -> None:
    """A generation whose connections all go on has nothing to close, now or later."""
    before = runtime(pixii={"base_url": URL})
    before.enter()
    before.retire(before.following(loads({"pixii": {"base_url": URL}})))

    before.leave()

    assert not CLOSING


async def test_aclose(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end every vendor's connections are closed."""
    generation = runtime(pixii={"base_url": URL}, apixo={"base_url": URL})
    upstreams = [watched(generation, monkeypatch, name) for name in generation.lanes]

    await generation.aclose()

    assert [upstream.closed for upstream in upstreams] == [1, 1]


async def test_shares_of_a_worker() -> None:
    """What the settings allow a gateway, its workers share, rounded up."""
    whole = loads({"pixii": {"base_url": URL, "max_connections": 10}}, workers=3, max_in_flight=100)

    generation = Runtime(whole, Metrics("1"))

    assert generation.max_in_flight == 34
    assert generation.lanes["pixii"].upstream.connections() == (0, 0, 4)


async def test_observe() -> None:
    """Connections and breakers are noted for a scrape."""
    metrics = Metrics("1")
    generation = Runtime(loads({"pixii": {"base_url": URL, "breaker": {"failures": 1, "open_for": "9s"}}}), metrics)
    breaker = generation.lanes["pixii"].sender.breaker
    assert breaker is not None
    breaker.failed(1.0, probe=False)

    generation.observe()

    assert metrics.registry.get_sample_value("errgate_breaker_open", {"vendor": "pixii"}) == 1
    labels = {"vendor": "pixii", "state": "free"}
    assert metrics.registry.get_sample_value("errgate_vendor_connections", labels) == 100


OURS = loads({"pixii": {"base_url": URL, "hosts": ["pixii.example", "p.example:81"]}}, hosts=["gate.example", "g:82"])
VENDORS_ONLY = loads({"pixii": {"base_url": URL, "hosts": ["pixii.example"]}})
ANY = loads({"pixii": {"base_url": URL}})


@pytest.mark.parametrize(
    ("whole", "host", "vendor"),
    [
        (OURS, "gate.example", None),
        (OURS, "GATE.example:8080", None),
        (OURS, "g:82", None),
        (OURS, "pixii.example", "pixii"),
        (OURS, "Pixii.Example:8080", "pixii"),
        (OURS, "p.example:81", "pixii"),
        (VENDORS_ONLY, "pixii.example:1", "pixii"),
        (VENDORS_ONLY, "anything", None),
        (VENDORS_ONLY, "", None),
        (ANY, "anything", None),
    ],
)
def test_address(whole: Settings, host: str, vendor: str | None) -> None:
    """A Host is the vendor's whose own it is; else the path names the vendor."""
    assert Addresses(whole).vendor_of([(b"x", b"y"), (b"host", host.encode())]) == vendor


@pytest.mark.parametrize("host", ["evil.example", "g", "g:83", "p.example:82", "gate.example.evil", "", "[::1]:82"])
def test_foreign_address(host: str) -> None:
    """Where our authorities are configured another is misdirected (421)."""
    with pytest.raises(Refused) as refused:
        Addresses(OURS).vendor_of([(b"host", host.encode())])

    assert refused.value.problem.code is HouseCode.MISDIRECTED_REQUEST


def test_no_host() -> None:
    """Without a Host a request is nobody's where ours are configured."""
    with pytest.raises(Refused):
        Addresses(OURS).vendor_of([])


def test_other_engine_is_imported_only_where_it_is_used() -> None:
    """A gateway whose vendors use the default engine pays for no other one's library."""
    program = "import sys, gateway.app, gateway.server; print(sorted({'httpcore2', 'h11', 'h2'} & {*sys.modules}))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
