"""
One connection to Redis, on which all commands of a process go in turn.

Commands are sent as they come, without waiting for the replies to earlier ones, and the replies come in the same order:
so one connection is enough, and what was asked first is done first. None is ever cancelled: who does not want to wait
any longer leaves, and the reply still goes to where it belongs (F-83).
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, NoScriptError, RedisError, ResponseError

SCRIPT = files(__package__).joinpath("decide.lua").read_text("utf-8")

# How long it may take to reach a server, with TLS and the password.
CONNECT_SECONDS = 2.0

# Integers; for `holds` strings among them.
Reply = list[Any]
Argument = str | int


class Lost(Exception):
    """
    The connection is gone, or the server could not do what it was asked; the words say why.

    `moved` is where to ask instead, host and port, where a server of a cluster says so.
    """

    def __init__(self, why: str, moved: tuple[str, int] | None = None) -> None:
        super().__init__(why)
        self.moved = moved


class _Command:
    """One run of the script: what is asked, and who waits for the reply."""

    __slots__ = ("arguments", "done", "keys", "since", "then", "whole")

    def __init__(
        self, keys: Sequence[str], arguments: Sequence[Argument], then: Callable[[Reply], None] | None, since: float
    ) -> None:
        self.keys = keys
        self.arguments = arguments
        self.then = then
        self.since = since
        self.whole = False
        self.done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()


class Link:
    """
    The connection; `on_lost` is called once, with the reason, when it is gone.

    Mutable state: the commands that are not sent yet, and those that are not answered yet.
    """

    def __init__(self, connection: Connection, on_lost: Callable[[str], None]) -> None:
        self._connection = connection
        self._on_lost = on_lost
        self._digest = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
        self._unsent: list[_Command] = []
        self._unanswered: deque[_Command] = deque()
        self._wake = asyncio.Event()
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]
        for task in self._tasks:
            task.add_done_callback(lambda _: self._lose("the connection failed"))
        self.closed = False

    @classmethod
    async def open(
        cls, url: str, ca: str | None, on_lost: Callable[[str], None], moved: tuple[str, int] | None = None
    ) -> "Link":
        """Connect, to another server than the URL's where that has `moved`. Raises `Lost`."""
        try:
            connection = connection_to(url, ca, moved)
            await connection.connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError, ValueError) as error:
            raise Lost(reason(error)) from error
        return cls(connection, on_lost)

    def run(
        self, keys: Sequence[str], *arguments: Argument, then: Callable[[Reply], None] | None = None
    ) -> asyncio.Future[Reply]:
        """
        Run the script; `then` is called with the reply as soon as it is there, whoever still waits.

        The future has the reply, or `Lost`. It must not be cancelled.
        """
        command = _Command(keys, arguments, then, asyncio.get_running_loop().time())
        # Nobody may be left who asks.
        command.done.add_done_callback(lambda done: done.exception())
        if self.closed:
            command.done.set_exception(Lost("the connection is gone"))
        else:
            self._unsent.append(command)
            self._wake.set()
        return command.done

    def waits_since(self) -> float:
        """Since when, by the loop's clock, the oldest command has been waiting; infinity: none is."""
        waiting = self._unanswered or self._unsent
        return waiting[0].since if waiting else math.inf

    async def close(self) -> None:
        """Close the connection; who still waits gets `Lost`."""
        self._lose("closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.disconnect(nowait=True)

    async def _write(self) -> None:
        """Send what there is, all at once, whenever there is something."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            commands, self._unsent = self._unsent, []
            self._unanswered.extend(commands)
            try:
                packed = b"".join([self._packed(command) for command in commands])
                await self._connection.send_packed_command(packed, check_health=False)
            except (RedisError, OSError) as error:
                self._lose(reason(error))
                return

    async def _read(self) -> None:
        """Give each reply to the oldest command that has none."""
        while True:
            try:
                reply: bytes | Reply | ResponseError = await self._connection.read_response()
            except NoScriptError:
                # The server has forgotten the script: it was restarted, or told to.
                command = self._unanswered.popleft()
                command.whole = True
                self._unsent.append(command)
                self._wake.set()
                continue
            except ResponseError as error:
                reply = error
            except (RedisError, OSError) as error:
                self._lose(reason(error))
                return
            command = self._unanswered.popleft()
            if isinstance(reply, ResponseError):
                moved = (reply.host, reply.port) if isinstance(reply, MovedError) else None
                command.done.set_exception(Lost(reason(reply), moved))
                continue
            read = [int(number) for number in reply.split()] if isinstance(reply, bytes) else reply
            if command.then is not None:
                command.then(read)
            command.done.set_result(read)

    def _packed(self, command: _Command) -> bytes:
        """The command as it is sent (RESP): redis-py's own way takes four times as long."""
        head = ("EVAL", SCRIPT) if command.whole else ("EVALSHA", self._digest)
        words = [str(word).encode() for word in (*head, len(command.keys), *command.keys, *command.arguments)]
        return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])

    def _lose(self, why: str) -> None:
        if self.closed:
            return
        self.closed = True
        for command in (*self._unanswered, *self._unsent):
            command.done.set_exception(Lost(why))
        self._unanswered.clear()
        self._unsent.clear()
        self._on_lost(why)


def connection_to(url: str, ca: str | None, moved: tuple[str, int] | None = None) -> Connection:
    """
    A connection that is not made yet.

    Args:
        url: `redis://` or, with TLS, `rediss://`: `user:password@host:port/database`. What follows a `?` is not
            heeded: there the client could be told not to verify certificates.
        ca: the file of the authorities that the server's certificate must be signed by; None: the system's.
        moved: host and port, instead of the URL's.
    """
    options: dict[str, Any] = dict(parse_url(url.partition("?")[0]))
    kind: type[Connection] = options.pop("connection_class", Connection)
    if ca is not None and issubclass(kind, SSLConnection):
        options["ssl_ca_certs"] = ca
    if moved is not None:
        options["host"], options["port"] = moved
    return kind(
        **options,
        client_name="errgate",
        protocol=2,
        socket_timeout=None,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def reason(error: BaseException) -> str:
    """
    Why, in words that a log may show: the kind of error, and the server's own word for it (`READONLY`).

    The rest could name what only the operator knows, such as the user.
    """
    code = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return f"{type(error).__name__}: {code}" if code.isupper() and code.isalpha() else type(error).__name__
