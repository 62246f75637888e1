"""A port: listening on it, and the uvicorn that serves it on httptools, the one parser our guards are tested on."""

import contextlib
import errno
import logging
import os
import resource
import socket
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from normalizers import HouseCode

from .guard import Guard
from .protocol import guarded

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


def listening(
    app: ASGIApp,
    guard: Guard,
    *,
    lifespan: bool = False,
    grace: float = 1.0,
    tls: tuple[str, str] | None = None,
) -> Server:
    """A uvicorn server for one port, behind the guards. `grace` in seconds; `tls`: PEM files."""
    # uvicorn reports a cut answer as the app's mistake; our own log says what happened.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    certificate, key = tls or (None, None)
    return Server(
        uvicorn.Config(
            app,
            http=guarded(guard),  # type: ignore[arg-type]  # it calls whatever makes protocols
            ws="none",
            interface="asgi3",
            lifespan="on" if lifespan else "off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=grace,  # type: ignore[arg-type]  # seconds for wait_for, which takes a float
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
    )


def without_words(code: HouseCode, _: str) -> bytes:
    """The answer to what is no HTTP, on a port where nobody reads envelopes."""
    return b"HTTP/1.1 %d \r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % code.status
