"""
Running the gateway: its two ports on one event loop, signals, and a stop that loses nothing.

Both ports are served by uvicorn on httptools, the one parser that our guards are tested on. uvicorn's own signal
handling is off: on SIGTERM readiness goes at once, requests are still taken for `lameduck`, and what runs may finish
within `grace` (contract 13).
"""

import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn
import uvloop
from starlette.types import ASGIApp

from gateway.answers import unread
from gateway.app import Gateway
from gateway.reload import watch
from normalizers import HouseCode

from .control import Answer, Line, handed, obey, read, tell_alive
from .protocol import Guard, guarded
from .supervisor import Supervisor, own_command, worker_sockets

# Connections that the kernel keeps for us until we accept them.
BACKLOG = 2048


class PortTaken(OSError):
    """A port that somebody else listens on; the text is one sentence for a person."""


def bind(host: str, port: int, *, option: str = "--port") -> socket.socket:
    """
    Listen on a host and port; port 0 takes a free one.

    Raises:
        PortTaken: with a sentence that names the port and the mend.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        taken = error.errno in {errno.EADDRINUSE, errno.EACCES}
        reason = (
            os.strerror(error.errno).lower()
            if error.errno and not isinstance(error, socket.gaierror)
            else "no such host"
        )
        mend = f"choose another port with {option}" if taken else "choose an address of this machine with --host"
        message = f"cannot listen on {host} port {port}: {reason}; {mend}"
        raise PortTaken(message) from error


def allow_descriptors() -> None:
    """
    Raise the soft limit of open files to the hard one, as Go's runtime does.

    The soft limit is 1,024 for the sake of `select`, which nothing here uses; `max_connections` is ten times that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server(uvicorn.Server):
    """uvicorn without its signal handlers; ours serve both ports."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the process's signal handlers alone."""
        yield


def _server(
    app: ASGIApp,
    guard: Guard,
    *,
    lifespan: bool = False,
    keep_alive: float = 75.0,
    grace: float = 1.0,
    tls: tuple[str, str] | None = None,
) -> Server:
    # uvicorn reports a cut answer as the app's mistake; our own log says what happened.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    certificate, key = tls or (None, None)
    return Server(
        uvicorn.Config(
            app,
            http=guarded(guard),
            ws="none",
            interface="asgi3",
            lifespan="on" if lifespan else "off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            date_header=False,
            server_header=False,
            timeout_keep_alive=keep_alive,  # type: ignore[arg-type]  # seconds for call_later, which takes a float
            timeout_graceful_shutdown=grace,  # type: ignore[arg-type]  # likewise for wait_for
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
    )


async def serve(
    app: Gateway,
    traffic: socket.socket,
    admin: socket.socket | None,
    *,
    stop: "Stop",
    ready: Callable[[], None] | None = None,
) -> None:
    """
    Serve both ports until `stop`, then drain.

    `ready` is called once requests are accepted. Without an admin port (in a worker) files are not watched either:
    both are the supervisor's.
    """
    settings = app.runtime.settings.server
    tls = None
    if settings.tls.certificate and settings.tls.key:
        tls = (str(settings.tls.certificate), str(settings.tls.key))
    keep_alive, grace = settings.timeouts.keep_alive, app.runtime.settings.grace_seconds
    guard = Guard(
        head_seconds=settings.timeouts.head,
        write_seconds=settings.timeouts.write_idle,
        max_connections=-(-settings.max_connections // settings.workers),
        refuse=lambda code, detail: unread(app.runtime, code, detail),
        is_draining=lambda: app.draining,
    )
    front = _server(app, guard, lifespan=True, keep_alive=keep_alive, grace=grace, tls=tls)
    servers = [(front, traffic)]
    watching = None
    if admin is not None:
        servers.append((_server(app.admin, guard), admin))
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


def run(app: Gateway, traffic: socket.socket, admin: socket.socket, *, ready: Callable[[], None] | None = None) -> None:
    """Run the gateway in this process until it is told to stop."""

    async def main() -> None:
        stop = Stop()
        stop.listen(app.reload)
        await serve(app, traffic, admin, stop=stop, ready=ready)

    allow_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def run_worker(app: Gateway, traffic: socket.socket, control: socket.socket) -> None:
    """Run one of several workers until its supervisor tells it to stop, or is gone."""

    async def main() -> None:
        stop = Stop()
        stop.listen(lambda: None)
        line = await Line.over(control)

        async def prepare(order: Answer) -> Answer:
            return {"faults": app.prepare(read(order["settings"]))}

        async def commit(_: Answer) -> Answer:
            app.commit()
            return {}

        async def abandon(_: Answer) -> Answer:
            app.abandon([])
            return {}

        async def status(_: Answer) -> Answer:
            return {"status": await app.status()}

        async def obey_to_the_end() -> None:
            await obey(line, {"prepare": prepare, "commit": commit, "abandon": abandon, "status": status})
            stop.terminate()

        tasks = [asyncio.create_task(obey_to_the_end()), asyncio.create_task(tell_alive(line))]
        try:
            await serve(app, traffic, None, stop=stop, ready=lambda: line.say(ready=True))
        finally:
            for task in tasks:
                task.cancel()

    allow_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def run_supervised(supervisor: Supervisor, admin: socket.socket, *, ready: Callable[[], None] | None = None) -> bool:
    """Run several workers until the process is told to stop; false when they could not be kept alive."""

    async def main() -> bool:
        stop = Stop()
        stop.listen(supervisor.reload)
        guard = Guard(
            head_seconds=supervisor.settings.server.timeouts.head,
            write_seconds=supervisor.settings.server.timeouts.write_idle,
            max_connections=supervisor.settings.server.max_connections,
            refuse=_without_words,
            is_draining=lambda: supervisor.stopping,
        )
        back = _server(supervisor.admin, guard)
        serving = asyncio.create_task(back.serve(sockets=[admin]))
        watching = asyncio.create_task(supervisor.watch_files())
        ending = [asyncio.create_task(event.wait()) for event in (stop.asked, supervisor.failed)]
        try:
            await supervisor.start()
            if ready is not None and supervisor.is_ready():
                ready()
            await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (watching, *ending):
                task.cancel()
            stop.on_force(supervisor.hurry)
            await supervisor.stop(signal.SIGINT if stop.hurried.is_set() else signal.SIGTERM)
            back.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
        return not supervisor.failed.is_set()

    allow_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def _without_words(code: HouseCode, _: str) -> bytes:
    """The answer to what is no HTTP, on a port where nobody reads envelopes."""
    return b"HTTP/1.1 %d \r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % code.status


async def serve_app(app: ASGIApp, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve one application on one port until `stop`: the sandbox, alone or beside the gateway."""
    guard = Guard(
        head_seconds=10.0,
        write_seconds=60.0,
        max_connections=10_000,
        refuse=_without_words,
        is_draining=lambda: False,
    )
    server = _server(app, guard)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving


def run_sandbox(app: ASGIApp, listener: socket.socket, *, ready: Callable[[], None] | None = None) -> None:
    """Run the sandbox alone until it is told to stop."""

    async def main() -> None:
        stop = Stop()
        stop.listen(lambda: None)
        if ready is not None:
            ready()
        await serve_app(app, listener, stop.asked)

    allow_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def run_demo(
    app: Gateway,
    sandbox: ASGIApp,
    listeners: tuple[socket.socket, socket.socket, socket.socket],
    *,
    ready: Callable[[], None] | None = None,
) -> None:
    """Run the gateway and the sandbox behind it in one process; `listeners`: traffic, admin, sandbox."""
    traffic, admin, behind = listeners

    async def main() -> None:
        stop, ended = Stop(), asyncio.Event()
        stop.listen(app.reload)
        vendors = asyncio.create_task(serve_app(sandbox, behind, ended))
        try:
            await serve(app, traffic, admin, stop=stop, ready=ready)
        finally:
            ended.set()
            await vendors

    allow_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


__all__ = [
    "PortTaken",
    "Stop",
    "Supervisor",
    "bind",
    "handed",
    "own_command",
    "run",
    "run_demo",
    "run_sandbox",
    "run_supervised",
    "run_worker",
    "serve",
    "serve_app",
    "worker_sockets",
]
