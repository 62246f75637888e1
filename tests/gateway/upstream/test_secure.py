"""TLS to a vendor: always verified, named as the settings say, and every failure told apart."""

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.upstream import Cut, NoReply, Reason
from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, SOON, Connection, Script, ask, call, replies, stall, until

ServerTls = Callable[..., ssl.SSLContext]


async def test_verified(connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext) -> None:
    """A certificate of the configured authority for the address is spoken to, and the connection is used again."""
    vendor = await serve(replies(OK), server_tls())
    upstream = connect(vendor.url, tls=trusting)

    answers = [await ask(upstream) for _ in range(3)]

    assert [answer.body for answer in answers] == [b"ok"] * 3
    assert len(vendor.connections) == 1


@pytest.mark.parametrize("name", ["expired", "other-name", "unknown-ca"])
async def test_unverified(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext, name: str
) -> None:
    """A certificate that does not verify gets no byte of the request."""
    vendor = await serve(replies(OK), server_tls(name))
    upstream, made = connect(vendor.url, tls=trusting), call()

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, made)

    assert nothing.value.reason is Reason.TLS_CERTIFICATE_ERROR
    assert made.sent_at is None
    assert vendor.requests == []
    assert upstream.connections() == (0, 0, 4)


async def test_no_authority_of_ours(connect: Making, serve: Serving, server_tls: ServerTls) -> None:
    """Without a configured authority the system's decide: they do not know this one."""
    vendor = await serve(replies(OK), server_tls())

    with pytest.raises(NoReply) as nothing:
        await ask(connect(vendor.url))

    assert nothing.value.reason is Reason.TLS_CERTIFICATE_ERROR


@pytest.mark.parametrize(("name", "known"), [("vendor.example", True), ("nobody.example", False)])
async def test_server_name(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext, name: str, known: bool
) -> None:
    """The configured name is what the vendor is asked for and verified by."""
    asked: list[str] = []
    context = server_tls()
    context.sni_callback = lambda _, given, __: asked.append(given)
    vendor = await serve(replies(OK), context)
    upstream = connect(vendor.url, tls=trusting, server_name=name)

    if known:
        assert (await ask(upstream)).body == b"ok"
    else:
        with pytest.raises(NoReply) as nothing:
            await ask(upstream)
        assert nothing.value.reason is Reason.TLS_CERTIFICATE_ERROR
    assert asked == [name]


@pytest.mark.parametrize("name", ["a" * 64 + ".example", ".example"])
async def test_no_server_name(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext, name: str
) -> None:
    """A name that TLS cannot ask for is a TLS error."""
    vendor = await serve(replies(OK), server_tls())

    with pytest.raises(NoReply) as nothing:
        await ask(connect(vendor.url, tls=trusting, server_name=name))

    assert nothing.value.reason in {Reason.TLS_PROTOCOL_ERROR, Reason.TLS_CERTIFICATE_ERROR}
    assert await until(lambda: vendor.open == 0)


async def test_client_certificate(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext, certificates: Path
) -> None:
    """A vendor that asks for a certificate gets ours; without one there is no reply."""
    context = server_tls()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates / "ca.pem")
    vendor = await serve(replies(OK), context)
    with pytest.raises(NoReply) as nothing:
        await ask(connect(vendor.url, tls=trusting))
    assert nothing.value.reason in {Reason.CONNECTION_TERMINATED, Reason.TLS_PROTOCOL_ERROR}

    trusting.load_cert_chain(certificates / "good.pem", certificates / "good.key")

    assert (await ask(connect(vendor.url, tls=trusting))).body == b"ok"


async def ends(connection: Connection) -> None:
    """End the connection behind the hello."""
    await connection.reader.read(100)


async def resets(connection: Connection) -> None:
    """Reset the connection behind the hello."""
    await connection.reader.read(100)
    connection.rst()


@pytest.mark.parametrize(
    "script",
    [replies(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), ends, resets],
    ids=["http", "fin", "rst"],
)
async def test_no_tls(connect: Making, serve: Serving, trusting: ssl.SSLContext, script: Script) -> None:
    """What does not speak TLS, or leaves in the handshake, is a TLS error; there is no way back to plain text."""

    async def first(connection: Connection) -> None:
        connection.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await connection.gone()

    vendor = await serve(script if script in {ends, resets} else first)
    upstream = connect(f"https://127.0.0.1:{vendor.port}", tls=trusting)

    with pytest.raises(NoReply) as nothing:
        await ask(upstream)

    assert nothing.value.reason is Reason.TLS_PROTOCOL_ERROR
    assert upstream.connections() == (0, 0, 4)
    assert await until(lambda: vendor.open == 0)


@pytest.mark.parametrize(("connecting", "total"), [(0.15, 5), (5, 0.15)])
async def test_stalled_handshake(
    connect: Making, serve: Serving, trusting: ssl.SSLContext, connecting: float, total: float
) -> None:
    """A handshake that stalls is bounded by `connect` and by `total`, and its connection is gone."""
    vendor = await serve(stall)
    upstream, began = connect(f"https://127.0.0.1:{vendor.port}", tls=trusting), time.perf_counter()

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, call(connect=connecting, total=total))

    assert nothing.value.reason is Reason.CONNECTION_TIMEOUT
    assert time.perf_counter() - began < SOON
    assert upstream.connections() == (0, 0, 4)
    assert await until(lambda: vendor.open == 0)


async def test_http_1_by_name(connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext) -> None:
    """Without `http2` the vendor is offered HTTP/1.1 alone, whatever it would like better."""
    vendor = await serve(replies(OK), server_tls("good", "h2", "http/1.1"))

    assert (await ask(connect(vendor.url, tls=trusting))).body == b"ok"

    session = vendor.connections[0].writer.get_extra_info("ssl_object")
    assert session.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("secure_end", [False, True], ids=["cut-short", "close-notify"])
async def test_body_until_close(
    connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext, secure_end: bool
) -> None:
    """A body that lasts until the connection ends is read to that end."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        if not secure_end:
            with connection.below as below:
                below.shutdown(socket.SHUT_WR)
            await connection.gone()

    vendor = await serve(script, server_tls())

    assert (await ask(connect(vendor.url, tls=trusting))).body == b"all of it"


async def test_damaged_record(connect: Making, serve: Serving, server_tls: ServerTls, trusting: ssl.SSLContext) -> None:
    """A record that was changed on the way cuts the body."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        with connection.below as below:
            below.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        await connection.gone()

    vendor = await serve(script, server_tls())
    got = bytearray()

    with pytest.raises(Cut):
        await ask(connect(vendor.url, tls=trusting), into=got)

    assert got == b"half"
