"""
What a supervisor and its workers say to each other: one JSON object a line over a pair of sockets.

A worker says that it is alive, once a second, and ready, once. The supervisor asks, each question with a number; the
worker answers with the same number. A reload has two steps, so that all workers take the new settings or none does:
`prepare` reads and judges them, `commit` puts them into force. When the line breaks the other side is gone.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

ALIVE_INTERVAL_SECONDS = 1.0

# Longer than any status; a line over it ends the conversation.
LINE_LIMIT_BYTES = 4 * 1024 * 1024

Answer = dict[str, Any]


class Line:
    """One end of the conversation."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Line":
        """Talk over a connected socket."""
        return cls(*await asyncio.open_connection(sock=end, limit=LINE_LIMIT_BYTES))

    def say(self, **message: object) -> None:
        """Send one message."""
        self._writer.write(json.dumps(message, default=str).encode() + b"\n")

    async def hear(self) -> Answer | None:
        """The next message; None when the other side is gone."""
        with contextlib.suppress(ConnectionError, ValueError):
            line = await self._reader.readline()
            message = json.loads(line) if line else None
            return message if isinstance(message, dict) else None
        return None

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def obey(line: Line, orders: dict[str, Callable[[], Awaitable[Answer]]]) -> None:
    """A worker's side: carry out what is asked until the supervisor is gone."""
    while (order := await line.hear()) is not None:
        line.say(id=order["id"], **await orders[order["do"]]())


async def tell_alive(line: Line) -> None:
    """A worker's side: say that the event loop turns, for as long as it does."""
    while True:
        line.say(alive=True)
        await asyncio.sleep(ALIVE_INTERVAL_SECONDS)
