"""A real `redis-server` process on a free port of loopback, with whatever happens to such processes."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from tests.e2e.harness.tools import tool

HOST = "127.0.0.1"
PATIENCE_SECONDS = 20.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


class RedisServer:
    """
    One server; `options` are those of its command line. It keeps nothing on disk.

    With `tls` (a folder with `good.pem`, `good.key` and `ca.pem`) it speaks nothing else.
    """

    def __init__(self, *options: str, password: str | None = None, tls: Path | None = None) -> None:
        self._program = tool("redis-server", "redis-server")
        self._folder = tempfile.mkdtemp(prefix="errgate-redis-")
        self._password = password
        self._tls = tls
        self._options = options
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        user = "" if self._password is None else f":{self._password}@"
        return f"{'redis' if self._tls is None else 'rediss'}://{user}{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        command = [self._program, "--bind", HOST, "--save", "", "--appendonly", "no", "--dir", self._folder]
        if self._tls is None:
            command += ["--port", str(self.port)]
        else:
            command += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            command += ["--tls-cert-file", str(self._tls / "good.pem"), "--tls-key-file", str(self._tls / "good.key")]
            command += ["--tls-ca-cert-file", str(self._tls / "ca.pem")]
        if self._password is not None:
            command += ["--requirepass", self._password]
        self._process = subprocess.Popen([*command, *self._options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.client().ping()
            except RedisError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.kill()
                    raise
                time.sleep(0.01)
            else:
                return

    def client(self) -> Redis:
        """Somebody else who looks in."""
        if self._tls is None:
            return Redis(HOST, self.port, password=self._password)
        authority = str(self._tls / "ca.pem")
        return Redis(HOST, self.port, password=self._password, ssl=True, ssl_ca_certs=authority)

    def order(self, *words: str | int) -> Any:  # noqa: ANN401  (whatever it answers)
        """Have it do something."""
        return self.client().execute_command(*words)  # type: ignore[no-untyped-call]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        """Stop it where it stands; nothing is lost."""
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once; all its data is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
