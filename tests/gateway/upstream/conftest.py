"""What the tests of the engines share: every engine, both event loops, scripted vendors, certificates."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.upstream import Upstream
from gateway.upstream.http1 import Http1Upstream
from gateway.upstream.httpx import HttpxUpstream
from tests.certificates import make_certificates, server_context
from tests.gateway.upstream.scripted import Script, Vendor

# Every engine keeps the same contract; a new one is added here.
ENGINES: dict[str, Callable[..., Upstream]] = {"httpx": HttpxUpstream, "http1": Http1Upstream}

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

    async def start(script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Vendor:
        vendor = Vendor(script)
        await vendor.start(tls, host)
        vendors.append(vendor)
        return vendor

    yield start
    for vendor in vendors:
        await vendor.close()
    await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities and a certificate of each kind."""
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server_tls(certificates: Path) -> Callable[..., ssl.SSLContext]:
    """The server side of TLS with the certificate of that name; it offers these protocols."""

    def make(name: str = "good", *protocols: str) -> ssl.SSLContext:
        context = server_context(certificates, name)
        context.set_alpn_protocols(list(protocols))
        return context

    return make


@pytest.fixture
def trusting(certificates: Path) -> ssl.SSLContext:
    """The client side of TLS that trusts one authority."""
    return ssl.create_default_context(cafile=str(certificates / "ca.pem"))
