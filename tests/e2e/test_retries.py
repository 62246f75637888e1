"""Second attempts and the breaker, seen by a vendor that counts: contract 13 on real sockets."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import OK, RogueVendor, Wire, fin, reply
from tests.e2e.harness.wire import Request

OPEN_FOR = 0.5


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway that tries twice, with a breaker before one vendor."""
    short = {"connect": "300ms", "first_byte": "400ms", "idle": "400ms", "total": "1s"}
    twice = {"max": 1, "budget": "100%"}
    common: dict[str, Any] = {"base_url": vendor.url, "normalizer": "pixii", "timeouts": short, "retries": twice}
    vendors = {
        "pixii": common,
        "thrifty": common | {"retries": {"max": 1}},
        "never": common | {"retries": {"max": 0}},
        "statuses": common | {"retries": twice | {"statuses": [503]}},
        "keyed": common | {"retries": twice | {"idempotency_key": True}},
        "breaker": common | {"retries": {"max": 0}, "breaker": {"failures": 3, "open_for": f"{OPEN_FOR * 1000:.0f}ms"}},
    }
    with ThreadGateway(settings_text(vendors)) as gateway:
        yield gateway


def failing_first(vendor: RogueVendor, *bad: bytes | None) -> None:
    """Answer the first requests with these bytes and an end (None: an RST), every later one well."""
    left = list(bad)

    def answer(wire: Wire, request: Request) -> None:
        if not left:
            wire.send(reply(200, b"ok"))
            return
        data = left.pop(0)
        if data is None:
            wire.rst()
        else:
            wire.send(data)
            wire.fin()

    vendor.answer = answer


TWICE: dict[str, tuple[str, str, list[tuple[str, str]], bytes | None, int]] = {
    "get": ("pixii", "GET", [], None, 200),
    "head": ("pixii", "HEAD", [], None, 200),
    "delete": ("pixii", "DELETE", [], None, 200),
    "put-with-a-small-body": ("pixii", "PUT", [], b"small", 200),
    "post": ("pixii", "POST", [], b"{}", 502),
    "patch": ("pixii", "PATCH", [], b"{}", 502),
    "post-with-a-key-that-counts": ("keyed", "POST", [("Idempotency-Key", '"abc"')], b"{}", 200),
    "post-with-a-key-that-does-not": ("pixii", "POST", [("Idempotency-Key", '"abc"')], b"{}", 502),
    "get-where-it-is-off": ("never", "GET", [], None, 502),
}


@pytest.mark.parametrize(("name", "method", "headers", "body", "status"), TWICE.values(), ids=TWICE)
@pytest.mark.parametrize("bad", [b"", None], ids=["closed", "reset"])
def test_second_attempt(
    gateway: ThreadGateway,
    vendor: RogueVendor,
    name: str,
    method: str,
    headers: list[tuple[str, str]],
    body: bytes | None,
    status: int,
    bad: bytes | None,
) -> None:
    """Lost before its first byte, an idempotent request is sent once more; one that may have been applied never is."""
    failing_first(vendor, bad)

    answer = gateway.ask(f"/{name}/x", method, headers, body)

    assert answer.status == status
    assert [seen.method for seen in vendor.requests] == [method] * (2 if status == 200 else 1)
    assert all(seen.body == (body or b"") for seen in vendor.requests)
    assert len({seen.header("idempotency-key") for seen in vendor.requests}) == 1
    if status != 200:
        check_problem(answer, "vendor_failed", source="network", retryable=method == "GET")


def test_no_third_attempt(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A failed second attempt is the end (W-115)."""
    failing_first(vendor, b"", b"", b"", b"")

    check_problem(gateway.ask("/pixii/x"), "vendor_failed", source="network", retryable=True)
    assert len(vendor.requests) == 2


def test_budget(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """However many fail, second attempts stay within a tenth of the requests and one a second (W-116)."""
    vendor.greet = (fin(),)
    before = gateway.scrape()
    began = time.monotonic()

    for _ in range(100):
        gateway.ask("/thrifty/x")

    most = 10 + (time.monotonic() - began) + 1
    grown = gateway.scrape().grown(before, "errgate_retries_total")
    assert 1 <= sum(count for labels, count in grown.items() if dict(labels)["result"] != "refused") <= most
    vendor.greet = ()


def test_no_attempt_after_the_first_byte(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Once a byte of the reply was seen, or sent on, nothing is retried (W-120)."""
    for began in (b"HTTP/1.1 2", OK + b"Content-Length: 9\r\n\r\nok"):
        vendor.forget()
        failing_first(vendor, began)

        gateway.ask("/pixii/x")

        assert len(vendor.requests) == 1


@pytest.mark.parametrize(("method", "attempts"), [("GET", 2), ("POST", 1)])
def test_status_that_is_named(gateway: ThreadGateway, vendor: RogueVendor, method: str, attempts: int) -> None:
    """A named status is retried for idempotent methods alone (W-119)."""
    vendor.reply(reply(503), reply(200, b"ok"))

    answer = gateway.ask("/statuses/x", method, body=b"" if method == "POST" else None)

    assert len(vendor.requests) == attempts
    assert answer.status == (200 if attempts == 2 else 503)


def test_status_with_a_delay_is_not_retried(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A vendor that names a delay longer than the deadline is asked once (W-118)."""
    vendor.reply(reply(503, b"", [("Retry-After", "30")]), reply(200, b"ok"))

    check_problem(gateway.ask("/statuses/x"), "vendor_unavailable", retry_after=30)
    assert len(vendor.requests) == 1


def test_breaker(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """After so many failures in a row nobody reaches the vendor for a while; then one goes first (W-123)."""
    vendor.reply(reply(503))
    for _ in range(3):
        check_problem(gateway.ask("/breaker/x"), "vendor_unavailable", source="vendor")
    assert gateway.scrape().sum("errgate_breaker_open", vendor="breaker") == 1

    problem = check_problem(gateway.ask("/breaker/x"), "vendor_unavailable", source="gateway", retryable=True)
    asked = len(vendor.requests)
    time.sleep(OPEN_FOR + 0.1)
    vendor.reply(reply(200, b"ok"))
    answer = gateway.ask("/breaker/x")

    assert asked == 3
    assert problem["retry_after"] == 1
    assert answer.status == 200
    assert until(lambda: gateway.scrape().sum("errgate_breaker_open", vendor="breaker") == 0)


def test_callers_mistakes_open_no_breaker(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Errors that are no failure of the vendor leave the breaker closed (W-123)."""
    for status in (400, 404, 422, 429, 500):
        vendor.reply(reply(status))
        for _ in range(2):
            gateway.ask("/breaker/x")

    assert len(vendor.requests) == 10
