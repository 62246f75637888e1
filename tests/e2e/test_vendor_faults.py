"""
A vendor that misbehaves: each fault has one documented answer, and nothing of it reaches the next caller.

One file: a table of faults, each with the answer that is documented for it.
"""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.harness.client import RawClient, request
from tests.e2e.harness.gateway import ThreadGateway, free_port, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.metrics import Scrape
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import (
    OK,
    RogueVendor,
    Step,
    Wire,
    drip,
    endless,
    fin,
    hold,
    json_reply,
    pause,
    reply,
    rst,
    send,
    stall,
)
from tests.e2e.harness.vendors import CREDENTIALS, SAID
from tests.e2e.harness.wire import Cut, Request

EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"
TWO = b"Content-Length: 2\r\n\r\nok"
CLEAN = request("GET", "/one/clean")


@pytest.fixture(scope="module")
def black_hole() -> Iterator[int]:
    """A port where nobody answers a SYN: its queue is full and nothing accepts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
            waiting.append(sock)
        yield listener.getsockname()[1]
        for sock in waiting:
            sock.close()


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor, black_hole: int) -> Iterator[ThreadGateway]:
    """A gateway whose vendors have one connection each, so that what one caller leaves meets the next."""
    common: dict[str, Any] = {
        "normalizer": "pixii",
        "credential": CREDENTIALS["pixii"],
        "timeouts": {"connect": "300ms", "first_byte": "3s", "idle": "3s", "total": "4s"},
        "max_connections": 1,
        # One request, one fault: what a second attempt makes of it is told in test_retries.py.
        "retries": {"max": 0},
    }
    short = {"connect": "300ms", "first_byte": "600ms", "idle": "600ms", "total": "1s", "max_duration": "2s"}
    vendors = {
        "hasty": common | {"base_url": f"{vendor.url}/base", "timeouts": short},
        "one": common | {"base_url": f"{vendor.url}/base"},
        "patient": common | {"base_url": vendor.url, "timeouts": short | {"max_duration": "1h"}},
        "refused": common | {"base_url": f"http://127.0.0.1:{free_port()}"},
        "hole": common | {"base_url": f"http://127.0.0.1:{black_hole}"},
        "tls": common | {"base_url": f"https://127.0.0.1:{vendor.port}"},
    }
    with ThreadGateway(settings_text(vendors)) as gateway:
        yield gateway


# Section 8: no whole head came. What happened, and its name in RFC 9209.
NO_HEAD: dict[str, tuple[tuple[Step, ...], str]] = {
    "closes-at-once": ((fin(),), "connection_terminated|http_response_incomplete"),
    "resets-at-once": ((rst(),), "connection_terminated|http_response_incomplete"),
    "closes-in-status-line": ((send(b"HTTP/1.1 2"), fin()), "http_response_incomplete"),
    "closes-in-head": ((send(OK + b"Content-Le"), fin()), "http_response_incomplete"),
    "resets-in-head": (
        (send(OK + b"Content-Le"), pause(0.02), rst()),
        "connection_terminated|http_response_incomplete",
    ),
    "garbage": ((send(b"\x00\x01\x02 nonsense\r\n\r\n"),), "http_protocol_error"),
    "ssh-banner": ((send(b"SSH-2.0-OpenSSH_9.6\r\n"), fin()), "http_protocol_error|http_response_incomplete"),
    "tls-record": ((send(b"\x15\x03\x01\x00\x02\x02("), fin()), "http_protocol_error|http_response_incomplete"),
    "http-0.9": ((send(b"<html>hello</html>\r\n"), fin()), "http_protocol_error|http_response_incomplete"),
    "status-000": ((send(b"HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n"),), "http_protocol_error"),
    "status-99": ((send(b"HTTP/1.1 99 Weird\r\nContent-Length: 0\r\n\r\n"),), "http_protocol_error"),
    "status-600": ((send(b"HTTP/1.1 600 Six\r\nContent-Length: 0\r\n\r\n"),), "http_protocol_error"),
    "status-888": ((send(b"HTTP/1.1 888 X\r\nContent-Length: 0\r\n\r\n"),), "http_protocol_error"),
    "status-999": ((send(b"HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n"),), "http_protocol_error"),
    "status-1000": ((send(b"HTTP/1.1 1000 X\r\nContent-Length: 0\r\n\r\n"),), "http_protocol_error"),
    "status-negative": ((send(b"HTTP/1.1 -20 X\r\nContent-Length: 0\r\n\r\n"),), "http_protocol_error"),
    "length-twice": ((send(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"),), "http_protocol_error"),
    "length-negative": ((send(OK + b"Content-Length: -1\r\n\r\nok"),), "http_protocol_error"),
    "length-empty": ((send(OK + b"Content-Length: \r\n\r\nok"),), "http_protocol_error"),
    "coded-transfer": ((send(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),), "http_protocol_error"),
    "unknown-transfer": ((send(OK + b"Transfer-Encoding: blegh\r\n\r\n2\r\nok\r\n0\r\n\r\n"),), "http_protocol_error"),
    "nul-in-value": ((send(OK + b"X: a\x00b\r\n" + TWO),), "http_protocol_error"),
    "cr-in-value": ((send(OK + b"X: a\rb\r\n" + TWO),), "http_protocol_error"),
    "space-before-colon": ((send(OK + b"X : a\r\n" + TWO),), "http_protocol_error"),
    "no-colon": ((send(OK + b"nocolon\r\n" + TWO),), "http_protocol_error"),
    "unasked-101": (
        (send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\nraw"),),
        "http_protocol_error|http_upgrade_failed",
    ),
    "head-over-64-kib": ((send(OK + b"X: " + b"a" * 66_000 + b"\r\n" + TWO),), "http_response_header_section_size"),
    "head-of-200-kb": ((send(OK + b"X: " + b"a" * 200_000 + b"\r\n" + TWO),), "http_response_header_section_size"),
    "5000-fields": (
        (send(OK + b"".join(b"X%d: 1\r\n" % index for index in range(5000)) + TWO),),
        "http_response_header_section_size",
    ),
    "201-fields": (
        (send(OK + b"".join(b"X%d: 1\r\n" % index for index in range(200)) + TWO),),
        "http_response_header_section_size",
    ),
    "101-early-hints": ((send(EARLY * 101 + OK + TWO),), "http_protocol_error"),
    "20000-early-hints": ((send(EARLY * 20_000 + OK + TWO),), "http_protocol_error"),
}


def failures(gateway: ThreadGateway, name: str, action: Callable[[], None]) -> set[str]:
    """The reasons that were counted for a vendor while that ran."""
    before = gateway.scrape()
    action()
    grown = gateway.scrape().grown(before, "errgate_network_failures_total")
    assert all(dict(labels)["vendor"] == name for labels in grown)
    return {dict(labels)["reason"] for labels in grown}


@pytest.mark.parametrize(("steps", "reason"), NO_HEAD.values(), ids=NO_HEAD)
def test_no_whole_head_is_vendor_failed(
    gateway: ThreadGateway, vendor: RogueVendor, steps: tuple[Step, ...], reason: str
) -> None:
    """Without a whole, valid head: `vendor_failed`, said to be retryable only for an idempotent request."""

    def ask() -> None:
        for method, retryable in (("GET", True), ("POST", False), ("DELETE", True)):
            vendor.script(*steps)
            answer = gateway.ask("/one/x", method, body=b"{}" if method == "POST" else None)

            problem = check_problem(answer, "vendor_failed", source="network", vendor="one", retryable=retryable)
            assert SAID not in problem["detail"]
            stated = (answer.header("proxy-status") or "").partition("error=")[2]
            assert stated in reason.split("|")

    counted = failures(gateway, "one", ask)
    assert counted <= set(reason.split("|"))


LATE: dict[str, tuple[tuple[Step, ...], float]] = {
    "stalls-before-the-head": ((stall(),), 0.6),
    "stalls-in-the-head": ((send(OK + b"Content-Le"), stall()), 0.6),
    "drips-its-head": ((drip(OK + b"X: " + b"a" * 1000, 0.02),), 1.0),
    "early-hints-for-ever": ((endless(EARLY, 0.05),), 1.0),
}


@pytest.mark.parametrize(("steps", "deadline"), LATE.values(), ids=LATE)
@pytest.mark.parametrize(("method", "retryable"), [("GET", True), ("POST", False)])
def test_late_head_is_vendor_timeout(
    gateway: ThreadGateway,
    vendor: RogueVendor,
    steps: tuple[Step, ...],
    deadline: float,
    method: str,
    retryable: bool,
) -> None:
    """A head that does not come in time is `vendor_timeout`; its connection is closed, not kept (W-124)."""
    vendor.script(*steps)
    began = time.monotonic()

    answer = gateway.ask("/hasty/x", method, body=b"" if method == "POST" else None)

    took = time.monotonic() - began
    check_problem(answer, "vendor_timeout", source="network", retryable=retryable)
    assert "error=http_response_timeout" in (answer.header("proxy-status") or "")
    assert deadline - 0.05 <= took < deadline + 1.5
    assert vendor.ended(within=1.0)


NOT_SENT: dict[str, tuple[str, str, str]] = {
    "refused": ("/refused/x", "vendor_unreachable", "connection_refused"),
    "black-hole": ("/hole/x", "vendor_timeout", "connection_timeout"),
}


@pytest.mark.parametrize(("target", "code", "reason"), NOT_SENT.values(), ids=NOT_SENT)
@pytest.mark.alone
def test_not_sent_is_retryable(
    gateway: ThreadGateway, vendor: RogueVendor, target: str, code: str, reason: str
) -> None:
    """What certainly was not sent may be sent again, whatever its method (contract 8)."""
    for method in ("GET", "POST"):
        began = time.monotonic()
        answer = gateway.ask(target, method, body=b"{}" if method == "POST" else None)

        problem = check_problem(answer, code, source="network", retryable=True)
        assert (answer.header("proxy-status") or "").endswith(f"error={reason}")
        assert time.monotonic() - began < 2
        for secret in ("127.0.0.1", "Errno"):
            assert secret not in json.dumps(problem)


TLS: dict[str, tuple[tuple[Step, ...], str]] = {
    "plain-http": ((send(b"HTTP/1.1 400 Bad\r\n\r\n"), fin()), "vendor_unreachable"),
    "reset": ((rst(),), "vendor_unreachable"),
    "stall": ((stall(),), "vendor_timeout"),
}


@pytest.mark.parametrize(("steps", "code"), TLS.values(), ids=TLS)
def test_tls_failure(gateway: ThreadGateway, vendor: RogueVendor, steps: tuple[Step, ...], code: str) -> None:
    """A failed handshake is `vendor_unreachable`, one that stalls `vendor_timeout`; nothing was sent."""
    vendor.greet = steps

    answer = gateway.ask("/tls/x", "POST", body=b"{}")

    check_problem(answer, code, source="network", retryable=True)
    vendor.greet = ()


def test_full_pool_is_overloaded(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """No free connection in time is `overloaded`, made by the gateway, and the waiting caller never dials."""
    refused = threading.Event()
    vendor.script(hold(refused), send(OK + TWO))
    gateway.asked += 1
    with gateway.connect() as first:
        first.send(request("GET", "/one/slow"))
        assert until(lambda: len(vendor.requests) == 1)

        answer = gateway.ask("/one/waits", "POST", body=b"{}")

        check_problem(answer, "overloaded", source="gateway", retryable=True)
        assert "error=connection_limit_reached" in (answer.header("proxy-status") or "")
        refused.set()
        assert first.read().body == b"ok"
    assert len(vendor.requests) == 1


# What looks odd and is right: the answer, and a field that must or must not be there.
PASSES: dict[str, tuple[bytes, int, bytes]] = {
    "three-early-hints": (EARLY * 3 + OK + TWO, 200, b"ok"),
    "100-early-hints": (EARLY * 100 + OK + TWO, 200, b"ok"),
    "100-continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + TWO, 200, b"ok"),
    "40-kb-head": (OK + b"X-Large: " + b"a" * 20_000 + b"\r\nX-Too: " + b"b" * 20_000 + b"\r\n" + TWO, 200, b"ok"),
    "199-fields": (OK + b"".join(b"X%d: 1\r\n" % index for index in range(198)) + TWO, 200, b"ok"),
    "no-reason": (b"HTTP/1.1 200\r\n" + TWO, 200, b"ok"),
    "unregistered-success": (b"HTTP/1.1 299 Odd\r\n" + TWO, 299, b"ok"),
    "345": (b"HTTP/1.1 345 Odd\r\n" + TWO, 345, b"ok"),
    "same-length-twice": (OK + b"Content-Length: 2\r\n" + TWO, 200, b"ok"),
    "both-framings": (CHUNKS[:-2] + b"Content-Length: 3\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok"),
    "trailers": (CHUNKS[:-2] + b"Trailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: y\r\n\r\n", 200, b"ok"),
    "chunk-extension": (CHUNKS + b"2;a=b\r\nok\r\n0\r\n\r\n", 200, b"ok"),
    "latin-1-value": (OK + b"X: caf\xe9\r\n" + TWO, 200, b"ok"),
    "bell-in-value": (OK + b"X-Bell: a\x07b\r\n" + TWO, 200, b"ok"),
    "204": (b"HTTP/1.1 204 None\r\n\r\n", 204, b""),
    "204-with-length": (b"HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n", 204, b""),
    "304-with-length": (b'HTTP/1.1 304 Same\r\nETag: "1"\r\nContent-Length: 30\r\n\r\n', 304, b""),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", 302, b""),
    "bad-gzip": (OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "unknown-coding": (OK + b"Content-Encoding: snappy\r\n" + TWO, 200, b"ok"),
}


@pytest.mark.parametrize(("data", "status", "body"), PASSES.values(), ids=PASSES)
def test_odd_but_right(gateway: ThreadGateway, vendor: RogueVendor, data: bytes, status: int, body: bytes) -> None:
    """A reply that is odd but right passes, twice on one connection, its fields cleaned (W-049, W-052)."""
    vendor.reply(data)
    gateway.asked += 2

    with gateway.connect() as client:
        client.send(request("GET", "/one/x") * 2)
        answers = [client.read(), client.read()]

    for answer in answers:
        assert (answer.status, answer.body, answer.complete) == (status, body, True)
        assert not answer.head.names() & {"trailer", "x-bell", "x-t"}
        assert len(answer.head.all("date")) == 1
        assert answer.header("x-request-id")
    assert len(vendor.requests) == 2, "a redirect must not be followed"


UNTIL_CLOSE = {
    "http-1.0": b"HTTP/1.0 200 OK\r\n\r\nok",
    "http-1.1": b"HTTP/1.1 200 OK\r\n\r\nok",
    "http-1.0-with-length": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("data", UNTIL_CLOSE.values(), ids=UNTIL_CLOSE)
def test_reply_that_ends_with_its_connection(gateway: ThreadGateway, vendor: RogueVendor, data: bytes) -> None:
    """A reply without a length ends with its connection, and reaches the caller whole, as HTTP/1.1 (W-028)."""
    vendor.script(send(data), fin())

    answer = gateway.ask("/one/x")

    assert (answer.status, answer.body, answer.complete) == (200, b"ok", True)
    assert answer.head.start[0] == "1"


CUT_BODIES: dict[str, tuple[Step, ...]] = {
    "short-of-its-length": (send(OK + b"Content-Length: 9\r\n\r\nok"), fin()),
    "no-last-chunk": (send(CHUNKS + b"2\r\nok\r\n"), fin()),
    "bad-chunk-size": (send(CHUNKS + b"2\r\nok\r\nZZ\r\nok\r\n0\r\n\r\n"),),
    "negative-chunk": (send(CHUNKS + b"2\r\nok\r\n-2\r\nok\r\n0\r\n\r\n"),),
    "bad-chunk-end": (send(CHUNKS + b"2\r\nokXX0\r\n\r\n"),),
    "reset": (send(OK + b"Content-Length: 9\r\n\r\nok"), pause(0.05), rst()),
    "reset-until-close": (send(OK + b"\r\nok"), pause(0.05), rst()),
    "stall": (send(OK + b"Content-Length: 9\r\n\r\nok"), stall()),
    "stall-in-chunks": (send(CHUNKS + b"2\r\nok\r\n"), stall()),
    "drip-past-max-duration": (send(CHUNKS + b"2\r\nok\r\n"), endless(b"1\r\n.\r\n", 0.1)),
    "cut-event": (send(CHUNKS[:-2] + b"Content-Type: text/event-stream\r\n\r\n2\r\nok\r\n"), fin()),
}


@pytest.mark.parametrize("steps", CUT_BODIES.values(), ids=CUT_BODIES)
def test_cut_success_cannot_look_whole(gateway: ThreadGateway, vendor: RogueVendor, steps: tuple[Step, ...]) -> None:
    """A success that breaks off reaches the caller as far as it came, and never looks whole (W-153, W-154)."""
    vendor.script(*steps)
    before = gateway.scrape()

    answer = gateway.ask("/hasty/x")

    assert answer.status == 200
    assert not answer.complete
    assert answer.body.strip(b".") == b"ok"
    assert until(lambda: outcomes(gateway, before) == {"aborted"})


def outcomes(gateway: ThreadGateway, before: Scrape) -> set[str]:
    """The outcomes counted since."""
    return {dict(labels)["outcome"] for labels in gateway.scrape().grown(before, "errgate_requests_total")}


def test_cut_success_to_http_1_0(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """To an HTTP/1.0 caller only an RST can tell that a body of unknown length is not whole (contract 8)."""
    vendor.script(send(CHUNKS + b"2\r\nok\r\n"), pause(0.05), rst())
    gateway.asked += 1

    with gateway.connect() as client:
        client.send(b"GET /one/x HTTP/1.0\r\n\r\n")
        _, framing, _ = client.head()
        with pytest.raises(Cut) as cut:
            list(client.pieces(framing))

    assert framing == "close"
    assert cut.value.reset


ERROR_BODY = json.dumps({"code": "SERVICE_UNAVAILABLE", "message": SAID}).encode()
HEAD_503 = b"HTTP/1.1 503 Away\r\n"

# After a head with status >= 400 the status decides, whatever becomes of the body: contract 7.
BROKEN_ERRORS: dict[str, tuple[Step, ...]] = {
    "short-of-its-length": (send(HEAD_503 + b"Content-Length: 999\r\n\r\n" + ERROR_BODY[:20]), fin()),
    "reset": (send(HEAD_503 + b"Content-Length: 999\r\n\r\n" + ERROR_BODY[:20]), pause(0.02), rst()),
    "stall": (send(HEAD_503 + b"Content-Length: 999\r\n\r\n" + ERROR_BODY[:20]), stall()),
    "bad-chunk": (send(HEAD_503 + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n"),),
    "no-last-chunk": (send(HEAD_503 + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"cod\r\n'), fin()),
    "html": (send(reply(503, b"<html>SAID</html>", [("Content-Type", "application/json")])),),
    "bad-gzip": (send(reply(503, b"hello", [("Content-Encoding", "gzip")])),),
    "cut-gzip": (send(reply(503, gzip.compress(ERROR_BODY * 20)[:40], [("Content-Encoding", "gzip")])),),
    "unknown-coding": (send(reply(503, ERROR_BODY, [("Content-Encoding", "snappy")])),),
    "gzip-bomb": (send(reply(503, gzip.compress(bytes(20 << 20)), [("Content-Encoding", "gzip")])),),
    "three-codings": (
        send(
            reply(
                503,
                gzip.compress(gzip.compress(gzip.compress(ERROR_BODY))),
                [("Content-Encoding", "gzip, gzip, gzip")],
            )
        ),
    ),
    "300-kb": (send(reply(503, b'{"code":"VALIDATION_ERROR","message":"' + b"x" * 300_000 + b'"}')),),
    "endless": (
        send(HEAD_503 + b"Transfer-Encoding: chunked\r\n\r\n"),
        endless(b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
    ),
    "endless-until-close": (send(HEAD_503 + b"\r\n"), endless(b"x" * 65_536)),
    "deep": (send(reply(503, b"[" * 100_000)),),
    "5000-digits": (send(reply(503, b'{"code":' + b"1" * 5000 + b"}")),),
    "strange-charset": (send(reply(503, ERROR_BODY[:-2], [("Content-Type", "application/json; charset=rot13")])),),
    "event-stream": (send(reply(503, b"data: x\n\n", [("Content-Type", "text/event-stream")])),),
}


@pytest.mark.parametrize("steps", BROKEN_ERRORS.values(), ids=BROKEN_ERRORS)
@pytest.mark.alone
def test_the_status_decides_of_a_broken_error(
    gateway: ThreadGateway, vendor: RogueVendor, steps: tuple[Step, ...]
) -> None:
    """Whatever becomes of an error's body, its status says which error it is; nothing of it is echoed."""
    vendor.script(*steps)
    began = time.monotonic()

    answer = gateway.ask("/hasty/x", "POST", body=b"{}")

    problem = check_problem(answer, "vendor_unavailable", source="vendor", retryable=True)
    assert problem["vendor_error"] == {"status": 503}
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(("name", "seconds"), [("patient", 5.0), ("hasty", 2.0)], ids=["5-s", "max-duration"])
@pytest.mark.alone
def test_error_body_is_given_five_seconds(
    gateway: ThreadGateway, vendor: RogueVendor, name: str, seconds: float
) -> None:
    """An error whose body drips is answered by its status after 5 s, or at `max_duration` (contract 7)."""
    vendor.script(send(HEAD_503 + b"Content-Length: 9999\r\n\r\n"), endless(b" ", 0.1))
    began = time.monotonic()

    answer = gateway.ask(f"/{name}/x")

    check_problem(answer, "vendor_unavailable", source="vendor")
    assert seconds - 0.1 < time.monotonic() - began < 5.5


SURPLUS: dict[str, tuple[str, bytes, int, bytes]] = {
    "two-responses": ("GET", OK + b"Content-Length: 2\r\n\r\nok" + reply(200, b"POISON"), 200, b"ok"),
    "long-length": ("GET", OK + b"Content-Length: 2\r\n\r\nok and more", 200, b"ok"),
    "after-chunks": ("GET", CHUNKS + b"2\r\nok\r\n0\r\n\r\n" + reply(200, b"POISON"), 200, b"ok"),
    "204-with-body": ("GET", b"HTTP/1.1 204 None\r\nContent-Length: 6\r\n\r\nPOISON", 204, b""),
    "304-with-body": ("GET", b"HTTP/1.1 304 Same\r\nContent-Length: 6\r\n\r\nPOISON", 304, b""),
    "head-with-body": ("HEAD", reply(200, b"POISON"), 200, b""),
    "error-and-more": ("GET", json_reply(404, {"code": "JOB_NOT_FOUND"}) + reply(200, b"POISON"), 404, b""),
}


@pytest.mark.parametrize(("method", "data", "status", "body"), SURPLUS.values(), ids=SURPLUS)
def test_surplus_never_meets_the_next_caller(
    gateway: ThreadGateway, vendor: RogueVendor, method: str, data: bytes, status: int, body: bytes
) -> None:
    """Bytes after a whole reply close its connection; the next caller gets an answer of its own (W-171)."""
    vendor.reply(data, reply(200, b"mine"))

    first = gateway.ask("/one/x", method)
    second = gateway.ask("/one/y")

    assert first.status == status
    if status != 404:
        assert first.body == body
    assert (second.status, second.body) == (200, b"mine")
    assert [len(wire.requests) for wire in vendor.wires if wire.requests] == [1, 1]


def test_late_surplus_never_meets_the_next_caller(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """What a vendor says on an idle connection, and its goodbye there, is nobody's answer (F-30)."""
    goodbye = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    vendor.script(send(OK + TWO), pause(0.05), send(goodbye), fin())
    assert gateway.ask("/one/x").body == b"ok"
    time.sleep(0.15)

    vendor.reply(reply(200, b"mine"))
    answer = gateway.ask("/one/y", "POST", body=b"{}")

    assert (answer.status, answer.body) == (200, b"mine")


@pytest.mark.parametrize("size", [1, 7, 4096], ids=["byte-by-byte", "sevens", "4-kib"])
def test_dripped_reply_is_whole(gateway: ThreadGateway, vendor: RogueVendor, size: int) -> None:
    """A reply cut anywhere into segments is the same reply."""
    vendor.script(drip(EARLY + CHUNKS + b"2\r\nok\r\n3\r\n..." + b"\r\n0\r\n\r\n", 0.001, size))

    answer = gateway.ask("/one/x")

    assert (answer.status, answer.body, answer.complete) == (200, b"ok...", True)


def test_events_arrive_as_they_are_sent(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Server-sent events pass one by one, within 50 ms as a rule, with buffering off (W-155, W-158)."""
    sent: list[float] = []

    def events(wire: Wire, request: Request) -> None:
        wire.send(CHUNKS[:-2] + b"Content-Type: text/event-stream\r\nX-Accel-Buffering: yes\r\n\r\n")
        for index in range(6):
            event = b"data: %d\n\n" % index
            sent.append(time.monotonic())
            wire.send(b"%x\r\n%b\r\n" % (len(event), event))
            time.sleep(0.08)
        wire.send(b"0\r\n\r\n")

    vendor.answer = events
    gateway.asked += 1
    arrived, seen = [], []
    with gateway.connect() as client:
        client.send(request("GET", "/one/events"))
        head, framing, _ = client.head()
        for piece in client.pieces(framing):
            arrived.append(time.monotonic())
            seen.append(piece)

    assert seen == [b"data: %d\n\n" % index for index in range(6)]
    delays = sorted(late - early for early, late in zip(sent, arrived, strict=True))
    assert delays[len(delays) // 2] < 0.05
    assert delays[-1] < 0.08, "an event must arrive before the next is sent"
    assert head.get("x-accel-buffering") == "no"


def test_cookies_are_nobody_s(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A vendor's cookie reaches no caller, and no later request carries it (W-142, W-145)."""
    vendor.reply(reply(200, b"ok", [("Set-Cookie", "session=theirs; Path=/")]))

    answers = [gateway.ask("/one/x", headers=[("Cookie", "mine=1")]) for _ in range(2)]

    assert all(answer.header("set-cookie") is None for answer in answers)
    assert all(seen.header("cookie") is None for seen in vendor.requests)


def test_head_keeps_the_length(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """HEAD passes the vendor's length and no content, on an error too (W-018, W-050)."""
    vendor.reply(reply(200, b"", [("Content-Length", "1234")]), reply(404, b"", [("Content-Length", "1234")]))
    gateway.asked += 2

    with gateway.connect() as client:
        client.send(request("HEAD", "/one/x") * 2)
        good, bad = client.read("HEAD"), client.read("HEAD")

    assert (good.status, good.header("content-length"), good.body) == (200, "1234", b"")
    assert (bad.status, bad.header("errgate-code"), bad.body) == (404, "not_found", b"")
    assert bad.header("content-length") != "1234"


def test_vendor_answers_before_the_upload_is_over(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """An early refusal during an upload is relayed at once, and the caller's connection closes (W-161)."""
    vendor.read_bodies = False
    vendor.script(send(json_reply(413, {"code": "VALIDATION_ERROR", "message": SAID})), pause(0.3), fin())
    gateway.asked += 1
    began = time.monotonic()

    with gateway.connect() as client:
        client.send(request("POST", "/one/x", [("Content-Length", "10000000")]) + b"x" * 1000)
        answer = client.read()
        took = time.monotonic() - began
        assert client.closed()

    check_problem(answer, "invalid_request", source="vendor")
    assert took < 2


def test_vendor_that_never_reads(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A vendor that takes no bytes is a write that timed out: `vendor_timeout`, and not retryable for a POST."""
    vendor.read_bodies = False
    vendor.script(deaf)
    gateway.asked += 1

    with gateway.connect() as client:
        sending = threading.Thread(target=drain_into, args=(client, 20_000_000), daemon=True)
        sending.start()
        answer = client.read()
        client.reset()
        sending.join(3)

    problem = check_problem(answer, "vendor_timeout", source="network", retryable=False)
    assert problem["vendor"] == "hasty"


def deaf(wire: Wire) -> None:
    """Read nothing more."""
    wire.vendor.released.wait(3)


def drain_into(client: RawClient, size: int) -> None:
    """Send a large POST as far as the gateway takes it."""
    try:
        client.send(request("POST", "/hasty/x", [("Content-Length", str(size))]))
        for _ in range(size // 65_536 + 1):
            client.send(b"x" * 65_536)
    except OSError:
        pass
