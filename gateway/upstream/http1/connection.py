"""
A connection to a vendor: its bytes, its pauses, and its one timer.

A connection carries one exchange at a time and belongs to the pool between them. What comes while nobody asked for
anything ends it, but for a new connection: a vendor that refuses a connection may say why before it is asked.
"""

import asyncio
import os
import select
import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

# What a vendor may say before it is asked: a small reply.
EARLY_LIMIT_BYTES: Final = 64 * 1024

# What is read at once from a connection that a failed write has ended.
REST_LIMIT_BYTES: Final = 256 * 1024


class Carried(Protocol):
    """The exchange that a connection carries, as the connection sees it."""

    def received(self, data: bytes) -> None:
        """Take what the vendor sent."""

    def lost(self, error: Exception | None) -> None:
        """Know that nothing more comes: the vendor ended the connection (None), or it broke."""

    def expired(self) -> None:
        """Know that the time set by `expect` has passed."""


class Connection(asyncio.Protocol):
    """
    A TCP connection.

    Mutable state: the exchange it carries; what came before the first one; whether it is `idle`, `closed`, has room for
    more to write; the time that is set, and the timer. One timer serves many exchanges: it is set anew only where it
    would come too late, since to set one costs more than to let one pass.
    """

    def __init__(self, left: Callable[["Connection"], None]) -> None:
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._poll: Callable[[int], list[tuple[int, int]]]
        self._carried: Carried | None = None
        self._early: bytearray | None = bytearray()
        self._ended = False
        self._paused = False
        self._room: asyncio.Future[None] | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.closed = False
        self.idle = False
        self.idle_since = 0.0
        self.born_at = self._loop.time()

    # --- What the event loop says ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a write has room again once the system has taken it all."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._poll = poll.poll

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        if self._carried is not None:
            self._carried.received(data)
        elif self._early is not None and len(self._early) < EARLY_LIMIT_BYTES:
            self._early += data
        else:
            self.close()

    def eof_received(self) -> None:
        """Note the vendor's end; it is ours, too, once what was read is handed on."""
        self._over(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of both directions."""
        if exc is not None and not self.closed and self._carried is not None:
            self._read_rest()
        self._over(exc)
        if not self.closed:
            self.closed = True
            self._left(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.resume_writing()

    def pause_writing(self) -> None:
        """Let writers wait."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let writers go on."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _over(self, error: Exception | None) -> None:
        if self._ended:
            return
        self._ended = True
        if self._carried is not None:
            self._carried.lost(error)
        elif self._early is None:
            self.close()

    def _read_rest(self) -> None:
        """Read what is left in the socket: a vendor that refuses a body answers and closes while we still write it."""
        try:
            with socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno())) as rest:
                data = rest.recv(REST_LIMIT_BYTES, socket.MSG_DONTWAIT)
        except OSError:
            return
        if data:
            self.data_received(data)

    # --- What an exchange says ---------------------------------------------------------------------------------------

    def carry(self, exchange: Carried) -> bool:
        """Begin an exchange; what came too early is the first it hears. Whether anything did."""
        self._carried = exchange
        early, self._early = self._early, None
        if early is None:
            return False
        if early:
            exchange.received(bytes(early))
        if self._ended:
            exchange.lost(None)
        return bool(early or self._ended or self._poll(0))

    def write(self, data: bytes) -> None:
        """Write as soon as there is room."""
        if not self.closed:
            self._transport.write(data)

    @property
    def is_full(self) -> bool:
        """Whether what was written has not all been taken by the system."""
        return self._room is not None

    async def room(self, seconds: float) -> None:
        """Wait until there is room for more, or the connection is closed. Raises TimeoutError."""
        if self._room is not None:
            async with asyncio.timeout(seconds):
                await self._room

    def expect(self, at: float | None) -> None:
        """Tell the exchange when the event loop's clock says so, unless another time is set before; None: never."""
        self._deadline = at
        if at is not None and not self.closed and (self._timer is None or at < self._timer_at):
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        at = self._deadline
        if at is None:
            return
        # An event loop counts in milliseconds.
        if self._loop.time() + 0.001 < at:
            self.expect(at)
        elif self._carried is not None:
            self._carried.expired()

    def pause(self) -> None:
        """Let the vendor wait."""
        if not (self._paused or self.closed or self._ended):
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Let the vendor go on."""
        if self._paused:
            self._paused = False
            if not (self.closed or self._ended):
                self._transport.resume_reading()

    # --- What the pool says ------------------------------------------------------------------------------------------

    def release(self) -> None:
        """End the exchange, or do without one: from now on whatever comes unasked ends the connection."""
        self._carried = None
        self._deadline = None
        if self._early:
            self.close()
        self._early = None

    def is_quiet(self) -> bool:
        """
        Whether nothing came that was not read, not even the end: only then may another request be sent (W-171).

        The socket is asked, too: it may hold what the event loop has not seen yet.
        """
        return not (self._ended or self.closed or self._poll(0))

    def close(self) -> None:
        """End at once, whatever is still to be sent."""
        if not self.closed:
            self.closed = self._ended = True
            self._transport.abort()
            self._left(self)
            if self._carried is not None:
                self._carried.lost(ConnectionAbortedError())
