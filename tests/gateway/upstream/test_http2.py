"""
HTTP/2 to a vendor that the settings say speaks it: the same contract, and its own ways to fail.

One file: the vendor that speaks HTTP/2 is played here alone.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from gateway.upstream import Cut, Header, NoReply, Reason, Upstream
from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, Body, Connection, Script, Vendor, ask, call, replies, until

# The other engine leaves this to this one (contract 3).
pytestmark = pytest.mark.parametrize("engine", ["httpx"], indirect=True)

# A vendor that says what it should not needs a library that lets it.
UNCHECKED = h2.config.H2Configuration(
    client_side=False, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
)


class Session:
    """The vendor's side of one HTTP/2 connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.h2 = h2.connection.H2Connection(UNCHECKED)
        self.bodies: dict[int, bytes] = {}
        self.resets: list[int] = []

    async def start(self) -> None:
        """Say our settings."""
        self.h2.initiate_connection()
        await self.flush()

    async def flush(self) -> None:
        """Write what is to be sent."""
        await self.connection.send(self.h2.data_to_send())

    async def requests(self) -> AsyncIterator[tuple[int, list[Header]]]:
        """Every request as it ends: its stream and its fields."""
        heads: dict[int, list[Header]] = {}
        while data := await self.connection.reader.read(65536):
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    heads[event.stream_id] = [(bytes(n), bytes(v)) for n, v in event.headers]
                    self.bodies[event.stream_id] = b""
                elif isinstance(event, h2.events.DataReceived):
                    self.bodies[event.stream_id] += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamReset):
                    self.resets.append(event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    await self.flush()
                    yield event.stream_id, heads[event.stream_id]
            await self.flush()

    async def reply(
        self, stream: int, status: bytes = b"200", body: bytes = b"ok", headers: tuple[Header, ...] = ()
    ) -> None:
        """Answer a request."""
        self.h2.send_headers(stream, [(b":status", status), *headers])
        self.h2.send_data(stream, body, end_stream=True)
        await self.flush()


Answering = Callable[[Session, int, list[Header]], Awaitable[None]]


def answering(answer: Answering, sessions: list[Session] | None = None) -> Script:
    """Answer every request of a connection by that."""

    async def script(connection: Connection) -> None:
        session = Session(connection)
        if sessions is not None:
            sessions.append(session)
        await session.start()
        async for stream, headers in session.requests():
            await answer(session, stream, headers)

    return script


async def well(session: Session, stream: int, _: list[Header]) -> None:
    """Answer as one should."""
    await session.reply(stream)


Opening = Callable[..., Awaitable[tuple[Vendor, Upstream]]]


@pytest.fixture
def open_http2(
    connect: Making, serve: Serving, server_tls: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> Opening:
    """A vendor that speaks HTTP/2, and an upstream to it."""

    async def start(script: Script, *, max_connections: int = 1) -> tuple[Vendor, Upstream]:
        vendor = await serve(script, server_tls("good", "h2"))
        return vendor, connect(vendor.url, tls=trusting, http2=True, max_connections=max_connections)

    return start


async def test_request_and_reply(open_http2: Opening) -> None:
    """Method, target, fields and body arrive as they are, the reply likewise, and the connection is used again."""
    seen: list[tuple[list[Header], bytes]] = []

    async def answer(session: Session, stream: int, headers: list[Header]) -> None:
        seen.append((headers, session.bodies[stream]))
        await session.reply(stream, b"200", b"ok", ((b"x-a", b"1"), (b"set-cookie", b"a"), (b"set-cookie", b"b")))

    vendor, upstream = await open_http2(answering(answer))
    made = call(b"POST", b"/a%2Fb?c=d", [(b"X-B", b"1"), (b"content-length", b"5")], Body([b"he", b"", b"llo"]))

    answer_ = await ask(upstream, made)
    await ask(upstream)

    assert seen[0] == (
        [
            (b":method", b"POST"),
            (b":authority", b"vendor.example"),
            (b":scheme", b"https"),
            (b":path", b"/a%2Fb?c=d"),
            (b"x-b", b"1"),
            (b"content-length", b"5"),
        ],
        b"hello",
    )
    assert (answer_.status, answer_.body) == (200, b"ok")
    assert answer_.headers == [(b"x-a", b"1"), (b"set-cookie", b"a"), (b"set-cookie", b"b")]
    assert made.sent_at is not None
    assert made.head_at is not None
    assert made.sent_at <= made.head_at
    assert len(vendor.connections) == 1
    assert upstream.connections() == (0, 1, 0)


async def test_two_at_once(open_http2: Opening) -> None:
    """Two requests share a connection at the same time, and are answered in any order."""
    waiting: list[int] = []

    async def answer(session: Session, stream: int, _: list[Header]) -> None:
        waiting.append(stream)
        if len(waiting) == 2:
            for each in reversed(waiting):
                await session.reply(each, b"200", b"%d" % each)

    vendor, upstream = await open_http2(answering(answer))

    answers = await asyncio.gather(ask(upstream), ask(upstream))

    assert sorted(answer.body for answer in answers) == [b"1", b"3"]
    assert len(vendor.connections) == 1


async def test_error_reply(open_http2: Opening) -> None:
    """An error is a reply like any other."""

    async def answer(session: Session, stream: int, _: list[Header]) -> None:
        await session.reply(stream, b"429", b'{"code":"X"}', ((b"retry-after", b"7"),))

    _, upstream = await open_http2(answering(answer))

    got = await ask(upstream)

    assert (got.status, got.headers, got.body) == (429, [(b"retry-after", b"7")], b'{"code":"X"}')


async def test_interim_reply(open_http2: Opening) -> None:
    """An interim reply is skipped."""

    async def answer(session: Session, stream: int, _: list[Header]) -> None:
        session.h2.send_headers(stream, [(b":status", b"103")])
        await session.reply(stream)

    _, upstream = await open_http2(answering(answer))

    assert (await ask(upstream)).body == b"ok"


# Each: a reply's head that is none, and why.
NO_REPLIES: dict[str, tuple[list[Header], Reason]] = {
    "600": ([(b":status", b"600")], Reason.HTTP_PROTOCOL_ERROR),
    "no-number": ([(b":status", b"abc")], Reason.HTTP_PROTOCOL_ERROR),
    "no-status": ([(b"x", b"1")], Reason.HTTP_PROTOCOL_ERROR),
    "line-break": ([(b":status", b"200"), (b"x", b"a\r\nset-cookie: evil")], Reason.HTTP_PROTOCOL_ERROR),
    "line-break-in-a-name": ([(b":status", b"200"), (b"x\r\nset-cookie", b"evil")], Reason.HTTP_PROTOCOL_ERROR),
    "nul": ([(b":status", b"200"), (b"x", b"a\x00")], Reason.HTTP_PROTOCOL_ERROR),
    "of-the-connection": ([(b":status", b"200"), (b"transfer-encoding", b"chunked")], Reason.HTTP_PROTOCOL_ERROR),
    "many-fields": ([(b":status", b"200"), *[(b"x", b"1")] * 201], Reason.HTTP_RESPONSE_HEADER_SECTION_SIZE),
    "long-fields": ([(b":status", b"200"), *[(b"x", b"~" * 4096)] * 17], Reason.HTTP_PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", NO_REPLIES)
async def test_no_reply(open_http2: Opening, name: str) -> None:
    """A head that HTTP/2 forbids, or over the bounds, is no reply; the next request works."""
    head, reason = NO_REPLIES[name]
    told: list[int] = []

    async def answer(session: Session, stream: int, headers: list[Header]) -> None:
        told.append(stream)
        if len(told) > 1:
            await well(session, stream, headers)
            return
        session.h2.send_headers(stream, head)
        session.h2.send_data(stream, b"ok", end_stream=True)
        await session.flush()

    _, upstream = await open_http2(answering(answer))

    with pytest.raises(NoReply) as nothing:
        await ask(upstream)

    assert nothing.value.reason is reason
    assert (await ask(upstream)).body == b"ok"


async def reset(session: Session, stream: int, _: list[Header]) -> None:
    """Refuse the stream."""
    session.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
    await session.flush()


async def go_away(session: Session, stream: int, _: list[Header]) -> None:
    """Refuse everything."""
    session.h2.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
    await session.flush()


async def leave(session: Session, stream: int, _: list[Header]) -> None:
    """End the connection."""
    session.connection.writer.close()


async def break_off(session: Session, stream: int, _: list[Header]) -> None:
    """Reset the connection."""
    session.connection.rst()


async def babble(session: Session, stream: int, _: list[Header]) -> None:
    """Say what no frame may: a head that belongs to no stream."""
    await session.connection.send(b"\x00\x00\x00\x01\x04\x00\x00\x00\x00")


async def keep_still(session: Session, stream: int, _: list[Header]) -> None:
    """Say nothing."""


# Each: what the vendor does instead of a reply, and why there is none.
ENDINGS: dict[str, tuple[Answering, set[Reason]]] = {
    "reset": (reset, {Reason.HTTP_PROTOCOL_ERROR}),
    "go-away": (go_away, {Reason.HTTP_PROTOCOL_ERROR}),
    "fin": (leave, {Reason.HTTP_PROTOCOL_ERROR}),
    "rst": (break_off, {Reason.CONNECTION_TERMINATED, Reason.HTTP_PROTOCOL_ERROR}),
    "no-frame": (babble, {Reason.HTTP_PROTOCOL_ERROR}),
    "stall": (keep_still, {Reason.HTTP_RESPONSE_TIMEOUT}),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_ended_before_the_head(open_http2: Opening, name: str) -> None:
    """However the vendor leaves before the head, there is no reply, and the next request works at once."""
    act, reasons = ENDINGS[name]
    told: list[int] = []

    async def answer(session: Session, stream: int, headers: list[Header]) -> None:
        told.append(stream)
        await (act if len(told) == 1 else well)(session, stream, headers)

    _, upstream = await open_http2(answering(answer))

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, call(first_byte=0.3))

    assert nothing.value.reason in reasons
    assert (await ask(upstream, call(connect=1))).body == b"ok"


@pytest.mark.parametrize("name", ["reset", "go-away", "fin", "rst", "no-frame", "stall"])
async def test_cut(open_http2: Opening, name: str) -> None:
    """However the vendor leaves in the body, the body is cut behind what came, and the next request works."""
    told: list[int] = []

    async def answer(session: Session, stream: int, headers: list[Header]) -> None:
        told.append(stream)
        if len(told) > 1:
            await well(session, stream, headers)
            return
        session.h2.send_headers(stream, [(b":status", b"200"), (b"content-length", b"9")])
        session.h2.send_data(stream, b"half")
        await session.flush()
        await asyncio.sleep(0.02)
        await ENDINGS[name][0](session, stream, headers)

    _, upstream = await open_http2(answering(answer))
    got = bytearray()

    with pytest.raises(Cut) as cut:
        await ask(upstream, call(idle=0.3), into=got)

    expected = Reason.HTTP_RESPONSE_TIMEOUT if name == "stall" else Reason.HTTP_RESPONSE_INCOMPLETE
    assert (cut.value.reason, bytes(got)) == (expected, b"half")
    assert (await ask(upstream, call(connect=1))).body == b"ok"


async def test_empty_frame(open_http2: Opening) -> None:
    """A frame without content is neither a chunk nor the end."""

    async def answer(session: Session, stream: int, _: list[Header]) -> None:
        session.h2.send_headers(stream, [(b":status", b"200")])
        for piece in (b"", b"a", b"", b"b"):
            session.h2.send_data(stream, piece)
            await session.flush()
            await asyncio.sleep(0.01)
        session.h2.send_data(stream, b"", end_stream=True)
        await session.flush()

    _, upstream = await open_http2(answering(answer))

    async with upstream.exchange(call()) as exchange:
        chunks = [chunk async for chunk in exchange.chunks()]

    assert chunks == [b"a", b"b"]


async def test_wrong_length(open_http2: Opening) -> None:
    """A body that is shorter than its length is cut."""

    async def answer(session: Session, stream: int, _: list[Header]) -> None:
        session.h2.send_headers(stream, [(b":status", b"200"), (b"content-length", b"9")])
        await session.flush()
        await asyncio.sleep(0.02)
        session.h2.send_data(stream, b"half", end_stream=True)
        await session.flush()

    _, upstream = await open_http2(answering(answer))

    with pytest.raises(Cut):
        await ask(upstream)


async def test_idle_end(open_http2: Opening) -> None:
    """A connection that the vendor ended while it was idle is not used again."""

    async def answer(session: Session, stream: int, headers: list[Header]) -> None:
        await well(session, stream, headers)
        await asyncio.sleep(0.02)
        session.connection.writer.close()

    vendor, upstream = await open_http2(answering(answer))
    await ask(upstream)
    await asyncio.sleep(0.06)

    assert (await ask(upstream, call(b"POST", body=Body([b"hi"])))).body == b"ok"
    assert len(vendor.connections) == 2


async def test_idle_talk(open_http2: Opening) -> None:
    """What the vendor says about the connection while it is idle does not end it."""

    async def answer(session: Session, stream: int, headers: list[Header]) -> None:
        await well(session, stream, headers)
        await asyncio.sleep(0.02)
        session.h2.ping(b"01234567")
        await session.flush()

    vendor, upstream = await open_http2(answering(answer))
    await ask(upstream)
    await asyncio.sleep(0.06)

    assert (await ask(upstream)).body == b"ok"
    assert len(vendor.connections) == 1


async def test_left_stream_is_reset(open_http2: Opening) -> None:
    """A reply that is left before its end is reset: what still comes must not use up the connection's window."""
    sessions: list[Session] = []

    async def answer(session: Session, stream: int, _: list[Header]) -> None:
        session.h2.send_headers(stream, [(b":status", b"200")])
        session.h2.send_data(stream, b"half")
        await session.flush()

    vendor, upstream = await open_http2(answering(answer, sessions))
    for _ in range(3):
        async with upstream.exchange(call()) as exchange:
            assert exchange.status == 200
    assert await until(lambda: len(sessions[0].resets) == 3)

    assert upstream.connections() == (0, 1, 0)
    assert len(vendor.connections) == 1


async def test_cancelled(open_http2: Opening) -> None:
    """A request that is cancelled is reset, and its connection carries the next one."""
    sessions: list[Session] = []

    async def answer(session: Session, stream: int, headers: list[Header]) -> None:
        if stream > 1:
            await well(session, stream, headers)

    _, upstream = await open_http2(answering(answer, sessions))
    asking = asyncio.ensure_future(ask(upstream))
    assert await until(lambda: bool(sessions) and bool(sessions[0].bodies))

    asking.cancel()
    await asyncio.wait({asking})

    assert await until(lambda: sessions[0].resets == [1])
    assert (await ask(upstream)).body == b"ok"


async def test_vendor_without_http2(
    connect: Making, serve: Serving, server_tls: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> None:
    """A vendor that does not choose HTTP/2 is spoken to by HTTP/1.1, several requests at once too."""
    vendor = await serve(replies(OK), server_tls("good", "http/1.1"))
    upstream = connect(vendor.url, tls=trusting, http2=True, max_connections=2)

    answers = await asyncio.gather(*(ask(upstream) for _ in range(5)))

    assert [answer.body for answer in answers] == [b"ok"] * 5
    assert len(vendor.connections) <= 2
