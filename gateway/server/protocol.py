"""
The guards below ASGI: what uvicorn's httptools protocol lets through, hides from the app, or answers in plain text.

Measured on uvicorn 0.54 and httptools 0.9 (the numbers are rules of the wire): a head has no size (W-063) and no
deadline (W-148), trailers become header fields (W-054), an authority or a fragment in the target vanishes (W-032,
W-059), a refusal is plain text (W-021) and may land in the middle of an answer in flight, HTTP/1.0 is sent chunks
(W-029), a 204 a body (W-049), and a caller that stops reading holds its answer for ever (W-148).

One file: the guards share the state of one connection, and each leans on what another has already refused.
"""

import asyncio
import re
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from normalizers import HouseCode

Header = tuple[bytes, bytes]

# The head's bound is checked exactly by the app (W-063); this one keeps a head that never ends out of memory.
HEAD_LIMIT_BYTES = 48 * 1024
TARGET_LIMIT_BYTES = 8 * 1024

# Trailers are dropped (deviation d of wire.md); more than any real message has are refused (faults.md, section 0).
TRAILER_LIMIT_FIELDS = 16
TRAILER_LIMIT_BYTES = 8 * 1024

# What chunk sizes and extensions may take beside the chunks, over a credit for each: thousands of leading zeros and
# extensions without end say nothing (CVE-2023-39326).
CHUNK_OVERHEAD_LIMIT_BYTES = 16 * 1024
CHUNK_CREDIT_BYTES = 16

# Requests of one connection that wait for their turn; the last of them is the connection's last (F-58 of faults.md).
PIPELINE_LIMIT = 100

# After a connection's last answer: how long, and how much, is read and thrown away, so that the kernel's reset does not
# destroy the answer on its way when the caller has said more (RFC 9112 section 9.6).
LINGER_SECONDS = 2.0
# A head of 4 MiB in one write must not outrun its 431; what is thrown away costs a read and no memory.
LINGER_LIMIT_BYTES = 64 * 1024 * 1024

# SO_LINGER on, for no time at all: closing sends a reset.
RESET = struct.pack("ii", 1, 0)

# A request line of HTTP whatever its method and version, and what may yet become one.
REQUEST_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64} [^ \r\n]+ HTTP/[0-9]\.[0-9]\r\n")
REQUEST_LINE_BEGUN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}(?: [^\r\n]*\r?)?")
ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)

PHRASES = {int(status): status.phrase.encode() for status in HTTPStatus}
# What llhttp says of a version that it does not know.
INVALID_VERSION = ("Invalid HTTP version",)

UNREADABLE = "The request is no HTTP that can be read in only one way."

STATUS_LINES = {status: b"HTTP/1.1 %d %b\r\n" % (status, PHRASES.get(status, b"")) for status in range(200, 600)}
WITHOUT_CONTENT = frozenset({204, 304})


@dataclass(slots=True)
class Guard:
    """
    What the protocol keeps, and whom it asks for an answer. Times in seconds.

    Mutable state: the numbers, which a reload of the settings changes.
    """

    head_seconds: float
    write_seconds: float
    max_connections: int
    # Gives the whole answer to a request that never became one: the house code, a sentence for the caller.
    refuse: Callable[[HouseCode, str], bytes]
    is_draining: Callable[[], bool]


class Memory:
    """What a connection keeps for the app from one request to the next; nothing here looks at it."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: object = None


class Objection(Exception):
    """A head that goes no further; raised inside the parser's callbacks."""

    def __init__(self, code: HouseCode, detail: str) -> None:
        super().__init__(code.code)
        self.code = code
        self.detail = detail


class Cycle(RequestResponseCycle):
    """
    One request and its answer on the wire.

    Mutable state besides uvicorn's: `broken`, set when the request's body cannot be read on; `left`, how many bytes of
    the answer are still to come (None: unknown); `on_gone`, whom to tell that the caller hung up before its
    body is read.
    """

    guard: Guard
    end: Callable[[], None]
    # As uvicorn's has them when it begins; of its arguments nothing here uses loggers and default headers.
    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    on_gone: Callable[[], None] | None = None
    broken = False
    bare = False
    left: int | None = None
    _event: asyncio.Event | None = None
    _has_news = False

    def __init__(self, protocol: "Protocol", scope: Any, *, keep_alive: bool) -> None:  # noqa: ANN401  (its type is private)
        self.scope = scope
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.waiting_for_100_continue = protocol.expect_100_continue
        self.keep_alive = keep_alive
        self.on_response = protocol.on_response_complete
        self.guard = protocol.guard
        self.end = protocol.linger
        self.memory = protocol.memory
        self.body = bytearray()

    @property
    def message_event(self) -> asyncio.Event:
        """What `receive` waits for; made at its first call, since a request without a body never makes one."""
        if self._event is None:
            self._event = asyncio.Event()
            if self._has_news:
                self._event.set()
        return self._event

    @message_event.setter
    def message_event(self, event: asyncio.Event) -> None:
        self._event = event

    def news(self) -> None:
        """Wake `receive`: there is more of the body, or its end, or nobody is left."""
        self._has_news = True
        if self._event is not None:
            self._event.set()

    async def run_asgi(self, app: Any) -> None:  # noqa: ANN401  (uvicorn's type is private)
        """Run the app; an answer that it leaves unfinished is cut so that it cannot look whole (W-153)."""
        try:
            await app(self.scope, self.receive, self.send)
        finally:
            if not self.response_complete and not self.disconnected:
                # Without a length or chunks an orderly end would look like the end of the body: only a reset does not.
                if self.response_started and self.left is None and not self.chunked_encoding:
                    self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    self.transport.abort()
                else:
                    self.transport.close()
            self.on_response = _nothing

    async def receive(self) -> Any:  # noqa: ANN401  (uvicorn's type is private)
        """The request's body; `broken` says that no rest will come, though the caller is still there."""
        message: Any = await super().receive()
        if self.broken and message["type"] == "http.request":
            message["more_body"] = True
            message["broken"] = not message["body"]
            if message["body"]:
                # Nothing else will wake the next call, which says that this was all; the one after it waits.
                self.news()
        return message

    async def send(self, message: Any) -> None:  # noqa: ANN401  (uvicorn's type is private)
        """Write the answer, with the framing that this caller understands."""
        if self.flow.write_paused and not self.disconnected:
            await self._drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self.transport.write(self._head(message["status"], message["headers"]))
        elif not self.response_complete:
            self._write(message.get("body", b""), more=message.get("more_body", False))

    async def _drain(self) -> None:
        """Wait for the caller to read, but not for ever."""
        try:
            async with asyncio.timeout(self.guard.write_seconds):
                await self.flow.drain()
        except TimeoutError:
            self.disconnected = True
            self.news()
            self.transport.abort()

    def watch(self, gone: Callable[[], None]) -> None:
        """Tell of a hang-up from now on; to notice one, what the caller sends ahead is read (W-157)."""
        self.on_gone = gone
        if self.disconnected:
            gone()
        else:
            self.flow.resume_reading()

    def whole(self, status: int, headers: Sequence[Header], body: bytes) -> bool:
        """Write an answer that is all here in one go, and be done; False where `send` has to wait or to look closer."""
        if self.flow.write_paused or self.response_started or self.disconnected:
            return False
        head = self._head(status, headers)
        if self.bare or self.left != len(body):
            self.transport.write(head)
            self._write(body, more=False)
        else:
            self.left = 0
            self.transport.write(head + body)
            self._complete()
        return True

    def _head(self, status: int, headers: Sequence[Header]) -> bytes:
        """Begin the answer: its head, with the framing that this caller understands."""
        self.response_started = True
        self.waiting_for_100_continue = False
        fields = dict(headers)
        says_close = fields.get(b"connection") == b"close"
        # What is left of the request would be read as the next one (W-056).
        if self.more_body or says_close or self.guard.is_draining():
            self.keep_alive = False
        own = b""
        length = fields.get(b"content-length")
        self.bare = status in WITHOUT_CONTENT or self.scope["method"] == "HEAD"
        if self.bare:
            self.left = 0
        elif length is not None:
            self.left = int(length)
        elif self.scope["http_version"] == "1.1":
            self.chunked_encoding = True
            own = b"transfer-encoding: chunked\r\n"
        else:
            self.keep_alive = False
        if not self.keep_alive and not says_close:
            own += b"connection: close\r\n"
        return b"%b%b\r\n%b\r\n" % (STATUS_LINES[status], b"\r\n".join(map(b": ".join, headers)), own)

    def _write(self, body: bytes, *, more: bool) -> None:
        if self.bare:
            body = b""
        if self.chunked_encoding:
            parts = [b"%x\r\n" % len(body), body, b"\r\n"] if body else []
            if not more:
                parts.append(b"0\r\n\r\n")
            if parts:
                self.transport.write(b"".join(parts))
        else:
            if self.left is not None:
                # More than was announced would be read as the next answer.
                body = body[: self.left]
                self.left -= len(body)
            if body:
                self.transport.write(body)
        if not more and not (self.left and not self.chunked_encoding):
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.news()
        if not self.keep_alive:
            self.end()
        self.on_response()


def _nothing() -> None:
    """Nobody is to be told any more."""


class Protocol(HttpToolsProtocol):
    """
    uvicorn's protocol with the guards.

    Mutable state besides uvicorn's: where in a message the parser is, the head's bytes as they came, how many bytes
    each part has, the timers, and whether anything more will be listened to.
    """

    guard: ClassVar[Guard]
    cycle: Cycle

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  (handed on as they came)
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head = bytearray()
        # Whether the head has begun: with the first of the bytes received, or somewhere in the middle of the last ones,
        # behind another message. There the request line is looked for from `_offset` on.
        self._begun = False
        self._at_start = False
        self._in_middle = False
        self._data = b""
        self._offset = 0
        self._received = 0
        # Whether the parser has refused a request line that must be whole before it is known why.
        self._weighing = False
        self._taken = 0
        self._chunks = 0
        self._overhead = 0
        self._trailers = 0
        self._trailer_bytes = 0
        self._deaf = False
        self._thrown_away = 0
        self._timer: asyncio.TimerHandle | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._running: Cycle | None = None
        # Since when the connection waits for a request (None: it does not), and the one timer that looks after that: a
        # timer for each request would cost more than it is worth.
        self._idle_since: float | None = None
        self._keeper: asyncio.TimerHandle | None = None
        self.memory = Memory()

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, if there is room for it, and wait for its first head."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows asyncio's type
        if len(self.connections) > self.guard.max_connections:
            self._refuse(HouseCode.OVERLOADED, "The gateway holds as many connections as it may.")
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._forget_head_timer()
        for timer in (self._lingering, self._keeper):
            if timer is not None:
                timer.cancel()
        running = self._running
        if running is not None and not running.response_complete:
            # uvicorn tells the last request of the connection only; before it others may wait, and one runs (W-157).
            running.disconnected = True
            running.news()
            if running.on_gone is not None:
                running.on_gone()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, within bounds."""
        if self._deaf:
            self._throw_away(data)
            return
        self._idle_since = None
        in_body = not self._in_head
        if not in_body:
            self._note_head(data)
        if self._weighing:
            self._weigh()
            return
        self._feed(data, in_body=in_body)
        if self._in_head and self._timer is None and not self._deaf:
            idle = self.cycle is None or self.cycle.response_complete
            # A head that came whole needs no timer. Nor is one gone with a line end, with which no head begins.
            if self._begun or (idle and self._received):
                self._await_head()

    def _feed(self, data: bytes, *, in_body: bool) -> None:
        self._data = data
        self._offset = self._taken = self._chunks = 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The parser has stopped reading messages; the answer to this one is the connection's last (W-038).
            self._deaf = True
            if self.cycle is not None:
                self.cycle.keep_alive = False
        except httptools.HttpParserError as error:
            self._object(error)
        else:
            self._keep_head()
            if self._in_head and self._received > HEAD_LIMIT_BYTES:
                self._refuse(*self._too_large())
            elif in_body and not self._in_head:
                self._weigh_chunks(len(data))

    def _note_head(self, data: bytes) -> None:
        if not self._begun:
            self._head.clear()
            self._at_start = True
        self._received += len(data)
        if len(self._head) < 2 * HEAD_LIMIT_BYTES:
            self._head += data

    def _keep_head(self) -> None:
        """Keep the bytes in which a head began behind another message, until it is whole."""
        if self._in_middle:
            self._head[:] = self._data[self._offset :][-HEAD_LIMIT_BYTES:]
            self._in_middle = False

    def _weigh_chunks(self, length: int) -> None:
        """Bound what came in the middle of a body and is none of it: sizes, extensions, trailers."""
        self._overhead = max(0, self._overhead + length - self._taken - self._chunks * CHUNK_CREDIT_BYTES)
        if self._overhead > CHUNK_OVERHEAD_LIMIT_BYTES:
            self._break_off()

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = self._begun = True
        self._in_middle = not self._at_start
        self._trailers = self._trailer_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field; drop a trailer field (W-054, W-055)."""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))
            return
        self._trailers += 1
        self._trailer_bytes += len(name) + len(value)
        if self._trailers > TRAILER_LIMIT_FIELDS or self._trailer_bytes > TRAILER_LIMIT_BYTES:
            raise Objection(HouseCode.HEADER_FIELDS_TOO_LARGE, "The request's trailer section is too large.")

    def on_headers_complete(self) -> None:
        """Start the app on a whole head, or object to it."""
        self._forget_head_timer()
        self._in_head = self._begun = self._at_start = False
        self._received = self._overhead = 0
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise Objection(HouseCode.NOT_IMPLEMENTED, "The gateway is no tunnel.")
        version = self.parser.get_http_version()
        is_http = self._is_http(method, version)
        self._in_middle = False
        self._head.clear()
        if not is_http:
            raise Objection(HouseCode.INVALID_REQUEST, UNREADABLE)
        if len(self.pipeline) >= PIPELINE_LIMIT:
            raise Objection(HouseCode.INVALID_REQUEST, "Too many requests wait on this connection.")
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["method"] = method.decode("ascii")
        scope["http_version"] = version
        self._read_target(scope)
        cycle = Cycle(self, scope, keep_alive=version != "1.0" and self.parser.should_keep_alive())
        scope["extensions"] = {"errgate": cycle}
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            # One request of a connection at a time; the next ones wait unread.
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _is_http(self, method: bytes, version: str) -> bool:
        """
        Whether the request line is one of HTTP as RFC 9112 section 3 writes it.

        The parser reads RTSP and ICE as HTTP/1.0, several spaces as one, and a line without a version as HTTP/0.9.
        """
        line = b"%b %b HTTP/%b\r\n" % (method, self.url, version.encode("ascii"))
        if self._in_middle:
            found = self._data.find(line, self._offset)
            self._offset = found + len(line)
            return found >= 0
        # A target too long to be kept here is the app's to refuse.
        return self._head.startswith(line) or len(self.url) > TARGET_LIMIT_BYTES or line in self._head

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401  (its type is private)
        self._running = cycle  # type: ignore[assignment]  # we make no others
        super()._start_asgi_task(cycle, app)

    def _read_target(self, scope: dict[str, Any]) -> None:
        """The target as it was sent: an authority or a fragment does not vanish on the way to the app."""
        url = self.url
        if b"#" in url:
            raise Objection(HouseCode.INVALID_REQUEST, "The target holds a fragment.")
        absolute = ABSOLUTE.match(url)
        if absolute is not None:
            # RFC 9112 section 3.2.2: the target's authority counts, and Host is ignored (W-032).
            authority = absolute[1]
            url = url[absolute.end() :] or b"/"
            if url.startswith(b"?"):
                url = b"/" + url
            headers = [(b"host", authority), *((k, v) for k, v in self.headers if k != b"host")]
            scope["headers"] = self.headers = headers
        elif not url.startswith(b"/") and not (url == b"*" and scope["method"] == "OPTIONS"):
            raise Objection(HouseCode.INVALID_REQUEST, "The target must begin with a slash.")
        path, _, query = url.partition(b"?")
        scope["raw_path"] = path
        scope["path"] = path.decode("latin-1")
        scope["query_string"] = query

    def on_body(self, body: bytes) -> None:
        """Hand the body on, and stop reading while nobody takes it."""
        self._taken += len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.news()

    def on_chunk_header(self) -> None:
        """A chunk begins, the last one included."""
        self._chunks += 1

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_head = True
        cycle = self.cycle
        cycle.more_body = False
        if not cycle.response_complete:
            cycle.news()

    def on_response_complete(self) -> None:
        """An answer is out: read on, or wait for the next request's head, unless it was the last."""
        if self._lingering is not None or self.transport.is_closing():
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()
            if self._keeper is None:
                self._keeper = self.loop.call_later(self.timeout_keep_alive, self._end_idle)

    def _end_idle(self) -> None:
        """Close a connection that has waited for a request for as long as it may, or look again when it will have."""
        self._keeper = None
        if self._idle_since is None or self.transport.is_closing():
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._keeper = self.loop.call_later(left, self._end_idle)
        else:
            self.transport.close()

    # What is refused here.

    def _object(self, error: httptools.HttpParserError) -> None:
        """Answer what the parser refused, unless an answer is in flight: nothing is ever injected into one."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._break_off()
            return
        cause = error.__context__
        if isinstance(cause, Objection):
            self._refuse(cause.code, cause.detail)
        elif self._received > HEAD_LIMIT_BYTES:
            self._refuse(*self._too_large())
        elif isinstance(error, httptools.HttpParserInvalidMethodError) or error.args == INVALID_VERSION:
            self._weigh()
        else:
            self._refuse(HouseCode.INVALID_REQUEST, UNREADABLE)

    def _break_off(self) -> None:
        """Read no further; whoever works on a request whose body is not whole learns that it never will be."""
        self._deaf = True
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return
        cycle.keep_alive = False
        if cycle.more_body:
            cycle.broken = True
            cycle.news()

    def _weigh(self) -> None:
        """
        Say what is wrong with a request line that the parser refused: its method or version, or all of it.

        The line must be whole for that; however it is cut into pieces, the answer is the same.
        """
        line, end, _ = bytes(self._head.lstrip(b"\r\n")).partition(b"\n")
        if REQUEST_LINE.fullmatch(line + end):
            self._refuse(HouseCode.NOT_IMPLEMENTED, "The gateway does not speak this method or version.")
        elif end or len(line) > TARGET_LIMIT_BYTES or not REQUEST_LINE_BEGUN.fullmatch(line):
            self._refuse(HouseCode.INVALID_REQUEST, UNREADABLE)
        else:
            self._weighing = True

    def _too_large(self) -> tuple[HouseCode, str]:
        if len(self.url) > TARGET_LIMIT_BYTES:
            return HouseCode.URI_TOO_LONG, f"The target is longer than {TARGET_LIMIT_BYTES:,} bytes."
        return HouseCode.HEADER_FIELDS_TOO_LARGE, "The request's head is too large."

    def _refuse(self, code: HouseCode, detail: str) -> None:
        """Answer in the envelope and close (W-021)."""
        self._forget_head_timer()
        if not self.transport.is_closing():
            self.transport.write(self.guard.refuse(code, detail))
            self.linger()

    # Time.

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(self.guard.head_seconds, self._head_is_late)

    def _forget_head_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        """A head that is not whole in time: answered if there is something to answer (W-148)."""
        self._timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            self._deaf = True
        elif self._received:
            self._refuse(
                HouseCode.REQUEST_TIMEOUT, f"The request's head did not come within {self.guard.head_seconds:g} s."
            )
        else:
            self.transport.close()

    # The end.

    def linger(self) -> None:
        """End our side, and read for a moment what the caller is still sending, or has sent ahead."""
        self._deaf = True
        self.pipeline.clear()
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
            self.flow.resume_reading()
            self._lingering = self.loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def _throw_away(self, data: bytes) -> None:
        self._thrown_away += len(data)
        if self._thrown_away <= LINGER_LIMIT_BYTES:
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.flow.pause_reading()
        else:
            self.transport.close()


def guarded(guard: Guard) -> type[Protocol]:
    """The protocol class for one port; uvicorn makes an instance of it for each connection."""
    return type("GuardedProtocol", (Protocol,), {"guard": guard})
