"""TLS between two buffers: sessions that are resumed, and records of which only a part has come."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import cast

import pytest

from gateway.upstream import NoReply, Reason
from gateway.upstream.http1 import Http1Upstream
from gateway.upstream.http1.tls import SecureConnection, Tls
from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, Connection, ask, replies, stall, until

pytestmark = pytest.mark.parametrize("engine", ["http1"], indirect=True)

ServerTls = Callable[..., ssl.SSLContext]
CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


def resumed(context: ssl.SSLContext) -> tuple[int, int]:
    """How many sessions the vendor accepted, and how many of them were resumed."""
    stats = context.session_stats()
    return stats["accept_good"], stats["hits"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_session_is_resumed(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """A second connection resumes the first one's session, and its vendor is the one that was verified."""
    context = server_tls()
    context.minimum_version = context.maximum_version = version
    vendor = await serve(replies(CLOSE), context)
    upstream = connect(vendor.url, tls=trusting)

    for _ in range(3):
        assert (await ask(upstream)).body == b"ok"

    assert resumed(context) == (3, 2)


async def test_session_of_another_name(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext
) -> None:
    """Vendors that share the settings of TLS share no session: each is verified by its own name."""
    context = server_tls()
    vendor = await serve(replies(CLOSE), context)
    await ask(connect(vendor.url, tls=trusting))

    with pytest.raises(NoReply) as nothing:
        await ask(connect(vendor.url, tls=trusting, server_name="nobody.example"))

    assert nothing.value.reason is Reason.TLS_CERTIFICATE_ERROR
    assert resumed(context)[1] == 0


async def test_old_session_is_not_resumed(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some minutes the vendor is verified anew: its certificate may have expired."""
    context = server_tls()
    vendor = await serve(replies(CLOSE), context)
    upstream = connect(vendor.url, tls=trusting)
    await ask(upstream)
    monkeypatch.setattr("gateway.upstream.http1.tls.SESSION_SECONDS", -1.0)

    await ask(upstream)

    assert resumed(context) == (2, 0)


async def test_session_is_forgotten_when_a_handshake_fails(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext
) -> None:
    """A vendor that does not take a session back is asked without one."""
    context = server_tls()
    vendor = await serve(replies(CLOSE), context)
    upstream = connect(vendor.url, tls=trusting)
    await ask(upstream)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(NoReply):
        await ask(upstream)
    trusting.maximum_version = ssl.TLSVersion.TLSv1_3

    assert (await ask(upstream)).body == b"ok"
    assert resumed(context)[1] == 0


async def test_vendor_speaks_first(connect: Making, serve: Serving, trusting: ssl.SSLContext) -> None:
    """What a vendor says before our hello is read as its part of the handshake, and is none."""

    async def script(connection: Connection) -> None:
        await connection.send(b"220 mail.example ESMTP\r\n")
        await connection.gone()

    vendor = await serve(script)
    upstream = connect(f"https://127.0.0.1:{vendor.port}", tls=trusting)

    with pytest.raises(NoReply) as nothing:
        await ask(upstream)

    assert nothing.value.reason is Reason.TLS_PROTOCOL_ERROR
    assert await until(lambda: vendor.open == 0)


async def test_session_ends_in_order_while_idle(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext
) -> None:
    """A vendor that says goodbye on an idle connection ends it, though the connection below stands."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        connection.writer.close()

    vendor = await serve(script, server_tls())
    upstream = connect(vendor.url, tls=trusting)
    await ask(upstream)

    assert await until(lambda: upstream.connections() == (0, 0, 4))


async def test_damage_while_writing(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext
) -> None:
    """A session that was broken by the vendor's record takes no request."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        with connection.below as below:
            below.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        await connection.gone()

    vendor = await serve(script, server_tls())
    upstream = connect(vendor.url, tls=trusting)
    await ask(upstream)

    assert await until(lambda: upstream.connections() == (0, 0, 4))
    assert (await ask(upstream)).body == b"ok"


async def test_records_are_counted(engine: Making, trusting: ssl.SSLContext) -> None:
    """Wherever records are divided on their way, it is known whether one is there in part."""
    records = b"".join(b"\x17\x03\x03" + size.to_bytes(2) + bytes(size) for size in (0, 1, 7, 300))

    for step in range(1, 40):
        connection = SecureConnection(lambda _: None, Tls(trusting, "vendor.example"))
        for at in range(0, len(records), step):
            connection._count(records[at : at + step])
            seen = min(at + step, len(records))
            whole = seen in {0, 5, 11, 23, 328}
            assert (connection._missing == 0 and not connection._part) == whole, (step, seen)


async def test_session_that_takes_no_more(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext
) -> None:
    """A session that cannot encrypt a request ends its connection, and nothing is written on it any more."""

    class Broken:
        """A session that was broken."""

        def write(self, data: bytes) -> int:
            """Fail."""
            raise ssl.SSLError(1, "protocol is shutdown")

    vendor = await serve(replies(OK), server_tls())
    upstream = cast("Http1Upstream", connect(vendor.url, tls=trusting))
    await ask(upstream)
    (connection,) = upstream._pool._open
    assert isinstance(connection, SecureConnection)
    connection._session = cast("ssl.SSLObject", Broken())

    with pytest.raises(NoReply) as nothing:
        await ask(upstream)

    assert nothing.value.reason is Reason.CONNECTION_TERMINATED
    connection.write(b"more")
    assert upstream.connections() == (0, 0, 4)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("linger", [struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)], ids=["reset", "end"])
async def test_vendor_that_leaves_before_our_hello(engine: Making, trusting: ssl.SSLContext, linger: bytes) -> None:
    """A vendor that ends a connection as soon as it is there has failed the handshake: nobody waits for its answer."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        tls = Tls(trusting, "localhost")
        _, connection = await loop.create_connection(
            lambda: SecureConnection(lambda _: None, tls), *server.getsockname()
        )
        vendor, _ = server.accept()
        vendor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        vendor.close()
        await asyncio.sleep(0.05)

    with pytest.raises(NoReply) as nothing:
        await asyncio.wait_for(connection.shake_hands(), 5)

    assert nothing.value.reason is Reason.TLS_PROTOCOL_ERROR


async def test_cancelled_as_it_agrees(
    engine: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext
) -> None:
    """A caller that hangs up in the moment in which the handshake is done leaves no connection behind (W-125)."""

    class Watched(asyncio.Protocol):
        """Hands all on, and has the handshake cancelled in the turn of the event loop in which something came."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            connection.connection_made(transport)

        def data_received(self, data: bytes) -> None:
            connection.data_received(data)
            shaking.cancel()

        def connection_lost(self, exc: Exception | None) -> None:
            connection.connection_lost(exc)

    vendor = await serve(stall, server_tls())
    connection = SecureConnection(lambda _: None, Tls(trusting, "127.0.0.1"))
    await asyncio.get_running_loop().create_connection(Watched, "127.0.0.1", vendor.port)
    shaking = asyncio.ensure_future(connection.shake_hands())

    with pytest.raises(asyncio.CancelledError):
        await shaking

    assert connection.closed
    assert await until(lambda: bool(vendor.connections) and vendor.open == 0)
