"""
What an engine reads: every way a reply can be framed, and every way it can break. Tables, one row a reply.

One file, since it is two tables.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from gateway.upstream import HEAD_LIMIT_BYTES, HEAD_LIMIT_FIELDS, INTERIM_LIMIT, Cut, NoReply, Reason
from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, PATIENCE, SOON, Body, Connection, ask, call, replies, stall, until

LINE = b"HTTP/1.1 200 OK\r\n"
CHUNKED = LINE + b"Transfer-Encoding: chunked\r\n\r\n"

# Each: the method, the reply, its status and content, and whether the connection may be used again.
WHOLE = {
    "length": (b"GET", OK, 200, b"ok", True),
    "empty": (b"GET", LINE + b"Content-Length: 0\r\n\r\n", 200, b"", True),
    "equal-lengths": (b"GET", LINE + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
    "listed-lengths": (b"GET", LINE + b"Content-Length: 2, 2\r\n\r\nok", 200, b"ok", True),
    "offers-an-upgrade": (b"GET", LINE + b"Upgrade: h2c\r\nConnection: Upgrade\r\n" + OK[17:], 200, b"ok", True),
    "no-reason": (b"GET", b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
    "chunked": (b"GET", CHUNKED + b"2\r\nok\r\nA\r\n0123456789\r\n0\r\n\r\n", 200, b"ok0123456789", True),
    "chunk-extensions": (b"GET", CHUNKED + b'2;a=b;c="d"\r\nok\r\n0;x\r\n\r\n', 200, b"ok", True),
    "padded-chunk-sizes": (b"GET", CHUNKED + b"2 \t\r\nok\r\n0  \r\n\r\n", 200, b"ok", True),
    "leading-zeros": (b"GET", CHUNKED + b"0002\r\nok\r\n0000\r\n\r\n", 200, b"ok", True),
    "trailers": (b"GET", CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n", 200, b"ok", True),
    "until-close": (b"GET", LINE + b"\r\nall of it", 200, b"all of it", False),
    "says-close": (b"GET", LINE + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
    "http-1.0": (b"GET", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
    "head-length": (b"HEAD", LINE + b"Content-Length: 99\r\n\r\n", 200, b"", True),
    "head-chunked": (b"HEAD", CHUNKED, 200, b"", True),
    "head-error": (b"HEAD", b"HTTP/1.1 404 No\r\nContent-Length: 99\r\n\r\n", 404, b"", True),
    "no-content": (b"DELETE", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "no-content-with-a-length": (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, b"", True),
    "not-modified": (b"GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304, b"", True),
    "not-modified-with-a-length": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b"", True),
    "continue-first": (b"GET", b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok", True),
    "hints-first": (b"GET", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2 + OK, 200, b"ok", True),
    "1xx-with-a-length": (b"GET", b"HTTP/1.1 102 P\r\nContent-Length: 5\r\n\r\n" + OK, 200, b"ok", True),
    "199-first": (b"GET", b"HTTP/1.1 199 Odd\r\n\r\n" + OK, 200, b"ok", True),
    "100-interims": (b"GET", b"HTTP/1.1 103 E\r\n\r\n" * INTERIM_LIMIT + OK, 200, b"ok", True),
    "299": (b"GET", b"HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nok", 299, b"ok", True),
    "599": (b"GET", b"HTTP/1.1 599 Odd\r\nContent-Length: 2\r\n\r\nok", 599, b"ok", True),
    "most-fields": (b"GET", LINE + b"X: 1\r\n" * (HEAD_LIMIT_FIELDS - 1) + OK[17:], 200, b"ok", True),
    "big-head": (b"GET", LINE + b"X: " + b"1" * 60_000 + b"\r\n" + OK[17:], 200, b"ok", True),
}

# What came before the vendor ended the connection, and why that is no reply.
NO_WHOLE_HEAD = {
    "nothing": (b"", Reason.CONNECTION_TERMINATED),
    "half-a-line": (b"HTTP/1.1 2", Reason.HTTP_RESPONSE_INCOMPLETE),
    "half-a-head": (LINE + b"Content-Le", Reason.HTTP_RESPONSE_INCOMPLETE),
    "only-an-interim": (b"HTTP/1.1 100 Continue\r\n\r\n", Reason.HTTP_RESPONSE_INCOMPLETE),
    "only-199": (b"HTTP/1.1 199 Odd\r\n\r\n", Reason.HTTP_RESPONSE_INCOMPLETE),
    "half-behind-an-interim": (b"HTTP/1.1 100 Continue\r\n\r\nHTT", Reason.HTTP_RESPONSE_INCOMPLETE),
}

# Each: what the vendor says before it stalls: no reply, however long one waits.
NO_HTTP = {
    "switching-protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + OK,
    "101-interims": b"HTTP/1.1 103 E\r\n\r\n" * (INTERIM_LIMIT + 1) + OK,
    "600": b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\nok",
    "999": b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok",
    "099": b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok",
    "1000": b"HTTP/1.1 1000 Odd\r\nContent-Length: 2\r\n\r\nok",
    "20": b"HTTP/1.1 20 Odd\r\nContent-Length: 2\r\n\r\nok",
    "no-number": b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok",
    "http-2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "tls-alert": b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
    "html": b"<html><body>no</body></html>\r\n\r\n",
    "two-lengths": LINE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "negative-length": LINE + b"Content-Length: -2\r\n\r\nok",
    "worded-length": LINE + b"Content-Length: two\r\n\r\nok",
    "signed-length": LINE + b"Content-Length: +2\r\n\r\nok",
    "unknown-coding": LINE + b"Transfer-Encoding: gzip\r\n\r\nok",
    "two-codings": LINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "nul-in-a-value": LINE + b"X: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    "space-before-the-colon": LINE + b"X : a\r\nContent-Length: 2\r\n\r\nok",
    "space-in-a-name": LINE + b"X Y: a\r\nContent-Length: 2\r\n\r\nok",
    "no-colon": LINE + b"X\r\nContent-Length: 2\r\n\r\nok",
    "no-name": LINE + b": a\r\nContent-Length: 2\r\n\r\nok",
}

TOO_LARGE = {
    "one-field": LINE + b"X: " + b"1" * HEAD_LIMIT_BYTES + b"\r\n" + OK[17:],
    "many-fields": LINE + b"X: 1\r\n" * HEAD_LIMIT_FIELDS + OK[17:],
    "many-large-fields": LINE + (b"X: " + b"1" * 4096 + b"\r\n") * 17 + OK[17:],
    "without-an-end": LINE + b"X: " + b"1" * (3 * HEAD_LIMIT_BYTES),
    "a-line-without-an-end": b"HTTP/1.1 200 " + b"O" * (3 * HEAD_LIMIT_BYTES),
}

# Each: what came of the body, and the part of it that the caller still gets.
CUT = {
    "short-length": (LINE + b"Content-Length: 9\r\n\r\nhello", b"hello"),
    "no-byte-of-a-length": (LINE + b"Content-Length: 9\r\n\r\n", b""),
    "no-last-chunk": (CHUNKED + b"5\r\nhello\r\n", b"hello"),
    "half-a-last-chunk": (CHUNKED + b"5\r\nhello\r\n0\r\n", b"hello"),
    "half-a-trailer": (CHUNKED + b"5\r\nhello\r\n0\r\nX: ", b"hello"),
    "half-a-size": (CHUNKED + b"5\r\nhello\r\n5", b"hello"),
    "bad-size": (CHUNKED + b"5\r\nhello\r\nxyz\r\nhello\r\n0\r\n\r\n", b"hello"),
    "negative-size": (CHUNKED + b"5\r\nhello\r\n-5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "huge-size": (CHUNKED + b"5\r\nhello\r\n" + b"F" * 40 + b"\r\nhello\r\n0\r\n\r\n", b"hello"),
    "empty-size": (CHUNKED + b"5\r\nhello\r\n\r\n0\r\n\r\n", b"hello"),
    "prefixed-size": (CHUNKED + b"5\r\nhello\r\n0x2\r\nok\r\n0\r\n\r\n", b"hello"),
    "endless-extension": (CHUNKED + b"5\r\nhello\r\n2;" + b"a" * 200_000 + b"\r\nok\r\n0\r\n\r\n", b"hello"),
    "endless-size": (CHUNKED + b"5\r\nhello\r\n" + b"0" * 200_000, b"hello"),
    "endless-trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nX: " + b"a" * 200_000, b"hello"),
    "no-line-break-behind-a-chunk": (CHUNKED + b"5\r\nhelloXX0\r\n\r\n", b"hello"),
}


def ending(*answer: bytes, reset: bool = False) -> Callable[[Connection], Awaitable[None]]:
    """Answer a request with this, and end the connection."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(*answer)
        if reset:
            # What was written must have been read: an RST takes back what was not.
            await asyncio.sleep(0.02)
            connection.rst()

    return script


def staying(answer: bytes) -> Callable[[Connection], Awaitable[None]]:
    """Answer a request with this, and keep the connection open."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer)
        await connection.gone()

    return script


@pytest.mark.parametrize("row", WHOLE)
async def test_whole_reply(connect: Making, serve: Serving, row: str) -> None:
    """A reply is read to the end that its framing says, and its connection is used again where that may be."""
    method, answer, status, content, again = WHOLE[row]
    vendor = await serve(ending(answer) if answer == WHOLE["until-close"][1] else replies(answer))
    upstream = connect(vendor.url)

    answers = [await ask(upstream, call(method)) for _ in range(2)]

    assert [(answer.status, answer.body) for answer in answers] == [(status, content)] * 2
    assert len(vendor.connections) == (1 if again else 2)


@pytest.mark.parametrize("row", ["length", "chunked", "trailers", "no-content", "hints-first"])
async def test_dripped_reply(connect: Making, serve: Serving, row: str) -> None:
    """A reply that comes byte by byte is the same reply."""
    method, answer, status, content, _ = WHOLE[row]
    vendor = await serve(ending(*(answer[at : at + 1] for at in range(len(answer)))))

    got = await ask(connect(vendor.url), call(method))

    assert (got.status, got.body) == (status, content)


async def test_fields_as_they_came(connect: Making, serve: Serving) -> None:
    """Fields come in their order, repeated ones apart, in the vendor's case; values without the space around them."""
    vendor = await serve(
        replies(LINE + b"Set-Cookie: a=1\r\nx-B:  \t2 \r\nSET-COOKIE: b=\xe4\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n")
    )

    answer = await ask(connect(vendor.url))

    assert answer.headers == [
        (b"Set-Cookie", b"a=1"),
        (b"x-B", b"2"),
        (b"SET-COOKIE", b"b=\xe4"),
        (b"X-Empty", b""),
        (b"Content-Length", b"0"),
    ]


LENGTH, CODING = b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("fields", [LENGTH + CODING, CODING + LENGTH], ids=["length-first", "chunked-first"])
async def test_length_beside_chunks(connect: Making, serve: Serving, fields: bytes) -> None:
    """Of two framings the chunks count, and the length is nowhere believed (W-047)."""
    vendor = await serve(replies(LINE + fields + b"\r\n2\r\nok\r\n0\r\n\r\n"))
    upstream = connect(vendor.url)

    answers = [await ask(upstream) for _ in range(2)]

    assert [answer.body for answer in answers] == [b"ok", b"ok"]


async def test_control_in_a_value(connect: Making, serve: Serving) -> None:
    """A control character in a value costs at most its field (W-052)."""
    vendor = await serve(replies(LINE + b"X: a\x07b\r\nY: 1\r\n" + OK[17:]))

    answer = await ask(connect(vendor.url))

    assert answer.body == b"ok"
    assert (b"Y", b"1") in answer.headers


async def test_whole(connect: Making, serve: Serving) -> None:
    """What an exchange calls its whole body is that, and can still be read as it arrives."""
    vendor = await serve(replies(OK))
    upstream = connect(vendor.url)

    async with upstream.exchange(call()) as exchange:
        assert exchange.whole in {None, b"ok"}
        assert [chunk async for chunk in exchange.chunks()] == [b"ok"]


async def test_reply_before_the_request(connect: Making, serve: Serving) -> None:
    """A vendor that refuses a connection may say so before it is asked."""

    async def script(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 503 Full\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfull")
        await connection.gone()

    vendor = await serve(script)

    answer = await ask(connect(vendor.url))

    assert (answer.status, answer.body) == (503, b"full")


def ahead(listener: socket.socket, said: threading.Event) -> None:
    """Be a vendor that is one numbered reply ahead, on one connection after the other."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.settimeout(PATIENCE)
            for number in count():
                connection.sendall(LINE + b"Content-Length: 1\r\n\r\n%d" % number)
                if number == 0:
                    said.set()
                if not connection.recv(65536):
                    break


async def test_replies_before_their_requests(connect: Making) -> None:
    """A vendor that is one reply ahead of us never answers a request with what was meant for the one before."""
    said, seen = threading.Event(), []

    def ready() -> None:
        said.wait(PATIENCE)
        said.clear()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        vendor = threading.Thread(target=ahead, args=(listener, said), daemon=True)
        vendor.start()
        upstream = connect(f"http://127.0.0.1:{listener.getsockname()[1]}", max_connections=1)

        for _ in range(3):
            made = call()
            made.ready = ready
            seen.append((await ask(upstream, made)).body)

        listener.shutdown(socket.SHUT_RDWR)
    await asyncio.to_thread(vendor.join, PATIENCE)

    assert seen == [b"0"] * 3


@pytest.mark.parametrize("answer", [LINE + b"X: a\r\n b\r\n" + OK[17:], OK.replace(b"\r\n", b"\n")])
async def test_refused_or_read_right(connect: Making, serve: Serving, answer: bytes) -> None:
    """A folded line is one field or no reply, a bare line feed ends a line or there is no reply (W-051)."""
    vendor = await serve(staying(answer))
    upstream = connect(vendor.url)

    try:
        got = await ask(upstream, call(first_byte=0.3))
    except NoReply as nothing:
        assert nothing.reason in {Reason.HTTP_PROTOCOL_ERROR, Reason.HTTP_RESPONSE_TIMEOUT}  # noqa: PT017  (either)
    else:
        assert got.body == b"ok"
        assert [(n, v) for n, v in got.headers if n == b"X"] in ([], [(b"X", b"a b")])


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("row", NO_WHOLE_HEAD)
async def test_ended_before_a_whole_head(connect: Making, serve: Serving, row: str, reset: bool) -> None:
    """A vendor that ends the connection in the head gave no reply; whether a byte of one was seen is told apart."""
    answer, reason = NO_WHOLE_HEAD[row]
    vendor = await serve(ending(answer, reset=reset))
    upstream, made = connect(vendor.url), call()

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, made)

    assert nothing.value.reason is reason
    assert (made.sent_at is not None, made.head_at) == (True, None)
    assert upstream.connections() == (0, 0, 4)


@pytest.mark.parametrize("row", NO_HTTP)
async def test_no_http(connect: Making, serve: Serving, row: str) -> None:
    """What is no reply of HTTP is said so at once, and its connection is gone (contract 8)."""
    vendor = await serve(staying(NO_HTTP[row]))
    upstream = connect(vendor.url)

    with pytest.raises(NoReply) as nothing:
        await ask(upstream)

    assert nothing.value.reason is Reason.HTTP_PROTOCOL_ERROR
    assert upstream.connections() == (0, 0, 4)
    assert await until(lambda: vendor.open == 0)


@pytest.mark.parametrize("row", TOO_LARGE)
async def test_head_too_large(connect: Making, serve: Serving, row: str) -> None:
    """A head over 64 KiB or 200 fields is no reply, whether it ends or not (contract 8)."""
    vendor = await serve(staying(TOO_LARGE[row]))
    upstream = connect(vendor.url)

    with pytest.raises(NoReply) as nothing:
        await ask(upstream)

    assert nothing.value.reason is Reason.HTTP_RESPONSE_HEADER_SECTION_SIZE
    assert upstream.connections() == (0, 0, 4)
    assert await until(lambda: vendor.open == 0)


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("row", CUT)
async def test_cut(connect: Making, serve: Serving, row: str, reset: bool) -> None:
    """A body that ends before its end is cut, behind every byte that came of it, and its connection is gone."""
    answer, content = CUT[row]
    vendor = await serve(ending(answer, reset=reset))
    upstream, got = connect(vendor.url), bytearray()

    with pytest.raises(Cut) as cut:
        await ask(upstream, into=got)

    assert cut.value.reason is Reason.HTTP_RESPONSE_INCOMPLETE
    assert got == content
    assert upstream.connections() == (0, 0, 4)


async def test_reset_of_a_body_until_close(connect: Making, serve: Serving) -> None:
    """A body that lasts until the connection ends is whole at a FIN only."""
    vendor = await serve(ending(LINE + b"\r\nall of", reset=True))

    with pytest.raises(Cut):
        await ask(connect(vendor.url))


@pytest.mark.parametrize(
    ("deadlines", "answer"),
    [
        ((0.1, 5), b""),
        ((0.1, 5), b"HTTP/1.1 100 Continue\r\n\r\n"),
        ((0.1, 5), LINE + b"X-Half: a"),
        ((5, 0.1), b""),
        ((5, 0.1), LINE),
    ],
)
async def test_stalled_head(connect: Making, serve: Serving, deadlines: tuple[float, float], answer: bytes) -> None:
    """A head that does not come in time is a time-out, by `first_byte` as by `total`; its connection is gone."""
    vendor = await serve(staying(answer))
    upstream, began = connect(vendor.url), time.perf_counter()

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, call(first_byte=deadlines[0], total=deadlines[1]))

    assert nothing.value.reason is Reason.HTTP_RESPONSE_TIMEOUT
    assert 0.09 < time.perf_counter() - began < SOON  # an event loop counts in milliseconds
    assert await until(lambda: vendor.open == 0)


async def test_dripped_head(connect: Making, serve: Serving) -> None:
    """A head that never ends is bounded by `total`, however regularly its bytes come (W-124)."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(LINE + b"X: ")
        while True:
            await connection.send(b"a")
            await asyncio.sleep(0.02)

    vendor = await serve(script)

    with pytest.raises(NoReply) as nothing:
        await ask(connect(vendor.url), call(first_byte=0.1, total=0.3))

    assert nothing.value.reason is Reason.HTTP_RESPONSE_TIMEOUT


async def test_stalled_body(connect: Making, serve: Serving) -> None:
    """A body that pauses for longer than `idle` is cut; `total` and `first_byte` ended with the head."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(LINE + b"Content-Length: 9\r\n\r\n")
        for _ in range(3):
            await asyncio.sleep(0.25)
            await connection.send(b"a")
        await connection.gone()

    vendor = await serve(script)
    upstream, got = connect(vendor.url), bytearray()

    with pytest.raises(Cut) as cut:
        await ask(upstream, call(total=0.5, first_byte=0.5, idle=1.0), into=got)

    assert (cut.value.reason, bytes(got)) == (Reason.HTTP_RESPONSE_TIMEOUT, b"aaa")
    assert await until(lambda: vendor.open == 0)


async def test_vendor_that_takes_no_more(connect: Making, serve: Serving) -> None:
    """A write that pauses for longer than `idle` is a time-out of its own."""

    async def script(connection: Connection) -> None:
        await connection.head()
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads, too
        await asyncio.Event().wait()

    vendor = await serve(script)
    body = Body([b"x" * 65536] * 500)

    with pytest.raises(NoReply) as nothing:
        await ask(connect(vendor.url), call(b"POST", body=body, idle=0.2))

    assert nothing.value.reason is Reason.CONNECTION_WRITE_TIMEOUT
    assert body.given < 500


async def test_marks(connect: Making, serve: Serving) -> None:
    """The call says when it began, got its connection, was sent and had its head, in that order."""
    vendor = await serve(replies(OK))
    upstream, made = connect(vendor.url), call()
    before = time.perf_counter()

    async with upstream.exchange(made) as exchange:
        assert made.connected_at is not None
        assert made.sent_at is not None
        assert made.head_at is not None
        assert before <= made.began_at <= made.connected_at <= made.sent_at <= made.head_at <= time.perf_counter()
        assert [chunk async for chunk in exchange.chunks()] == [b"ok"]


async def test_another_try_has_its_own_marks(connect: Making, serve: Serving) -> None:
    """The same request again begins without a mark, with what is left of the time."""
    vendor = await serve(stall)
    made = call(total=0.05)
    with pytest.raises(NoReply):
        await ask(connect(vendor.url), made)

    again = made.again(total=1.5)

    assert (again.method, again.target, again.headers) == (made.method, made.target, made.headers)
    assert (again.began_at, again.connected_at, again.sent_at, again.head_at) == (0.0, None, None, None)
    assert (again.timeouts.total, again.timeouts.idle) == (1.5, made.timeouts.idle)
