"""
What systemd is told of a service of `Type=notify`: ready, reloading, stopping, and that the event loop turns.

sd_notify(3): each message is a datagram to the socket that `NOTIFY_SOCKET` names. Elsewhere nobody is told
anything. With several workers the supervisor speaks for all.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager

# systemd reads at once; one that does not must not stop us.
SENDING_SECONDS = 1.0

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


class Systemd:
    """
    The service manager, if there is one.

    Takes its variables out of the environment, so that no process that we start speaks in our place.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        pid, microseconds = environ.pop("WATCHDOG_PID", ""), environ.pop("WATCHDOG_USEC", "")
        mine = pid in {"", str(os.getpid())} and microseconds.isdecimal()
        # Half of what systemd waits, as sd_watchdog_enabled(3) advises.
        self._interval = int(microseconds) / 2e6 if mine else 0.0

    def say(self, *states: str) -> None:
        """Send one message; that it does not arrive is no reason to end."""
        if not self._address:
            return
        # A name that begins with @ is one in the abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(SENDING_SECONDS)
            sock.sendto("\n".join(states).encode(), address)

    def ready(self, then: Callable[[], None] | None) -> Callable[[], None]:
        """What to call once requests are accepted: says so, and calls `then`."""

        def say_ready() -> None:
            self.say(READY)
            if then is not None:
                then()

        return say_ready

    def reloading(self, reload: Callable[[], object]) -> Callable[[], None]:
        """A reload that is told of; one that goes on in a future is over when that is done."""

        def say_reloading() -> None:
            # systemd tells by the time which of several reloads this is the end of.
            self.say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            going_on = reload()
            if isinstance(going_on, asyncio.Future):
                going_on.add_done_callback(lambda _: self.say(READY))
            else:
                self.say(READY)

        return say_reloading

    @asynccontextmanager
    async def informed(self, asked: asyncio.Event, is_well: Callable[[], bool]) -> AsyncIterator[None]:
        """
        Meanwhile say that we live, and that we were asked to stop.

        Args:
            asked: set when the process was asked to stop.
            is_well: whether it still does its work; systemd restarts what is not, or does not say so in time.
        """
        tasks = [asyncio.create_task(self._say_alive(asked, is_well)), asyncio.create_task(self._say_stopping(asked))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _say_alive(self, asked: asyncio.Event, is_well: Callable[[], bool]) -> None:
        while self._interval:
            await asyncio.sleep(self._interval)
            # How long a stop may take is another clock of systemd's.
            if asked.is_set() or is_well():
                self.say(ALIVE)

    async def _say_stopping(self, asked: asyncio.Event) -> None:
        await asked.wait()
        self.say(STOPPING)
