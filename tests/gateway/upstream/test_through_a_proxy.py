"""An egress proxy: asked by CONNECT for every vendor, and only when the settings name it."""

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable

import pytest

from gateway.upstream import NoReply, Reason
from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, Connection, Script, ask, call, replies, stall, until

# The other engine leaves this to this one (contract 3).
pytestmark = pytest.mark.parametrize("engine", ["httpx"], indirect=True)

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def tunnel(port: int, answer: bytes = ESTABLISHED) -> Script:
    """Answer a CONNECT, then carry bytes to that port and back."""

    async def script(connection: Connection) -> None:
        await connection.request()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await connection.send(answer)

        async def back() -> None:
            while data := await reader.read(65536):
                await connection.send(data)

        returning = asyncio.ensure_future(back())
        try:
            while data := await connection.reader.read(65536):
                writer.write(data)
        finally:
            returning.cancel()
            writer.transport.abort()

    return script


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_tunnel(
    connect: Making,
    serve: Serving,
    server_tls: Callable[..., ssl.SSLContext],
    trusting: ssl.SSLContext,
    secure: bool,
) -> None:
    """A vendor of either scheme is reached through a tunnel, whose name the proxy resolves; it is used again."""
    vendor = await serve(replies(OK), server_tls() if secure else None)
    proxy = await serve(tunnel(vendor.port))
    upstream = connect(
        f"{vendor.scheme}://vendor.example:{vendor.port}", tls=trusting, proxy=f"http://127.0.0.1:{proxy.port}"
    )

    answers = [await ask(upstream) for _ in range(2)]

    authority = b"vendor.example:%d" % vendor.port
    assert [answer.body for answer in answers] == [b"ok", b"ok"]
    assert proxy.requests == [b"CONNECT " + authority + b" HTTP/1.1\r\nHost: " + authority + b"\r\n\r\n"]
    assert vendor.requests == [b"GET /x HTTP/1.1\r\nHost: vendor.example\r\n\r\n"] * 2


async def test_authority_of_an_ipv6_address(connect: Making, serve: Serving) -> None:
    """An IPv6 address is asked for in brackets."""
    vendor = await serve(replies(OK))
    proxy = await serve(tunnel(vendor.port))

    await ask(connect("http://[::1]:8080", proxy=proxy.url))

    assert proxy.requests == [b"CONNECT [::1]:8080 HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"]


@pytest.mark.parametrize(
    ("userinfo", "credentials"),
    [("name:p%40ss%3a", b"name:p@ss:"), ("name", b"name:"), ("n%C3%A4me:x", "näme:x".encode())],
)
async def test_credentials(connect: Making, serve: Serving, userinfo: str, credentials: bytes) -> None:
    """The proxy's own name and password go to the proxy, decoded, and nowhere else."""
    vendor = await serve(replies(OK))
    proxy = await serve(tunnel(vendor.port))

    await ask(connect("http://vendor.example", proxy=f"http://{userinfo}@127.0.0.1:{proxy.port}"))

    assert b"\r\nProxy-Authorization: Basic " + base64.b64encode(credentials) + b"\r\n" in proxy.requests[0]
    assert b"roxy" not in vendor.requests[0]


def saying(answer: bytes, *, stay: bool = True) -> Script:
    """Answer a CONNECT with this."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer)
        if stay:
            await connection.gone()

    return script


async def reset(connection: Connection) -> None:
    """Reset behind the CONNECT."""
    await connection.request()
    connection.rst()


REFUSALS: dict[str, Script] = {
    "407": saying(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n"),
    "502": saying(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"),
    "garbage": saying(b"SSH-2.0-x 200\r\n\r\n"),
    "other-version": saying(b"HTTP/2.0 200 OK\r\n\r\n"),
    "no-status": saying(b"HTTP/1.1\r\n\r\n"),
    "long-head": saying(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 9000),
    "surplus": saying(ESTABLISHED + OK),
    "ends-at-once": saying(b"", stay=False),
    "ends-in-its-head": saying(b"HTTP/1.1 200 OK\r\n", stay=False),
    "resets": reset,
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_no_tunnel(connect: Making, serve: Serving, name: str) -> None:
    """A proxy that makes no tunnel is the destination's being unavailable, and nothing of the request was sent."""
    proxy = await serve(REFUSALS[name])
    upstream, made = connect("http://vendor.example", proxy=proxy.url), call()

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, made)

    assert nothing.value.reason is Reason.DESTINATION_UNAVAILABLE
    assert made.sent_at is None
    assert upstream.connections() == (0, 0, 4)
    assert await until(lambda: proxy.open == 0)


async def test_proxy_that_refuses(connect: Making) -> None:
    """A proxy that cannot be reached is the destination's being unavailable: nobody asked the vendor."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        upstream = connect("http://vendor.example", proxy=f"http://127.0.0.1:{unused.getsockname()[1]}")

        with pytest.raises(NoReply) as nothing:
            await ask(upstream)

    assert nothing.value.reason is Reason.DESTINATION_UNAVAILABLE


async def test_proxy_that_stalls(connect: Making, serve: Serving) -> None:
    """A proxy that does not answer is bounded by `connect`, and its connection is gone."""
    proxy = await serve(stall)
    upstream = connect("http://vendor.example", proxy=proxy.url)

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, call(connect=0.15))

    assert nothing.value.reason is Reason.CONNECTION_TIMEOUT
    assert await until(lambda: proxy.open == 0)


async def test_dripped_tunnel(connect: Making, serve: Serving) -> None:
    """A proxy's head may come in pieces."""

    async def script(connection: Connection) -> None:
        await connection.request()
        for at in range(len(ESTABLISHED)):
            await connection.send(ESTABLISHED[at : at + 1])
        await connection.request()
        await connection.send(OK)
        await connection.gone()

    proxy = await serve(script)

    assert (await ask(connect("http://vendor.example", proxy=proxy.url))).body == b"ok"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_environment(
    connect: Making,
    serve: Serving,
    server_tls: Callable[..., ssl.SSLContext],
    trusting: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    secure: bool,
) -> None:
    """The environment's proxies are never used (W-142)."""
    vendor = await serve(replies(OK), server_tls() if secure else None)
    proxy = await serve(tunnel(vendor.port))
    monkeypatch.setenv(name, proxy.url)

    answer = await ask(connect(vendor.url, tls=trusting))

    assert answer.body == b"ok"
    assert proxy.connections == []
