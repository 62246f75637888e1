"""
What a supervisor and its workers say to each other: one JSON object a line over a pair of sockets.

A worker says that it is alive, once a second, and ready, once. The supervisor asks, each question with a number; the
worker answers with the same number. Only the supervisor reads the settings: a worker is handed those in force before
the first line, so that one that replaces another works as that one did, whatever the file says by now. A reload has two
steps, so that all workers take the new settings or none does: `prepare` hands them over and has them judged, `commit`
puts them into force. When the line breaks the other side is gone.
"""

import asyncio
import base64
import contextlib
import json
import logging
import pickle
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from gateway import log
from gateway.settings import Settings

ALIVE_INTERVAL_SECONDS = 1.0

# Longer than any status; a line over it ends the conversation.
LINE_LIMIT_BYTES = 4 * 1024 * 1024

# Before the first line: how many bytes of settings follow.
LENGTH = struct.Struct("!Q")

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
        """Send one message, unless the line is dead: uvloop raises RuntimeError then."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message, default=str).encode() + b"\n")

    async def hear(self) -> Answer | None:
        """The next message; None when the other side is gone."""
        with contextlib.suppress(ConnectionError, ValueError):
            line = await self._reader.readline()
            message = json.loads(line) if line else None
            return message if isinstance(message, dict) else None
        return None

    def hand(self, settings: Settings) -> None:
        """Send the settings in force, before anything else is said."""
        content = pickle.dumps(settings)
        self._writer.write(LENGTH.pack(len(content)) + content)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def handed(end: socket.socket) -> Settings:
    """A worker's side: the settings in force, the first that it is told; ends the process when nobody tells it any."""
    head = end.recv(LENGTH.size, socket.MSG_WAITALL)
    length = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 0
    content = end.recv(length, socket.MSG_WAITALL)
    if not content or len(content) < length:
        raise SystemExit(1)
    return _settings(content)


def written(settings: Settings) -> str:
    """Settings as a part of a message."""
    return base64.b64encode(pickle.dumps(settings)).decode("ascii")


def read(text: str) -> Settings:
    """Settings that were a part of a message."""
    return _settings(base64.b64decode(text))


def _settings(content: bytes) -> Settings:
    settings = pickle.loads(content)  # noqa: S301  (from our own supervisor, over sockets that nobody else has)
    assert isinstance(settings, Settings)  # noqa: S101  (and it sends nothing else)
    return settings


async def obey(line: Line, orders: dict[str, Callable[[Answer], Awaitable[Answer]]]) -> None:
    """A worker's side: carry out what is asked until the supervisor is gone."""
    while (order := await line.hear()) is not None:
        try:
            answer = await orders[order["do"]](order)
        except Exception as error:  # noqa: BLE001  (whatever it was: the supervisor gets an answer, and the log the place)
            log.event(logging.ERROR, "internal error", error=error)
            answer = {"faults": ["a worker made a mistake; its log says where"]}
        line.say(id=order["id"], **answer)


async def tell_alive(line: Line) -> None:
    """A worker's side: say that the event loop turns, for as long as it does."""
    while True:
        line.say(alive=True)
        await asyncio.sleep(ALIVE_INTERVAL_SECONDS)
