"""
The real gateway on real ports: in a thread of this process, where it can be looked into, or as `errgate serve`.

Both answer to the same calls and count what was asked of them, so that the oracle can compare it with their counters.

One file, so that a test can ask either kind in the same words.
"""

import asyncio
import contextlib
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import uvloop
import yaml
from prometheus_client import generate_latest

from gateway import app, log, settings
from gateway import server as serving
from tests.e2e.harness import metrics
from tests.e2e.harness.client import PATIENCE, Headers, RawClient, request
from tests.e2e.harness.wire import Response

Section = Mapping[str, Any]

# A process that ends is seen at once; one that starts on a machine with much else to do is given its time.
STARTING = 60.0


# Every suite passes on both engines: this one speaks to the vendors that name none.
ENGINE: str = os.environ.get("ERRGATE_TEST_ENGINE") or settings.VendorSettings.model_fields["engine"].default


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def settings_text(vendors: Mapping[str, object], server: Section | None = None, **sections: object) -> str:
    """
    A settings file with two free ports; `server` adds to its server section, other sections go in as they are.

    One test's 429 holds no other's requests, unless a vendor says `hold`.
    """
    own: dict[str, Any] = {"port": free_port(), "admin": {"port": free_port()}}
    given = dict(server or {})
    own["admin"] |= given.pop("admin", {})
    quiet = {
        name: {"on_vendor_limit": "ignore", "engine": ENGINE, **_section(vendor)} for name, vendor in vendors.items()
    }
    document = {"server": own | given, "vendors": quiet, **sections}
    return yaml.safe_dump(document, sort_keys=False)


def _section(vendor: object) -> Section:
    return vendor if isinstance(vendor, Mapping) else {}


class Asking:
    """What a test does with a gateway, wherever it runs."""

    address: tuple[str, int]
    admin: tuple[str, int]

    def __init__(self) -> None:
        self.asked = 0  # requests that must show in errgate_requests_total
        self.uncounted = False  # a test may send what is no request, or none yet, to the gateway

    def connect(self, *, timeout: float = PATIENCE, receive_buffer: int | None = None) -> RawClient:
        """A connection to the traffic port."""
        return RawClient(self.address, timeout=timeout, receive_buffer=receive_buffer)

    def send(self, data: bytes, method: str = "GET", *, timeout: float = PATIENCE, counts: bool = True) -> Response:
        """One raw request on a connection of its own."""
        self.asked += counts
        with self.connect(timeout=timeout) as client:
            client.send(data)
            return client.read(method)

    def ask(
        self,
        target: str | bytes,
        method: str = "GET",
        headers: Headers = (),
        body: bytes | None = None,
        *,
        timeout: float = PATIENCE,
        counts: bool = True,
    ) -> Response:
        """One request on a connection of its own."""
        return self.send(request(method, target, headers, body), method, timeout=timeout, counts=counts)

    def ask_admin(
        self,
        target: str,
        method: str = "GET",
        headers: Headers = (),
        body: bytes | None = None,
        *,
        host: str = "localhost",
    ) -> Response:
        """One request to the admin port."""
        with RawClient(self.admin) as client:
            client.send(request(method, target, [("Host", host), *headers], body))
            return client.read(method)

    def scrape(self) -> metrics.Scrape:
        """The metrics as Prometheus reads them."""
        answer = self.ask_admin("/metrics")
        assert answer.status == 200
        return metrics.parse(answer.body.decode())


class Recorder(io.StringIO):
    """A text stream whose lines can be read while they are written."""

    def lines(self) -> list[dict[str, Any]]:
        """Each JSON line."""
        return [json.loads(line) for line in self.getvalue().splitlines()]


class ThreadGateway(Asking):
    """A gateway in a thread with an event loop of its own."""

    def __init__(self, text: str, environ: Mapping[str, str] | None = None) -> None:
        super().__init__()
        # For the oracle: the metrics after the test before, and the tasks and sockets there were before any.
        self.last: metrics.Scrape | None = None
        self.idle_tasks = 0
        self.others = 0
        self.settings = settings.loads(text, environ=environ or {})
        self.log = Recorder()
        # What the libraries below have to say aloud: a task that nobody awaited, a callback that raised.
        self.noise = Recorder()
        self.listener = logging.StreamHandler(self.noise)
        self.listener.setLevel(logging.WARNING)
        self.app = app.create_app(self.settings)
        self.traffic_socket = serving.bind("127.0.0.1", 0)
        self.admin_socket = serving.bind("127.0.0.1", 0)
        self.address = self.traffic_socket.getsockname()[:2]
        self.admin = self.admin_socket.getsockname()[:2]
        self.loop = uvloop.new_event_loop()
        self.stop = serving.Stop()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="gateway", daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(
                serving.serve(self.app, self.traffic_socket, self.admin_socket, stop=self.stop)
            )
        except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
            self.failure = error
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def __enter__(self) -> Self:
        log.configure("debug", self.log)
        logging.getLogger().addHandler(self.listener)
        self.thread.start()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.thread.is_alive():
            with contextlib.suppress(OSError, Exception):
                if self.ask_admin("/-/ready").status == 200:
                    return self
            time.sleep(0.01)
        raise TimeoutError(f"the gateway is not ready: {self.failure!r}\n{self.log.getvalue()}")

    def __exit__(self, *_: object) -> None:
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.stop.interrupt)
        self.thread.join(PATIENCE)
        logging.getLogger().removeHandler(self.listener)
        for sock in (self.traffic_socket, self.admin_socket):
            sock.close()
        assert not self.thread.is_alive(), "the gateway does not end"
        if self.failure is not None:
            raise self.failure

    def glance(self) -> tuple[metrics.Scrape, int]:
        """The few metrics that the oracle asks for after every test, past the port, and how many tasks there are."""

        async def look() -> tuple[metrics.Scrape, int]:
            self.app.runtime.observe()
            return metrics.parse(generate_latest(registry).decode()), len(asyncio.all_tasks()) - 1

        registry = self.app.metrics.registry.restricted_registry(
            ["errgate_requests_total", "errgate_requests_in_flight", "errgate_vendor_connections"]
        )
        return asyncio.run_coroutine_threadsafe(look(), self.loop).result(PATIENCE)


def untraced() -> dict[str, str]:
    """This process's environment without coverage, for what is measured in seconds or bytes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


class ProcessGateway(Asking):
    """`errgate serve` as a process, its output in a file; ended by its pid. `traced`: coverage may look on."""

    def __init__(
        self,
        text: str,
        folder: Path,
        *,
        arguments: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
        traced: bool = True,
    ) -> None:
        super().__init__()
        self.config = folder / "errgate.yaml"
        self.config.write_text(text)
        document = yaml.safe_load(text)
        self.address = ("127.0.0.1", document["server"]["port"])
        self.admin = ("127.0.0.1", document["server"]["admin"]["port"])
        self.output = folder / "output.log"
        self.arguments = [*arguments]
        self.environ = {**(os.environ if traced else untraced()), **(environ or {})}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> Self:
        """Start without waiting."""
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve", "--config", str(self.config), *self.arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environ,
            )
        return self

    def ready(self, within: float = STARTING) -> None:
        """Wait until it is ready."""
        end = time.monotonic() + within
        while time.monotonic() < end and self.process is not None and self.process.poll() is None:
            with contextlib.suppress(OSError, Exception):
                if self.ask_admin("/-/ready").status == 200:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"the gateway is not ready:\n{self.logs()}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, within: float = PATIENCE) -> int:
        """Its exit code."""
        assert self.process is not None
        return self.process.wait(within)

    def logs(self) -> str:
        """All that it has written."""
        return self.output.read_text(errors="replace")

    def memory(self, key: str = "VmRSS") -> int:
        """Its resident memory in bytes: `VmRSS` now, `VmHWM` at its highest."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
        raise KeyError(key)

    def __enter__(self) -> Self:
        self.start()
        try:
            self.ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def silence() -> None:
    """Leave the log as it was before any gateway."""
    log.LOGGER.handlers = []
    log.LOGGER.setLevel(logging.NOTSET)
    log.LOGGER.propagate = True
