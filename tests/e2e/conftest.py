"""What the end-to-end tests share: a rogue vendor a module, and the oracles around every test that uses a gateway."""

from collections.abc import Iterator

import pytest

from tests.e2e.harness.client import request as bytes_of
from tests.e2e.harness.gateway import ThreadGateway, silence
from tests.e2e.harness.oracle import leaving_no_trace
from tests.e2e.harness.vendor import RogueVendor

# What a well vendor answers with 200.
CLEAN = bytes_of("GET", "/pixii/clean")


@pytest.fixture(scope="module")
def vendor() -> Iterator[RogueVendor]:
    """A vendor that does what it is told."""
    with RogueVendor() as vendor:
        yield vendor


@pytest.fixture(autouse=True)
def _no_trace(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold every test that uses `gateway` and `vendor` to the oracles; a module may have a CLEAN request of its own."""
    if not {"gateway", "vendor"} <= set(request.fixturenames):
        yield
        return
    gateway = request.getfixturevalue("gateway")
    vendor = request.getfixturevalue("vendor")
    assert isinstance(gateway, ThreadGateway)
    assert isinstance(vendor, RogueVendor)
    vendor.forget()
    with leaving_no_trace(gateway, vendor, getattr(request.module, "CLEAN", CLEAN)):
        yield


@pytest.fixture(scope="session", autouse=True)
def _silence() -> Iterator[None]:
    """Leave the log as it was."""
    yield
    silence()
