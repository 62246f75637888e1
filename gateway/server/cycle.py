"""
One request and its answer, between uvicorn's side of a connection and the app.

uvicorn's own cycle sends HTTP/1.0 chunks (W-029), a 204 a body (W-049), waits for ever for a caller that stops reading
(W-148), and lets an answer that was broken off look whole (W-153).

One file: what was read of a request decides how its answer may end.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.flow_control import FlowControl

from .guard import Guard

Header = tuple[bytes, bytes]

# SO_LINGER on, for no time at all: closing sends a reset.
RESET: Final = struct.pack("ii", 1, 0)

PHRASES: Final = {int(status): status.phrase.encode() for status in HTTPStatus}
STATUS_LINES: Final = {status: b"HTTP/1.1 %d %b\r\n" % (status, PHRASES.get(status, b"")) for status in range(200, 600)}
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
WITHOUT_CONTENT: Final = frozenset({204, 304})


class Memory:
    """What a connection keeps for the app from one request to the next; nothing here looks at it."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: object = None


class Cycle:
    """
    One request and its answer on the wire.

    It knows nothing of the scope, which knows it: nothing of a request waits for the collector of cycles.

    Mutable state: what came of the request's body and was not taken; `broken`, set when it cannot be read on; `_left`,
    how many bytes of the answer are still to come (None: unknown); `on_gone`, whom to tell that the caller hung up
    before its body is read; whether the caller is `disconnected`, and how far the answer is.

    Args:
        transport: where the answer is written.
        flow: what the transport has no room for.
        guard: how long a caller may take.
        memory: the connection's.
        is_head: whether the method is HEAD.
        takes_chunks: whether the caller speaks HTTP/1.1.
        keep_alive: whether the connection may carry another request.
        expects_continue: whether the caller waits to be asked for the body.
        has_query: whether the target has a question mark: ASGI does not tell an empty query from none.
        end: ends the connection in order.
        on_response: told when the answer is out.
    """

    def __init__(  # noqa: PLR0913  (what the connection knows of it)
        self,
        transport: asyncio.Transport,
        flow: FlowControl,
        guard: Guard,
        memory: Memory,
        *,
        is_head: bool,
        takes_chunks: bool,
        keep_alive: bool,
        expects_continue: bool,
        has_query: bool,
        end: Callable[[], None],
        on_response: Callable[[], None],
    ) -> None:
        self.transport = transport
        self.flow = flow
        self.guard = guard
        self.memory = memory
        self.keep_alive = keep_alive
        self.has_query = has_query
        self.body = bytearray()
        self.more_body = True
        self.broken = False
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.on_gone: Callable[[], None] | None = None
        # What runs it, while it runs.
        self.task: asyncio.Task[None] | None = None
        self._is_head = is_head
        self._takes_chunks = takes_chunks
        self._expects_continue = expects_continue
        self._end = end
        self._on_response = on_response
        self._bare = False
        self._chunked = False
        self._left: int | None = None
        self._event: asyncio.Event | None = None
        self._has_news = False

    def news(self) -> None:
        """Wake `receive`: there is more of the body, or its end, or nobody is left."""
        self._has_news = True
        if self._event is not None:
            self._event.set()

    def gone(self) -> None:
        """Know that the caller hung up."""
        if not self.response_complete:
            self.disconnected = True
            if self.on_gone is not None:
                self.on_gone()
        self.news()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run the app; an answer that it leaves unfinished is cut so that it cannot look whole (W-153)."""
        try:
            await app(scope, self.receive, self.send)
        finally:
            if not self.response_complete and not self.disconnected:
                # Without a length or chunks an orderly end would look like the end of the body: only a reset does not.
                if self.response_started and self._left is None and not self._chunked:
                    self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    self.transport.abort()
                else:
                    self.transport.close()
            self._on_response = self._end = _nothing
            self.task = None

    async def receive(self) -> Message:
        """The request's body; `broken` says that no rest will come, though the caller is still there."""
        if self._expects_continue and not self.transport.is_closing():
            self.transport.write(CONTINUE)
            self._expects_continue = False
        if not (self.disconnected or self.response_complete):
            self.flow.resume_reading()
            if not self._has_news:
                if self._event is None:
                    self._event = asyncio.Event()
                await self._event.wait()
            self._has_news = False
            if self._event is not None:
                self._event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        message: Message = {"type": "http.request", "body": body, "more_body": self.more_body}
        if self.broken:
            message["more_body"] = True
            message["broken"] = not body
            if body:
                # Nothing else will wake the next call, which says that this was all; the one after it waits.
                self.news()
        return message

    async def send(self, message: Message) -> None:
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
        if self._bare or self._left != len(body):
            self.transport.write(head)
            self._write(body, more=False)
        else:
            self._left = 0
            self.transport.write(head + body)
            self._complete()
        return True

    def _head(self, status: int, headers: Sequence[Header]) -> bytes:
        """Begin the answer: its head, with the framing that this caller understands."""
        self.response_started = True
        self._expects_continue = False
        says_close = False
        length = b""
        for name, value in headers:
            if name == b"content-length":
                length = value
            elif name == b"connection":
                says_close = value == b"close"
        # What is left of the request would be read as the next one (W-056).
        if self.more_body or says_close or self.guard.is_draining():
            self.keep_alive = False
        own = b""
        self._bare = status in WITHOUT_CONTENT or self._is_head
        if self._bare:
            self._left = 0
        elif length:
            self._left = int(length)
        elif self._takes_chunks:
            self._chunked = True
            own = b"transfer-encoding: chunked\r\n"
        else:
            self.keep_alive = False
        if not self.keep_alive and not says_close:
            own += b"connection: close\r\n"
        return b"%b%b\r\n%b\r\n" % (STATUS_LINES[status], b"\r\n".join(map(b": ".join, headers)), own)

    def _write(self, body: bytes, *, more: bool) -> None:
        if self._bare:
            body = b""
        if self._chunked:
            parts = [b"%x\r\n" % len(body), body, b"\r\n"] if body else []
            if not more:
                parts.append(b"0\r\n\r\n")
            if parts:
                self.transport.write(b"".join(parts))
        else:
            if self._left is not None:
                # More than was announced would be read as the next answer.
                body = body[: self._left]
                self._left -= len(body)
            if body:
                self.transport.write(body)
        if not more and not (self._left and not self._chunked):
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.news()
        if not self.keep_alive:
            self._end()
        self._on_response()


def _nothing() -> None:
    """Nobody is to be told any more."""
