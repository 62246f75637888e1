"""
The connections of the engine of our own: one timer for many exchanges, turns that are passed on, nothing kept.

One file: every test asks when a connection ends, and who is told.
"""

import asyncio
import gc
import time
from typing import cast

import pytest

from gateway.upstream import Cut, NoReply, Reason
from gateway.upstream.http1 import Http1Upstream
from gateway.upstream.http1.exchange import Http1Exchange, head_of
from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, Body, Connection, ask, call, replies, stall, until

pytestmark = pytest.mark.parametrize("engine", ["http1"], indirect=True)


@pytest.mark.parametrize(
    ("answer", "method", "whole"),
    [
        (OK, b"GET", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", b"GET", b"ok"),
        (b"HTTP/1.1 204 No\r\n\r\n", b"GET", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HEAD", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"GET", None),
    ],
)
async def test_whole_with_the_head(
    connect: Making, serve: Serving, answer: bytes, method: bytes, whole: bytes | None
) -> None:
    """A body that came with its head is there without a wait."""
    vendor = await serve(replies(answer))

    async with connect(vendor.url).exchange(call(method)) as exchange:
        assert exchange.whole == whole


@pytest.mark.parametrize("field", [(b"X", b"a\r\nb"), (b"X", b"a\nb"), (b"X\r", b"a"), (b"X", b"a\0b")])
async def test_request_that_would_break_its_head(connect: Making, serve: Serving, field: tuple[bytes, bytes]) -> None:
    """A field that would end its own line is a bug of ours, and nothing of the request goes out."""
    vendor = await serve(replies(OK))

    with pytest.raises(ValueError, match="line break"):
        await ask(connect(vendor.url), call(headers=[field]))

    assert vendor.connections == []


def test_head_of(engine: object) -> None:
    """A request's head is its call, line by line."""
    made = call(b"PUT", b"/a b", [(b"X-A", b""), (b"x-b", b"\xe9")])

    assert head_of(made) == b"PUT /a b HTTP/1.1\r\nHost: vendor.example\r\nX-A: \r\nx-b: \xe9\r\n\r\n"


async def test_small_request_is_one_write(connect: Making, serve: Serving) -> None:
    """A head and a body that is here go out together."""
    parts: list[bytes] = []

    async def script(connection: Connection) -> None:
        while data := await connection.reader.read(65536):
            parts.append(data)
            await connection.send(OK)

    vendor = await serve(script)
    made = call(b"POST", headers=[(b"Content-Length", b"5")])
    made.body = b"hello"

    await ask(connect(vendor.url), made)

    assert parts == [b"POST /x HTTP/1.1\r\nHost: vendor.example\r\nContent-Length: 5\r\n\r\nhello"]


async def test_one_timer(connect: Making, serve: Serving) -> None:
    """Many requests on one connection set one timer; it goes with the connection."""
    vendor = await serve(replies(OK))
    upstream = cast("Http1Upstream", connect(vendor.url))
    await ask(upstream)
    (connection,) = upstream._pool._open
    timer = connection._timer

    for _ in range(5):
        await ask(upstream)

    assert connection._timer is timer
    await upstream.aclose()
    assert await until(lambda: connection._timer is None)


async def test_timer_that_rings_too_early(connect: Making, serve: Serving) -> None:
    """A timer that was set for an earlier exchange does not end a later one."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.request()
        await asyncio.sleep(1.2)
        await connection.send(OK)
        await connection.gone()

    vendor = await serve(script)
    upstream = connect(vendor.url)
    await ask(upstream, call(first_byte=1.0))

    assert (await ask(upstream, call())).body == b"ok"
    assert len(vendor.connections) == 1


async def test_sooner_deadline(connect: Making, serve: Serving) -> None:
    """A later exchange may have less time than the timer of an earlier one leaves."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.gone()

    vendor = await serve(script)
    upstream, began = connect(vendor.url), time.perf_counter()
    await ask(upstream, call(first_byte=60, total=60))

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, call(first_byte=0.1))

    assert nothing.value.reason is Reason.HTTP_RESPONSE_TIMEOUT
    assert time.perf_counter() - began < 30


async def test_idle_connections_are_closed(connect: Making, serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that nobody asks for is closed when its time is over, one after the other."""
    monkeypatch.setattr("gateway.upstream.http1.KEEP_ALIVE_SECONDS", 0.1)
    vendor = await serve(replies(OK))
    upstream = connect(vendor.url)
    async with upstream.exchange(call()) as first:
        await ask(upstream)
        await asyncio.sleep(0.05)
        assert [chunk async for chunk in first.chunks()] == [b"ok"]

    assert len(vendor.connections) == 2
    assert await until(lambda: upstream.connections() == (0, 0, 4))
    assert await until(lambda: vendor.open == 0)


async def test_old_connection(connect: Making, serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is never idle is given up after some minutes: the name may lead elsewhere by then (F-04)."""
    monkeypatch.setattr("gateway.upstream.http1.pool.LONGEST_SECONDS", -1.0)
    vendor = await serve(replies(OK))
    upstream = connect(vendor.url)

    for _ in range(2):
        await ask(upstream)

    assert len(vendor.connections) == 2
    assert upstream.connections() == (0, 0, 4)


async def test_vendor_that_leaves_before_it_is_asked(connect: Making, serve: Serving) -> None:
    """A connection that ends before its first request carried none: nothing was sent."""

    async def script(connection: Connection) -> None:
        connection.writer.close()

    vendor = await serve(script)
    upstream, made = cast("Http1Upstream", connect(vendor.url)), call(b"POST")
    fresh = await upstream._pool.connection(made, asyncio.get_running_loop().time() + 5)
    assert await until(lambda: fresh.closed)
    upstream._pool.idle = lambda: fresh  # type: ignore[method-assign]  # as if it had just been dialled

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, made)

    assert nothing.value.reason is Reason.CONNECTION_TERMINATED
    assert made.sent_at is None


async def test_total_bounds_the_wait(connect: Making, serve: Serving) -> None:
    """A request whose whole time is over while it waits for a connection was not refused by the pool's bound."""
    vendor = await serve(replies(OK))
    upstream = connect(vendor.url, max_connections=1)

    async with upstream.exchange(call()) as exchange:
        with pytest.raises(NoReply) as nothing:
            await ask(upstream, call(total=0.1))
        assert [chunk async for chunk in exchange.chunks()] == [b"ok"]

    assert nothing.value.reason is Reason.CONNECTION_TIMEOUT


async def test_turn_that_comes_too_late(connect: Making, serve: Serving) -> None:
    """A connection that is handed to a request in the moment of its cancellation goes to the next one."""
    vendor = await serve(replies(OK))
    upstream = connect(vendor.url, max_connections=1)

    async with upstream.exchange(call()) as exchange:
        first, second = (asyncio.ensure_future(ask(upstream)) for _ in range(2))
        await asyncio.sleep(0.01)
        assert [chunk async for chunk in exchange.chunks()] == [b"ok"]
        # The end of the body has given the connection back: it is the first one's, which does not know it yet.
        first.cancel()
    await asyncio.wait({first, second})

    assert first.cancelled()
    assert second.result().body == b"ok"
    assert len(vendor.connections) == 1
    assert upstream.connections() == (0, 1, 0)


async def test_connection_that_ends_as_it_is_handed_on(connect: Making, serve: Serving) -> None:
    """Who is handed a connection that has just ended dials another one in its place."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK + (b"HTTP/1.1" if len(vendor.connections) == 1 else b""))
        await connection.gone()

    vendor = await serve(script)
    upstream = connect(vendor.url, max_connections=1)

    answers = await asyncio.gather(*(ask(upstream) for _ in range(2)))

    assert [answer.body for answer in answers] == [b"ok", b"ok"]
    assert len(vendor.connections) == 2


async def test_nothing_is_kept(connect: Making, serve: Serving) -> None:
    """An exchange that is over is garbage at once, without the collector; so is a connection that was closed."""

    async def script(connection: Connection) -> None:
        for _ in range(2):
            await connection.request()
            await connection.send(OK)
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")

    vendor = await serve(script)
    upstream = cast("Http1Upstream", connect(vendor.url))
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            assert (await ask(upstream)).body
            await asyncio.sleep(0)
            assert not [each for each in gc.get_objects() if isinstance(each, Http1Exchange)]
    finally:
        gc.enable()

    assert await until(lambda: not upstream._pool._open)


async def test_refusal_behind_a_write_that_fails(connect: Making, serve: Serving) -> None:
    """What a vendor said before it reset the connection is read, though our write is what noticed the reset (F-33)."""

    async def script(connection: Connection) -> None:
        await connection.head()
        connection.writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        await connection.writer.drain()

    vendor = await serve(script)
    upstream = connect(vendor.url)
    for _ in range(20):
        answer = await ask(upstream, call(b"POST", body=Body([b"x" * 65536] * 100)))
        assert (answer.status, answer.body) == (413, b"no")


async def test_upload_that_fails_under_a_whole_reply(connect: Making, serve: Serving) -> None:
    """A reply that is whole is read to its end, whatever becomes of the upload under it."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(OK)
        await connection.gone()

    async def wait() -> None:
        await asyncio.sleep(0.05)

    vendor = await serve(script)
    upstream = connect(vendor.url)
    body = Body([b"a"], error=LookupError("gone"), before_error=wait)

    async with upstream.exchange(call(b"POST", body=body)) as exchange:
        await asyncio.sleep(0.1)
        assert [chunk async for chunk in exchange.chunks()] == [b"ok"]

    assert upstream.connections() == (0, 0, 4)


async def test_write_that_stalls_under_a_reply(connect: Making, serve: Serving) -> None:
    """A vendor that answers and then takes no more of the request cuts the body."""

    async def script(connection: Connection) -> None:
        await connection.head()
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads, too
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await asyncio.Event().wait()

    vendor = await serve(script)

    with pytest.raises(Cut) as cut:
        await ask(connect(vendor.url), call(b"POST", body=Body([b"x" * 65536] * 500), idle=0.2))

    assert cut.value.reason in {Reason.CONNECTION_WRITE_TIMEOUT, Reason.HTTP_RESPONSE_TIMEOUT}


async def test_body_that_is_here_and_is_not_taken(connect: Making, serve: Serving) -> None:
    """A body that is given whole to a vendor that takes no more is a time-out of the write."""

    async def script(connection: Connection) -> None:
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads, too
        await asyncio.Event().wait()

    vendor = await serve(script)
    made = call(b"POST", headers=[(b"Content-Length", b"33554432")], idle=0.2)
    made.body = bytes(33554432)
    upstream = connect(vendor.url)

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, made)

    assert nothing.value.reason is Reason.CONNECTION_WRITE_TIMEOUT
    assert upstream.connections() == (0, 0, 4)


async def test_vendor_says_too_much_too_early(connect: Making, serve: Serving) -> None:
    """A vendor that talks without end before it is asked is not heard out."""

    async def script(connection: Connection) -> None:
        await connection.send(b"x" * (1 << 20))
        await connection.gone()

    vendor = await serve(script)
    upstream = connect(vendor.url)

    with pytest.raises(NoReply) as nothing:
        await ask(upstream)

    assert nothing.value.reason in {Reason.HTTP_PROTOCOL_ERROR, Reason.CONNECTION_TERMINATED}
    assert await until(lambda: vendor.open == 0)


@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
async def test_unused_connection_that_speaks(connect: Making, serve: Serving, early: bool) -> None:
    """What a vendor says on a connection that was kept unused is nobody's answer (F-30)."""
    said = asyncio.Event()

    async def script(connection: Connection) -> None:
        if len(vendor.connections) == 1:
            await said.wait()
            await connection.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            await connection.gone()
        while True:
            await connection.request()
            await connection.send(OK)

    class Not(Exception):
        """A caller that may not send after all."""

    def refuse() -> None:
        raise Not

    vendor = await serve(script)
    upstream, refused = connect(vendor.url), call()
    refused.ready = refuse
    if early:
        said.set()
    with pytest.raises(Not):
        await ask(upstream, refused)
    said.set()
    await asyncio.sleep(0.05)

    assert (await ask(upstream)).body == b"ok"
    assert len(vendor.connections) == 2


async def test_closed_while_it_is_dialled(connect: Making, serve: Serving) -> None:
    """An upstream that is closed under a request leaves nothing behind when that has ended."""
    vendor = await serve(stall)
    upstream = cast("Http1Upstream", connect(vendor.url))
    asking = asyncio.ensure_future(ask(upstream))
    assert await until(lambda: bool(vendor.connections))

    await upstream.aclose()

    with pytest.raises(NoReply):
        await asking
    assert upstream.connections() == (0, 0, 4)
    assert not upstream._pool._open
