"""A reply that comes before the request is sent to its end (W-161): an error stops the upload, a success does not."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from gateway.upstream import NoReply, Reason
from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, SOON, Body, Connection, ask, call, until

REFUSED = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Gradual(Body):
    """A body whose pieces come 20 ms apart."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the pieces."""
        async for piece in super().__aiter__():
            await asyncio.sleep(0.02)
            yield piece


async def test_early_error_stops_the_upload(connect: Making, serve: Serving) -> None:
    """An error that comes during the upload is here at once, and the rest of the body is not asked for."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(REFUSED)
        await connection.gone()

    vendor = await serve(script)
    upstream, body, began = connect(vendor.url), Gradual([b"a"] * 200), time.perf_counter()

    answer = await ask(upstream, call(b"POST", body=body))

    assert (answer.status, answer.body) == (413, b"no")
    assert time.perf_counter() - began < SOON
    given = body.given
    await asyncio.sleep(0.05)
    assert body.given == given < 200
    assert upstream.connections() == (0, 0, 4)
    assert await until(lambda: vendor.open == 0)
    assert not vendor.connections[0].received.endswith(b"0\r\n\r\n")


async def test_early_error_of_a_vendor_that_ends(connect: Making, serve: Serving) -> None:
    """An error whose connection ends at once is read, although the body can no longer be written."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(REFUSED)

    vendor = await serve(script)

    answer = await ask(connect(vendor.url), call(b"POST", body=Body([b"a" * 65536] * 300)))

    assert (answer.status, answer.body) == (413, b"no")


async def test_early_success_lets_the_upload_go_on(connect: Making, serve: Serving) -> None:
    """Under a success both bodies flow at once, and the connection is used again."""

    async def script(connection: Connection) -> None:
        while True:
            head = await connection.head()
            if b"POST" not in head:
                await connection.send(OK)
                continue
            await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(5):
                piece = await connection.read(6)
                await connection.send(piece)
            await connection.read(5)
            await connection.send(b"0\r\n\r\n")

    vendor = await serve(script)
    upstream, body = connect(vendor.url), Gradual([b"%d" % number for number in range(5)])

    answer = await ask(upstream, call(b"POST", body=body))
    after = await ask(upstream)

    assert (answer.status, answer.body) == (200, b"01234")
    assert after.body == b"ok"
    assert len(vendor.connections) == 1


async def test_early_success_that_is_over_first(connect: Making, serve: Serving) -> None:
    """A success that ends before the upload is whole; its connection is not used again."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(OK)
        await connection.gone()

    vendor = await serve(script)
    upstream, body = connect(vendor.url), Gradual([b"a"] * 200)

    answer = await ask(upstream, call(b"POST", body=body))

    assert answer.body == b"ok"
    assert body.given < 200
    assert upstream.connections() == (0, 0, 4)


@pytest.mark.parametrize("answer", [b"", CONTINUE, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"])
async def test_source_breaks_while_the_vendor_waits(connect: Making, serve: Serving, answer: bytes) -> None:
    """What the body's source raises goes through, whatever of a reply has come: the caller hung up, say (W-157)."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(answer)
        await connection.gone()

    vendor = await serve(script)
    upstream, began = connect(vendor.url), time.perf_counter()

    with pytest.raises(LookupError):
        await ask(upstream, call(b"POST", body=Gradual([b"a"] * 5, error=LookupError("gone"))))

    assert time.perf_counter() - began < SOON
    assert upstream.connections() == (0, 0, 4)
    assert await until(lambda: vendor.open == 0)


async def test_interim_during_the_upload(connect: Making, serve: Serving) -> None:
    """After an interim reply the time for the head counts from the request's last byte, not from the interim."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(CONTINUE)
        await connection.reader.readuntil(b"\r\n0\r\n\r\n")
        await connection.send(OK)

    vendor = await serve(script)

    answer = await ask(connect(vendor.url), call(b"POST", body=Gradual([b"a"] * 15), first_byte=0.15))

    assert answer.body == b"ok"


async def test_stall_behind_an_interim(connect: Making, serve: Serving) -> None:
    """After an interim reply and the whole upload a head that does not come is a time-out by `first_byte`."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(CONTINUE)
        await connection.gone()

    vendor = await serve(script)

    with pytest.raises(NoReply) as nothing:
        await ask(connect(vendor.url), call(b"POST", body=Gradual([b"a"] * 5), first_byte=0.1))

    assert nothing.value.reason is Reason.HTTP_RESPONSE_TIMEOUT


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
async def test_vendor_leaves_during_the_upload(connect: Making, serve: Serving, reset: bool) -> None:
    """A vendor that ends the connection during the upload gave no reply."""

    async def script(connection: Connection) -> None:
        await connection.head()
        if reset:
            connection.rst()

    vendor = await serve(script)
    upstream = connect(vendor.url)

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, call(b"POST", body=Gradual([b"a"] * 200)))

    assert nothing.value.reason is Reason.CONNECTION_TERMINATED
    assert upstream.connections() == (0, 0, 4)


async def test_vendor_takes_no_more_behind_an_interim(connect: Making, serve: Serving) -> None:
    """A write that stalls behind an interim reply is a time-out of its own."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(CONTINUE)
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads, too
        await asyncio.Event().wait()

    vendor = await serve(script)

    with pytest.raises(NoReply) as nothing:
        await ask(connect(vendor.url), call(b"POST", body=Body([b"x" * 65536] * 500), idle=0.2))

    assert nothing.value.reason is Reason.CONNECTION_WRITE_TIMEOUT
