"""
One request and its reply on one connection.

The reply is read as it arrives, whoever waits for it; a request's body goes up beside it. Where nothing is awaited
nothing is scheduled: a small request is one write, a small reply is whole when its head is given.

One file: the two directions of an exchange end each other, and neither can be read without the other.
"""

import asyncio
import time
from collections.abc import AsyncIterable, Iterable
from types import TracebackType
from typing import Final, Self

from gateway.upstream import Call, Cut, Header, NoReply, Reason

from .connection import Connection
from .content import Chunked, Content, Sized, UntilClose
from .pool import Pool
from .reply import Head

# What is read ahead of its reader before the vendor has to wait (W-156).
AHEAD_LIMIT_BYTES: Final = 128 * 1024

FIRST_ERROR: Final = 400
WITHOUT_CONTENT: Final = frozenset({204, 304})


def head_of(call: Call) -> bytes:
    """The request's head as it goes out. Raises ValueError where a line of it would end before its end."""
    fields = call.fields
    if fields.encoded is None:
        fields.encoded = _lines([*map(b": ".join, fields.lines), b""])
    return _lines([b"%b %b HTTP/1.1" % (call.method, call.target)]) + fields.encoded


def _lines(lines: list[bytes]) -> bytes:
    """The lines with their ends."""
    whole = b"\r\n".join(lines) + b"\r\n"
    if whole.count(b"\n") != len(lines) or whole.count(b"\r") != len(lines) or whole.find(b"\0") >= 0:
        raise ValueError("a line break or a NUL stands inside a line of the request's head")
    return whole


def is_chunked(headers: Iterable[Header]) -> bool:
    """Whether these fields say that a body goes in chunks; it goes by its length otherwise."""
    return any(name.lower() == b"transfer-encoding" for name, _ in headers)


def chunk_of(data: bytes) -> bytes:
    """A chunk as it goes out."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def in_chunks(data: bytes) -> bytes:
    """A whole body as it goes out."""
    return chunk_of(data) + LAST_CHUNK if data else LAST_CHUNK


LAST_CHUNK: Final = b"0\r\n\r\n"


class Http1Exchange:
    """
    A request on its way, then its reply.

    Mutable state: the connection while there is one; the head, then the content as far as it was read and not taken;
    what went wrong; who waits for more; the upload; whether the reply has ended and the request was sent whole.
    """

    __slots__ = (
        "_ahead", "_call", "_chunks", "_connection", "_content", "_ended", "_ends_at", "_error", "_head", "_loop",
        "_pool", "_sent", "_surplus", "_upload", "_waiter", "headers", "status", "whole",
    )  # fmt: skip

    def __init__(self, pool: Pool, call: Call) -> None:
        self._pool = pool
        self._call = call
        self._head = Head()
        self._content: Content | None = None
        self._chunks: list[bytes] = []
        self._ahead = 0
        self._connection: Connection | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._upload: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._ended = self._sent = self._surplus = False
        self.status = 0
        self.headers: list[Header] = []
        self.whole: bytes | None = None

    # --- Whoever asks ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Send the call and wait for the reply's head. Raises NoReply; what the body's source raises goes through."""
        call = self._call
        call.began_at = call.connected_at = time.perf_counter()
        self._loop = loop = self._pool.loop
        self._ends_at = loop.time() + call.timeouts.total
        head = head_of(call)
        connection = self._pool.idle()
        if connection is None:
            connection = await self._pool.connection(call, self._ends_at)
        if call.ready is not None:
            try:
                call.ready()
            except BaseException:
                connection.release()
                self._pool.give_back(connection, again=True)
                raise
        self._connection = connection
        try:
            self._send(connection, head)
            while self._content is None and self._error is None:
                await self._news()
            await self._settle()
        except BaseException:
            await self._leave()
            raise
        call.head_at = time.perf_counter()
        self.status, self.headers = self._head.status, self._head.fields
        if self._ended:
            self.whole = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back, or end it where the reply was not read to its end."""
        if self._connection is not None:
            await self._leave()

    def chunks(self) -> Self:
        """The body without its transfer coding, as it arrives, no chunk empty. Raises `Cut`, or what the upload did."""
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            # A whole reply is one, whatever has become of the upload under it.
            if self._ended:
                if self._sent and self._connection is not None:
                    self._release()
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            assert self._connection is not None  # noqa: S101  (it is left with the exchange)
            self._connection.expect(self._loop.time() + self._call.timeouts.idle)
            await self._news()
            self._connection.expect(None)
        chunks, self._chunks, self._ahead = self._chunks, [], 0
        if self._connection is not None:
            self._connection.resume()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _news(self) -> None:
        """Wait until something has come of the reply, or of the upload."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def _settle(self) -> None:
        """Say why there is no head; once there is one, an error's upload need not go on."""
        if self._content is None and self._error is not None:
            raise self._error
        if self._head.status >= FIRST_ERROR and self._upload is not None:
            await self._stop_upload()

    async def _leave(self) -> None:
        try:
            await self._stop_upload()
        finally:
            self._release()

    def _release(self) -> None:
        """Give the connection back; it carries another request if both messages ended well and nothing followed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            again = self._ended and self._sent and self._head.persist and not self._surplus and self._error is None
            connection.resume()
            connection.release()
            self._pool.give_back(connection, again=again)

    # --- The request -------------------------------------------------------------------------------------------------

    def _send(self, connection: Connection, head: bytes) -> None:
        """Begin to send; what fits into one write is one."""
        call = self._call
        body = call.body
        # What was said before the request is no answer to it: the answer may still come, and would be the next one's.
        self._surplus = connection.carry(self)
        if self._error is not None:
            return  # the vendor has left, and nothing was sent
        call.sent_at = time.perf_counter()
        if body is None or isinstance(body, bytes):
            if body is not None:
                head += in_chunks(body) if is_chunked(call.headers) else body
            connection.write(head)
            if connection.is_full:
                self._upload = self._loop.create_task(self._until_taken(connection))
            else:
                self._sent_whole(connection)
        else:
            connection.write(head)
            connection.expect(self._ends_at)
            self._upload = self._loop.create_task(self._upload_from(body, connection))

    def _sent_whole(self, connection: Connection) -> None:
        """From the request's last byte on the first of the reply is waited for."""
        self._sent = True
        if self._content is None:
            connection.expect(min(self._ends_at, self._loop.time() + self._call.timeouts.first_byte))

    async def _until_taken(self, connection: Connection) -> None:
        try:
            await self._room(connection)
        except NoReply as error:
            self._fail(error)
        else:
            self._sent_whole(connection)

    async def _upload_from(self, source: AsyncIterable[bytes], connection: Connection) -> None:
        """Send a body as it comes."""
        chunked = is_chunked(self._call.headers)
        pieces = aiter(source)
        try:
            async for piece in pieces:
                # A vendor that takes no more may still have answered.
                if connection.closed:
                    return
                if piece:
                    connection.write(chunk_of(piece) if chunked else piece)
                    await self._room(connection)
            if chunked:
                connection.write(LAST_CHUNK)
                await self._room(connection)
        except Exception as error:  # noqa: BLE001  (whatever it is goes through to whoever asked)
            self._fail(error)
        else:
            if not connection.closed:
                self._sent_whole(connection)
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()

    async def _room(self, connection: Connection) -> None:
        """Wait until the system has taken what was written. Raises NoReply, or Cut once the head is here."""
        if connection.is_full:
            try:
                await connection.room(self._call.timeouts.idle)
            except TimeoutError as error:
                failure = NoReply if self._content is None else Cut
                raise failure(Reason.CONNECTION_WRITE_TIMEOUT) from error

    async def _stop_upload(self) -> None:
        upload = self._upload
        if upload is not None and not upload.done():
            upload.cancel()
            await asyncio.wait({upload})

    # --- The reply ---------------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Take what the vendor sent."""
        content = self._content
        if content is None:
            try:
                rest = self._head.feed(data)
            except NoReply as error:
                self._fail(error)
                return
            if rest is None:
                if self._sent:
                    self._sent_whole(self._connection)  # type: ignore[arg-type]  # it is the one that calls
                return
            content = self._content = self._expected()
            self._connection.expect(None)  # type: ignore[union-attr]  # the same
            data = rest
        if data:
            self._take(content, data)
        if content.ended and not self._ended:
            self._ended = True
        self._wake()

    def _expected(self) -> Content:
        """What the head says of the content (RFC 9112 section 6.3)."""
        head = self._head
        if self._call.method == b"HEAD" or head.status in WITHOUT_CONTENT:
            return Sized(0)
        if head.chunked:
            return Chunked()
        if head.length is not None:
            return Sized(head.length)
        head.persist = False
        return UntilClose()

    def _take(self, content: Content, data: bytes) -> None:
        if self._ended:
            self._surplus = True
            return
        piece = content.feed(data)
        if piece:
            self._chunks.append(piece)
            self._ahead += len(piece)
            if self._ahead >= AHEAD_LIMIT_BYTES and not content.ended and self._connection is not None:
                self._connection.pause()
        self._surplus = self._surplus or content.surplus
        if content.broken:
            self._fail(Cut(Reason.HTTP_RESPONSE_INCOMPLETE))

    def lost(self, error: Exception | None) -> None:
        """Know that nothing more comes: the vendor ended the connection (None), or it broke."""
        # Where the reply has ended, the connection has only ended with it.
        self._surplus = True
        if self._ended:
            return
        if self._content is None:
            self._fail(NoReply(Reason.HTTP_RESPONSE_INCOMPLETE if self._head.begun else Reason.CONNECTION_TERMINATED))
        elif error is None and self._content.close():
            self._ended = True
            self._wake()
        else:
            self._fail(Cut(Reason.HTTP_RESPONSE_INCOMPLETE))

    def expired(self) -> None:
        """Know that the time for the head, or for the next part of the content, has passed."""
        failure = NoReply if self._content is None else Cut
        self._fail(failure(Reason.HTTP_RESPONSE_TIMEOUT))

    def _fail(self, error: Exception) -> None:
        """Keep the first thing that went wrong, and end the connection."""
        if self._error is None:
            self._error = error
        if self._connection is not None:
            self._connection.close()
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
