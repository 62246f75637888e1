"""A reply's content: where it ends, what is left of it when it breaks, and what may be thrown away."""

import pytest

from gateway.upstream.http1.content import EXTRA_LIMIT_BYTES, Chunked, Content, Sized, UntilClose

# Each: a body in chunks, and its content; it ends where the row ends.
WHOLE = {
    "nothing": (b"0\r\n\r\n", b""),
    "one": (b"2\r\nok\r\n0\r\n\r\n", b"ok"),
    "two": (b"2\r\nok\r\n00A\r\n0123456789\r\n000\r\n\r\n", b"ok0123456789"),
    "line-breaks-inside": (b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", b"\r\n0\r\n\r"),
    "extensions": (b'2;a="b;c" ;d\r\nok\r\n0;e=\xe9\r\n\r\n', b"ok"),
    "spaces": (b"2 \t\r\nok\r\n0 ;a\r\n\r\n", b"ok"),
    "trailers": (b"2\r\nok\r\n0\r\nX: 1\r\nY:\r\n\r\n", b"ok"),
    "most-extensions": (b"2;" + b"a" * (EXTRA_LIMIT_BYTES - 3) + b"\r\nok\r\n0\r\n\r\n", b"ok"),
}
# Each: what breaks behind `2\r\nok\r\n`.
BROKEN = {
    "empty": b"\r\n",
    "letters": b"xyz\r\n",
    "negative": b"-2\r\n",
    "signed": b"+2\r\n",
    "prefixed": b"0x2\r\n",
    "underscored": b"1_0\r\n",
    "space-first": b" 2\r\n",
    "foreign-digit": "٢\r\n".encode(),
    "seventeen-digits": b"0" * 17 + b"\r\n",
    "bare-line-feed": b"2\nok\r\n",
    "bare-carriage-return": b"2\rok\r\n",
    "nul-in-an-extension": b"2;a\0b\r\n",
    "line-feed-in-an-extension": b"2;a\nb\r\n",
    "too-many-extensions": (b"1;" + b"a" * (EXTRA_LIMIT_BYTES // 2) + b"\r\nx\r\n") * 2,
    "endless-extension": b"1;" + b"a" * (EXTRA_LIMIT_BYTES + 20),
    "endless-trailer": b"0\r\nX: " + b"a" * (EXTRA_LIMIT_BYTES + 20),
    "too-many-trailers": b"0\r\n" + b"X: a\r\n" * (EXTRA_LIMIT_BYTES // 6 + 1),
    "line-feed-in-a-trailer": b"0\r\nX: a\nb\r\n\r\n",
    "no-break-behind-a-chunk": b"2\r\nokk",
    "half-a-break-behind-a-chunk": b"2\r\nok\r\r\n",
}


def fed(content: Content, *pieces: bytes) -> bytes:
    """What it makes of these pieces."""
    return b"".join([content.feed(piece) for piece in pieces if not content.broken])


@pytest.mark.parametrize("row", WHOLE)
def test_chunks(row: str) -> None:
    """Chunks are read to their end, wherever they are divided on their way, and what follows is told (W-171)."""
    data, expected = WHOLE[row]

    for at in range(len(data)):
        content = Chunked()
        assert fed(content, data[:at], data[at:]) == expected
        assert (content.ended, content.surplus, content.broken) == (True, False, False)
        assert content.close()
    for surplus in (b"\r", b"\n", b"\r\n", b"x", b"HTTP/1.1 200 OK\r\n\r\n"):
        content = Chunked()
        assert fed(content, data + surplus) == expected
        assert (content.ended, content.surplus) == (True, True)


def test_chunks_byte_by_byte() -> None:
    """Chunks that drip are the same chunks; those without an end have not ended."""
    for data, expected in WHOLE.values():
        content = Chunked()
        assert fed(content, *(data[at : at + 1] for at in range(len(data) - 1))) == expected
        assert not content.ended
        assert not content.close()
        content.feed(data[-1:])
        assert content.ended


@pytest.mark.parametrize("row", BROKEN)
def test_broken_chunks(row: str) -> None:
    """What is no chunk breaks the body where it stands; what came before is content (F-20)."""
    data = b"2\r\nok\r\n" + BROKEN[row]

    for pieces in ([data], [data[:5], data[5:]], [data[:9], data[9:]]):
        content = Chunked()
        assert fed(content, *pieces).startswith(b"ok")
        assert content.broken
        assert not content.ended


def test_length() -> None:
    """A body of a length ends there, wherever it is divided; what follows is told."""
    for at in range(6):
        content = Sized(5)
        assert fed(content, b"hello"[:at], b"hello"[at:]) == b"hello"
        assert (content.ended, content.surplus, content.broken) == (True, False, False)
    content = Sized(5)
    assert content.feed(b"hell") == b"hell"
    assert not content.close()
    assert content.feed(b"o!") == b"o"
    assert (content.ended, content.surplus, content.close()) == (True, True, True)
    assert Sized(0).ended


def test_until_close() -> None:
    """A body without a framing is all that comes, and ends with the connection."""
    content = UntilClose()

    assert fed(content, b"all", b" of it") == b"all of it"
    assert not content.ended
    assert content.close()
    assert content.ended
