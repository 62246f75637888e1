"""Run the gateway, or the simulated vendors alone."""

import logging
import socket
from dataclasses import dataclass
from pathlib import Path

import click
from pydantic import ValidationError

from gateway import log
from gateway.app import create_app
from gateway.sandbox import BASE_PATHS, create_sandbox
from gateway.server import (
    Supervisor,
    bind,
    own_command,
    run,
    run_sandbox,
    run_supervised,
    run_worker,
    worker_sockets,
)
from gateway.settings import Settings, SettingsError, load
from gateway.settings.checks import check
from gateway.settings.faults import dotted
from gateway.settings.server import Server

from .say import Stop
from .settings_file import choose, config_option, refusing

PORT = click.IntRange(0, 65535)


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
    with refusing():
        settings = instead.of(load(path))
    server, admin = settings.server, settings.server.admin

    def reread(old: Settings) -> Settings:
        return instead.of(load(path, old=old))

    log.configure(settings.log.level)
    handed = worker_sockets()
    if handed is not None:
        run_worker(create_app(settings, reread=reread), *handed)
        return
    with bind(server.host, server.port) as front, bind(admin.host, admin.port, option="--admin-port") as back:

        def ready() -> None:
            log.event(logging.INFO, "ready", traffic=url(front), admin=url(back))

        for line in settings.warnings:
            log.event(logging.WARNING, line)
        if server.workers == 1:
            run(create_app(settings, reread=reread), front, back, ready=ready)
        elif not run_supervised(Supervisor(settings, reread, front, own_command()), back, ready=ready):
            raise Stop("errgate serve: the workers die as soon as they start; the lines above say why")


@click.command()
@click.option("--host", metavar="H", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, metavar="P", default=8090, show_default=True, help="0 takes a free one.")
def sandbox(*, host: str, port: int) -> None:
    """Run only the simulated vendors, each under /VENDOR/ on one port.

    They answer in the vendors' documented shapes. The request header `Sandbox-Error: CODE` brings a documented error,
    `Sandbox-Fault: FAULT` a broken reply.
    """
    with bind(host, port) as listener:
        lines = [f"{name.ljust(8)}{url(listener)}{path}" for name, path in BASE_PATHS.items()]
        run_sandbox(create_sandbox(), listener, ready=lambda: click.echo("\n".join([*lines, "Ctrl-C ends it."])))


def url(listener: socket.socket) -> str:
    """Where a socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class Instead:
    """What the command line says instead of the settings file; None: nothing."""

    host: str | None
    port: int | None
    admin_port: int | None
    workers: int | None

    def of(self, settings: Settings) -> Settings:
        """The settings as if the file had said it; raises `SettingsError` where the same checks then refuse them."""
        said = {"host": self.host, "port": self.port, "workers": self.workers}
        said = {key: value for key, value in said.items() if value is not None}
        admin = {} if self.admin_port is None else {"port": self.admin_port}
        if not said and not admin:
            return settings
        try:
            valid = Server.model_validate({**said, "admin": admin})
        except ValidationError as wrong:
            raise SettingsError(
                f"errgate serve: --{e['loc'][0]}: {e['ctx']['error']}" for e in wrong.errors()
            ) from None
        server = settings.server.model_copy(
            update={
                **{key: getattr(valid, key) for key in said},
                "admin": settings.server.admin.model_copy(update=admin),
            }
        )
        changed = settings.model_copy(update={"server": server})
        if faults := list(check(changed)):
            raise SettingsError(f"errgate serve: {dotted(fault.path)}: {fault.text}" for fault in faults)
        return changed
