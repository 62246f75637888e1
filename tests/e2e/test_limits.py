"""
Limits over real sockets: what each kind refuses, what a refusal says, and what comes back (contract 11).

One file: every test asks the same gateway, whose vendors differ in their limits alone.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.settings.limits import LimitSettings
from tests.e2e.harness.client import RawClient, request
from tests.e2e.harness.gateway import ThreadGateway, free_port, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, Wire, fin, json_reply, pause, reply, rst, send
from tests.e2e.harness.wire import Cut, Request, Response

CLEAN = request("GET", "/free/clean")
SUBMIT, POLL = "/v1/api/listing_builder", "/v1/api/jobs/1"
MINUTE = {"requests": 3, "per": "minute"}
LATER = {"requests": 50, "per": "day"}

# Each test has vendors of its own, so that none finds a limit used up by another; all of them are one stub.
LIMITS: dict[str, list[dict[str, Any]]] = {
    "free": [],
    "minute": [MINUTE],
    "fair": [{"name": "fair", "requests": 3, "per": "minute", "by": "caller"}],
    "hour": [{"requests": 3, "per": "hour"}],
    "day": [{"requests": 3, "per": "day"}],
    "today": [{"name": "today", "requests": 3, "per": "day", "window": "calendar", "zone": "Asia/Tokyo"}],
    "hourly": [{"name": "hourly", "requests": 3, "per": "hour", "window": "calendar", "margin": "1s"}],
    "told": [MINUTE, {"name": "calls", "in_flight": 7}, LATER],
    "theirs": [MINUTE],
    "both": [{"requests": 2, "per": "minute"}, LATER],
    "addresses": [{"requests": 2, "per": "minute", "by": "caller"}],
    "submits": [{"name": "submits", "requests": 2, "per": "minute", "routes": ["submit"]}],
    "posts": [{"name": "posts", "requests": 2, "per": "minute", "methods": ["POST"]}],
    "gets": [{"name": "gets", "requests": 2, "per": "minute", "methods": ["GET"]}],
    "costly": [
        {"name": "units", "requests": 10, "per": "minute", "cost": 4},
        {"name": "calls", "in_flight": 4, "cost": 2},
    ],
    "brief": [{"name": "brief", "requests": 1, "per": "second"}],
    "wide": [{"name": "wide", "requests": 1, "per": "second", "margin": "30s"}],
    "line": [{"name": "line", "in_flight": 1, "wait": "8s", "queue": 3}],
    "short": [{"name": "short", "in_flight": 1, "wait": "300ms"}],
    "patient": [{"name": "patient", "in_flight": 1, "wait": "9s"}],
    "breaking": [{"name": "breaking", "in_flight": 1, "wait": "9s"}, LATER],
    "second": [{"name": "second", "requests": 2, "per": "second", "wait": "5s"}],
    "slots": [{"name": "slots", "in_flight": 2}],
    "nowhere": [MINUTE, {"name": "calls", "in_flight": 3}],
    "narrow": [MINUTE],
    "again": [{"requests": 3, "per": "minute"}],
    "once": [{"requests": 1, "per": "minute"}],
    "statuses": [{"requests": 1, "per": "minute"}],
    "unread": [{"requests": 1, "per": "minute"}],
    "counted": [{"name": "c", "requests": 2, "per": "minute"}, {"name": "f", "in_flight": 5}],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "patient": {"timeouts": {"connect": "500ms", "first_byte": "900ms", "total": "900ms"}},
    "breaking": {"breaker": {"failures": 1, "open_for": "30s"}},
    "submits": {"normalizer": "pixii"},
    "nowhere": {"base_url": f"http://127.0.0.1:{free_port()}", "retries": {"max": 0}},
    "narrow": {"max_connections": 1, "timeouts": {"connect": "300ms", "first_byte": "8s"}},
    "statuses": {"retries": {"statuses": [503]}},
    "slots": {"timeouts": {"first_byte": "500ms", "idle": "500ms"}, "retries": {"max": 0}},
}


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway without callers, behind a proxy on loopback."""
    vendors = {
        name: {"base_url": vendor.url, "normalizer": "generic", "limits": limits, **OPTIONS.get(name, {})}
        for name, limits in LIMITS.items()
    }
    with ThreadGateway(settings_text(vendors, {"trusted_proxies": ["127.0.0.1/32"]})) as gateway:
        yield gateway


def status(gateway: ThreadGateway, vendor: str) -> dict[str, Any]:
    """What `/-/status` says of a vendor."""
    found = gateway.ask_admin("/-/status").json()["vendors"][vendor]
    assert isinstance(found, dict)
    return found


def remaining(gateway: ThreadGateway, vendor: str) -> list[int]:
    """What is left of each of a vendor's limits."""
    return [limit["remaining"] for limit in status(gateway, vendor)["limits"]]


def asks(gateway: ThreadGateway, target: str, times: int, method: str = "GET", **more: Any) -> list[Response]:  # noqa: ANN401
    """So many requests, one after the other."""
    return [gateway.ask(target, method, **more) for _ in range(times)]


@pytest.mark.parametrize(
    ("vendor_name", "code", "scope", "longest"),
    [
        ("minute", "capacity_exhausted", "vendor", 60),
        ("fair", "rate_limited", "caller", 60),
        ("hour", "capacity_exhausted", "vendor", 3600),
        ("hourly", "capacity_exhausted", "vendor", 3600),
        ("day", "quota_exhausted", "vendor", 86_400),
        ("today", "quota_exhausted", "vendor", 86_400),
    ],
)
def test_a_refusal_says_why_and_until_when(
    gateway: ThreadGateway, vendor: RogueVendor, vendor_name: str, code: str, scope: str, longest: int
) -> None:
    """W-085: over a limit is 429 with the code of its kind, its name and the wait; the vendor sees N requests."""
    answers = asks(gateway, f"/{vendor_name}/x", 5)

    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert len(vendor.requests) == 3
    limit = {"name": LIMITS[vendor_name][0].get("name", vendor_name), "scope": scope}
    for answer in answers[3:]:
        problem = check_problem(answer, code, source="gateway", vendor=vendor_name, limit=limit, vendor_error=None)
        assert 0 < problem["retry_after"] <= longest
        assert f'limit "{limit["name"]}"' in problem["detail"]
        assert answer.header("proxy-status") == "errgate; error=http_request_denied"


FIELDS = [
    (b'"minute";q=3;w=60, "calls";q=7;qu="concurrent-requests", "day";q=50;w=86400', "2 6 49"),
    (b'"minute";q=3;w=60, "calls";q=7;qu="concurrent-requests", "day";q=50;w=86400', "1 6 48"),
    (b'"minute";q=3;w=60, "calls";q=7;qu="concurrent-requests", "day";q=50;w=86400', "0 6 47"),
    (b'"minute";q=3;w=60, "calls";q=7;qu="concurrent-requests", "day";q=50;w=86400', "0 7 47"),
]


def test_answers_tell_the_limits(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """W-086, W-087: byte for byte as the draft says, on successes, on a vendor's errors and on refusals."""
    vendor.reply(reply(200, b"ok"), reply(404), reply(200, b"ok"))

    answers = asks(gateway, "/told/x", 4)

    assert [answer.status for answer in answers] == [200, 404, 200, 429]
    for answer, (policy, left) in zip(answers, FIELDS, strict=True):
        assert answer.head.all("ratelimit-policy") == [policy.decode()]
        minute, calls, day = left.split()
        expected = rf'"minute";r={minute};t=(60|5[0-9]), "calls";r={calls}, "day";r={day};t=(86400|863[0-9][0-9])'
        assert re.fullmatch(expected, answer.header("ratelimit") or "")
    wait = check_problem(answers[3], "capacity_exhausted")["retry_after"]
    assert wait >= int(re.findall(r"t=(\d+)", answers[3].header("ratelimit") or "")[0])


def test_the_vendor_s_own_fields_stay(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """W-089: what a vendor tells of its limits stays as it is, and ours are further members of the lists."""
    own = [("RateLimit-Policy", '"default";q=5;w=9'), ("RateLimit", '"default";r=5;t=9'), ("X-RateLimit-Limit", "5")]
    vendor.reply(reply(200, b"ok", own), json_reply(500, {}, own))

    for answer in asks(gateway, "/theirs/x", 2):
        assert answer.head.all("ratelimit-policy") == ['"default";q=5;w=9', '"minute";q=3;w=60']
        assert answer.head.all("ratelimit")[0] == '"default";r=5;t=9'
        assert re.fullmatch(r'"minute";r=[12];t=\d+', answer.head.all("ratelimit")[1])
        assert answer.header("x-ratelimit-limit") == "5"


def test_without_limits_nothing_is_told(gateway: ThreadGateway) -> None:
    """An answer that no limit applied to has no fields of ours."""
    assert not {"ratelimit", "ratelimit-policy"} & gateway.ask("/free/x").head.names()


def test_a_refused_request_consumes_nothing(gateway: ThreadGateway) -> None:
    """W-090: where one of several limits refuses, the others keep what they have."""
    answers = asks(gateway, "/both/x", 6)

    assert [answer.status for answer in answers] == [200, 200, 429, 429, 429, 429]
    assert remaining(gateway, "both") == [0, 48]


def test_each_address_has_its_own(gateway: ThreadGateway) -> None:
    """W-095: without callers `by: caller` counts client addresses, believed only from a trusted proxy."""

    def from_address(address: str) -> list[int]:
        return [answer.status for answer in asks(gateway, "/addresses/x", 3, headers=[("X-Forwarded-For", address)])]

    assert from_address("192.0.2.1") == [200, 200, 429]
    assert from_address("192.0.2.2") == [200, 200, 429]
    assert from_address("198.51.100.9, 192.0.2.1") == [429, 429, 429]


def test_only_the_named_routes_count(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A limit of a route leaves the others alone, and no other spelling of the path gets around it."""
    answers = asks(gateway, f"/submits{SUBMIT}", 2, "POST", body=b"{}")

    refused = gateway.ask("/submits/v1/%61pi/listing_builder", "POST", body=b"{}")

    assert [answer.status for answer in answers] == [200, 200]
    check_problem(refused, "capacity_exhausted")
    assert gateway.ask(f"/submits{POLL}").status == 200


def test_only_the_named_methods_count(gateway: ThreadGateway) -> None:
    """A limit of a method leaves the others alone; GET includes HEAD."""
    assert [answer.status for answer in asks(gateway, "/posts/x", 3, "POST")] == [200, 200, 429]
    assert [answer.status for answer in asks(gateway, "/posts/x", 3)] == [200, 200, 200]
    assert [gateway.ask("/gets/x", method).status for method in ("HEAD", "GET", "HEAD", "POST")] == [200, 200, 429, 200]


def test_cost(gateway: ThreadGateway) -> None:
    """A request takes its `cost`, of windows and of slots, and the rest that does not suffice is left."""
    answers = asks(gateway, "/costly/x", 3)

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert "4 for each request" in check_problem(answers[2], "capacity_exhausted")["detail"]
    assert remaining(gateway, "costly") == [2, 4]


def test_after_retry_after_the_next_one_is_admitted(gateway: ThreadGateway) -> None:
    """W-088: who waits exactly as long as `Retry-After` says is admitted then."""
    for _ in range(2):
        while (answer := gateway.ask("/brief/x")).status == 200:
            pass
        time.sleep(int(answer.header("retry-after") or 99))

        assert gateway.ask("/brief/x").status == 200


def test_margin(gateway: ThreadGateway) -> None:
    """`margin` widens the window: after a second and before the margin is over nothing goes."""
    assert gateway.ask("/wide/x").status == 200
    time.sleep(1.1)

    assert 20 < check_problem(gateway.ask("/wide/x"), "capacity_exhausted")["retry_after"] <= 31


def test_nothing_of_a_refused_request_is_read(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Contract 4: the limits come before the body: no 100, no byte taken, and the connection closes."""
    assert gateway.ask("/unread/x").status == 200
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(request("POST", "/unread/x", [("Expect", "100-continue"), ("Content-Length", "5")]))

        answer = client.read("POST")

        assert (answer.status, answer.interim, answer.header("connection")) == (429, (), "close")


# In flight.


class Gate:
    """A vendor that answers each request when it is told to."""

    def __init__(self, vendor: RogueVendor) -> None:
        self.vendor = vendor
        self.let = threading.Semaphore(0)
        vendor.answer = self.answer

    def answer(self, wire: Wire, request: Request) -> None:
        """Wait, and answer well."""
        self.let.acquire(timeout=8)
        wire.send(reply(200, request.target))

    def has(self, number: int) -> bool:
        """Whether so many requests come to be here."""
        return until(lambda: len(self.vendor.requests) == number)

    def open(self, number: int = 100) -> None:
        """Let so many go."""
        self.let.release(number)


def begin(gateway: ThreadGateway, stack: ExitStack, target: str, method: str = "GET", body: bytes = b"") -> RawClient:
    """A caller who has sent a request and waits; with a body it sends only its head."""
    gateway.asked += 1
    client = stack.enter_context(gateway.connect())
    headers = [("Content-Length", str(len(body)))] if body else []
    client.send(request(method, target, headers))
    return client


def waits(gateway: ThreadGateway, vendor: str, name: str, number: int) -> bool:
    """Whether so many come to stand in the line of a limit."""
    queue = gateway.app.runtime.allowance.queue
    return until(lambda: queue.waiting(f"vendor/{vendor}/{name}") == number)


def test_requests_at_once(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """W-097: over `in_flight` is 429 with `retry_after: 1`, and a slot that is free again is had."""
    gate = Gate(vendor)
    with ExitStack() as stack:
        first = [begin(gateway, stack, "/slots/x") for _ in range(2)]
        assert gate.has(2)

        refused = gateway.ask("/slots/x")

        check_problem(refused, "capacity_exhausted", retry_after=1, limit={"name": "slots", "scope": "vendor"})
        gate.open()
        assert [client.read().status for client in first] == [200, 200]
    assert until(lambda: remaining(gateway, "slots") == [2])
    assert gateway.ask("/slots/x").status == 200


def test_who_waits_is_served_in_turn(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """W-096: with `wait` a refused request stands in line, FIFO; who finds the line full is refused at once."""
    gate = Gate(vendor)
    with ExitStack() as stack:
        clients = [begin(gateway, stack, "/line/0")]
        assert gate.has(1)
        for number in range(1, 4):
            clients.append(begin(gateway, stack, f"/line/{number}"))
            assert waits(gateway, "line", "line", number)

        check_problem(gateway.ask("/line/4"), "capacity_exhausted", retry_after=1)

        for number, client in enumerate(clients):
            assert gate.has(number + 1)
            gate.open(1)
            assert client.read().body == f"/{number}".encode()
    scrape = gateway.scrape()
    assert scrape.sum("errgate_vendor_queue_seconds_count", vendor="line") == 4


def test_no_longer_than_wait(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """W-096: who is not served within `wait` is refused then, and was never sent."""
    gate = Gate(vendor)
    with ExitStack() as stack:
        client = begin(gateway, stack, "/short/x")
        assert gate.has(1)
        began = time.monotonic()

        check_problem(gateway.ask("/short/x"), "capacity_exhausted")

        assert time.monotonic() - began >= 0.25
        gate.open()
        client.read()
    assert len(vendor.requests) == 1


def test_the_room_that_time_makes(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Who waits for a window is sent when it has room again: six at two a second take two seconds at least."""
    arrivals: list[float] = []

    def answer(wire: Wire, _: Request) -> None:
        arrivals.append(time.monotonic())
        wire.send(reply(200, b"ok"))

    vendor.answer = answer
    with ExitStack() as stack:
        clients = [begin(gateway, stack, "/second/x") for _ in range(6)]

        assert [client.read().status for client in clients] == [200] * 6
    assert arrivals[-1] - arrivals[0] > 1.7


def test_waiting_is_no_time_of_the_vendor_s(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A request that waits for a limit longer than the vendor's `total` has all of that still before it."""

    def answer(wire: Wire, _: Request) -> None:
        time.sleep(0.6)
        wire.send(reply(200, b"ok"))

    vendor.answer = answer
    with ExitStack() as stack:
        clients = [begin(gateway, stack, "/patient/x") for _ in range(4)]

        assert [client.read().status for client in clients] == [200] * 4


def test_who_leaves_the_line_passes_the_breaker_again(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A breaker that opens while a request waits refuses it, and the request gives back what it has taken."""
    let = threading.Event()

    def answer(wire: Wire, _: Request) -> None:
        let.wait(8)
        wire.send(json_reply(503, {"message": "down"}))

    vendor.answer = answer
    with ExitStack() as stack:
        first = begin(gateway, stack, "/breaking/x", "POST")
        assert until(lambda: len(vendor.requests) == 1)
        second = begin(gateway, stack, "/breaking/x", "POST")
        assert waits(gateway, "breaking", "breaking", 1)
        let.set()

        check_problem(first.read("POST"), "vendor_unavailable", source="vendor")
        check_problem(second.read("POST"), "vendor_unavailable", source="gateway")
    assert len(vendor.requests) == 1
    assert remaining(gateway, "breaking") == [1, 49]
    breaker = status(gateway, "breaking")["breaker"]
    assert breaker["open"]
    assert 0 < breaker["retry_in"] <= 30


@pytest.mark.parametrize("body", [b"", b"12345"], ids=["get", "unread body"])
def test_who_hangs_up_leaves_the_line(gateway: ThreadGateway, vendor: RogueVendor, body: bytes) -> None:
    """RC-82: a caller that leaves while it waits frees its place, also one whose body nobody has read."""
    gate = Gate(vendor)
    gateway.uncounted = True
    with ExitStack() as stack:
        first = begin(gateway, stack, "/line/x")
        assert gate.has(1)
        with ExitStack() as gone:
            for number in range(1, 4):
                begin(gateway, gone, "/line/y", "POST" if body else "GET", body)
                assert waits(gateway, "line", "line", number)

        assert waits(gateway, "line", "line", 0)

        gate.open()
        assert first.read().status == 200
    assert len(vendor.requests) == 1
    assert until(lambda: remaining(gateway, "line") == [1])


# Every way in which a request may end, the vendor's half first: what it does, and what the caller is told.
ENDS: dict[str, tuple[Any, int | None]] = {
    "success": ((send(reply(200, b"ok")),), 200),
    "error": ((send(reply(404)),), 404),
    "reset": ((rst(),), 502),
    "closed": ((fin(),), 502),
    "no HTTP": ((send(b"SSH-2.0\r\n\r\n"),), 502),
    "time-out": ((pause(0.8),), 504),
    "cut success": ((send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), fin()), None),
    "stalled success": ((send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), pause(0.8)), None),
    "stalled error": ((send(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nhalf"), pause(0.8)), 502),
}


@pytest.mark.parametrize("end", ENDS)
def test_slots_come_back_however_it_ends(gateway: ThreadGateway, vendor: RogueVendor, end: str) -> None:
    """W-097, RC-70: whatever the vendor does, the slot is free again."""
    steps, expected = ENDS[end]
    vendor.script(*steps)

    for _ in range(3):
        try:
            answer = gateway.ask("/slots/x")
            assert answer.status == expected or (expected is None and not answer.complete)
        except Cut:
            assert expected is None

    assert until(lambda: remaining(gateway, "slots") == [2])


def leave_before_the_answer(client: RawClient, gate: Gate) -> None:
    """Hang up while the vendor works."""
    client.send(request("GET", "/slots/x"))
    assert gate.has(1)


def leave_in_the_upload(client: RawClient, gate: Gate) -> None:
    """Hang up with half of the body sent."""
    client.send(request("POST", "/slots/x", [("Content-Length", "1000")]) + b"half")
    assert until(lambda: bool(gate.vendor.open))


def leave_in_the_download(client: RawClient, gate: Gate) -> None:
    """Hang up with half of the answer read."""
    gate.vendor.script(send(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + b"x" * 1000), pause(0.6))
    client.send(request("GET", "/slots/x"))
    client.head()


@pytest.mark.parametrize("leave", [leave_before_the_answer, leave_in_the_upload, leave_in_the_download])
def test_slots_come_back_from_who_leaves(
    gateway: ThreadGateway, vendor: RogueVendor, leave: Callable[[RawClient, Gate], None]
) -> None:
    """W-097: a caller that hangs up, wherever it is, gives its slot back."""
    gate = Gate(vendor)
    gateway.asked += 1
    with gateway.connect() as client:
        leave(client, gate)
        client.reset()

    assert until(lambda: remaining(gateway, "slots") == [2])
    gate.open()


# What comes back, and what does not.


def test_without_a_connection_nothing_is_charged(gateway: ThreadGateway) -> None:
    """RC-71: a request that never got a connection gives its charge back, from window and slot."""
    answers = asks(gateway, "/nowhere/x", 6)

    assert {check_problem(answer, "vendor_unreachable")["code"] for answer in answers} == {"vendor_unreachable"}
    assert remaining(gateway, "nowhere") == [3, 3]


def test_a_full_pool_gives_the_charge_back(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-71: so does one that found no free connection in time."""
    gate = Gate(vendor)
    with ExitStack() as stack:
        client = begin(gateway, stack, "/narrow/x")
        assert gate.has(1)

        for answer in asks(gateway, "/narrow/x", 3):
            check_problem(answer, "overloaded")

        gate.open()
        assert client.read().status == 200
    assert remaining(gateway, "narrow") == [2]


def test_a_retry_is_charged(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Each try that the vendor may have seen counts: never more than N arrive there."""
    lost = [True]

    def answer(wire: Wire, _: Request) -> None:
        if lost.pop() if lost else False:
            wire.rst()
        else:
            wire.send(reply(200, b"ok"))

    vendor.answer = answer

    assert gateway.ask("/again/x").status == 200
    assert [answer.status for answer in asks(gateway, "/again/x", 2)] == [200, 429]
    assert len(vendor.requests) == 3


def test_a_retry_over_the_limit_does_not_happen(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Where the limits have no room for it the first try's failure is the answer."""
    vendor.script(rst())

    check_problem(gateway.ask("/once/x"), "vendor_failed", source="network")

    assert len(vendor.requests) == 1
    assert gateway.scrape().sum("errgate_retries_total", vendor="once", result="refused") == 1


def test_a_reply_that_could_be_retried_is_the_answer(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A status that the settings retry is passed on, whole, where the limits refuse another try."""
    vendor.reply(json_reply(503, {"message": "down"}))

    check_problem(gateway.ask("/statuses/x"), "vendor_unavailable", source="vendor")

    assert len(vendor.requests) == 1


# What an operator sees.


def test_own_paths_are_never_limited(gateway: ThreadGateway) -> None:
    """W-098: with every limit used up, health, metrics and pages answer, and none of them counts."""
    asks(gateway, "/minute/x", 4)
    before = gateway.scrape().sum("errgate_requests_total")

    answers = [gateway.ask(path, counts=False).status for path in ["/-/healthy", "/-/ready", "/-/problems"] * 20]

    assert set(answers) == {200}
    assert gateway.scrape().sum("errgate_requests_total") == before


def test_what_metrics_and_status_tell(gateway: ThreadGateway) -> None:
    """W-094: refusals by limit and caller, what is left of what, and where it is counted."""
    before = gateway.scrape()
    assert before.matching("errgate_limit_refused_total", vendor="counted", limit="c", caller="none")
    assert before.sum("errgate_limit_remaining", vendor="counted", limit="c") == 2

    answers = asks(gateway, "/counted/x", 5)

    assert [answer.status for answer in answers] == [200, 200, 429, 429, 429]
    scrape = gateway.scrape()
    named = {"vendor": "counted", "limit": "c"}
    assert scrape.sum("errgate_limit_refused_total", **named, caller="none") == 3
    assert scrape.sum("errgate_limit_remaining", **named) == 0
    assert scrape.sum("errgate_limit_requests", **named) == 2
    assert scrape.sum("errgate_limit_requests", vendor="counted", limit="f") == 5
    assert scrape.sum("errgate_requests_total", vendor="counted", outcome="refused") == 3
    assert scrape.sum("errgate_errors_total", vendor="counted", code="capacity_exhausted", source="gateway") == 3
    assert (scrape.sum("errgate_limit_store_up"), scrape.sum("errgate_limit_store_errors_total")) == (1, 0)
    whole = gateway.ask_admin("/-/status").json()
    assert whole["limit_store"] == {"kind": "process", "up": True, "errors": 0}
    first, second = whole["vendors"]["counted"]["limits"]
    assert 0 < first.pop("resets_in") <= 60
    assert first == {"name": "c", "requests": 2, "seconds": 60, "by": None, "remaining": 0}
    assert second == {
        "name": "f", "requests": 5, "seconds": None, "by": None, "remaining": 5, "resets_in": None,
    }  # fmt: skip
    assert [line["limit"] for line in gateway.log.lines() if line.get("limit")][-3:] == ["c"] * 3


def test_the_tables_are_settings() -> None:
    """Every limit of this module is one that the settings know."""
    assert all(LimitSettings(**limit).label for limits in LIMITS.values() for limit in limits)
