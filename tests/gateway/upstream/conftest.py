"""What the tests of the engines share: every engine, both event loops, scripted vendors, certificates."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.upstream import Upstream
from gateway.upstream.http1 import Http1Upstream
from gateway.upstream.httpx import HttpxUpstream
from tests.gateway.upstream.scripted import Script, Vendor

# Every engine keeps the same contract; a new one is added here.
ENGINES: dict[str, Callable[..., Upstream]] = {"httpx": HttpxUpstream, "http1": Http1Upstream}

# Each certificate: the names it is for, when it begins and ends, and who signs it.
CERTIFICATES = {
    "good": ("DNS:vendor.example,IP:127.0.0.1", "20200101000000Z", "20990101000000Z", "ca"),
    "expired": ("DNS:vendor.example,IP:127.0.0.1", "20200101000000Z", "20200201000000Z", "ca"),
    "other-name": ("DNS:other.example", "20200101000000Z", "20990101000000Z", "ca"),
    "unknown-ca": ("DNS:vendor.example,IP:127.0.0.1", "20200101000000Z", "20990101000000Z", "stranger"),
}

Making = Callable[..., Upstream]
Serving = Callable[..., Awaitable[Vendor]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both event loops: they buffer, pause and close differently, and a person may run without uvloop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Making:
    """Each engine."""
    return ENGINES[request.param]


@pytest.fixture
async def connect(engine: Making) -> AsyncIterator[Making]:
    """Make an upstream of the engine; at the end nothing of it may be busy."""
    made: list[Upstream] = []

    def make(url: str, *, max_connections: int = 4, **options: Any) -> Upstream:  # noqa: ANN401  (the engine's own)
        options.setdefault("tls", ssl.create_default_context())
        made.append(engine(url, max_connections=max_connections, **options))
        return made[-1]

    yield make
    busy = [upstream.connections()[0] for upstream in made]
    for upstream in made:
        await upstream.aclose()
    # Transports tell their protocols that they are gone in the loop's next turn.
    await asyncio.sleep(0.01)
    assert not any(busy), "a connection is still busy"


@pytest.fixture
async def serve() -> AsyncIterator[Serving]:
    """Start a vendor with a script."""
    vendors: list[Vendor] = []

    async def start(script: Script, tls: ssl.SSLContext | None = None) -> Vendor:
        vendor = Vendor(script)
        await vendor.start(tls)
        vendors.append(vendor)
        return vendor

    yield start
    for vendor in vendors:
        await vendor.close()
    await asyncio.sleep(0.01)


def openssl(folder: Path, *arguments: str) -> None:
    """Run openssl in that folder."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities and a certificate of each kind."""
    folder = tmp_path_factory.mktemp("tls")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for authority in ("ca", "stranger"):
        openssl(folder, "req", "-x509", *curve, "-subj", f"/CN={authority}", "-days", "30",
                "-keyout", f"{authority}.key", "-out", f"{authority}.pem")  # fmt: skip
        (folder / f"{authority}.cnf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={authority}.txt\nnew_certs_dir=.\nrand_serial=yes\npolicy=p\n"
            "default_md=sha256\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n"
        )
        (folder / f"{authority}.txt").touch()
    for name, (names, begins, ends, authority) in CERTIFICATES.items():
        openssl(folder, "req", *curve, "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}", "-keyout",
                f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        openssl(folder, "ca", "-batch", "-config", f"{authority}.cnf", "-cert", f"{authority}.pem", "-keyfile",
                f"{authority}.key", "-startdate", begins, "-enddate", ends, "-in", f"{name}.csr", "-out", f"{name}.pem",
                "-notext")  # fmt: skip
    return folder


@pytest.fixture
def server_tls(certificates: Path) -> Callable[..., ssl.SSLContext]:
    """The server side of TLS with the certificate of that name; it offers these protocols."""

    def make(name: str = "good", *protocols: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        context.set_alpn_protocols(list(protocols))
        return context

    return make


@pytest.fixture
def trusting(certificates: Path) -> ssl.SSLContext:
    """The client side of TLS that trusts one authority."""
    return ssl.create_default_context(cafile=str(certificates / "ca.pem"))
