"""What an engine writes: the call's bytes, each of them and no other."""

import pytest

from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, Body, Connection, ask, call, replies, until

METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")

TARGETS = (
    b"/",
    b"//a//b/",
    b"/a/../b/./c",
    b"/a%2Fb%2f%41?x=%20&x=+&;=",
    b"/a?",
    b"/a??b=/c?d",
    b"/;p=1/!$&'()*+,=:@~",
    b'/"<>\\^`{|}',
    b"*",
)

# Each: the header that frames the body, its pieces, and what must stand on the wire.
BODIES = {
    "empty": ((b"Content-Length", b"0"), (), b""),
    "length": ((b"Content-Length", b"11"), (b"hello ", b"", b"world"), b"hello world"),
    "binary": ((b"content-length", b"256"), (bytes(range(256)),), bytes(range(256))),
    "chunked": ((b"Transfer-Encoding", b"chunked"), (b"hello", b"", b"12345678901"), None),
    "chunked-empty": ((b"Transfer-Encoding", b"chunked"), (), None),
}


def unchunked(data: bytes) -> bytes:
    """The content of a chunked body without trailers."""
    content = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        count = int(size, 16)
        content, end, data = content + data[:count], data[count : count + 2], data[count + 2 :]
        assert end == b"\r\n"
        if count == 0:
            assert data == b""
            return content


@pytest.mark.parametrize("method", METHODS)
async def test_method(connect: Making, serve: Serving, method: bytes) -> None:
    """Every method goes out as it is, without a body where there is none, and nothing is added."""
    vendor = await serve(replies(b"HTTP/1.1 204 No Content\r\n\r\n"))

    await ask(connect(vendor.url), call(method))

    assert vendor.requests == [method + b" /x HTTP/1.1\r\nHost: vendor.example\r\n\r\n"]


@pytest.mark.parametrize("target", TARGETS)
async def test_target(connect: Making, serve: Serving, target: bytes) -> None:
    """The target goes out byte for byte (W-057)."""
    vendor = await serve(replies(OK))

    await ask(connect(vendor.url), call(target=target))

    assert vendor.requests == [b"GET " + target + b" HTTP/1.1\r\nHost: vendor.example\r\n\r\n"]


async def test_headers(connect: Making, serve: Serving) -> None:
    """Fields go out in their order and their case, repeated ones on lines of their own."""
    vendor = await serve(replies(OK))
    headers = [(b"X-B", b"1"), (b"x", b""), (b"X-b", b"2, 3"), (b"Cookie", b"c"), (b"X-L", b"\xe4 \xff")]

    await ask(connect(vendor.url), call(headers=headers))

    assert vendor.requests == [
        b"GET /x HTTP/1.1\r\nHost: vendor.example\r\nX-B: 1\r\nx: \r\nX-b: 2, 3\r\nCookie: c\r\nX-L: \xe4 \xff\r\n\r\n"
    ]


@pytest.mark.parametrize("name", BODIES)
async def test_body(connect: Making, serve: Serving, name: str) -> None:
    """A body goes out in the framing that its headers say, and an empty piece does not end it."""
    framing, pieces, expected = BODIES[name]
    vendor = await serve(replies(OK))

    await ask(connect(vendor.url), call(b"POST", headers=[framing], body=Body(pieces)))

    head, _, sent = vendor.requests[0].partition(b"\r\n\r\n")
    assert head == b"POST /x HTTP/1.1\r\nHost: vendor.example\r\n" + b": ".join(framing)
    assert (unchunked(sent) if expected is None else sent) == b"".join(pieces)


@pytest.mark.parametrize("name", BODIES)
async def test_body_that_is_here(connect: Making, serve: Serving, name: str) -> None:
    """A body that is given whole goes out in the same framing."""
    framing, pieces, expected = BODIES[name]
    vendor = await serve(replies(OK))
    made = call(b"POST", headers=[framing], body=Body(()))
    made.body = b"".join(pieces)

    await ask(connect(vendor.url), made)

    head, _, sent = vendor.requests[0].partition(b"\r\n\r\n")
    assert head == b"POST /x HTTP/1.1\r\nHost: vendor.example\r\n" + b": ".join(framing)
    assert (unchunked(sent) if expected is None else sent) == b"".join(pieces)


async def test_large_body_that_is_here(connect: Making, serve: Serving) -> None:
    """A body that is given whole and does not fit into the system's buffers arrives, too."""
    data = bytes(range(256)) * 32768
    vendor = await serve(replies(OK))
    made = call(b"PUT", headers=[(b"Content-Length", b"%d" % len(data))], body=Body(()))
    made.body = data
    upstream = connect(vendor.url)

    answer = await ask(upstream, made)

    assert answer.body == b"ok"
    assert vendor.requests[0].endswith(b"\r\n\r\n" + data)
    assert upstream.connections() == (0, 1, 3)


@pytest.mark.parametrize("name", ["length", "chunked"])
async def test_body_that_breaks_off(connect: Making, serve: Serving, name: str) -> None:
    """What the body's source raises goes through, and the message to the vendor cannot look whole (W-046)."""
    framing = BODIES[name][0]
    vendor = await serve(stay)
    body = Body([b"hello "], error=LookupError("the source broke"))
    made = call(b"POST", headers=[framing], body=body)

    with pytest.raises(LookupError):
        await ask(connect(vendor.url), made)

    assert await until(lambda: vendor.open == 0)
    assert vendor.connections[0].received.endswith((b"hello ", b"hello \r\n"))
    assert made.sent_at is not None


async def stay(connection: Connection) -> None:
    """Read, and never answer."""
    await connection.gone()


async def test_a_megabyte_goes_out_while_it_is_made(connect: Making, serve: Serving) -> None:
    """A body is sent as it comes: the vendor holds its first piece before the last one exists."""

    async def first_piece_is_there() -> None:
        assert await until(lambda: b"a" * 1024 in vendor.connections[0].received)

    vendor = await serve(replies(OK))
    body = Body([b"a" * 1024] * 1024, before_error=first_piece_is_there)

    answer = await ask(connect(vendor.url), call(b"PUT", headers=[(b"Content-Length", b"1048576")], body=body))

    assert answer.body == b"ok"
    assert len(vendor.requests[0].partition(b"\r\n\r\n")[2]) == 1048576
