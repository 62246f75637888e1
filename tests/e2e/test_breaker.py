"""The breaker, seen by a vendor that counts: contract 13 on real sockets."""

import time
from collections.abc import Iterator

import pytest

from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, reply

OPEN_FOR = 0.5


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway with a breaker before its vendor."""
    breaker = {"failures": 3, "open_for": f"{OPEN_FOR * 1000:.0f}ms"}
    pixii = {"base_url": vendor.url, "retries": {"max": 0}, "breaker": breaker}
    with ThreadGateway(settings_text({"pixii": pixii})) as gateway:
        yield gateway


def test_breaker(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """After so many failures in a row nobody reaches the vendor for a while; then one goes first (W-123)."""
    vendor.reply(reply(503))
    for _ in range(3):
        check_problem(gateway.ask("/pixii/x"), "vendor_unavailable", source="vendor")
    assert gateway.scrape().sum("errgate_breaker_open", vendor="pixii") == 1

    problem = check_problem(gateway.ask("/pixii/x"), "vendor_unavailable", source="gateway", retryable=True)
    asked = len(vendor.requests)
    time.sleep(OPEN_FOR + 0.1)
    vendor.reply(reply(200, b"ok"))
    answer = gateway.ask("/pixii/x")

    assert asked == 3
    assert problem["retry_after"] == 1
    assert answer.status == 200
    assert until(lambda: gateway.scrape().sum("errgate_breaker_open", vendor="pixii") == 0)


def test_callers_mistakes_open_no_breaker(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Errors that are no failure of the vendor leave the breaker closed (W-123)."""
    for status in (400, 404, 422, 429, 500):
        vendor.reply(reply(status))
        for _ in range(2):
            gateway.ask("/pixii/x")

    assert len(vendor.requests) == 10
