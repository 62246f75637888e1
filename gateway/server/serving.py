"""
Both ports on one event loop, and a stop that loses nothing.

uvicorn's own signal handling is off: on SIGTERM readiness goes at once, requests are still taken for `lameduck`, and
what runs may finish within `grace` (contract 13).
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable

from starlette.types import ASGIApp

from gateway.answers import unread
from gateway.app import Gateway
from gateway.reload import watch
from gateway.settings.server import Server as ServerSettings

from .guard import Guard
from .ports import listening, without_words


class Stop:
    """
    Whether the process was asked to stop: SIGTERM drains, SIGINT does not wait, a second SIGINT waits for nobody.

    Mutable state: the two events, set by the signal handlers and never cleared.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()
        self._force: Callable[[], None] | None = None

    def on_force(self, force: Callable[[], None]) -> None:
        """What to do when even running requests shall not finish."""
        self._force = force

    def terminate(self) -> None:
        """SIGTERM: stop, after the lameduck time; a second one changes nothing (W-167)."""
        self.asked.set()

    def interrupt(self) -> None:
        """SIGINT: stop now; again: at once."""
        if self.hurried.is_set() and self._force is not None:
            self._force()
        self.hurried.set()
        self.asked.set()

    def listen(self, reload: Callable[[], object]) -> None:
        """Take the process's signals."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.terminate)
        loop.add_signal_handler(signal.SIGINT, self.interrupt)
        loop.add_signal_handler(signal.SIGHUP, reload)


async def serve(
    app: Gateway,
    traffic: socket.socket,
    admin: socket.socket | None,
    *,
    stop: Stop,
    ready: Callable[[], None] | None = None,
) -> None:
    """
    Serve both ports until `stop`, then drain.

    `ready` is called once requests are accepted. Without an admin port (in a worker) files are not watched either:
    both are the supervisor's.
    """
    files = app.runtime.settings.server.tls
    tls = (str(files.certificate), str(files.key)) if files.certificate and files.key else None
    guard = _guard(app)
    front = listening(app, guard, lifespan=True, grace=app.runtime.settings.grace_seconds, tls=tls)
    servers = [(front, traffic)]
    watching = None
    if admin is not None:
        servers.append((listening(app.admin, guard), admin))
        watching = asyncio.create_task(watch(app))
    serving = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers]
    stopping = asyncio.create_task(stop.asked.wait())
    try:
        while not all(server.started for server, _ in servers) and not any(task.done() for task in serving):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if ready is not None:
            ready()
        await asyncio.wait({stopping, *serving}, return_when=asyncio.FIRST_COMPLETED)
        app.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.hurried.wait(), app.runtime.settings.server.shutdown.lameduck)
        front.config.timeout_graceful_shutdown = app.runtime.settings.grace_seconds  # type: ignore[assignment]
    finally:
        stopping.cancel()
        if watching is not None:
            watching.cancel()
        stop.on_force(lambda: setattr(front, "force_exit", True))
        # The admin port answers to the end.
        for (server, _), task in zip(servers, serving, strict=True):
            server.should_exit = True
            await asyncio.gather(task, return_exceptions=True)
    for task in serving:
        task.result()


def _guard(app: Gateway) -> Guard:
    """What both ports demand of a caller, by the settings in force."""
    settings = app.runtime.settings.server
    guard = Guard(
        head_seconds=settings.timeouts.head,
        write_seconds=settings.timeouts.write_idle,
        keep_alive_seconds=settings.timeouts.keep_alive,
        max_connections=_connections(settings),
        refuse=lambda code, detail: unread(app.runtime, code, detail),
        is_draining=lambda: app.draining,
    )

    def follow(server: ServerSettings) -> None:
        guard.head_seconds = server.timeouts.head
        guard.write_seconds = server.timeouts.write_idle
        guard.max_connections = _connections(server)
        guard.keep_alive_seconds = server.timeouts.keep_alive

    app.follow(follow)
    return guard


def _connections(server: ServerSettings) -> int:
    """What the settings allow a gateway, its workers share."""
    return -(-server.max_connections // server.workers)


async def serve_app(app: ASGIApp, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve one application on one port until `stop`: the sandbox, alone or beside the gateway."""
    guard = Guard(
        head_seconds=10.0,
        write_seconds=60.0,
        max_connections=10_000,
        refuse=without_words,
        is_draining=lambda: False,
    )
    server = listening(app, guard)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving
