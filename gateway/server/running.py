"""A process of ours, from beginning to end: the gateway, a worker, a supervisor, the sandbox, the demo."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable

import uvloop
from starlette.types import ASGIApp

from gateway.app import Gateway

from .control import Answer, Line, obey, read, tell_alive
from .guard import Guard
from .notify import Systemd
from .ports import allow_descriptors, listening, without_words
from .serving import Stop, serve, serve_app
from .supervisor import Place, Supervisor

# Younger objects than this many are not looked through for cycles: a request makes none, and hundreds run at once.
COLLECTED_OBJECTS = 10_000


def leave_alone_what_stays() -> None:
    """Have the collector of cycles never look again at what the start has made, nor often at what requests make."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_OBJECTS, *gc.get_threshold()[1:])


def run(app: Gateway, traffic: socket.socket, admin: socket.socket, *, ready: Callable[[], None] | None = None) -> None:
    """Run the gateway in this process until it is told to stop."""

    async def main() -> None:
        stop, systemd = Stop(), Systemd()
        stop.listen(systemd.reloading(app.reload))
        async with systemd.informed(stop.asked, app.is_healthy):
            await serve(app, traffic, admin, stop=stop, ready=systemd.ready(ready))

    allow_descriptors()
    leave_alone_what_stays()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def run_worker(app: Gateway, place: Place) -> None:
    """Run one of several workers until its supervisor tells it to stop, or is gone."""

    async def main() -> None:
        stop = Stop()
        stop.listen(lambda: None)
        line = await Line.over(place.control)

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

        async def recent(order: Answer) -> Answer:
            return {"recent": await app.recent(order["after"])}

        async def obey_to_the_end() -> None:
            await obey(
                line, {"prepare": prepare, "commit": commit, "abandon": abandon, "status": status, "recent": recent}
            )
            stop.terminate()

        tasks = [asyncio.create_task(obey_to_the_end()), asyncio.create_task(tell_alive(line))]
        try:
            await serve(app, place.traffic, None, stop=stop, ready=lambda: line.say(ready=True))
        finally:
            for task in tasks:
                task.cancel()

    allow_descriptors()
    leave_alone_what_stays()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def run_supervised(supervisor: Supervisor, admin: socket.socket, *, ready: Callable[[], None] | None = None) -> bool:
    """Run several workers until the process is told to stop; false when they could not be kept alive."""

    async def main() -> bool:
        stop, systemd = Stop(), Systemd()
        stop.listen(systemd.reloading(supervisor.reload))
        guard = Guard(
            head_seconds=supervisor.settings.server.timeouts.head,
            write_seconds=supervisor.settings.server.timeouts.write_idle,
            max_connections=supervisor.settings.server.max_connections,
            refuse=without_words,
            is_draining=lambda: supervisor.stopping,
        )
        back = listening(supervisor.admin, guard)
        serving = asyncio.create_task(back.serve(sockets=[admin]))
        watching = asyncio.create_task(supervisor.watch_files())
        ending = [asyncio.create_task(event.wait()) for event in (stop.asked, supervisor.failed)]
        try:
            async with systemd.informed(stop.asked, supervisor.is_healthy):
                try:
                    await supervisor.start()
                    if supervisor.is_ready():
                        systemd.ready(ready)()
                    await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in (watching, *ending):
                        task.cancel()
                    stop.on_force(supervisor.hurry)
                    await supervisor.stop(signal.SIGINT if stop.hurried.is_set() else signal.SIGTERM)
        finally:
            back.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
        return not supervisor.failed.is_set()

    allow_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


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
