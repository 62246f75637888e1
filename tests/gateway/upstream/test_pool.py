"""
How an engine keeps its connections: used again, bounded, in turn, and never with a byte left on them (W-171).

One file: every test asks what becomes of a connection once its reply is over.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from itertools import chain

import pytest

from gateway.upstream import NoReply, Reason, Upstream
from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, SOON, Answer, Body, Connection, Script, ask, call, replies, until

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"


def of_size(size: int) -> bytes:
    """A reply of so many bytes with its head."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    length = size - len(head % size)
    return head % length + b"x" * length


# Each: a first reply with something behind it, in the pieces in which it is written, and the content that it has.
SURPLUS = {
    "two-replies": ((OK + EVIL,), b"ok"),
    "two-replies-in-two-writes": ((OK, EVIL), b"ok"),
    "longer-than-its-length": ((OK + b"EVIL",), b"ok"),
    "behind-the-last-chunk": (
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + EVIL,),
        b"ok",
    ),
    "no-content-with-content": ((b"HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nEVIL",), b""),
    "not-modified-with-content": ((b"HTTP/1.1 304 Not\r\nContent-Length: 4\r\n\r\nEVIL",), b""),
    "half-a-head": ((OK, b"HTTP/1.1 2"), b"ok"),
    "one-byte": ((OK, b"\r"), b"ok"),
    # 64 and 256 KiB are what libraries read at once: what follows then waits in a buffer of its own.
    "behind-64-kib": ((of_size(65536) + EVIL,), of_size(65536).partition(b"\r\n\r\n")[2]),
    "behind-256-kib": ((of_size(262144) + EVIL,), of_size(262144).partition(b"\r\n\r\n")[2]),
}


def once(*pieces: bytes) -> Script:
    """Answer a connection's first request with these, without a pause between; the others as one should."""

    async def script(connection: Connection) -> None:
        await connection.request()
        for piece in pieces:
            connection.writer.write(piece)
        await connection.writer.drain()
        while True:
            await connection.request()
            await connection.send(OK)

    return script


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("row", SURPLUS)
async def test_surplus(
    connect: Making,
    serve: Serving,
    server_tls: Callable[..., ssl.SSLContext],
    trusting: ssl.SSLContext,
    row: str,
    secure: bool,
    method: bytes,
) -> None:
    """What follows a reply never meets another request, whatever it is and in whichever layer it waits (W-171)."""
    pieces, content = SURPLUS[row]
    vendor = await serve(once(*pieces), server_tls() if secure else None)
    upstream = connect(vendor.url, tls=trusting, max_connections=1)
    body = Body([b"hi"]) if method == b"POST" else None
    # Somebody waits for the connection already, so that it is taken the moment it is free.
    first, *innocent = await asyncio.gather(*(ask(upstream, call(method, body=body)) for _ in range(3)))

    assert first.body == content
    assert all(answer.body in {b"ok", content} for answer in innocent)
    assert not any(b"EVIL" in answer.body for answer in innocent)
    assert all(len(connection.requests) == 1 for connection in vendor.connections)


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
async def test_late_surplus(
    connect: Making,
    serve: Serving,
    server_tls: Callable[..., ssl.SSLContext],
    trusting: ssl.SSLContext,
    secure: bool,
) -> None:
    """What comes while a connection is idle never meets a request, either."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await asyncio.sleep(0.02)
        await connection.send(EVIL)
        await connection.gone()

    vendor = await serve(script, server_tls() if secure else None)
    upstream = connect(vendor.url, tls=trusting)
    await ask(upstream)
    await asyncio.sleep(0.06)

    answer = await ask(upstream)

    assert answer.body == b"ok"
    assert len(vendor.connections) == 2


async def test_surplus_while_the_reply_is_used(connect: Making, serve: Serving) -> None:
    """What comes behind a reply that is whole and still being used ends its connection, too."""
    more = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await more.wait()
        await connection.send(EVIL)
        await connection.gone()

    vendor = await serve(script)
    upstream = connect(vendor.url)

    async with upstream.exchange(call()) as exchange:
        assert exchange.status == 200
        more.set()
        await asyncio.sleep(0.05)
        assert [chunk async for chunk in exchange.chunks()] == [b"ok"]

    assert upstream.connections() == (0, 0, 4)
    assert await until(lambda: vendor.open == 0)


async def test_half_a_record(
    connect: Making, serve: Serving, server_tls: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> None:
    """A TLS record of which only a part came behind the reply would be read by the next request: there is none."""
    sessions: list[tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]] = []

    async def script(connection: Connection) -> None:
        came, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = server_tls().wrap_bio(came, going, server_side=True)
        sessions.append((session, came, going))

        async def step(act: Callable[[], object]) -> object:
            while True:
                try:
                    return act()
                except ssl.SSLWantReadError:
                    await connection.send(going.read())
                    came.write(await connection.reader.read(65536))

        await step(session.do_handshake)
        await step(lambda: session.read(65536))
        session.write(OK)
        reply = going.read()
        session.write(EVIL)
        evil = going.read()
        await connection.send(reply + evil[:20])
        await asyncio.sleep(0.05)
        await connection.send(evil[20:])
        await connection.gone()

    vendor = await serve(script)
    upstream = connect(vendor.url.replace("http:", "https:"), tls=trusting, max_connections=1)

    answers = await asyncio.gather(ask(upstream), ask(upstream))

    assert [answer.body for answer in answers] == [b"ok", b"ok"]
    assert len(sessions) == 2


async def test_unread_reply(connect: Making, serve: Serving) -> None:
    """A reply that is left before its end ends its connection."""
    vendor = await serve(once(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))
    upstream = connect(vendor.url)

    async with upstream.exchange(call()) as exchange:
        assert exchange.status == 200

    assert upstream.connections() == (0, 0, 4)
    assert await until(lambda: vendor.open == 0)


async def test_used_again(connect: Making, serve: Serving) -> None:
    """Requests one after the other share a connection, with and without bodies."""
    vendor = await serve(replies(OK))
    upstream = connect(vendor.url)

    for number in range(6):
        body = Body([b"hi"]) if number % 2 else None
        await ask(upstream, call(b"POST" if body else b"GET", body=body))

    assert len(vendor.connections) == 1
    assert upstream.connections() == (0, 1, 3)


async def test_gauge(connect: Making, serve: Serving) -> None:
    """The connections are told as busy, idle and free."""
    vendor = await serve(replies(OK))
    upstream = connect(vendor.url, max_connections=3)

    async with upstream.exchange(call()) as first:
        assert upstream.connections() == (1, 0, 2)
        async with upstream.exchange(call()) as second:
            assert upstream.connections() == (2, 0, 1)
            assert [chunk async for chunk in second.chunks()] == [b"ok"]
        assert upstream.connections() == (1, 1, 1)
        assert [chunk async for chunk in first.chunks()] == [b"ok"]
    assert upstream.connections() == (0, 2, 1)

    await upstream.aclose()

    assert upstream.connections() == (0, 0, 3)
    assert await until(lambda: vendor.open == 0)


async def test_bound(connect: Making, serve: Serving) -> None:
    """A request that finds no free connection for `connect` seconds is told so, and was never sent."""
    vendor = await serve(replies(OK))
    upstream, made = connect(vendor.url, max_connections=1), call(connect=0.15)

    async with upstream.exchange(call()) as exchange:
        began = time.perf_counter()
        with pytest.raises(NoReply) as nothing:
            await ask(upstream, made)
        waited = time.perf_counter() - began
        assert [chunk async for chunk in exchange.chunks()] == [b"ok"]

    assert nothing.value.reason is Reason.CONNECTION_LIMIT_REACHED
    assert 0.14 < waited < SOON  # an event loop counts in milliseconds
    assert made.sent_at is None
    assert len(vendor.requests) == 1
    assert upstream.connections() == (0, 1, 0)


async def test_in_turn(connect: Making, serve: Serving) -> None:
    """Requests that wait are served in the order in which they came, over as many connections as there may be."""
    vendor = await serve(replies(OK))
    upstream = connect(vendor.url, max_connections=2)

    await asyncio.gather(*(ask(upstream, call(target=b"/%d" % number)) for number in range(20)))

    numbers = [[int(r.split()[1][1:]) for r in connection.requests] for connection in vendor.connections]
    assert len(numbers) == 2
    assert all(served == sorted(served) for served in numbers)
    assert sorted(chain.from_iterable(numbers)) == list(range(20))


async def test_waiting_place_is_given_back(connect: Making, serve: Serving) -> None:
    """Who stops waiting is not served, and those behind move up."""
    vendor = await serve(replies(OK))
    upstream = connect(vendor.url, max_connections=1)

    async with upstream.exchange(call()) as exchange:
        waiting = [asyncio.ensure_future(ask(upstream, call(target=b"/%d" % number))) for number in range(3)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        await asyncio.wait({waiting[0]})
        assert [chunk async for chunk in exchange.chunks()] == [b"ok"]
    answers: list[Answer] = await asyncio.gather(*waiting[1:])

    assert [answer.body for answer in answers] == [b"ok", b"ok"]
    assert [request.split()[1] for request in vendor.requests] == [b"/x", b"/1", b"/2"]


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
async def test_vendor_ends_an_idle_connection(
    connect: Making,
    serve: Serving,
    server_tls: Callable[..., ssl.SSLContext],
    trusting: ssl.SSLContext,
    secure: bool,
) -> None:
    """A connection that the vendor ended while it was idle is not used again."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await asyncio.sleep(0.02)

    vendor = await serve(script, server_tls() if secure else None)
    upstream = connect(vendor.url, tls=trusting)
    await ask(upstream)
    await asyncio.sleep(0.06)

    answer = await ask(upstream, call(b"POST", body=Body([b"hi"])))

    assert answer.body == b"ok"
    assert len(vendor.connections) == 2


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
async def test_keep_alive_race(connect: Making, serve: Serving, reset: bool) -> None:
    """A vendor that ends a connection as it is used again: an answer, or what may be retried, nothing else (F-31)."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await asyncio.sleep((len(vendor.connections) % 6) / 1000)
        if reset:
            connection.rst()

    vendor = await serve(script)
    upstream = connect(vendor.url, max_connections=1)
    seen: set[bytes | Reason] = set()

    for number in range(150):
        try:
            seen.add((await ask(upstream)).body)
        except NoReply as nothing:
            seen.add(nothing.reason)
        await asyncio.sleep((number % 7) / 1000)

    assert b"ok" in seen
    assert seen <= {b"ok", Reason.CONNECTION_TERMINATED}
    assert upstream.connections()[0] == 0


async def test_expiry(connect: Making, serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was idle for longer than its time is not used again (W-114)."""
    for engine in ("httpx", "http1"):
        monkeypatch.setattr(f"gateway.upstream.{engine}.KEEP_ALIVE_SECONDS", 0.5)
    vendor = await serve(replies(OK))
    upstream = connect(vendor.url)
    for _ in range(2):
        await ask(upstream)
    assert len(vendor.connections) == 1
    await asyncio.sleep(0.7)

    await ask(upstream)

    assert len(vendor.connections) == 2
    assert await until(lambda: vendor.open == 1)


async def test_large_bodies_both_ways(
    connect: Making, serve: Serving, server_tls: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> None:
    """A reader that is slower than the vendor holds the vendor up, and every byte arrives in order."""
    data = bytes(range(256)) * 8192
    vendor = await serve(replies(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data), server_tls())
    upstream: Upstream = connect(vendor.url, tls=trusting)
    body, got = Body([data[at : at + 65536] for at in range(0, len(data), 65536)]), b""

    async with upstream.exchange(
        call(b"POST", headers=[(b"Content-Length", b"%d" % len(data))], body=body)
    ) as exchange:
        async for chunk in exchange.chunks():
            got += chunk
            await asyncio.sleep(0.001)

    assert got == data
    assert vendor.requests[0].endswith(b"\r\n\r\n" + data)
    assert upstream.connections() == (0, 1, 3)
