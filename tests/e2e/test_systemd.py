"""What a process tells systemd: the test holds the socket that `NOTIFY_SOCKET` names, as systemd does."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness.gateway import ProcessGateway, settings_text
from tests.e2e.harness.oracle import until

WATCHDOG = {"WATCHDOG_USEC": "200000"}
ONE, TWO = ("--workers", "1"), ("--workers", "2")


class Manager:
    """The service manager's end, which always reads. Mutable state: every message, as the pairs in it."""

    def __init__(self, name: str) -> None:
        self.messages: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self._thread = threading.Thread(target=self._read, daemon=True, name="manager")
        self._thread.start()

    def _read(self) -> None:
        while message := self._socket.recv(4096).decode():
            self.messages.append(dict(line.split("=", 1) for line in message.splitlines()))

    def heard(self, key: str, times: int = 1) -> bool:
        """Whether that key came so often."""
        return sum(key in message for message in self.messages) >= times

    def close(self) -> None:
        """Hear no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The socket's name, in both of its forms."""
    return str(tmp_path / "notify") if request.param == "path" else f"@errgate-{tmp_path.name}-{time.monotonic_ns()}"


@pytest.fixture
def manager(name: str) -> Iterator[Manager]:
    """The manager, listening."""
    manager = Manager(name)
    yield manager
    manager.close()


def service(folder: Path, name: str, *arguments: str) -> ProcessGateway:
    """The gateway as systemd starts it."""
    text = settings_text(
        {"acme": {"base_url": "http://127.0.0.1:9"}}, {"shutdown": {"lameduck": "300ms", "grace": "1s"}}
    )
    return ProcessGateway(text, folder, arguments=arguments, environ={"NOTIFY_SOCKET": name, **WATCHDOG})


@pytest.mark.parametrize("workers", [ONE, TWO], ids=["one-process", "two-workers"])
def test_life_of_a_service(manager: Manager, name: str, tmp_path: Path, workers: tuple[str, ...]) -> None:
    """The manager hears of the start, of each reload and its end, of the stop, and meanwhile that we live."""
    with service(tmp_path, name, *workers) as process:
        assert until(lambda: manager.heard("READY"), 20.0)
        assert process.process is not None
        process.process.send_signal(signal.SIGHUP)
        assert until(lambda: manager.heard("READY", 2), 20.0), manager.messages
        assert until(lambda: manager.heard("WATCHDOG", 3), 20.0)
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(20) == 0
    assert until(lambda: manager.heard("STOPPING"), 20.0)

    events = [next(iter(message)) for message in manager.messages if "WATCHDOG" not in message]
    (reloading,) = [message for message in manager.messages if "RELOADING" in message]
    assert events == ["READY", "RELOADING", "READY", "STOPPING"]
    # Of the same clock as ours, and of a moment ago.
    assert 0 < time.monotonic_ns() // 1000 - int(reloading["MONOTONIC_USEC"]) < 120_000_000
