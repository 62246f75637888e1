"""
The two bodies of an exchange: the caller's on its way up, the vendor's on its way down. Neither is ever held whole.

A reply's body can be read ahead within bounds, to decide what it is, and is then still there to be sent on whole.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, Self

from starlette.types import Message, Receive

from normalizers import HouseCode

from .problems import refuse, too_large
from .upstream import Cut, Header


class CallerGone(Exception):
    """The caller hung up; nobody is left to be answered."""


class Upload:
    """
    The caller's body as it comes, counted.

    Raises `Refused` when it is over `limit` bytes (413) or stalls for `idle` seconds (408), and `CallerGone`; then the
    message to the vendor breaks off and cannot look whole (W-046).
    """

    def __init__(
        self, receive: Receive, *, limit: int, idle: float, on_end: Callable[[], None], kept_bytes: int = 0
    ) -> None:
        self._receive = receive
        self._limit = limit
        self._idle = idle
        self._on_end = on_end
        self._kept: list[bytes] = []
        self._kept_bytes = kept_bytes
        self.size = 0
        self.ended = False

    @property
    def replayable(self) -> bool:
        """Whether the body can be sent from its first byte again: it was kept so far, or none of it was read."""
        return self.size <= self._kept_bytes

    def __aiter__(self) -> "_Sending":
        """Begin with what was kept; then comes what arrives, as it arrives."""
        return _Sending(self, tuple(self._kept))

    async def arriving(self) -> bytes:
        """Give the next part that has bytes, or none at the end."""
        chunk = b""
        while not chunk and not self.ended:
            message = await self._message()
            if message["type"] == "http.disconnect":
                raise CallerGone
            if message.get("broken"):
                raise refuse(HouseCode.INVALID_REQUEST, "The request's body breaks its own framing.", close=True)
            chunk = message.get("body", b"")
            self.size += len(chunk)
            if self.size > self._limit:
                raise too_large(self._limit)
            if self.size <= self._kept_bytes:
                self._kept.append(chunk)
            else:
                self._kept.clear()
            if not message.get("more_body", False):
                self.ended = True
                self._on_end()
        return chunk

    async def _message(self) -> Message:
        try:
            async with asyncio.timeout(self._idle):
                return await self._receive()
        except TimeoutError as error:
            raise refuse(
                HouseCode.REQUEST_TIMEOUT, f"The request's body did not go on for {self._idle:g} s.", close=True
            ) from error


class _Sending:
    """One sending of an upload. Mutable state: how much of what was kept is given."""

    def __init__(self, upload: Upload, kept: tuple[bytes, ...]) -> None:
        self._upload = upload
        self._kept = kept
        self._given = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._given < len(self._kept):
            self._given += 1
            return self._kept[self._given - 1]
        chunk = await self._upload.arriving()
        if not chunk:
            raise StopAsyncIteration
        return chunk


class Memory(Protocol):
    """What a connection keeps for whoever answers its requests, until it ends."""

    last: object


class Connection(Protocol):
    """What a server of ours knows of the caller; it stands in the scope's extensions as `errgate`."""

    has_query: bool
    on_gone: Callable[[], None] | None
    memory: Memory
    task: "asyncio.Task[None] | None"

    def watch(self, gone: Callable[[], None]) -> None:
        """Tell of a hang-up from now on, or at once if there was one."""

    def whole(self, status: int, headers: Sequence[Header], body: bytes) -> bool:
        """Write an answer that is all here in one go; false where it has to be sent as ASGI does it."""


class Presence:
    """
    Notices that the caller hung up, and stops the request's own task (W-157).

    Mutable state: `gone`, set once. Nothing watches before the caller's body has ended, since both read one channel.
    """

    def __init__(self, receive: Receive, connection: Connection | None = None) -> None:
        """`connection`: our own server's, which tells of a hang-up without a task that waits for it."""
        self._receive = receive
        self._connection = connection
        self._request = asyncio.current_task() if connection is None else connection.task
        self._watcher: asyncio.Task[None] | None = None
        self._answered = False
        self.gone = False

    def watch(self) -> None:
        """Begin to watch; the caller's body has ended."""
        if self._connection is not None:
            self._connection.watch(self.leave)
        elif self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.leave()

    def leave(self) -> None:
        """The caller hung up; called by who sees it, at most once before the answer is out."""
        if not self._answered and not self.gone and self._request is not None:
            self.gone = True
            self._request.cancel()

    def answered(self) -> None:
        """The last byte of the answer is going out: what the server says from now on is no hang-up."""
        self._answered = True
        if self._connection is not None:
            self._connection.on_gone = None
        if self._watcher is not None:
            self._watcher.cancel()


class Download:
    """The vendor's body: read ahead within bounds, then sent on from its first byte."""

    def __init__(self, chunks: AsyncIterator[bytes], whole: bytes | None = None) -> None:
        """`whole`: the body, where all of it is here."""
        self._chunks = chunks
        self._pending: asyncio.Future[bytes | None] | None = None
        self._ahead: list[bytes] = [whole] if whole else []
        self.ended = whole is not None
        self.cut: Cut | None = None

    async def read_ahead(self, limit: int, *, seconds: float | None = None) -> bytes:
        """
        Read up to the end, or until more than `limit` bytes are here, or for `seconds`.

        `ended` tells whether that was all; `cut` whether it broke off.
        """
        if self.ended:
            return b"".join(self._ahead)
        size = sum(map(len, self._ahead))
        deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        while not self.ended and size <= limit:
            chunk = await self._next(deadline)
            if chunk is None:
                break
            self._ahead.append(chunk)
            size += len(chunk)
        return b"".join(self._ahead)

    async def _next(self, deadline: float | None) -> bytes | None:
        """The next chunk; None at the end, at a cut, or when the deadline passes (the read goes on)."""
        if deadline is not None or self._pending is not None:
            if self._pending is None:
                self._pending = asyncio.ensure_future(anext(self._chunks, None))
            left = None if deadline is None else max(0.0, deadline - asyncio.get_running_loop().time())
            done, _ = await asyncio.wait({self._pending}, timeout=left)
            if not done:
                return None
            reading, self._pending = self._pending, None
        else:
            reading = None
        try:
            chunk = await anext(self._chunks, None) if reading is None else reading.result()
        except Cut as cut:
            self.cut = cut
            self.ended = True
            return None
        if chunk is None:
            self.ended = True
        return chunk

    def __aiter__(self) -> Self:
        """What was read ahead, then the rest as it arrives. Raises `Cut` where it broke off."""
        return self

    async def __anext__(self) -> bytes:
        if self._ahead:
            return self._ahead.pop(0)
        if not self.ended:
            chunk = await self._next(None)
            if chunk is not None:
                return chunk
        if self.cut is not None:
            raise self.cut
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop a read that is still going on."""
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.wait({self._pending})
            if not self._pending.cancelled():
                self._pending.exception()
