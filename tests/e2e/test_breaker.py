"""
A vendor that fails again and again is given a rest; one request at a time asks whether it is well (contract 13).

One file: every test asks the same gateway, whose vendors differ in their breaker alone.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from gateway import settings
from tests.e2e.harness.client import request
from tests.e2e.harness.gateway import ThreadGateway, free_port, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, Step, Wire, fin, json_reply, reply, rst, send, stall
from tests.e2e.harness.wire import Request, Response

FAILURES = 3
# Long enough never to end in a test, and short enough to wait for.
LONG, SHORT = {"failures": FAILURES, "open_for": "60s"}, {"failures": FAILURES, "open_for": "150ms"}
SHORT_SECONDS = 0.15


@pytest.fixture(scope="module")
def common(vendor: RogueVendor) -> dict[str, Any]:
    """What the vendors have in common: one origin, no second tries."""
    return {
        "base_url": vendor.url,
        "normalizer": "generic",
        "timeouts": {"connect": "2s", "first_byte": "4s", "idle": "4s", "total": "5s"},
        "retries": {"max": 0},
    }


@pytest.fixture(scope="module")
def vendors(common: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A vendor for each test: a breaker remembers."""
    long, short = common | {"breaker": LONG}, common | {"breaker": SHORT}
    return {
        "pixii": common,
        **dict.fromkeys((*FAULTS, "well", "row", "gone", "one", "other", "kept", "changed"), long),
        **dict.fromkeys(("probe", "doubling", "probe_gone"), short),
        "silent": long | {"timeouts": common["timeouts"] | {"first_byte": "200ms"}},
        "refused": long | {"base_url": f"http://127.0.0.1:{free_port()}"},
        "tls": long | {"base_url": common["base_url"].replace("http:", "https:")},
        "retried": long | {"retries": {"max": 9, "budget": "100%"}},
        "narrow": long | {"max_connections": 1, "timeouts": common["timeouts"] | {"connect": "100ms"}},
    }


@pytest.fixture(scope="module")
def gateway(vendors: dict[str, dict[str, Any]]) -> Iterator[ThreadGateway]:
    """A gateway with a breaker before every vendor but one."""
    with ThreadGateway(settings_text(vendors)) as gateway:
        yield gateway


# How a vendor fails as a whole.
FAULTS: dict[str, tuple[Step, ...]] = {
    "closed": (fin(),),
    "reset": (rst(),),
    "no_http": (send(b"SSH-2.0-OpenSSH_9.6\r\n"), fin()),
    "silent": (stall(),),
    "s502": (send(reply(502)),),
    "s503": (send(reply(503)),),
    "s504": (send(reply(504)),),
}
# What a vendor says that works.
BUSINESS = (200, 301, 400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 501, 520)


def after(done: threading.Event) -> Callable[[Wire, Request], None]:
    """Answer well as soon as that has happened."""

    def answer(wire: Wire, request: Request) -> None:
        done.wait(4)
        wire.send(reply(200, b"ok"))

    return answer


def is_open(gateway: ThreadGateway, name: str) -> bool:
    """Whether the metrics say that a vendor's breaker is open."""
    return gateway.scrape().sum("errgate_breaker_open", vendor=name) == 1


def fail(gateway: ThreadGateway, name: str, times: int = FAILURES) -> list[Response]:
    """Ask so many times."""
    return [gateway.ask(f"/{name}/x") for _ in range(times)]


def check_refused(answer: Response) -> None:
    """The answer is the breaker's."""
    problem = check_problem(
        answer, "vendor_unavailable", source="gateway", retryable=True, vendor_error=None, retry_after=...
    )
    assert answer.header("retry-after") == str(problem["retry_after"])


@pytest.mark.parametrize("name", [*FAULTS, "refused", "tls"])
def test_failures_in_a_row_open_it(gateway: ThreadGateway, vendor: RogueVendor, name: str) -> None:
    """After `failures` failures of the vendor in a row nobody is sent there, and the caller learns when (W-123)."""
    vendor.script(*FAULTS.get(name, ()))
    if name == "tls":
        vendor.greet = (fin(),)
    before = gateway.scrape()
    first = fail(gateway, name)
    seen = len(vendor.requests)

    refused = fail(gateway, name, 2)

    assert {answer.json()["source"] for answer in first} <= {"network", "vendor"}
    for answer in refused:
        check_refused(answer)
        assert 50 <= answer.json()["retry_after"] <= 60
    assert len(vendor.requests) == seen
    after = gateway.scrape()
    assert [scrape.sum("errgate_breaker_open", vendor=name) for scrape in (before, after)] == [0, 1]
    assert after.sum("errgate_requests_total", vendor=name, outcome="refused") == 2
    failures = ("errgate_network_failures_total", "errgate_vendor_replies_total")
    assert sum(after.sum(metric, vendor=name) for metric in failures) == FAILURES


@pytest.mark.parametrize("status", BUSINESS)
def test_what_a_working_vendor_says_never_opens_it(gateway: ThreadGateway, vendor: RogueVendor, status: int) -> None:
    """An error that is the request's own, however often it comes, does not open the breaker (W-123)."""
    vendor.reply(json_reply(status, {"code": "VALIDATION_ERROR"}))

    fail(gateway, "well", 4 * FAILURES)

    assert len(vendor.requests) == 4 * FAILURES


def test_only_failures_in_a_row_count(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """One answer of a vendor that works, be it an error, starts the count anew (W-123)."""
    for status in (200, 422) * 3:
        vendor.reply(*[reply(503)] * (FAILURES - 1), json_reply(status, {}))
        fail(gateway, "row")

    assert len(vendor.requests) == 6 * FAILURES
    assert not is_open(gateway, "row")


def test_callers_that_leave_do_not_count(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A caller that hangs up while the vendor works is no failure of the vendor (W-123, RC-54)."""
    vendor.script(stall())

    for _ in range(2 * FAILURES):
        gateway.asked += 1
        seen = len(vendor.requests)
        with gateway.connect() as client:
            client.send(request("GET", "/gone/x"))
            assert until(lambda seen=seen: len(vendor.requests) > seen)  # type: ignore[misc]

    assert until(lambda: gateway.scrape().sum("errgate_requests_total", vendor="gone", outcome="caller_gone") == 6)
    vendor.forget()
    assert gateway.ask("/gone/x").status == 200


def test_a_full_pool_is_no_failure_of_the_vendor(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Requests that find no free connection say nothing about the vendor and do not open its breaker (W-123)."""
    done = threading.Event()
    vendor.answer = after(done)
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(request("POST", "/narrow/x", [("Content-Length", "1")]))
        assert until(lambda: any(wire.requests for wire in vendor.wires))

        answers = fail(gateway, "narrow", FAILURES + 1)

        client.send(b"x")
        done.set()
        assert client.read("POST").body == b"ok"
    for answer in answers:
        check_problem(answer, "overloaded", source="gateway")
    assert not is_open(gateway, "narrow")


def test_one_probe_at_a_time(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """After `open_for` one request goes first while the others are refused; its success lets all in (W-123, F-39)."""
    vendor.script(fin())
    fail(gateway, "probe")
    vendor.requests.clear()
    done = threading.Event()
    vendor.answer = after(done)
    time.sleep(SHORT_SECONDS)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(gateway.ask, "/probe/x") for _ in range(8)]
        assert until(lambda: sum(one.done() for one in asked) == 7)
        seen = len(vendor.requests)
        assert is_open(gateway, "probe")
        done.set()
        answers = [one.result() for one in asked]

    refused = [answer for answer in answers if answer.status != 200]
    assert (seen, len(refused)) == (1, 7)
    for one in refused:
        check_refused(one)
        assert one.json()["retry_after"] == 1
    assert [one.status for one in fail(gateway, "probe")] == [200] * FAILURES
    assert not is_open(gateway, "probe")


def test_a_failed_probe_doubles_the_rest(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Each probe that fails keeps the breaker open for twice as long as before (W-123)."""
    vendor.script(fin())
    fail(gateway, "doubling")
    seen = [time.monotonic()]
    vendor.requests.clear()

    while len(seen) < 4:
        gateway.ask("/doubling/x")
        if len(vendor.requests) == len(seen):
            seen.append(time.monotonic())
        time.sleep(0.01)

    rests = [later - earlier for earlier, later in pairwise(seen)]
    assert rests[0] >= SHORT_SECONDS * 0.9
    assert rests[1] >= SHORT_SECONDS * 1.9
    assert rests[2] >= SHORT_SECONDS * 3.9
    assert rests[2] < SHORT_SECONDS * 8
    vendor.forget()
    assert until(lambda: gateway.ask("/doubling/x").status == 200)
    assert not is_open(gateway, "doubling")


def test_a_probe_whose_caller_leaves_frees_its_place(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """When the caller of the probe hangs up the next request may probe (W-123, RC-54)."""
    vendor.script(fin())
    fail(gateway, "probe_gone")
    vendor.requests.clear()
    vendor.script(stall())
    time.sleep(SHORT_SECONDS)
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(request("GET", "/probe_gone/x"))
        assert until(lambda: len(vendor.requests) == 1)
        check_refused(gateway.ask("/probe_gone/x"))

    vendor.forget()

    assert until(lambda: gateway.ask("/probe_gone/x").status == 200)
    assert len(vendor.requests) == 1


def test_vendors_are_independent(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Two vendors on the same origin each have a breaker of their own (RC-73, W-123)."""
    vendor.script(fin())
    fail(gateway, "one")
    vendor.forget()

    answers = [gateway.ask("/one/x"), gateway.ask("/other/x"), gateway.ask("/pixii/x")]

    assert [answer.status for answer in answers] == [503, 200, 200]
    assert [is_open(gateway, name) for name in ("one", "other", "pixii")] == [True, False, False]


def test_second_tries_count_and_end_with_it(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Each lost connection counts, and nothing is sent again once the breaker is open (W-115, W-123)."""
    fail(gateway, "retried", 20)
    vendor.requests.clear()
    vendor.script(fin())

    check_problem(gateway.ask("/retried/x"), "vendor_failed", source="network")

    assert len(vendor.requests) == FAILURES
    check_refused(gateway.ask("/retried/x"))


def reload(gateway: ThreadGateway, text: str) -> None:
    """Put other settings into force."""
    done = threading.Event()
    # The port that the thread listens on is the one of its first settings.
    new = settings.loads(text, environ={})
    new = new.model_copy(update={"server": gateway.app.settings.server})
    gateway.app._reread = lambda _: new

    def now() -> None:
        assert gateway.app.reload() == []
        done.set()

    gateway.loop.call_soon_threadsafe(now)
    assert done.wait(2)


def test_reload_keeps_what_is_known(
    gateway: ThreadGateway, vendor: RogueVendor, vendors: dict[str, dict[str, Any]]
) -> None:
    """A reload leaves an open breaker open unless the breaker itself is set up anew (RC-73)."""
    vendor.script(fin())
    fail(gateway, "kept")
    fail(gateway, "changed")
    vendor.forget()

    reload(gateway, settings_text(vendors | {"changed": vendors["changed"] | {"breaker": SHORT}}))

    check_refused(gateway.ask("/kept/x"))
    assert gateway.ask("/changed/x").status == 200
    assert [is_open(gateway, name) for name in ("kept", "changed")] == [True, False]
