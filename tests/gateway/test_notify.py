"""What systemd is told, and that nobody is where there is no systemd."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.server.notify import Systemd


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        yield sock


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    """What systemd sets."""
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), **more}


def test_variables_are_taken(tmp_path: Path) -> None:
    """What we start does not inherit the socket, and cannot speak in our place."""
    given = environ(tmp_path, WATCHDOG_USEC="1000", WATCHDOG_PID=str(os.getpid()), HOME="/")

    Systemd(given)

    assert given == {"HOME": "/"}


def test_nobody_listens(tmp_path: Path) -> None:
    """Without a socket, or with one that is gone, nothing is said and nothing fails."""
    called: list[str] = []

    for given in ({}, environ(tmp_path), {"NOTIFY_SOCKET": "@"}):
        Systemd(given).ready(lambda: called.append("ready"))()
        Systemd(given).reloading(lambda: called.append("reload"))()
        Systemd(given).ready(None)()

    assert called == ["ready", "reload"] * 3


async def test_reload_that_goes_on(tmp_path: Path, manager: socket.socket) -> None:
    """A reload that takes its time is over when it is, not when it was asked for."""
    going_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    Systemd(environ(tmp_path)).reloading(lambda: going_on)()
    begun = manager.recv(100).decode()

    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)
    going_on.set_result(None)
    await asyncio.sleep(0)

    assert begun.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert manager.recv(100) == b"READY=1"


WATCHDOGS = [
    ({"WATCHDOG_USEC": "60000"}, True, True),
    ({"WATCHDOG_USEC": "60000", "WATCHDOG_PID": str(os.getpid())}, True, True),
    ({"WATCHDOG_USEC": "60000"}, False, False),
    ({"WATCHDOG_USEC": "60000", "WATCHDOG_PID": "1"}, True, False),
    ({"WATCHDOG_USEC": "often"}, True, False),
    ({}, True, False),
]


@pytest.mark.parametrize(
    ("more", "well", "alive"), WATCHDOGS, ids=["asked", "us", "unwell", "another", "no-number", "unasked"]
)
async def test_watchdog(tmp_path: Path, manager: socket.socket, more: dict[str, str], well: bool, alive: bool) -> None:
    """Who is asked to says that it lives, while it does its work."""
    async with Systemd(environ(tmp_path, **more)).informed(asyncio.Event(), lambda: well):
        await asyncio.sleep(0.1)

    manager.setblocking(False)
    try:
        said = manager.recv(100)
    except BlockingIOError:
        said = b""
    assert (said == b"WATCHDOG=1") is alive


async def test_stop(tmp_path: Path, manager: socket.socket) -> None:
    """A stop is told once, and while it takes its time we live, well or not."""
    asked = asyncio.Event()
    manager.settimeout(10)

    async with Systemd(environ(tmp_path, WATCHDOG_USEC="20000")).informed(asked, lambda: False):
        asked.set()
        said = [await asyncio.to_thread(manager.recv, 100) for _ in range(2)]

    assert said == [b"STOPPING=1", b"WATCHDOG=1"]
