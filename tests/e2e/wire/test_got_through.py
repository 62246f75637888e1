"""What once got through, or was answered wrongly: a test for each."""

import time

import pytest

from tests.e2e.harness.client import chunked
from tests.e2e.harness.gateway import ThreadGateway
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, pause, reply, send, stall
from tests.e2e.wire.conftest import CLEAN
from tests.e2e.wire.talk import SPLITS, Speech, Split, converse

__all__ = ["CLEAN"]

# The parser reads each of these as a request of HTTP/1.1, 1.0 or 0.9.
NOT_HTTP = {
    "rtsp": b"OPTIONS /x RTSP/1.0\r\nHost: a\r\n\r\n",
    "ice": b"SOURCE /music ICE/1.0\r\nHost: a\r\n\r\n",
    "two-spaces": b"GET  /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "no-version": b"GET /x\r\n\r\n",
}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("before", [b"", CLEAN], ids=["alone", "behind-another"])
@pytest.mark.parametrize("payload", NOT_HTTP.values(), ids=NOT_HTTP)
def test_request_line_of_another_protocol(
    gateway: ThreadGateway, vendor: RogueVendor, payload: bytes, before: bytes, split: Split
) -> None:
    """Only a request line of HTTP is one, alone or behind another request; nothing of it is sent on (W-028)."""
    gateway.uncounted = True
    (talk,) = converse(gateway.address, [Speech(split(before + payload), answers=2)])

    assert talk.closed
    # While the answer before it is on its way nothing is injected: the connection just ends behind it.
    assert talk.statuses in ({(200,), (200, 400)} if before else {(400,)})
    assert [request.target for request in vendor.requests] == [b"/base/clean"] * bool(before)


BEHIND = {
    "connect": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment": b"GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n",
    "no-slash": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "garbage": b"\x00\x01\x02",
    "two-hosts": b"GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
@pytest.mark.alone
def test_refused_behind_an_answer_in_flight(gateway: ThreadGateway, vendor: RogueVendor, behind: bytes) -> None:
    """What is refused while an answer is in flight neither hurts that answer nor keeps the gateway busy (W-056)."""
    gateway.uncounted = True
    vendor.script(pause(0.1), send(reply(200, b"slow")))

    with gateway.connect() as client:
        client.send(CLEAN + behind)
        began = time.monotonic()
        assert gateway.ask_admin("/-/healthy").status == 200
        assert time.monotonic() - began < 1.0

        talk = client.converse()

    assert talk.responses[0].body == b"slow"
    assert [response.status for response in talk.responses[1:]] in ([], [400])
    assert talk.closed_by_peer
    assert len(vendor.requests) == 1


NOT_SPOKEN = {
    "unknown-method": b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n",
    "small-method": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "longer-method": b"GETS / HTTP/1.1\r\nHost: a\r\n\r\n",
    "version-3.0": b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    "version-1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "version-0.9": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "version-2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("payload", NOT_SPOKEN.values(), ids=NOT_SPOKEN)
def test_not_spoken_however_it_is_cut(
    gateway: ThreadGateway, vendor: RogueVendor, payload: bytes, split: Split
) -> None:
    """An unknown method or version is 501 and closes, in whatever pieces its line comes (W-029, W-037)."""
    gateway.asked += 1
    (talk,) = converse(gateway.address, [Speech(split(payload), pause=0.0005)])

    check_problem(talk.responses[0], "not_implemented", source="gateway")
    assert talk.statuses == (501,)
    assert talk.closed
    assert vendor.requests == []


NO_REQUEST_LINE = {
    "version-of-three": b"GET / HTTP/1.32\r\n",
    "small-http": b"GET / http/1.1\r\n",
    "no-target": b"BREW HTTP/1.1\r\n",
    "two-spaces": b"BREW  / HTTP/1.1\r\n",
    "bare-line-feed": b"BREW / HTTP/1.1\n",
    "endless": b"BREW /" + b"a" * 9000,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01",
    "text": b"GARBAGE\r\n\r\n",
}


@pytest.mark.parametrize("payload", NO_REQUEST_LINE.values(), ids=NO_REQUEST_LINE)
def test_no_request_line(gateway: ThreadGateway, vendor: RogueVendor, payload: bytes) -> None:
    """What is no request line is 400 in the envelope and closes, byte by byte, too (W-021)."""
    for split in SPLITS.values():
        gateway.asked += 1
        (talk,) = converse(gateway.address, [Speech(split(payload), pause=0.0005)])

        check_problem(talk.responses[0], "invalid_request", source="gateway")
        assert talk.closed
    assert vendor.requests == []


LAST_ANSWERS = {
    "refused": (b"GET / HTTP/1.1\r\nHost: a?x=\r\n\r\n", 400),
    "asked-to-close": (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
    "http-1.0": (b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", 200),
    "unreadable": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
}


@pytest.mark.parametrize(("payload", "status"), LAST_ANSWERS.values(), ids=LAST_ANSWERS)
def test_last_answer_survives_what_follows(
    gateway: ThreadGateway, vendor: RogueVendor, payload: bytes, status: int
) -> None:
    """What a caller says behind a connection's last answer does not destroy the answer by a reset (W-056)."""
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(payload)
        time.sleep(0.05)
        for _ in range(3):
            client.send(CLEAN)
            time.sleep(0.02)

        answer = client.read()

        assert answer.status == status
        assert answer.complete
        assert client.closed()
    assert len(vendor.requests) == (status == 200)


OVERHEAD = {
    "extension": b"5;" + b"a" * 400_000,
    "zeros": b"0" * 400_000,
    "many-extensions": b"".join(b"1;%s\r\nx\r\n" % (b"a" * 1000) for _ in range(400)),
}


@pytest.mark.parametrize("chunk", OVERHEAD.values(), ids=OVERHEAD)
def test_chunk_extensions_are_bounded(gateway: ThreadGateway, vendor: RogueVendor, chunk: bytes) -> None:
    """Chunk sizes and extensions without end are refused, and the vendor's message stays unfinished (W-148)."""
    gateway.asked += 1
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

    (talk,) = converse(gateway.address, [Speech([head, chunk, b"\r\nhello\r\n0\r\n\r\n"], pause=0.02)])

    check_problem(talk.responses[0], "invalid_request", source="gateway")
    assert talk.closed
    assert not any(request.complete for request in vendor.requests)


def test_caller_that_leaves_with_requests_waiting(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A caller that leaves is noticed though other requests of its connection still wait (W-157)."""
    gateway.uncounted = True
    vendor.script(stall())
    with gateway.connect() as client:
        client.send(CLEAN * 5)
        assert until(lambda: len(vendor.requests) == 1)
        client.reset()

    assert vendor.ended(within=1.0)
    assert len(vendor.requests) == 1


@pytest.mark.alone
def test_thousands_of_requests_in_one_write(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A write full of requests keeps nobody waiting, and only a hundred of them wait: the rest is not read (F-58)."""
    gateway.uncounted = True
    with gateway.connect() as client:
        client.send(b"GET /clean HTTP/1.1\r\nHost: a\r\n\r\n" * 8000)
        began = time.monotonic()
        assert gateway.ask_admin("/-/healthy").status == 200
        assert time.monotonic() - began < 1.5

        answers = [client.read() for _ in range(101)]
        assert client.closed()

    assert {answer.body for answer in answers} == {b"ok"}
    assert [answer.header("connection") for answer in answers] == [None] * 100 + ["close"]
    assert len(vendor.requests) == 101


BEFORE = {
    "bare": CLEAN,
    "with-a-body": b"POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000,
}


@pytest.mark.parametrize("first", BEFORE.values(), ids=BEFORE)
def test_head_cut_anywhere_behind_another(gateway: ThreadGateway, vendor: RogueVendor, first: bytes) -> None:
    """A request behind another one, cut at any byte between two writes, is the request that it is (W-028)."""
    vendor.answer = lambda wire, request: wire.send(reply(200, b"%d %s" % (len(request.body), request.target)))
    second = b"POST /second?q HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    cuts = range(1, len(second))
    gateway.asked += 2 * len(cuts)

    talks = converse(
        gateway.address,
        [Speech([first + second[:cut], second[cut:]], ["GET", "POST"], 2, pause=0.01) for cut in cuts],
    )

    assert {talk.statuses for talk in talks} == {(200, 200)}
    assert {talk.responses[1].body for talk in talks} == {b"5 /base/second?q"}


TRAILERS = {
    "many": b"X-T: 1\r\n" * 17,
    "large": b"X-T: " + b"a" * 9000 + b"\r\n",
}


@pytest.mark.parametrize("trailers", TRAILERS.values(), ids=TRAILERS)
def test_trailers_are_dropped_and_bounded(gateway: ThreadGateway, vendor: RogueVendor, trailers: bytes) -> None:
    """Trailers are no header fields: a few are dropped, more than any message has are refused (W-054)."""
    gateway.asked += 2
    start = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"

    few, many = converse(
        gateway.address,
        [Speech([start + b"X-Api-Key: evil\r\nX-Vendor-Key: evil\r\n\r\n"]), Speech([start + trailers + b"\r\n"])],
    )

    assert few.statuses == (200,)
    assert many.statuses == (400,)
    assert many.closed
    for request in vendor.requests:
        assert request.header("x-vendor-key") != "evil"
        assert "x-api-key" not in request.head.names()


def test_small_chunks_are_no_overhead(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Twenty thousand chunks of one byte, with a short extension each, pass (F-63)."""
    gateway.asked += 1
    body = chunked(*[b"x"] * 20_000).replace(b"1\r\n", b"1;a\r\n")

    (talk,) = converse(
        gateway.address, [Speech([b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", body])]
    )

    assert talk.statuses == (200,)
    assert vendor.requests[0].body == b"x" * 20_000
