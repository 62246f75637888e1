"""Processes that are pinned to cores, looked at through /proc, and ended by their ids."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")

# How long a process may take until it answers: LiteLLM imports for twenty seconds on a busy machine.
START_SECONDS = 90.0
END_SECONDS = 10.0


class NotStarted(Exception):
    """A process that ended, or never answered; the text is its last words."""


def free_ports(count: int) -> list[int]:
    """As many different ports that nothing listens on."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def free_port() -> int:
    """A port that nothing listens on."""
    return free_ports(1)[0]


def allow_descriptors() -> None:
    """As many open files as the machine allows: thousands of connections are held open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Process:
    """
    A command and everything it starts, on its own cores and in a process group of its own.

    Args:
        command: the program and its arguments.
        cores: where it may run, as taskset writes it: `0` or `0,1`.
        log: the file that takes its output.
        port: where it listens.
        environ: what it finds in its environment besides ours.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        cores: str,
        log: Path,
        port: int,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        self._log = log
        self.began_at = time.perf_counter()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["taskset", "--cpu-list", cores, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=log.parent,
                env=os.environ | (environ or {}),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """The process's own id; its group has the same."""
        return self._process.pid

    def words(self) -> str:
        """The last lines of its output."""
        return self._log.read_text(errors="replace")[-2000:]

    def answered(self, path: str, fields: Iterable[str] = (), *, status: int = 200) -> float:
        """Wait until it answers a request so; seconds since its start. Raises `NotStarted`."""
        lines = "".join(f"{field}\r\n" for field in fields)
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}Connection: close\r\n\r\n".encode()
        while time.perf_counter() - self.began_at < START_SECONDS:
            if self._process.poll() is not None:
                raise NotStarted(self.words())
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as sock:
                sock.sendall(request)
                if sock.makefile("rb").readline().split()[1:2] == [b"%d" % status]:
                    return time.perf_counter() - self.began_at
            time.sleep(0.005)
        raise NotStarted(self.words())

    def members(self) -> list[int]:
        """The ids of all processes of its group, and of those that they started in a group of their own."""
        return list(self._members())

    def _members(self) -> dict[int, list[str]]:
        """Each with the fields of its `stat`: a child's id is as a rule greater than its parent's."""
        found: dict[int, list[str]] = {}
        for pid, fields in sorted(_processes()):
            if int(fields[2]) == self.pid or int(fields[1]) in found:
                found[pid] = fields
        return found

    def cpu_seconds(self) -> float:
        """What all of them have used of the processors, in user and system mode."""
        return sum(int(fields[11]) + int(fields[12]) for fields in self._members().values()) / TICKS

    def memory(self, kind: str = "VmRSS") -> int:
        """Their resident memory in bytes: `VmRSS` now, `VmHWM` at the most since `forget_peak`."""
        total = 0
        for pid in self.members():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith(kind + ":"):
                        total += int(line.split()[1]) * 1024
        return total

    def forget_peak(self) -> None:
        """Begin to note the most memory anew."""
        for pid in self.members():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def end(self) -> None:
        """Ask it to end, insist after a while, and leave none of its group behind."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
                break
        end = time.perf_counter() + END_SECONDS
        while self.members() and time.perf_counter() < end:
            time.sleep(0.02)
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _processes() -> Iterable[tuple[int, list[str]]]:
    """Every process with the fields of its `stat` from the third on: state, parent, group and so on."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "stat").read_text().rpartition(") ")[2].split()
