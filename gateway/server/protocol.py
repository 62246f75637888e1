"""
A caller's connection, below ASGI: what uvicorn's httptools protocol does, and what it lets through, hides or garbles.

Measured on uvicorn 0.54 and httptools 0.9 (the numbers are rules of the wire): a head has no size (W-063) and no
deadline (W-148), trailers become header fields (W-054), an authority or a fragment in the target vanishes (W-032,
W-059), and a refusal is plain text (W-021) and may land in the middle of an answer in flight.

One file: the guards share the state of one connection, and each leans on what another has already refused.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import httptools
from starlette.types import ASGIApp, Scope
from uvicorn import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from normalizers import HouseCode

from .cycle import Cycle, Header, Memory
from .guard import Guard

# The head's bound is checked exactly by the app (W-063); this one keeps a head that never ends out of memory.
HEAD_LIMIT_BYTES: Final = 48 * 1024
TARGET_LIMIT_BYTES: Final = 8 * 1024

# Trailers are dropped (deviation d of wire.md); more than any real message has are refused (faults.md, section 0).
TRAILER_LIMIT_FIELDS: Final = 16
TRAILER_LIMIT_BYTES: Final = 8 * 1024

# What chunk sizes and extensions may take beside the chunks, over a credit for each: thousands of leading zeros and
# extensions without end say nothing (CVE-2023-39326).
CHUNK_OVERHEAD_LIMIT_BYTES: Final = 16 * 1024
CHUNK_CREDIT_BYTES: Final = 16

# Requests of one connection that wait for their turn; the last of them is the connection's last (F-58 of faults.md).
PIPELINE_LIMIT: Final = 100

# After a connection's last answer: how long, and how much, is read and thrown away, so that the kernel's reset does not
# destroy the answer on its way when the caller has said more (RFC 9112 section 9.6).
LINGER_SECONDS: Final = 2.0
# A head of 4 MiB in one write must not outrun its 431; what is thrown away costs a read and no memory.
LINGER_LIMIT_BYTES: Final = 64 * 1024 * 1024

# A request line of HTTP whatever its method and version, and what may yet become one.
REQUEST_LINE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64} [^ \r\n]+ HTTP/[0-9]\.[0-9]\r\n")
REQUEST_LINE_BEGUN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}(?: [^\r\n]*\r?)?")
ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)

# What llhttp says of a version that it does not know.
INVALID_VERSION: Final = ("Invalid HTTP version",)

UNREADABLE: Final = "The request is no HTTP that can be read in only one way."

ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


class Objection(Exception):
    """A head that goes no further; raised inside the parser's callbacks."""

    def __init__(self, code: HouseCode, detail: str) -> None:
        super().__init__(code.code)
        self.code = code
        self.detail = detail


class Protocol:
    """
    One caller's connection, as uvicorn's server makes them and the event loop tells them what comes.

    Mutable state: where in a message the parser is, what it said of this one, the head's bytes as they came, how many
    bytes each part has, the timers, the request that runs and those that wait, and whether anything more will be
    listened to.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """All that is kept of a connection. One function: a list of it, the guards' parts side by side."""
        self.guard = guard
        self.app = cast("ASGIApp", config.loaded_app)
        self.loop = _loop or asyncio.get_running_loop()
        self.server_state = server_state
        self._connections = cast("set[object]", server_state.connections)
        self.tasks = server_state.tasks
        self._app_state = app_state
        self._root_path = config.root_path
        self.parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        # A request that says `close` may be answered though more came behind it; what comes is not listened to.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.transport: asyncio.Transport
        self.flow: FlowControl
        self.memory = Memory()
        self._server: object = None
        self._client: object = None
        self._scheme = "http"
        # What the parser has said of the request whose head is being read.
        self._url = b""
        self._headers: list[Header] = []
        self._expects_continue = False
        # The last request, the one that runs, and those that wait for their turn.
        self.cycle: Cycle | None = None
        self._running: Cycle | None = None
        self._pipeline: deque[tuple[Cycle, Scope]] = deque()
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
        # Since when the connection waits for a request (None: it does not), and the one timer that looks after that: a
        # timer for each request would cost more than it is worth.
        self._idle_since: float | None = None
        self._keeper: asyncio.TimerHandle | None = None

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, if there is room for it, and wait for its first head."""
        self.transport = cast("asyncio.Transport", transport)
        self.flow = FlowControl(self.transport)
        self._server, self._client = get_local_addr(self.transport), get_remote_addr(self.transport)
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._connections.add(self)
        if len(self._connections) > self.guard.max_connections:
            self._refuse(HouseCode.OVERLOADED, "The gateway holds as many connections as it may.")
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._forget_head_timer()
        for timer in (self._lingering, self._keeper):
            if timer is not None:
                timer.cancel()
        self._connections.discard(self)
        self._pipeline.clear()
        # The last request of the connection may wait behind the one that runs (W-157).
        for cycle in {self._running, self.cycle}:
            if cycle is not None:
                cycle.gone()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        # It holds what it calls: nothing of a connection waits for the collector of cycles.
        self.parser = None

    def eof_received(self) -> None:
        """Let the end of what the caller says be the end of the connection (F-57)."""

    def pause_writing(self) -> None:
        """Let answers wait."""
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Let answers go on."""
        self.flow.resume_writing()

    def shutdown(self) -> None:
        """End the connection now, or with the answer that is under way; uvicorn's server stops."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

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
            self._parser.feed_data(data)
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

    @property
    def _parser(self) -> httptools.HttpRequestParser:
        """The parser, which is there until the connection is lost."""
        parser = self.parser
        assert parser is not None  # noqa: S101  (nothing is received after that)
        return parser

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
        self._url = b""
        self._headers = []
        self._expects_continue = False
        self._in_head = self._begun = True
        self._in_middle = not self._at_start
        self._trailers = self._trailer_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Keep the target, which may come in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field; drop a trailer field (W-054, W-055)."""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self._expects_continue = True
            self._headers.append((name, value))
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
        parser = self._parser
        method = parser.get_method()
        if method == b"CONNECT":
            raise Objection(HouseCode.NOT_IMPLEMENTED, "The gateway is no tunnel.")
        version = parser.get_http_version()
        is_http = self._is_http(method, version)
        self._in_middle = False
        self._head.clear()
        if not is_http:
            raise Objection(HouseCode.INVALID_REQUEST, UNREADABLE)
        if len(self._pipeline) >= PIPELINE_LIMIT:
            raise Objection(HouseCode.INVALID_REQUEST, "Too many requests wait on this connection.")
        raw_path, mark, query = self._target(method)
        cycle = Cycle(
            self.transport,
            self.flow,
            self.guard,
            self.memory,
            is_head=method == b"HEAD",
            takes_chunks=version == "1.1",
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            expects_continue=self._expects_continue,
            has_query=bool(mark),
            end=self.linger,
            on_response=self.on_response_complete,
        )
        scope = self._scope(method, version, raw_path, query)
        scope["extensions"] = {"errgate": cycle}
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:
            self._start(cycle, scope)
        else:
            # One request of a connection at a time; the next ones wait unread.
            self.flow.pause_reading()
            self._pipeline.append((cycle, scope))

    def _scope(self, method: bytes, version: str, raw_path: bytes, query: bytes) -> Scope:
        """What ASGI tells of a request."""
        return {
            "type": "http",
            "asgi": ASGI,
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": self._scheme,
            "method": method.decode("ascii"),
            "root_path": self._root_path,
            "path": raw_path.decode("latin-1"),
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
            "state": self._app_state.copy(),
        }

    def _is_http(self, method: bytes, version: str) -> bool:
        """
        Whether the request line is one of HTTP as RFC 9112 section 3 writes it.

        The parser reads RTSP and ICE as HTTP/1.0, several spaces as one, and a line without a version as HTTP/0.9.
        """
        line = b"%b %b HTTP/%b\r\n" % (method, self._url, version.encode("ascii"))
        if self._in_middle:
            found = self._data.find(line, self._offset)
            self._offset = found + len(line)
            return found >= 0
        # A target too long to be kept here is the app's to refuse.
        return self._head.startswith(line) or len(self._url) > TARGET_LIMIT_BYTES or line in self._head

    def _start(self, cycle: Cycle, scope: Scope) -> None:
        self._running = cycle
        task = cycle.task = self.loop.create_task(cycle.run(self.app, scope))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _target(self, method: bytes) -> tuple[bytes, bytes, bytes]:
        """Path, question mark and query as sent: an authority or a fragment does not vanish on the way to the app."""
        url = self._url
        if url.find(b"#") >= 0:
            raise Objection(HouseCode.INVALID_REQUEST, "The target holds a fragment.")
        if not url.startswith(b"/"):
            absolute = ABSOLUTE.match(url)
            if absolute is not None:
                # RFC 9112 section 3.2.2: the target's authority counts, and Host is ignored (W-032).
                self._headers = [(b"host", absolute[1]), *((k, v) for k, v in self._headers if k != b"host")]
                url = url[absolute.end() :] or b"/"
                if url.startswith(b"?"):
                    url = b"/" + url
            elif not (url == b"*" and method == b"OPTIONS"):
                raise Objection(HouseCode.INVALID_REQUEST, "The target must begin with a slash.")
        return url.partition(b"?")

    def on_body(self, body: bytes) -> None:
        """Hand the body on, and stop reading while nobody takes it."""
        self._taken += len(body)
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
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
        if cycle is not None:
            cycle.more_body = False
            if not cycle.response_complete:
                cycle.news()

    def on_response_complete(self) -> None:
        """An answer is out: read on, or wait for the next request's head, unless it was the last."""
        if self._lingering is not None or self.transport.is_closing():
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        if self._pipeline:
            self._start(*self._pipeline.popleft())
        else:
            self._idle_since = self.loop.time()
            if self._keeper is None:
                self._keeper = self.loop.call_later(self.guard.keep_alive_seconds, self._end_idle)

    def _end_idle(self) -> None:
        """Close a connection that has waited for a request for as long as it may, or look again when it will have."""
        self._keeper = None
        if self._idle_since is None or self.transport.is_closing():
            return
        left = self._idle_since + self.guard.keep_alive_seconds - self.loop.time()
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
        if len(self._url) > TARGET_LIMIT_BYTES:
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
        self._pipeline.clear()
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


def guarded(guard: Guard) -> Callable[..., Protocol]:
    """What makes the connections of one port; uvicorn calls it for each."""
    return partial(Protocol, guard)
