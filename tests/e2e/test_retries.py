"""
Sending again what is certainly safe to send again, within a budget and one deadline (contract 13).

One file: every test asks the same gateway, whose vendors differ in their retries alone.
"""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.harness.client import PATIENCE, request
from tests.e2e.harness.gateway import ThreadGateway, free_port, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import OK, RogueVendor, Step, Wire, fin, json_reply, pause, reply, rst, send, stall
from tests.e2e.harness.vendors import CREDENTIALS
from tests.e2e.harness.wire import REQUEST_LINE, Request, Response, Stream, framing

# A budget that never stands in the way.
ANY = {"budget": "100%"}
KEY = ("Idempotency-Key", '"8e03978e-40d5-43dd-bc93-6894a57f9324"')


@pytest.fixture(scope="module")
def late() -> Iterator[socket.socket]:
    """A port that refuses connections until somebody listens on it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        yield sock


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor, late: socket.socket) -> Iterator[ThreadGateway]:
    """A gateway whose vendors differ in what is retried, and how often."""
    common: dict[str, Any] = {
        "base_url": vendor.url,
        "normalizer": "pixii",
        "credential": CREDENTIALS["pixii"],
        "timeouts": {"connect": "2s", "first_byte": "3s", "idle": "3s", "total": "4s"},
        "retries": ANY,
    }
    vendors = {
        "pixii": common,
        "never": common | {"retries": ANY | {"max": 0}},
        "thrice": common | {"retries": ANY | {"max": 3}},
        "statuses": common | {"retries": ANY | {"statuses": [502, 503]}},
        "keyed": common | {"retries": ANY | {"idempotency_key": True}},
        "thrifty": common | {"retries": {"max": 1}},
        "hasty": common | {"timeouts": {"connect": "500ms", "first_byte": "1s", "idle": "1s", "total": "1s"}},
        "refused": common | {"base_url": f"http://127.0.0.1:{free_port()}"},
        "late": common | {"base_url": f"http://127.0.0.1:{late.getsockname()[1]}"},
    }
    with ThreadGateway(settings_text(vendors)) as gateway:
        yield gateway


def first(vendor: RogueVendor, *steps: Step, times: int = 1) -> None:
    """Run the steps after each of the first `times` requests; answer every other one well."""
    left = [steps] * times
    lock = threading.Lock()

    def answer(wire: Wire, request: Request) -> None:
        with lock:
            now = left.pop() if left else (send(reply(200, b"" if request.method == "HEAD" else b"ok")),)
        for step in now:
            step(wire)

    vendor.answer = answer


def counted(gateway: ThreadGateway, name: str, action: Callable[[], Response]) -> tuple[Response, dict[str, float]]:
    """The answer to that, and how often a vendor's requests were sent again, by what came of it."""
    before = gateway.scrape()
    answer = action()
    grown = gateway.scrape().grown(before, "errgate_retries_total")
    assert {dict(labels)["vendor"] for labels in grown} <= {name}
    return answer, {dict(labels)["result"]: count for labels, count in grown.items()}


def retries_logged(gateway: ThreadGateway, answer: Response) -> list[int]:
    """How many retries a request's log line tells; the line is written when the answer is out."""
    found: list[int] = []

    def look() -> bool:
        mine = [line for line in gateway.log.lines() if line.get("request_id") == answer.header("x-request-id")]
        found[:] = [line["retries"] for line in mine]
        return bool(found)

    until(look)
    return found


# A connection that ends before a byte of the reply.
LOSSES: dict[str, Step] = {"closed": fin(), "reset": rst()}
IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("method", IDEMPOTENT)
def test_idempotent_request_is_sent_again(gateway: ThreadGateway, vendor: RogueVendor, method: str, loss: Step) -> None:
    """An idempotent request whose connection is lost before a byte of the reply is sent again (W-113, F-08, F-09)."""
    first(vendor, loss)
    body = b"all of it" if method == "PUT" else None

    answer, grown = counted(gateway, "pixii", lambda: gateway.ask("/pixii/x?a=1", method, body=body))

    assert answer.status == 200
    assert grown == {"answered": 1}
    one, other = vendor.requests
    assert (one.head.start, one.head.fields, one.body) == (other.head.start, other.head.fields, other.body)
    assert retries_logged(gateway, answer) == [1]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize(("method", "body"), [("POST", b"pay"), ("POST", b""), ("PATCH", b"pay")])
def test_what_may_have_been_applied_is_sent_once(
    gateway: ThreadGateway, vendor: RogueVendor, method: str, body: bytes, loss: Step
) -> None:
    """A POST that went out and was not answered is never sent again, and its caller is told not to (W-111, W-122)."""
    first(vendor, loss)

    answer = gateway.ask("/pixii/x", method, [KEY], body)

    check_problem(answer, "vendor_failed", source="network", retryable=False)
    assert len(vendor.requests) == 1
    assert retries_logged(gateway, answer) == [0]


def test_post_is_sent_again_where_it_was_not_sent(
    gateway: ThreadGateway, late: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A POST whose connection was refused certainly was not sent, so it is sent again, once (W-112, F-01, RC-55)."""
    seen = []

    def listen_now(retry: int, jitter: float) -> float:
        late.listen()
        return 0.0

    def serve() -> None:
        sock, _ = late.accept()
        with sock:
            stream = Stream(sock)
            head = stream.head(REQUEST_LINE)
            length = framing(head)
            seen.append(b"".join(stream.body(length if length is not None else 0)))
            sock.sendall(reply(200, b"ok", [("Connection", "close")]))

    monkeypatch.setattr("gateway.sending.pause", listen_now)
    answers = []

    # The port listens only from the first failure on, so accepting begins there as well.
    asking = threading.Thread(target=lambda: answers.append(gateway.ask("/late/x", "POST", body=b"pay")))
    asking.start()
    end = time.monotonic() + PATIENCE
    while not late.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and time.monotonic() < end:
        time.sleep(0.001)
    serve()
    asking.join(PATIENCE)

    assert [answer.body for answer in answers] == [b"ok"]
    assert seen == [b"pay"]
    assert retries_logged(gateway, answers[0]) == [1]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_refused_twice(gateway: ThreadGateway, vendor: RogueVendor, method: str) -> None:
    """A vendor that refuses every connection is dialled twice and no more; the caller may come back (W-115, W-122)."""
    answer, grown = counted(gateway, "refused", lambda: gateway.ask("/refused/x", method, body=b""))

    check_problem(answer, "vendor_unreachable", source="network", retryable=True)
    assert grown == {"failed": 1}
    assert retries_logged(gateway, answer) == [1]


@pytest.mark.parametrize(("name", "times"), [("never", 1), ("pixii", 2), ("thrice", 4)])
def test_number_of_tries(gateway: ThreadGateway, vendor: RogueVendor, name: str, times: int) -> None:
    """A request is sent again `max` times and no more; one time unless the settings say otherwise (W-115)."""
    for _ in range(3):  # so that the budget is no bound
        gateway.ask(f"/{name}/well")
    vendor.requests.clear()
    vendor.script(fin())

    answer, grown = counted(gateway, name, lambda: gateway.ask(f"/{name}/x"))

    check_problem(answer, "vendor_failed", source="network", retryable=True)
    assert len(vendor.requests) == times
    assert grown == ({"failed": times - 1} if times > 1 else {})


# A byte of the reply was here: the vendor was at work.
SEEN: dict[str, tuple[Step, ...]] = {
    "half a status line": (send(b"HTTP/1.1 2"), fin()),
    "half a head": (send(OK + b"Content-Le"), fin()),
    "half a head and a reset": (send(OK + b"Content-Le"), pause(0.05), rst()),
    "interim and closed": (send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), pause(0.05), fin()),
    "interim and reset": (send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), pause(0.05), rst()),
    "no HTTP": (send(b"SSH-2.0-OpenSSH_9.6\r\n"), fin()),
}


@pytest.mark.parametrize("steps", SEEN.values(), ids=SEEN)
def test_reply_that_has_begun_is_not_asked_for_again(
    gateway: ThreadGateway, vendor: RogueVendor, steps: tuple[Step, ...]
) -> None:
    """After one byte of a reply, whichever, not even a GET is sent again (W-113)."""
    first(vendor, *steps)

    answer = gateway.ask("/pixii/x")

    check_problem(answer, "vendor_failed", source="network", retryable=True)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("status", [200, 500])
def test_nothing_is_sent_again_once_a_head_is_here(gateway: ThreadGateway, vendor: RogueVendor, status: int) -> None:
    """A reply that is cut in its body is not asked for again, whatever its status (W-120)."""
    first(vendor, send(b"HTTP/1.1 %d Said\r\nContent-Length: 100\r\n\r\n{" % status), fin())

    answer = gateway.ask("/statuses/x")

    assert len(vendor.requests) == 1
    if status == 200:
        assert (answer.status, answer.complete, answer.body) == (200, False, b"{")
    else:
        check_problem(answer, "vendor_failed", source="vendor")


def test_timeout_is_not_retried(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A vendor that says nothing in time is not asked again: the caller has waited long enough (W-117)."""
    vendor.script(stall())

    answer = gateway.ask("/hasty/x")

    check_problem(answer, "vendor_timeout", source="network", retryable=True)
    assert len(vendor.requests) == 1


# Bytes of a PUT's body, and how often it is sent.
BODIES = {"empty": (0, 2), "one": (1, 2), "64 KiB": (64 * 1024, 2), "64 KiB and one": (64 * 1024 + 1, 1)}


@pytest.mark.parametrize(("size", "times"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_kept_body(gateway: ThreadGateway, vendor: RogueVendor, size: int, times: int, chunked: bool) -> None:
    """A body of at most 64 KiB is kept and sent again whole, a longer one is sent once (W-113, RC-57, RC-58)."""
    first(vendor, fin())
    body = random.Random(size).randbytes(size)
    framed = (b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if size else b"0\r\n\r\n") if chunked else body

    answer = gateway.ask("/pixii/x", "PUT", [("Transfer-Encoding", "chunked")] if chunked else [], framed)

    assert [got.body for got in vendor.requests] == [body] * times
    assert answer.status == (200 if times == 2 else 502)


@pytest.mark.parametrize(
    ("name", "key", "times"),
    [("keyed", [KEY], 2), ("keyed", [], 1), ("pixii", [KEY], 1)],
    ids=["on and given", "on and not given", "off and given"],
)
def test_idempotency_key(
    gateway: ThreadGateway, vendor: RogueVendor, name: str, key: list[tuple[str, str]], times: int
) -> None:
    """A POST with the vendor's kind of key is sent again only where the settings say so, with it (W-114, W-121)."""
    first(vendor, fin())
    answer = gateway.ask(f"/{name}/x", "POST", key, b"pay")

    assert [got.head.get("idempotency-key") for got in vendor.requests] == [key[0][1] if key else None] * times
    assert [got.body for got in vendor.requests] == [b"pay"] * times
    assert answer.status == (200 if times == 2 else 502)
    assert KEY[1].strip('"') not in gateway.log.getvalue()
    assert KEY[1].strip('"') not in gateway.ask_admin("/metrics").body.decode()


def test_idempotency_key_makes_a_loss_retryable(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Where a key makes a POST safe to send again, the envelope says so (W-122)."""
    vendor.script(fin())

    answer = gateway.ask("/keyed/x", "POST", [KEY], b"pay")

    check_problem(answer, "vendor_failed", source="network", retryable=True)
    assert len(vendor.requests) == 2


# The vendor, the method and the status: how often it is sent.
STATUSES = [
    *(("pixii", "GET", status, 1) for status in (408, 425, 429, 500, 502, 503, 504)),
    ("statuses", "GET", 502, 2),
    ("statuses", "GET", 503, 2),
    ("statuses", "PUT", 503, 2),
    ("statuses", "GET", 504, 1),
    ("statuses", "GET", 500, 1),
    ("statuses", "GET", 429, 1),
    ("statuses", "POST", 503, 1),
    ("statuses", "PATCH", 502, 1),
]


@pytest.mark.parametrize(("name", "method", "status", "times"), STATUSES)
def test_statuses(gateway: ThreadGateway, vendor: RogueVendor, name: str, method: str, status: int, times: int) -> None:
    """No status is retried unless the settings name it, and then only for idempotent methods (W-119)."""
    first(vendor, send(json_reply(status, {"code": "SOMETHING", "message": "first"}, [("X-First", "yes")])))

    answer = gateway.ask(f"/{name}/x", method, body=b"")

    assert len(vendor.requests) == times
    assert (answer.status == 200) == (times == 2)
    assert times == 1 or answer.header("x-first") is None


def test_last_status_is_the_answer(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Where the last try fails as well, its reply is the answer, not the first one's (W-115, RC-55)."""
    vendor.reply(
        json_reply(502, {"code": "FIRST", "message": "first"}), json_reply(503, {"code": "LAST", "message": "last"})
    )

    answer = gateway.ask("/statuses/x")

    problem = check_problem(answer, "vendor_unavailable", source="vendor")
    assert (problem["vendor_error"]["status"], problem["vendor_error"]["code"]) == (503, "LAST")
    assert len(vendor.requests) == 2


# What a 503 says in Retry-After, how often the request is sent, and the seconds that it takes at least.
DELAYS = {
    "longer than the deadline": ("30", 1, 0),
    "one second": ("1", 2, 1),
    "none": ("0", 2, 0),
    "a date": ("Fri, 31 Dec 2049 23:59:59 GMT", 1, 0),
    "prose": ("soon", 1, 0),
    "huge": ("9" * 400, 1, 0),
}


@pytest.mark.parametrize(("delay", "times", "seconds"), DELAYS.values(), ids=DELAYS)
@pytest.mark.alone
def test_retry_after_is_respected(
    gateway: ThreadGateway, vendor: RogueVendor, delay: str, times: int, seconds: float
) -> None:
    """Nothing is sent again before the vendor's Retry-After; where it is too long the answer is now (W-118, RC-74)."""
    first(vendor, send(reply(503, b"{}", [("Retry-After", delay)])))
    began = time.monotonic()

    gateway.ask("/statuses/x")

    assert len(vendor.requests) == times
    assert seconds <= time.monotonic() - began < seconds + 2


@pytest.mark.alone
def test_no_second_try_without_time_for_it(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """With a deadline of 1 s a first try that took most of it is the only one (W-117)."""
    vendor.script(pause(0.8), fin())
    began = time.monotonic()

    answer = gateway.ask("/hasty/x")

    check_problem(answer, "vendor_failed", source="network")
    assert len(vendor.requests) == 1
    assert time.monotonic() - began < 2


@pytest.mark.alone
def test_tries_share_one_deadline(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """The second try ends when the first one's deadline does (W-117)."""
    first(vendor, pause(0.3), fin())
    waiting = vendor.answer
    vendor.answer = lambda wire, request: wire.stall() if len(vendor.requests) == 2 else waiting(wire, request)
    began = time.monotonic()

    answer = gateway.ask("/hasty/x")

    check_problem(answer, "vendor_timeout", source="network")
    assert len(vendor.requests) == 2
    assert 0.9 < time.monotonic() - began < 1.29


def test_budget(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A vendor that fails every request gets a tenth more of them, and one a second, over ten seconds (W-116)."""
    vendor.script(fin())
    asked = 100

    _, grown = counted(gateway, "thrifty", lambda: [gateway.ask("/thrifty/x") for _ in range(asked)][-1])

    again = len(vendor.requests) - asked
    assert 1 <= again <= asked / 10 + 10
    assert grown == {"failed": again, "refused": asked - again}


def closing(after: Callable[[], float]) -> Callable[[Wire, Request], None]:
    """Answer well, and close the connection a moment later: as somebody uses it again."""

    def answer(wire: Wire, request: Request) -> None:
        wire.send(reply(200, b"ok"))
        time.sleep(after())
        wire.fin()

    return answer


def race(gateway: ThreadGateway, method: str, times: int) -> list[Response]:
    """That many requests, each as soon as the last one was answered, on one connection."""
    answers = []
    gateway.asked += times
    with gateway.connect() as client:
        for number in range(times):
            client.send(request(method, f"/pixii/{number}", body=None if method == "GET" else b"pay"))
            answers.append(client.read(method))
    return answers


def test_reuse_as_the_vendor_closes(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """200 GETs, each on a connection that the vendor closes 0..5 ms after its answer: not one fails (W-114, F-31)."""
    vendor.answer = closing(lambda: random.uniform(0, 0.005))

    answers = race(gateway, "GET", 200)

    assert [answer.status for answer in answers if answer.status != 200] == []


def test_reuse_for_a_post_as_the_vendor_closes(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """In the same race no POST arrives twice, and one that is lost is not called retryable (W-111, W-114, F-31)."""
    vendor.answer = closing(lambda: random.uniform(0, 0.005))

    answers = race(gateway, "POST", 200)

    targets = [got.target for got in vendor.requests]
    assert len(targets) == len(set(targets))
    for answer in answers:
        if answer.status != 200:
            check_problem(answer, "vendor_failed", source="network", retryable=False)
    assert sum(answer.status == 200 for answer in answers) > 100


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_timeout_notice_on_an_idle_connection(gateway: ThreadGateway, vendor: RogueVendor, method: str) -> None:
    """A 408 on an idle connection is no answer to the next request: that one takes another connection (W-171, F-30)."""
    notice = reply(408, b"", [("Connection", "close")])
    first(vendor, send(reply(200, b"ok")), pause(0.02), send(notice), fin())
    gateway.ask("/pixii/x")
    assert vendor.ended()

    answer = gateway.ask("/pixii/y", method, body=b"")

    assert (answer.status, answer.body) == (200, b"ok")
    assert [got.target for got in vendor.requests] == [b"/x", b"/y"]
