"""A caller that hangs up cancels at any await (W-125): no connection, slot or task stays behind."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable

import pytest

from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, Body, Connection, Script, ask, call, replies, stall, until

# So many turns of the event loop does a request take before it is cancelled: every await of it is hit.
TURNS = range(60)


async def turns(count: int) -> None:
    """Let the event loop run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


def pausing(pause: float) -> Script:
    """Answer piece by piece with a pause between."""

    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            for piece in (OK[:9], OK[9:-1], OK[-1:]):
                await asyncio.sleep(pause)
                await connection.send(piece)

    return script


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_at_any_await(
    connect: Making,
    serve: Serving,
    server_tls: Callable[..., ssl.SSLContext],
    trusting: ssl.SSLContext,
    secure: bool,
    method: bytes,
) -> None:
    """Wherever a request is cancelled, its connection is gone or whole, and the next request works."""
    vendor = await serve(pausing(0.0005), server_tls() if secure else None)
    upstream = connect(vendor.url, tls=trusting, max_connections=2)

    for count in TURNS:
        body = Body([b"a", b"b"]) if method == b"POST" else None
        asking = asyncio.ensure_future(ask(upstream, call(method, body=body)))
        await turns(count)
        asking.cancel()
        await asyncio.wait({asking})
        assert upstream.connections()[0] == 0, count

    assert (await ask(upstream)).body == b"ok"
    idle = upstream.connections()[1]
    assert await until(lambda: vendor.open <= idle)


async def test_many_at_once(connect: Making, serve: Serving) -> None:
    """Requests that are cancelled while they wait for a connection or have one leave the pool as it was."""
    vendor = await serve(pausing(0.001))
    upstream = connect(vendor.url, max_connections=3)

    for wave in range(10):
        asking = [asyncio.ensure_future(ask(upstream)) for _ in range(12)]
        await asyncio.sleep(wave * 0.0013)
        for each in asking[:: 1 + wave % 3]:
            each.cancel()
        await asyncio.wait(asking)

    answers = await asyncio.gather(*(ask(upstream) for _ in range(6)))
    assert [answer.body for answer in answers] == [b"ok"] * 6
    assert upstream.connections()[0] == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_while_dialling(connect: Making, serve: Serving, scheme: str, trusting: ssl.SSLContext) -> None:
    """A handshake, or a wait for a head, that is cancelled ends the connection at the vendor."""
    vendor = await serve(stall)
    upstream = connect(f"{scheme}://127.0.0.1:{vendor.port}", tls=trusting)
    asking = asyncio.ensure_future(ask(upstream))
    assert await until(lambda: bool(vendor.connections))
    await asyncio.sleep(0.02)

    asking.cancel()
    await asyncio.wait({asking})

    assert await until(lambda: vendor.open == 0)
    assert upstream.connections() == (0, 0, 4)


@pytest.mark.parametrize("engine", ["httpx"], indirect=True)
async def test_while_a_proxy_is_asked(connect: Making, serve: Serving) -> None:
    """A wait for a tunnel that is cancelled ends the connection at the proxy."""
    proxy = await serve(stall)
    upstream = connect("http://127.0.0.1:9", proxy=proxy.url)
    asking = asyncio.ensure_future(ask(upstream))
    assert await until(lambda: bool(proxy.connections))
    await asyncio.sleep(0.02)

    asking.cancel()
    await asyncio.wait({asking})

    assert await until(lambda: proxy.open == 0)
    assert upstream.connections() == (0, 0, 4)


async def test_while_the_body_comes(connect: Making, serve: Serving) -> None:
    """A reply that is cancelled in its body ends its connection."""
    vendor = await serve(replies(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))
    upstream = connect(vendor.url)
    asking = asyncio.ensure_future(ask(upstream))
    await asyncio.sleep(0.05)

    asking.cancel()
    await asyncio.wait({asking})

    assert await until(lambda: vendor.open == 0)
    assert upstream.connections() == (0, 0, 4)


async def test_while_the_body_goes(connect: Making, serve: Serving) -> None:
    """An upload that is cancelled ends its connection, and nothing of it runs on."""

    async def forever() -> None:
        await asyncio.sleep(60)

    vendor = await serve(stall)
    upstream = connect(vendor.url)
    before = len(asyncio.all_tasks())
    asking = asyncio.ensure_future(ask(upstream, call(b"POST", body=Body([b"a"], before_error=forever))))
    await asyncio.sleep(0.05)

    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking

    assert await until(lambda: vendor.open == 0)
    assert await until(lambda: len(asyncio.all_tasks()) <= before)
    assert upstream.connections() == (0, 0, 4)
