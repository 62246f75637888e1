"""The harness itself: a reader that forgives would let every other test lie."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.e2e.harness.client import RawClient, chunked, request
from tests.e2e.harness.metrics import parse
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, drip, fin, reply, rst, send
from tests.e2e.harness.wire import REQUEST_LINE, STATUS_LINE, Cut, Stream, WireError, framing, response_framing

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.contextmanager
def reading(data: bytes) -> Iterator[Stream]:
    """A stream that carries these bytes and then ends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        yield Stream(theirs)


def read(data: bytes, method: str = "GET") -> bytes:
    """The content of the one answer that these bytes are."""
    with reading(data) as stream:
        head = stream.head(STATUS_LINE)
        return b"".join(stream.body(response_framing(head, method)))


FAULTY = {
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "cr-in-a-line": b"HTTP/1.1 200 O\rK\r\n\r\n",
    "no-version": b"200 OK\r\n\r\n",
    "status-600": b"HTTP/1.1 600 Six\r\n\r\n",
    "http-2": b"HTTP/2.0 200 OK\r\n\r\n",
    "space-before-colon": b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    "control-in-a-value": b"HTTP/1.1 200 OK\r\nX: a\x01b\r\n\r\n",
    "nul-in-a-value": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    "length-twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "length-no-number": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "both-framings": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "coded-transfer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "bad-chunk-size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nok\r\n0\r\n\r\n",
    "bad-chunk-end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokXX0\r\n\r\n",
    "trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
    "length-on-204": b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
    "chunks-on-304": b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}

CUT = {
    "no-byte": b"",
    "in-the-status-line": b"HTTP/1.1 2",
    "in-the-fields": b"HTTP/1.1 200 OK\r\nContent-Le",
    "in-the-content": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
    "before-the-last-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    "in-the-last-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
}

WHOLE = {
    "length": (GOOD, "GET", b"ok"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"o", b"k"), "GET", b"ok"),
    "until-close": (b"HTTP/1.1 200 OK\r\n\r\nok", "GET", b"ok"),
    "head": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD", b""),
    "no-content": (b"HTTP/1.1 204 None\r\n\r\n", "GET", b""),
}


@pytest.mark.parametrize("data", FAULTY.values(), ids=FAULTY)
def test_faulty_answer_is_seen(data: bytes) -> None:
    """An answer that RFC 9112 forbids is never read as one."""
    with pytest.raises(WireError):
        read(data)


@pytest.mark.parametrize("data", CUT.values(), ids=CUT)
def test_cut_answer_is_seen(data: bytes) -> None:
    """An answer that ends early is never read as whole."""
    with pytest.raises(Cut):
        read(data)


@pytest.mark.parametrize(("data", "method", "content"), WHOLE.values(), ids=WHOLE)
def test_whole_answer_is_read(data: bytes, method: str, content: bytes) -> None:
    """A good answer gives its content, however it is framed."""
    assert read(data, method) == content


def test_request_line_is_strict() -> None:
    """A request with a space in its target is no request."""
    with reading(b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n") as stream, pytest.raises(WireError):
        stream.head(REQUEST_LINE)


def test_request_framing_is_read() -> None:
    """A request without framing fields has no body."""
    with reading(request("GET", "/x")) as stream:
        head = stream.head(REQUEST_LINE)

        assert framing(head) is None
        assert head.get("host") == "gateway"


def test_conversation_tells_how_it_ended() -> None:
    """Answers, what was left over, and whether the end was clean are told apart."""
    with RogueVendor() as vendor:
        vendor.script(send(GOOD + b"HTTP/1.1 200"), fin())
        with RawClient(("127.0.0.1", vendor.port)) as client:
            client.send(request())

            seen = client.converse("GET")

    assert [answer.body for answer in seen.responses] == [b"ok"]
    assert seen.closed_by_peer
    assert seen.leftover == b"HTTP/1.1 200"
    assert not seen.clean_end


def test_vendor_records_an_unfinished_message() -> None:
    """A request that stops in its body is known as incomplete, with the bytes that came."""
    with RogueVendor() as vendor:
        with RawClient(("127.0.0.1", vendor.port)) as client:
            client.send(request("POST", "/x", [("Content-Length", "10")]) + b"half")
        assert until(lambda: bool(vendor.requests))
        assert vendor.ended()

    assert [(seen.complete, seen.body) for seen in vendor.requests] == [(False, b"half")]


def test_vendor_keeps_its_script() -> None:
    """Scripts drip, reset and end as told."""
    with RogueVendor() as vendor:
        vendor.script(drip(GOOD, 0.0005), rst())
        with RawClient(("127.0.0.1", vendor.port)) as client:
            client.send_bytewise(request())
            answer = client.read()
            assert client.closed()
            assert client.stream.reset

    assert answer.body == b"ok"


def test_vendor_answers_in_order() -> None:
    """Each request gets the next of the given replies, and the last one stays."""
    with RogueVendor() as vendor:
        vendor.reply(reply(200, b"one"), reply(200, b"two"))
        with RawClient(("127.0.0.1", vendor.port)) as client:
            client.send_split(request() * 3)
            seen = client.converse(patience=0.2)

    assert [answer.body for answer in seen.responses] == [b"one", b"two", b"two"]
    assert not seen.closed_by_peer


def test_scrape_is_read_strictly() -> None:
    """A line that is no sample, or a series given twice, is a fault."""
    assert parse('a_total{x="1"} 2\n# TYPE b gauge\nb 3.0\n').sum("a_total", x="1") == 2
    for text in ("a b c\n", "a 1\na 2\n"):
        with pytest.raises(ValueError, match="a "):
            parse(text)
