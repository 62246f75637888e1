"""
The connections to one vendor: bounded, used again, and waited for in turn.

A place is one connection, dialled or being dialled. Who finds none free waits in a queue; a place that is given back
goes to whoever waits longest, with its connection where that can be used again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from gateway.upstream import Call, NoReply, Reason

from .connection import Connection

# A vendor's name may lead elsewhere by then: a connection that is always busy would never learn it (F-04).
LONGEST_SECONDS = 300.0


class Pool:
    """
    A vendor's connections.

    Mutable state: how many places are taken, the idle connections by when they were used, all that are open, the queue,
    the timer that ends the ones that are idle for too long, and whether all is over.

    Args:
        dial: opens a connection within the event loop's time given, or raises NoReply.
        places: how many connections there may be.
        keep_alive: how many seconds an idle one may be used again.
    """

    def __init__(
        self, dial: Callable[[Callable[[Connection], None]], Awaitable[Connection]], *, places: int, keep_alive: float
    ) -> None:
        self._dial = dial
        self._places = places
        self._keep_alive = keep_alive
        self._taken = 0
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._queue: deque[asyncio.Future[Connection | None]] = deque()
        self._reaper: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop, asked for once: up to Python 3.11 that costs a system call."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def idle(self) -> Connection | None:
        """The connection that was used last and may be used again; None where there is none. Nothing is awaited."""
        while self._idle:
            connection = self._idle.pop()
            connection.idle = False
            if not self._is_old(connection) and connection.is_quiet():
                return connection
            self.give_back(connection, again=False)
        return None

    async def connection(self, call: Call, ends_at: float) -> Connection:
        """
        A connection for this call, when it is its turn; dialled, if there is a place and none to be used again.

        Args:
            call: told when its turn has come.
            ends_at: when the call's whole time is over, by the event loop's clock.

        Raises:
            NoReply: there was no turn in time, or no connection could be made.
        """
        connection = None
        if self._taken < self._places:
            self._taken += 1
        else:
            connection = await self._turn(call.timeouts.connect, ends_at)
        call.connected_at = time.perf_counter()
        if connection is not None:
            if connection.is_quiet():
                return connection
            connection.close()
        try:
            within = min(self.loop.time() + call.timeouts.connect, ends_at)
            async with asyncio.timeout_at(within):
                connection = await self._dial(self._leave)
        except BaseException as error:
            self._free()
            if isinstance(error, TimeoutError):
                raise NoReply(Reason.CONNECTION_TIMEOUT) from error
            raise
        self._open.add(connection)
        return connection

    async def _turn(self, seconds: float, ends_at: float) -> Connection | None:
        """Wait for a place, or a connection that has one. Raises NoReply."""
        loop = self.loop
        turn: asyncio.Future[Connection | None] = loop.create_future()
        self._queue.append(turn)
        waits_until = loop.time() + seconds
        timer = loop.call_at(min(waits_until, ends_at), turn.cancel)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The turn came in the moment in which nobody wanted it any more.
                self._pass_on(turn.result())
            task = asyncio.current_task()
            if (task is not None and task.cancelling()) or not turn.cancelled():
                raise
        finally:
            timer.cancel()
            if turn in self._queue:
                self._queue.remove(turn)
        raise NoReply(Reason.CONNECTION_LIMIT_REACHED if waits_until <= ends_at else Reason.CONNECTION_TIMEOUT)

    def give_back(self, connection: Connection, *, again: bool) -> None:
        """
        Take a connection back; `again`: its reply ended exactly where it should, so it may carry another one.

        Whether a byte followed after all is asked of it when it is used again, as late as possible.
        """
        if not again or connection.closed or self.loop.time() - connection.born_at > LONGEST_SECONDS:
            connection.close()
            self._free()
            return
        self._pass_on(connection)

    def _pass_on(self, connection: Connection | None) -> None:
        """Give a place to whoever waits longest, else keep its connection."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        if connection is None:
            self._taken -= 1
            return
        loop = self.loop
        connection.idle = True
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._reaper is None:
            self._reaper = loop.call_later(self._keep_alive, self._reap)

    def _free(self) -> None:
        self._pass_on(None)

    def _is_old(self, connection: Connection) -> bool:
        return self.loop.time() - connection.idle_since >= self._keep_alive

    def _reap(self) -> None:
        """End the connections that were idle for too long; there may be some that were not."""
        self._reaper = None
        while self._idle and self._is_old(self._idle[0]):
            self._idle[0].close()
        if self._idle:
            self._reaper = self.loop.call_at(self._idle[0].idle_since + self._keep_alive, self._reap)

    def _leave(self, connection: Connection) -> None:
        """Forget a connection that was closed; an idle one gives its place back."""
        self._open.discard(connection)
        if connection.idle:
            connection.idle = False
            self._idle.remove(connection)
            self._free()

    def count(self) -> tuple[int, int, int]:
        """How many places are busy, hold an idle connection, and are free."""
        idle = len(self._idle)
        return self._taken - idle, idle, self._places - self._taken

    def close(self) -> None:
        """Close every connection."""
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        for connection in tuple(self._open):
            connection.close()
