"""Run the gateway, or the simulated vendors alone."""

import json
import logging
import os
import socket
from pathlib import Path

import click

from gateway import __version__, log, tracing
from gateway.app import create_app
from gateway.limits.shared import Shared
from gateway.sandbox import BASE_PATHS, create_sandbox
from gateway.server import (
    Supervisor,
    bind,
    handed,
    own_command,
    place,
    run,
    run_sandbox,
    run_supervised,
    run_worker,
)
from gateway.settings import Settings, load
from gateway.settings.instead import Instead

from .say import Stop, progress, table
from .settings_file import choose, config_option, refusing

PORT = click.IntRange(0, 65535)
CTRL_C = "Ctrl-C ends it."


@click.command()
@config_option
@click.option("--host", metavar="H", help="Instead of server.host.")
@click.option("--port", type=PORT, metavar="P", help="Instead of server.port; 0 takes a free one.")
@click.option("--admin-port", type=PORT, metavar="P", help="Instead of server.admin.port; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Instead of server.workers.")
def serve(
    *, config: Path | None, host: str | None, port: int | None, admin_port: int | None, workers: int | None
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    Exit 0 after a clean stop, 2 for settings that cannot be used, 1 otherwise.
    """
    path = choose(config)
    instead = Instead(host, port, admin_port, workers)
    mine = place()
    if mine is not None:
        settings = handed(mine.control)
        log.configure(settings.log.level)
        spans = tracing.from_environment(os.environ, __version__)
        store = None if mine.memory is None else Shared(mine.memory, mine.number)
        run_worker(create_app(settings, tracing=spans, store=store), mine)
        return
    with refusing():
        settings = instead.of(load(path))
    server, admin = settings.server, settings.server.admin

    def reread(old: Settings) -> Settings:
        return instead.of(load(path, old=old))

    log.configure(settings.log.level)
    with bind(server.host, server.port) as front, bind(admin.host, admin.port, option="--admin-port") as back:

        def ready() -> None:
            log.event(logging.INFO, "ready", traffic=url(front), admin=url(back))

        for line in settings.warnings:
            log.event(logging.WARNING, line)
        if server.workers == 1:
            spans = tracing.from_environment(os.environ, __version__)
            run(create_app(settings, reread=reread, tracing=spans), front, back, ready=ready)
            return
        with refusing():
            supervisor = Supervisor(settings, reread, front, own_command())
        if not run_supervised(supervisor, back, ready=ready):
            raise Stop("errgate serve: the workers die as soon as they start; the lines above say why")


@click.command()
@click.option("--host", metavar="H", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, metavar="P", default=8090, show_default=True, help="0 takes a free one.")
@click.option("--json", "as_json", is_flag=True, help="Print {vendors} as one line of JSON, once they are there.")
def sandbox(*, host: str, port: int, as_json: bool) -> None:
    """Run only the simulated vendors, each under /VENDOR/ on one port.

    They answer in the vendors' documented shapes. The request header `Sandbox-Error: CODE` brings a documented error,
    `Sandbox-Fault: FAULT` a broken reply.
    """
    progress("Starting the simulated vendors ...")
    with bind(host, port) as listener:
        places = {name: f"{url(listener)}{path}" for name, path in BASE_PATHS.items()}
        lines = [json.dumps({"vendors": places})] if as_json else [*table(places.items(), columns=None), CTRL_C]
        run_sandbox(create_sandbox(), listener, ready=lambda: click.echo("\n".join(lines)))


def url(listener: socket.socket) -> str:
    """Where a socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
