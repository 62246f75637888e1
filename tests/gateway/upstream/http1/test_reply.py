"""A reply's head: what llhttp reads, what is repaired, and what is refused. Tables, one row a head."""

import pytest

from gateway.upstream import HEAD_LIMIT_BYTES, HEAD_LIMIT_FIELDS, INTERIM_LIMIT, Header, NoReply, Reason
from gateway.upstream.http1.reply import Head

LINE = b"HTTP/1.1 200 OK\r\n"
END = b"\r\n"

# Each: the head's fields, and how they are read: the fields, the length, chunked, and whether the connection persists.
Read = tuple[list[Header], int | None, bool, bool]
READ: dict[str, tuple[bytes, Read]] = {
    "nothing": (b"", ([], None, False, True)),
    "length": (b"Content-Length: 2\r\n", ([(b"Content-Length", b"2")], 2, False, True)),
    "length-and-space": (b"Content-Length: \t2 \t\r\n", ([(b"Content-Length", b"2")], 2, False, True)),
    "chunked": (b"transfer-encoding: Chunked\r\n", ([(b"transfer-encoding", b"Chunked")], None, True, True)),
    "close": (b"Connection: a, CLOSE\r\n", ([(b"Connection", b"a, CLOSE")], None, False, False)),
    "keep-alive": (b"Connection: keep-alive\r\n", ([(b"Connection", b"keep-alive")], None, False, True)),
    "like-a-length": (b"Content-Lengthy: 2\r\n", ([(b"Content-Lengthy", b"2")], None, False, True)),
    "of-the-same-length": (b"Content-Lexgth: 2\r\n", ([(b"Content-Lexgth", b"2")], None, False, True)),
    "latin-1": (b"X: \xe9\r\n", ([(b"X", b"\xe9")], None, False, True)),
    "tab": (b"X: a\tb\r\n", ([(b"X", b"a\tb")], None, False, True)),
}
REPAIRED: dict[str, tuple[bytes, Read]] = {
    "control": (b"X: a\x01b\r\nY: c\r\n", ([(b"Y", b"c")], None, False, True)),
    "delete": (b"X: a\x7fb\r\n", ([], None, False, True)),
    "equal-lengths": (b"Content-Length: 2\r\ncontent-length: 2\r\n", ([(b"Content-Length", b"2")], 2, False, True)),
    "listed-lengths": (b"Content-Length: 2, 2,2\r\n", ([(b"Content-Length", b"2")], 2, False, True)),
    "both": (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
             ([(b"Transfer-Encoding", b"chunked")], None, True, False)),
    "both-in-turn": (b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
                     ([(b"Transfer-Encoding", b"chunked")], None, True, False)),
    "folded": (b"X: a\r\n \t b\r\n\tc\r\nY: 1\r\n", ([(b"X", b"a b c"), (b"Y", b"1")], None, False, True)),
}  # fmt: skip
REFUSED = {
    "two-lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n",
    "two-listed-lengths": b"Content-Length: 2, 3\r\n",
    "no-length": b"Content-Length: \r\n",
    "half-a-list": b"Content-Length: 2,\r\n",
    "signed": b"Content-Length: +2\r\n",
    "underscored": b"Content-Length: 1_0\r\n",
    "hexadecimal": b"Content-Length: 0x2\r\n",
    "foreign-digits": "Content-Length: ٢\r\n".encode(),
    "spaced-digits": b"Content-Length: 2 3\r\n",
    "too-long": b"Content-Length: 99999999999999999999\r\n",
    "control-in-a-length": b"Content-Length: 2\x01\r\n",
    "control-in-a-coding": b"Transfer-Encoding: chunked\x0b\r\n",
    "control-in-connection": b"Connection: close\x01\r\n",
    "folded-length": b"Content-Length:\r\n 2\r\n",
    "folded-coding": b"Transfer-Encoding: gzip,\r\n chunked\r\n",
    "twice-chunked": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "listed-chunked": b"Transfer-Encoding: chunked, chunked\r\n",
    "other-coding": b"Transfer-Encoding: identity\r\n",
    "no-coding": b"Transfer-Encoding:\r\n",
    "both-and-another-coding": b"Content-Length: 2\r\nTransfer-Encoding: gzip\r\n",
    "nul": b"X: a\0b\r\n",
    "carriage-return": b"X: a\rb\r\n",
    "line-feed": b"X: a\nY: b\r\n",
    "fold-first": b" X: a\r\n",
    "space-before-the-colon": b"X : a\r\n",
    "control-in-a-name": b"X\x01: a\r\n",
    "no-colon-and-a-control": b"X\x01\r\n",
}
STARTS = {
    "http-0.9": b"HTTP/0.9 200 OK\r\n",
    "http-1.2": b"HTTP/1.2 200 OK\r\n",
    "http-2": b"HTTP/2 200 OK\r\n",
    "rtsp": b"RTSP/1.0 200 OK\r\n",
    "ice": b"ICE/1.0 200 OK\r\n",
    "small": b"http/1.1 200 OK\r\n",
    "spaces": b"HTTP/1.1  200 OK\r\n",
    "line-first": b"\r\nHTTP/1.1 200 OK\r\n",
    "empty": b"\r\n",
    "request": b"GET / HTTP/1.1\r\n",
    "099": b"HTTP/1.1 099 Odd\r\n",
    "600": b"HTTP/1.1 600 Odd\r\n",
    "two-digits": b"HTTP/1.1 20 OK\r\n",
    "letters": b"HTTP/1.1 2xx OK\r\n",
}


def read(data: bytes) -> Read:
    """What a head says."""
    head = Head()
    assert head.feed(data) == b""
    assert head.status == 200
    return head.fields, head.length, head.chunked, head.persist


@pytest.mark.parametrize("row", READ | REPAIRED)
def test_read(row: str) -> None:
    """A head is read as it stands; one that can be read in one way only is read in that way (W-047, W-051, W-052)."""
    fields, expected = (READ | REPAIRED)[row]

    assert read(LINE + fields + END) == expected


@pytest.mark.parametrize("row", REFUSED)
def test_refused_fields(row: str) -> None:
    """A head that two readers could read in two ways is no reply (W-047, W-051, W-052)."""
    with pytest.raises(NoReply) as nothing:
        Head().feed(LINE + REFUSED[row] + END)

    assert nothing.value.reason is Reason.HTTP_PROTOCOL_ERROR


@pytest.mark.parametrize("row", STARTS)
def test_refused_start(row: str) -> None:
    """What does not begin as a reply of HTTP/1 is none, however it goes on (W-053)."""
    with pytest.raises(NoReply) as nothing:
        Head().feed(STARTS[row] + b"Content-Length: 0\r\n" + END)

    assert nothing.value.reason is Reason.HTTP_PROTOCOL_ERROR


@pytest.mark.parametrize("row", READ | REPAIRED)
def test_in_two_parts(row: str) -> None:
    """Wherever a head is divided on its way, it is the same head, and what follows it is not its own."""
    fields, expected = (READ | REPAIRED)[row]
    whole = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + LINE + fields + END

    for at in range(1, len(whole)):
        head = Head()
        assert head.feed(whole[:at]) is None
        assert head.begun
        assert head.feed(whole[at:] + b"rest") == b"rest"
        assert (head.fields, head.length, head.chunked, head.persist) == expected


@pytest.mark.parametrize(
    "part", [b"SSH-2.0", b"\x15\x03", b"<html>", b"HTTP/2", b"HTTP/1.1 200 OK\n", LINE + b"X: a\n", LINE + b"X: a\n\n"]
)
def test_refused_in_part(part: bytes) -> None:
    """What cannot become a reply any more is refused before it ends, byte by byte as at once."""
    for pieces in ([part], [part[at : at + 1] for at in range(len(part))]):
        head = Head()

        with pytest.raises(NoReply) as nothing:
            [head.feed(piece) for piece in pieces]

        assert nothing.value.reason is Reason.HTTP_PROTOCOL_ERROR


def test_bounds() -> None:
    """A head of 64 KiB or of 200 fields is read, and one byte or field more is not (contract 8)."""
    frame = len(LINE + b"X: " + b"\r\n" + END)
    read(LINE + b"X: " + b"a" * (HEAD_LIMIT_BYTES - frame) + b"\r\n" + END)
    read(LINE + b"X: a\r\n" * HEAD_LIMIT_FIELDS + END)

    for over in (
        LINE + b"X: " + b"a" * (HEAD_LIMIT_BYTES - frame + 1) + b"\r\n" + END,
        LINE + b"X: a\r\n" * (HEAD_LIMIT_FIELDS + 1) + END,
        LINE + b"X: " + b"a" * HEAD_LIMIT_BYTES,
    ):
        with pytest.raises(NoReply) as nothing:
            Head().feed(over)
        assert nothing.value.reason is Reason.HTTP_RESPONSE_HEADER_SECTION_SIZE


def test_interim_heads() -> None:
    """A hundred interim heads are passed over, with whatever framing they claim; one more is no reply (W-041)."""
    interim = b"HTTP/1.1 199 Odd\r\nContent-Length: 5\r\n\r\n"
    head = Head()

    assert head.feed(interim) is None
    assert head.feed(interim * (INTERIM_LIMIT - 1) + LINE + END + b"x") == b"x"

    assert head.length is None
    with pytest.raises(NoReply):
        Head().feed(interim * (INTERIM_LIMIT + 1))


@pytest.mark.parametrize(("start", "persists"), [(b"HTTP/1.1 204 No\r\n", True), (b"HTTP/1.0 204 No\r\n", False)])
def test_version(start: bytes, persists: bool) -> None:
    """A connection of HTTP/1.0 is never used again, whatever it promises."""
    head = Head()

    head.feed(start + b"Connection: keep-alive\r\n" + END)

    assert head.persist is persists
