"""
A connection to a vendor as a stream of bytes: TCP, and TLS over it.

No received byte waits in a layer that cannot be asked. Where one can (the rest of a segment, a second TLS record), what
follows a reply is seen neither by the parser nor at the socket, and the next request on that connection reads it as its
own answer (W-171). Here `is_quiet` sees it. Raises what the standard library raises: `TimeoutError`, `OSError` and the
`ssl.SSLError` below it.
"""

import asyncio
import select
import ssl
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")

# What is read ahead of its reader before the vendor has to wait; asyncio's transports read as much at once.
AHEAD_LIMIT_BYTES = 256 * 1024

# RFC 8446 section 5.1: a record's header is its type, its version and the length of what follows.
RECORD_HEADER_BYTES = 5


class Wire(asyncio.Protocol):
    """
    A TCP connection.

    Mutable state: what came and is not read yet, whether the vendor has ended, and what broke the connection.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._broken: Exception | None = None
        self._paused = False
        # Set while there is something to know: bytes, the end, a break.
        self._news = asyncio.Event()
        # Set while everything written has left.
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a write then waits until the system has taken it all."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        """Keep what came."""
        self._received += data
        self._news.set()
        if len(self._received) >= AHEAD_LIMIT_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Note the vendor's end; ours may go on, an early answer can end before the upload."""
        self._ended = True
        self._news.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of both directions."""
        self._ended = True
        self._broken = exc
        self._news.set()
        self._room.set()

    def pause_writing(self) -> None:
        """Let writers wait."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._room.set()

    async def read(self, limit: int, timeout: float | None) -> bytes:  # noqa: ASYNC109  (a pause, not the whole call)
        """Read up to `limit` bytes as soon as there are some; none at the end. Raises TimeoutError or OSError."""
        if not self._news.is_set():
            async with asyncio.timeout(timeout):
                await self._news.wait()
        if not self._received and self._broken is not None:
            raise ConnectionResetError from self._broken
        return self.take(limit)

    def take(self, limit: int) -> bytes:
        """Give up to `limit` bytes of those that are here."""
        data = bytes(self._received[:limit])
        del self._received[:limit]
        if not self._received and not self._ended:
            self._news.clear()
        if self._paused and len(self._received) < AHEAD_LIMIT_BYTES:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes, timeout: float | None) -> None:  # noqa: ASYNC109  (a pause, not the whole call)
        """Write it all, and wait until the system has taken it. Raises TimeoutError or OSError."""
        if self._transport.is_closing():
            raise ConnectionResetError from self._broken
        self._transport.write(data)
        if not self._room.is_set():
            async with asyncio.timeout(timeout):
                await self._room.wait()
            if self._transport.is_closing():
                raise ConnectionResetError from self._broken

    def has_ended(self) -> bool:
        """Whether the vendor has ended the connection."""
        return self._ended

    def is_quiet(self) -> bool:
        """Whether nothing came that was not read, not even the end: only then may another request be sent."""
        return not self._news.is_set() and not self._is_readable()

    def _is_readable(self) -> bool:
        """Whether the socket has something that the event loop has not seen yet."""
        readable = select.poll()
        readable.register(self._transport.get_extra_info("socket"), select.POLLIN)
        return bool(readable.poll(0))

    def close(self) -> None:
        """End at once, whatever is still to be sent."""
        self._transport.abort()


class SecureWire:
    """
    TLS over a wire.

    Mutable state: the session, the record of which only a part has come, and what was read to look at the rest.
    """

    def __init__(self, wire: Wire, context: ssl.SSLContext, server_name: str) -> None:
        self._wire = wire
        self._came, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._part = bytearray()
        self._ahead = bytearray()
        self._ended = False
        self.session = context.wrap_bio(self._came, self._going, server_hostname=server_name)

    async def shake_hands(self, timeout: float | None) -> None:  # noqa: ASYNC109  (kept here for the whole call)
        """Agree, and verify the vendor. Raises TimeoutError, ssl.SSLError or OSError."""
        async with asyncio.timeout(timeout):
            await self._until(self.session.do_handshake, None)

    async def read(self, limit: int, timeout: float | None) -> bytes:  # noqa: ASYNC109  (a pause, not the whole call)
        """Read up to `limit` bytes as soon as there are some; none at the end. Raises TimeoutError or OSError."""
        if self._ahead:
            data = bytes(self._ahead[:limit])
            del self._ahead[:limit]
            return data
        try:
            return await self._until(lambda: self.session.read(limit), timeout)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, data: bytes, timeout: float | None) -> None:  # noqa: ASYNC109  (a pause, not the whole call)
        """Write it all, and wait until the system has taken it. Raises TimeoutError or OSError."""
        await self._until(lambda: self.session.write(data), timeout)

    async def _until(self, step: Callable[[], T], timeout: float | None) -> T:  # noqa: ASYNC109  (passed on)
        """Take a step of the session, with what it must send and receive to take it."""
        while True:
            try:
                taken = step()
            except ssl.SSLWantReadError:
                await self._flush(timeout)
                self._feed(await self._wire.read(AHEAD_LIMIT_BYTES, timeout))
            else:
                await self._flush(timeout)
                return taken

    async def _flush(self, timeout: float | None) -> None:  # noqa: ASYNC109  (passed on)
        if self._going.pending:
            await self._wire.write(self._going.read(), timeout)

    def _feed(self, data: bytes) -> None:
        if not data:
            self._came.write_eof()
            return
        self._came.write(data)
        # OpenSSL swallows the beginning of a record without a word: whether one is there has to be counted.
        self._part += data
        while len(self._part) >= RECORD_HEADER_BYTES:
            end = RECORD_HEADER_BYTES + int.from_bytes(self._part[3:5])
            if len(self._part) < end:
                break
            del self._part[:end]

    def has_ended(self) -> bool:
        """Whether the vendor has ended the connection, or the session; nobody may be reading."""
        self._look()
        return self._ended or self._wire.has_ended()

    def is_quiet(self) -> bool:
        """
        Whether nothing came that was not read, not even the end or a part of a record; nobody may be reading.

        Only then may another request be sent. What a session says to itself, a ticket, is nothing to be read.
        """
        self._look()
        return not (self._ended or self._ahead or self._part) and self._wire.is_quiet()

    def _look(self) -> None:
        """Decrypt all that is here."""
        while data := self._wire.take(AHEAD_LIMIT_BYTES):
            self._feed(data)
        try:
            while data := self.session.read(AHEAD_LIMIT_BYTES):
                self._ahead += data
            self._ended = True
        except ssl.SSLWantReadError:
            pass  # no end, and nothing more
        except ssl.SSLError:
            self._ended = True

    def close(self) -> None:
        """End at once, whatever is still to be sent."""
        self._wire.close()


async def connect(address: str, port: int) -> Wire:
    """Open a connection to an IP address. Raises OSError."""
    _, wire = await asyncio.get_running_loop().create_connection(Wire, address, port)
    return wire
