"""The bounds of the gateway itself: requests at work, connections to a vendor, connections of callers (contract 8)."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.harness.client import RawClient, request
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.metrics import Scrape
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, Wire, reply
from tests.e2e.harness.wire import Request, Response

CLEAN = request("GET", "/one/clean")
IN_FLIGHT, CALLERS = 4, 40


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway that works on four requests at a time, with one or many connections to its vendors."""
    common: dict[str, Any] = {
        "base_url": vendor.url,
        "normalizer": "generic",
        "timeouts": {"connect": "1s", "first_byte": "8s", "idle": "8s", "total": "8s"},
    }
    vendors = {"one": common | {"max_connections": 1}, "many": common}
    server = {"max_in_flight": IN_FLIGHT, "max_connections": CALLERS}
    with ThreadGateway(settings_text(vendors, server)) as gateway:
        yield gateway


class Gate:
    """A vendor that answers nobody until it is opened."""

    def __init__(self, vendor: RogueVendor) -> None:
        self.opened = threading.Event()
        self.vendor = vendor
        vendor.answer = self.answer

    def answer(self, wire: Wire, request: Request) -> None:
        """Wait, and answer well."""
        self.opened.wait(8)
        wire.send(reply(200, b"ok"))

    def waiting(self, number: int) -> bool:
        """Whether so many requests come to wait here."""
        return until(lambda: len(self.vendor.requests) == number)


def begin(gateway: ThreadGateway, stack: ExitStack, target: str) -> RawClient:
    """A caller who has sent a request and waits."""
    gateway.asked += 1
    client = stack.enter_context(gateway.connect())
    client.send(request("GET", target))
    return client


def in_flight(gateway: ThreadGateway, number: int) -> bool:
    """Whether the gateway comes to work on so many requests."""
    return until(lambda: gateway.app.runtime.in_flight == number)


def refusals(gateway: ThreadGateway) -> float:
    """How many requests never left the gateway."""
    return gateway.scrape().sum("errgate_requests_total", outcome="refused")


def check_overloaded(answer: Response) -> None:
    """The answer is that the gateway is full."""
    check_problem(answer, "overloaded", source="gateway", retryable=True, retry_after=1, vendor_error=None)
    assert answer.header("retry-after") == "1"


def test_requests_at_work_are_bounded(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """More than `max_in_flight` requests at a time are refused at once, and nothing of them reaches the vendor."""
    gate = Gate(vendor)
    before = refusals(gateway)
    with ExitStack() as stack:
        clients = [begin(gateway, stack, "/many/x") for _ in range(IN_FLIGHT)]
        assert gate.waiting(IN_FLIGHT)

        answers = [gateway.ask("/many/y", "POST", body=b"pay") for _ in range(3)]

        gate.opened.set()
        assert [client.read().body for client in clients] == [b"ok"] * IN_FLIGHT
    for answer in answers:
        check_overloaded(answer)
    assert {got.target for got in vendor.requests} == {b"/x"}
    assert refusals(gateway) - before == 3


def test_callers_that_leave_give_their_places_back(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A caller that hangs up frees its place among `max_in_flight` at once."""
    gate = Gate(vendor)
    for turn in range(1, 4):
        with ExitStack() as stack:
            for _ in range(IN_FLIGHT):
                begin(gateway, stack, "/many/x")
            assert gate.waiting(turn * IN_FLIGHT)
        assert in_flight(gateway, 0)
    gate.opened.set()

    assert gateway.ask("/many/x").status == 200


def test_no_free_connection_in_time(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A request that finds no free connection within `connect` is answered `overloaded` and not sent (F-37)."""
    gate = Gate(vendor)
    before = refusals(gateway)
    with ExitStack() as stack:
        client = begin(gateway, stack, "/one/x")
        assert gate.waiting(1)
        began = time.monotonic()

        answer = gateway.ask("/one/y", "POST", body=b"pay")

        took = time.monotonic() - began
        gate.opened.set()
        assert client.read().body == b"ok"
    check_overloaded(answer)
    assert 0.95 < took < 2
    assert [got.target for got in vendor.requests] == [b"/x"]
    assert refusals(gateway) - before == 1


def test_first_come_first_served(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Requests that wait for a connection get it in the order in which they came (F-37)."""
    gate = Gate(vendor)
    with ExitStack() as stack:
        clients = []
        for number in range(IN_FLIGHT):
            clients.append(begin(gateway, stack, f"/one/{number}"))
            assert in_flight(gateway, number + 1)
        assert gate.waiting(1)

        gate.opened.set()

        assert [client.read().body for client in clients] == [b"ok"] * IN_FLIGHT
    assert [got.target for got in vendor.requests] == [b"/%d" % number for number in range(IN_FLIGHT)]


@pytest.mark.parametrize("by_reset", [False, True], ids=["fin", "rst"])
def test_a_caller_that_leaves_the_queue(gateway: ThreadGateway, vendor: RogueVendor, by_reset: bool) -> None:
    """A caller that hangs up while it waits for a connection frees its place and never reaches the vendor (RC-82)."""
    gate = Gate(vendor)
    with ExitStack() as stack:
        first = begin(gateway, stack, "/one/first")
        assert gate.waiting(1)
        leaving = begin(gateway, stack, "/one/leaving")
        assert in_flight(gateway, 2)
        last = begin(gateway, stack, "/one/last")
        assert in_flight(gateway, 3)
        if by_reset:
            leaving.reset()
        else:
            leaving.close()
        assert in_flight(gateway, 2)

        gate.opened.set()

        assert [client.read().body for client in (first, last)] == [b"ok", b"ok"]
    assert [got.target for got in vendor.requests] == [b"/first", b"/last"]


def test_a_full_vendor_holds_up_no_other(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """While one vendor's connections are all in use, another's requests go through (F-38)."""
    gate = Gate(vendor)
    with ExitStack() as stack:
        clients = [begin(gateway, stack, f"/one/{number}") for number in range(2)]
        assert gate.waiting(1)
        vendor.answer = lambda wire, request: wire.send(reply(200, b"ok"))

        answers = [gateway.ask("/many/x").body for _ in range(5)]

        gate.opened.set()
        assert [client.read().body for client in clients] == [b"ok"] * 2
    assert answers == [b"ok"] * 5


def test_more_callers_than_connections(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """20 callers over one connection, in bursts of four, are all answered, each with its own answer."""
    vendor.answer = lambda wire, request: wire.send(reply(200, request.target))

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        answers = list(pool.map(lambda number: gateway.ask(f"/one/{number}"), range(20)))

    # A place is free only once the answer before is counted: a caller may come a moment too early.
    bodies = [answer.body for answer in answers if answer.status == 200]
    assert set(bodies) <= {b"/%d" % number for number in range(20)}
    assert len(set(bodies)) == len(bodies) >= 16


def test_connections_of_callers_are_bounded(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """One connection more than `server.max_connections` is told `overloaded` and closed; idle ones count (F-61)."""
    before = counts(gateway.scrape())
    with ExitStack() as stack:
        held = [stack.enter_context(gateway.connect()) for _ in range(CALLERS)]
        time.sleep(0.1)

        with gateway.connect() as client:
            client.send(request("GET", "/many/x"))
            answer = client.read()
            assert client.closed()

        gateway.asked += 1
        held[0].send(request("GET", "/many/x"))
        assert held[0].read().status == 200
    gateway.asked += 1

    check_problem(answer, "overloaded", source="gateway", retryable=True, vendor=None)
    assert answer.header("connection") == "close"
    assert answer.header("retry-after") == "1"
    assert until(lambda: gateway.ask("/many/x").status == 200)
    grown = {key: value - before.get(key, 0) for key, value in counts(gateway.scrape()).items()}
    assert grown["none", "503", "refused"] >= 1
    assert vendor.requests[0].target == b"/x"


def counts(scrape: Scrape) -> dict[tuple[str, str, str], float]:
    """The requests by vendor, status and outcome."""
    found: dict[tuple[str, str, str], float] = {}
    for (_, labels), value in scrape.matching("errgate_requests_total").items():
        named = dict(labels)
        key = named["vendor"], named["status"], named["outcome"]
        found[key] = found.get(key, 0) + value
    return found
