"""
Holds: what a vendor's 429 pauses, for how long, what callers are told, and who goes first (contract 11).

One file: every test throttles the same gateway and asks what rests and what goes on.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.harness.client import Headers, request
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, Wire, json_reply, reply, rst
from tests.e2e.harness.wire import Request, Response

CLEAN = request("GET", "/never/clean")
SUBMIT, OTHER_SUBMIT, POLL = "/v1/api/listing_builder", "/v1/api/scale", "/v1/api/jobs/1"

# Vendors of one stub, one or more for each test; a hold is gone with its test.
VENDORS: dict[str, dict[str, Any]] = {
    "never": {"on_vendor_limit": "ignore"},
    "ignored": {"on_vendor_limit": "ignore"},
    "storm": {"max_connections": 60},
    "slow": {"max_connections": 2},
    "codes": {"normalizer": "pixii"},
    "bounded": {"normalizer": "pixii", "hold": {"max": "3s", "max_quota": "2m"}},
    "routes": {"normalizer": "pixii"},
    "methods": {},
    "entries": {
        "normalizer": "pixii",
        "limits": [
            {"name": "submits", "requests": 50, "per": "minute", "routes": ["submit"]},
            {"name": "posts", "requests": 90, "per": "minute", "methods": ["POST"]},
        ],
    },
    "own": {"credential": "passthrough"},
    "success": {"normalizer": "apixo"},
    "headers": {"errors": "header"},
    "off": {"errors": "off"},
    "job": {"normalizer": "pixii"},
    "first": {},
    "gone": {},
    "again": {},
    "shown": {},
    "retried": {"retries": {"statuses": [429, 503]}},
    "line": {"limits": [{"name": "line", "in_flight": 1, "wait": "8s"}]},
}


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway that holds."""
    common = {"base_url": vendor.url, "normalizer": "generic", "on_vendor_limit": "hold"}
    with ThreadGateway(settings_text({name: common | more for name, more in VENDORS.items()})) as gateway:
        yield gateway


# A pause, in seconds, that no test waits for.
LONG = 50


def throttled(seconds: float | None = 2, status: int = 429, **body: object) -> bytes:
    """A vendor's 429, as a body says it."""
    said = {"message": "slow down", **body} | ({} if seconds is None else {"retry_after": seconds})
    return json_reply(status, said, [] if seconds is None else [("Retry-After", str(seconds))])


def learn(gateway: ThreadGateway, vendor: RogueVendor, target: str, answer: bytes, method: str = "POST") -> Response:
    """Have the vendor throttle a request, and be well from then on."""
    vendor.reply(answer)
    said = gateway.ask(target, method)
    vendor.reply(reply(200, b"ok"))
    vendor.requests.clear()
    return said


def check_held(answer: Response, code: str = "vendor_rate_limited") -> int:
    """The answer is that of a hold; how many seconds it says."""
    problem = check_problem(answer, code, source="gateway", vendor_error=None, limit=None)
    after = problem["retry_after"]
    assert isinstance(after, int)
    assert answer.header("retry-after") == (str(after) if code == "vendor_rate_limited" else None)
    assert answer.header("proxy-status") == "errgate; error=http_request_denied"
    return after


class Storm:
    """
    A vendor that throttles the fifth POST, with many under way, and takes note of who comes when.

    Those that were there before wait for that, and are answered well.
    """

    def __init__(self, vendor: RogueVendor, seconds: int, fifth: int) -> None:
        self.seconds = seconds
        self.arrivals: list[tuple[float, str]] = []
        self.throttled_at = 0.0
        self.fifth = threading.Event()
        self.lock = threading.Lock()
        self.left = fifth
        vendor.answer = self.answer

    def answer(self, wire: Wire, request: Request) -> None:
        """Poll: well. POST: the fifth is throttled, those before wait for it."""
        with self.lock:
            self.arrivals.append((time.monotonic(), request.method))
            self.left -= request.method == "POST"
            throttles = request.method == "POST" and self.left == 0
        if throttles:
            self.throttled_at = time.monotonic()
            wire.send(throttled(self.seconds))
            self.fifth.set()
            return
        if request.method == "POST":
            self.fifth.wait(8)
        wire.send(reply(200, b"ok"))

    def between(self, method: str, begin: float, end: float) -> int:
        """How many arrived in that part of the pause, in seconds since the 429 left."""
        return sum(begin < at - self.throttled_at < end for at, each in self.arrivals if each == method)


def submit(gateway: ThreadGateway, name: str, over: threading.Event) -> list[tuple[float, Response]]:
    """What one caller is told that sends again and again, and when."""
    told = []
    while not over.is_set():
        answer = gateway.ask(f"/{name}/x", "POST", body=b"{}", counts=False)
        told.append((time.monotonic(), answer))
        time.sleep(0.1)
    return told


@pytest.mark.alone
@pytest.mark.parametrize(("name", "fifth"), [("storm", 5), ("slow", 2)])
def test_fifty_under_way(gateway: ThreadGateway, vendor: RogueVendor, name: str, fifth: int) -> None:
    """
    W-093: from 50 ms after its 429 left to the end of the pause the vendor gets no POST; polls go on; then one first.

    `slow` has two connections, so that most of the fifty stand before the pool when the 429 comes.
    """
    storm, over = Storm(vendor, 3, fifth), threading.Event()

    def poll() -> None:
        while not over.is_set():
            assert gateway.ask(f"/{name}/y", counts=False).status == 200
            time.sleep(0.1)

    gateway.uncounted = True
    with ThreadPoolExecutor(51) as pool:
        polling = pool.submit(poll)
        callers = [pool.submit(submit, gateway, name, over) for _ in range(50)]
        assert storm.fifth.wait(8)
        assert until(lambda: storm.between("POST", 3, 60) >= 20, 20)
        over.set()
        polling.result()
        told = [caller.result() for caller in callers]

    refused = [[(at, answer) for at, answer in each if answer.status == 429] for each in told]
    theirs = [at for each in refused for at, answer in each if "vendor_error" in answer.json()]
    assert len(theirs) == 1, "there was a second wave of 429s"
    # A busy machine may need longer than 50 ms for fifty callers; who has the answer knows that the gateway had it.
    learned = max(0.05, theirs[0] - storm.throttled_at)
    assert storm.between("POST", learned, 3) == 0
    assert storm.between("GET", learned, 3) >= 3
    for each in refused:
        waits = [check_held(answer) for _, answer in each if "vendor_error" not in answer.json()]
        assert waits == sorted(waits, reverse=True)
    heard = {answer.json()["retry_after"] for each in refused for _, answer in each}
    assert {1, 2} <= heard <= {1, 2, 3}


CODES = [
    ("POST", 429, "RATE_LIMIT_MINUTE_EXCEEDED", "vendor_rate_limited"),
    ("PUT", 429, "RATE_LIMIT_DAY_EXCEEDED", "quota_exhausted"),
    ("PATCH", 429, "SOMETHING_NEW", "vendor_rate_limited"),
    ("DELETE", 400, "RATE_LIMIT_DAY_EXCEEDED", "quota_exhausted"),
]


@pytest.mark.parametrize(("method", "status", "code", "house"), CODES)
def test_the_house_code_holds(
    gateway: ThreadGateway, vendor: RogueVendor, method: str, status: int, code: str, house: str
) -> None:
    """What becomes `vendor_rate_limited` or `quota_exhausted` holds, whatever the vendor's status, in that word."""
    first = learn(gateway, vendor, "/codes/x", throttled(LONG, status, code=code), method)

    check_problem(first, house, source="vendor")
    assert check_held(gateway.ask("/codes/x", method), house) <= LONG
    assert vendor.requests == []


def test_other_errors_hold_nothing(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A vendor that is down, refuses our account or a request, is asked again."""
    for status in (400, 401, 402, 403, 500, 503):
        learn(gateway, vendor, "/codes/x", json_reply(status, {}, [("Retry-After", "2")]), "GET")

        assert gateway.ask("/codes/x").status == 200


def test_ignored(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """`on_vendor_limit: ignore` holds nothing: each 429 is the vendor's own."""
    vendor.reply(throttled(30))

    for _ in range(3):
        check_problem(gateway.ask("/ignored/x", "POST"), "vendor_rate_limited", source="vendor")


@pytest.mark.parametrize(
    ("method", "code", "house", "bound"),
    [
        ("POST", "RATE_LIMIT_MINUTE_EXCEEDED", "vendor_rate_limited", 3),
        ("PUT", "RATE_LIMIT_DAY_EXCEEDED", "quota_exhausted", 120),
    ],
)
def test_no_longer_than_its_bound(
    gateway: ThreadGateway, vendor: RogueVendor, method: str, code: str, house: str, bound: int
) -> None:
    """`hold.max` bounds what the vendor asks for, `hold.max_quota` a quota's; the caller hears the vendor's number."""
    first = learn(gateway, vendor, "/bounded/x", throttled(500, code=code), method)

    assert check_problem(first, house)["retry_after"] == 500
    assert bound - 30 < check_held(gateway.ask("/bounded/x", method), house) <= bound


def test_without_a_delay_it_is_five_seconds(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A vendor that names no delay is given five seconds."""
    learn(gateway, vendor, "/shown/x", throttled(None))

    assert 1 <= check_held(gateway.ask("/shown/x", "POST")) <= 5
    (hold,) = gateway.ask_admin("/-/status").json()["vendors"]["shown"]["holds"]
    assert 1 <= hold.pop("seconds") <= 5
    assert hold == {"scope": "method/POST", "code": "vendor_rate_limited", "first": False}
    until_when = gateway.scrape().sum("errgate_held_until_seconds", vendor="shown")
    assert 0 < until_when - time.time() <= 5
    assert gateway.scrape().sum("errgate_held_until_seconds", vendor="never") == 0


def test_what_is_held_is_the_route(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Without limits a 429 holds its route: another one goes on."""
    learn(gateway, vendor, f"/routes{SUBMIT}", throttled(LONG))

    assert check_held(gateway.ask(f"/routes{OTHER_SUBMIT}", "POST")) <= LONG
    assert gateway.ask(f"/routes{POLL}").status == 200
    assert gateway.ask("/routes/elsewhere", "POST").status == 200
    assert len(vendor.requests) == 2


def test_what_is_held_is_the_method(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Where no route matches it holds the method; GET includes HEAD."""
    learn(gateway, vendor, "/methods/x", throttled(LONG), "HEAD")

    check_held(gateway.ask("/methods/y"))
    assert gateway.ask("/methods/y", "POST").status == 200


def test_what_is_held_is_the_same_limits(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """With limits it holds what exactly the same of them cover, and takes nothing from them."""
    learn(gateway, vendor, f"/entries{SUBMIT}", throttled(LONG))

    check_held(gateway.ask(f"/entries{OTHER_SUBMIT}", "POST"))
    assert gateway.ask("/entries/elsewhere", "POST").status == 200
    assert gateway.ask(f"/entries{POLL}").status == 200
    held = gateway.ask(f"/entries{SUBMIT}", "POST")
    assert not {"ratelimit", "ratelimit-policy"} & held.head.names()
    limits = gateway.ask_admin("/-/status").json()["vendors"]["entries"]["limits"]
    assert [limit["remaining"] for limit in limits] == [49, 88]


def own(key: str) -> Headers:
    """A caller's own credential for the vendor."""
    return [("Authorization", f"Bearer {key}")]


def test_each_credential_is_held_by_itself(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Contract 11: with `passthrough` one caller's 429 holds nobody else."""
    vendor.reply(throttled(LONG))
    gateway.ask("/own/x", "POST", own("canary-one"))
    vendor.reply(reply(200, b"ok"))

    check_held(gateway.ask("/own/x", "POST", own("canary-one")))

    assert gateway.ask("/own/x", "POST", own("canary-two")).status == 200
    assert gateway.ask("/own/x", "POST").status == 200
    assert gateway.ask("/own/x", "POST", [("X-Api-Key", "canary-one")]).status == 200
    shown = gateway.ask_admin("/-/status").body
    assert b"method/POST/" in shown
    assert b"canary" not in shown


def test_an_error_in_a_success_holds(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A success that is answered as a 429 holds like one."""
    said = json_reply(200, {"code": 429, "message": "Too many requests", "data": None}, [("Retry-After", "50")])

    first = learn(gateway, vendor, "/success/generateTask/kling", said)

    check_problem(first, "vendor_rate_limited", source="vendor")
    check_held(gateway.ask("/success/generateTask/flux", "POST"))


@pytest.mark.parametrize("name", ["headers", "off"])
def test_it_holds_whatever_becomes_of_errors(gateway: ThreadGateway, vendor: RogueVendor, name: str) -> None:
    """With `errors: header` or `off` a 429 passes as it came, and holds; what is held is always an envelope."""
    first = learn(gateway, vendor, f"/{name}/x", throttled(LONG))

    assert b"slow down" in first.body
    check_held(gateway.ask(f"/{name}/x", "POST"))


def test_a_failed_job_holds_nothing(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A job that failed for a rate limit is a success of the request that asked for it."""
    vendor.reply(json_reply(200, {"job_id": "1", "status": "failed", "error_code": "RATE_LIMIT_MINUTE_EXCEEDED"}))

    assert [gateway.ask(f"/job{POLL}").status for _ in range(3)] == [200, 200, 200]


def test_one_goes_first(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """After the pause one request goes, the others are refused (`retry_after` 1) until it is answered."""
    learn(gateway, vendor, "/first/x", throttled(1))
    let = threading.Event()

    def answer(wire: Wire, _: Request) -> None:
        let.wait(8)
        wire.send(reply(200, b"ok"))

    vendor.answer = answer
    time.sleep(1.05)
    with ExitStack() as stack:
        gateway.asked += 1
        first = stack.enter_context(gateway.connect())
        first.send(request("POST", "/first/x"))
        assert until(lambda: len(vendor.requests) == 1)

        assert [check_held(gateway.ask("/first/x", "POST")) for _ in range(3)] == [1, 1, 1]
        (hold,) = gateway.ask_admin("/-/status").json()["vendors"]["first"]["holds"]
        assert hold["first"]

        let.set()
        assert first.read("POST").status == 200
    assert [gateway.ask("/first/x", "POST").status for _ in range(3)] == [200, 200, 200]
    assert gateway.ask_admin("/-/status").json()["vendors"]["first"]["holds"] == []


@pytest.mark.parametrize("end", ["hangs up", "no answer"])
def test_a_first_one_that_comes_to_nothing(gateway: ThreadGateway, vendor: RogueVendor, end: str) -> None:
    """A first request whose caller leaves, or that gets no answer, has told nothing: the next one goes first."""
    learn(gateway, vendor, "/gone/x", throttled(1))
    time.sleep(1.05)
    if end == "no answer":
        vendor.script(rst())
        check_problem(gateway.ask("/gone/x", "POST"), "vendor_failed", source="network")
    else:
        vendor.script(lambda wire: wire.stall(5))
        gateway.asked += 1
        with gateway.connect() as client:
            client.send(request("POST", "/gone/x"))
            assert until(lambda: len(vendor.requests) == 1)
        assert until(lambda: gateway.app.runtime.in_flight == 0)
    vendor.reply(reply(200, b"ok"))

    assert [gateway.ask("/gone/x", "POST").status for _ in range(2)] == [200, 200]


def test_a_first_one_that_is_throttled_again(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Its 429 is the next hold, and is no second wave: one request has found out."""
    learn(gateway, vendor, "/again/x", throttled(1))
    time.sleep(1.05)
    vendor.reply(throttled(LONG))

    check_problem(gateway.ask("/again/x", "POST"), "vendor_rate_limited", source="vendor")

    vendor.reply(reply(200, b"ok"))
    assert 1 < check_held(gateway.ask("/again/x", "POST")) <= LONG
    assert len(vendor.requests) == 1


def test_twenty_429s_are_one_hold(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """W-093: 429s of requests that were under way are the same hold, and the latest end counts."""
    arrived = threading.Semaphore(0)
    let = threading.Event()
    lock = threading.Lock()
    delays = [LONG, *[1] * 19]

    def answer(wire: Wire, _: Request) -> None:
        arrived.release()
        let.wait(8)
        with lock:
            seconds = delays.pop(0)
        wire.send(throttled(seconds))

    vendor.answer = answer
    gateway.asked += 20
    with ExitStack() as stack:
        clients = [stack.enter_context(gateway.connect()) for _ in range(20)]
        for client in clients:
            client.send(request("GET", "/shown/x"))
        for _ in range(20):
            assert arrived.acquire(timeout=8)
        let.set()
        for client in clients:
            check_problem(client.read(), "vendor_rate_limited", source="vendor")

    assert 1 < check_held(gateway.ask("/shown/x")) <= LONG
    holds = gateway.ask_admin("/-/status").json()["vendors"]["shown"]["holds"]
    assert [hold["scope"] for hold in holds].count("method/GET") == 1


def test_a_429_is_not_retried(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Where a 429 makes a pause it is not sent again, even if the settings retry its status; others are."""
    vendor.reply(throttled(LONG))
    check_problem(gateway.ask("/retried/x"), "vendor_rate_limited", source="vendor")
    assert len(vendor.requests) == 1

    vendor.forget()
    vendor.reply(reply(503), reply(200, b"ok"))
    assert gateway.ask("/retried/x", "PUT").status == 200


def test_who_stands_in_line_is_held_too(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Contract 11: a request that waits for a limit passes the hold again."""
    let = threading.Event()

    def answer(wire: Wire, _: Request) -> None:
        let.wait(8)
        wire.send(throttled(LONG))

    vendor.answer = answer
    gateway.asked += 2
    with ExitStack() as stack:
        first, second = (stack.enter_context(gateway.connect()) for _ in range(2))
        first.send(request("GET", "/line/x"))
        assert until(lambda: len(vendor.requests) == 1)
        second.send(request("GET", "/line/x"))
        assert until(lambda: gateway.app.runtime.allowance.queue.waiting("vendor/line/line") == 1)
        let.set()

        check_problem(first.read(), "vendor_rate_limited", source="vendor")
        assert 1 < check_held(second.read()) <= LONG
    assert len(vendor.requests) == 1
