"""
Many conversations at once: bytes go out in the pieces they are given in, and what comes back is read strictly.

An event loop of the test's own carries them, so that a thousand payloads take seconds; every conversation is a
connection of its own, which ends when the gateway closes it, or when it has said what was waited for and is silent.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.e2e.harness.wire import STATUS_LINE, Cut, Head, Response, Stream, WireError, response_framing

# How long a silent connection is listened to once all that was waited for has come.
QUIET_SECONDS = 0.02

# How long a conversation may take at all; the gateway's own deadlines in these tests are far below.
PATIENCE_SECONDS = 8.0

AT_ONCE = 25

Split = Callable[[bytes], list[bytes]]

# Beyond this many bytes from either end a payload is one piece: what is long is long of the same.
EDGE_BYTES = 400


def whole(data: bytes) -> list[bytes]:
    """All in one write."""
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    """A write for each byte."""
    if len(data) <= 2 * EDGE_BYTES:
        return [data[index : index + 1] for index in range(len(data))]
    middle = data[EDGE_BYTES:-EDGE_BYTES]
    return [*bytewise(data[:EDGE_BYTES]), middle, *bytewise(data[-EDGE_BYTES:])]


def at_line_ends(data: bytes) -> list[bytes]:
    """Split inside and after each line end."""
    if len(data) <= 16 * EDGE_BYTES:
        return [piece for piece in re.split(rb"(?<=\r)|(?<=\n)", data) if piece]
    middle = data[8 * EDGE_BYTES : -8 * EDGE_BYTES]
    return [*at_line_ends(data[: 8 * EDGE_BYTES]), middle, *at_line_ends(data[-8 * EDGE_BYTES :])]


SPLITS: dict[str, Split] = {"whole": whole, "bytewise": bytewise, "at-line-ends": at_line_ends}


@dataclass(frozen=True, slots=True)
class Talk:
    """What came back: the answers in their order, the bytes behind them, and whether the gateway closed."""

    responses: tuple[Response, ...]
    leftover: bytes
    closed: bool
    error: str = ""

    @property
    def statuses(self) -> tuple[int, ...]:
        """The statuses of the answers."""
        return tuple(response.status for response in self.responses)


class _Said:
    """Bytes that are all here, in the place of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def recv(self, _: int) -> bytes:
        data, self._data = self._data, b""
        return data


def read(data: bytes, methods: Sequence[str], *, closed: bool) -> Talk:
    """The answers in these bytes, one for each method, GET when there are more."""
    stream = Stream(_Said(data))  # type: ignore[arg-type]  # all it needs of a socket is recv
    asked = [*methods]
    found: list[Response] = []
    try:
        while stream.buffer or not stream.ended:
            found.append(_response(stream, asked.pop(0) if asked else "GET", closed=closed))
    except Cut:
        pass
    except WireError as error:
        return Talk(tuple(found), bytes(stream.buffer), closed, str(error))
    return Talk(tuple(found), bytes(stream.buffer), closed)


def _response(stream: Stream, method: str, *, closed: bool) -> Response:
    head = stream.head(STATUS_LINE)
    interim: list[Head] = []
    while head.start[1].startswith("1"):
        interim.append(head)
        head = stream.head(STATUS_LINE)
    framing = response_framing(head, method)
    body = bytearray()
    complete = framing != "close" or closed
    try:
        for piece in stream.body(framing):
            body += piece
    except Cut:
        complete = False
    return Response(head, bytes(body), complete=complete, interim=tuple(interim))


@dataclass(frozen=True, slots=True)
class Speech:
    """
    What is said on one connection: the pieces, and the methods in them, so that the answers can be read.

    `answers`: how many must be here before a silence ends the conversation. `half_close` ends our side after the last
    piece. `pause` is the time between two pieces, in seconds. `until_closed` waits for the end, however silent it is.
    """

    pieces: Sequence[bytes]
    methods: Sequence[str] = ()
    answers: int = 1
    half_close: bool = False
    pause: float = 0.0
    until_closed: bool = False


def converse(address: tuple[str, int], speeches: Iterable[Speech]) -> list[Talk]:
    """Have all the conversations, a few at once."""

    async def every() -> list[Talk]:
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(speech: Speech) -> Talk:
            async with turns:
                return await _converse(address, speech)

        return list(await asyncio.gather(*map(one, speeches)))

    return asyncio.run(every())


async def _converse(address: tuple[str, int], speech: Speech) -> Talk:  # noqa: C901  (one connection's whole life)
    """One conversation."""
    reader, writer = await asyncio.open_connection(*address)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = bytearray()
    news = asyncio.Event()

    async def listen() -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(256 * 1024):
                received.extend(data)
                news.set()
        news.set()

    async def speak() -> None:
        with contextlib.suppress(ConnectionError):
            for piece in speech.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(speech.pause)
            if speech.half_close:
                writer.write_eof()

    listening = asyncio.create_task(listen())
    speaking = asyncio.create_task(speak())
    error = ""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            # A whole answer may come before all is said, and more after it.
            await asyncio.wait({speaking, listening}, return_when=asyncio.FIRST_COMPLETED)
            while not listening.done():
                news.clear()
                here = read(bytes(received), speech.methods, closed=False).responses
                # Who says that it closes is waited for until it has.
                going_on = not speech.until_closed and not (here and here[-1].header("connection") == "close")
                enough = going_on and sum(response.complete for response in here) >= speech.answers
                try:
                    await asyncio.wait_for(news.wait(), QUIET_SECONDS if enough else None)
                except TimeoutError:
                    if enough:
                        break
                    raise
    except TimeoutError:
        error = "the gateway neither answered nor closed"
    finally:
        closed = listening.done()
        for task in (listening, speaking):
            task.cancel()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    talk = read(bytes(received), speech.methods, closed=closed)
    return Talk(talk.responses, talk.leftover, talk.closed, talk.error or error)
