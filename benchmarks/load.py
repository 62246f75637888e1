"""One run of load against one process: as many requests as it takes, for a moment, from another core."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .processes import Process

SCRIPT = Path(__file__).with_name("load.lua")

# Connections are made and caches filled before anything counts.
WARM_SECONDS = 0.3


class Broken(Exception):
    """A run whose answers are not what was to be measured."""


@dataclass(frozen=True, slots=True)
class Run:
    """
    What one run saw, by the clock and for each second of the processor that the process used.

    The second figure hardly moves when something else runs on the machine; with a core to itself both are alike.
    """

    per_second: float
    per_cpu_second: float
    megabytes_per_second: float


def run(  # noqa: PLR0913  (a run has that many parts)
    process: Process,
    path: str,
    *,
    cores: str,
    seconds: float,
    connections: int = 32,
    fields: Iterable[str] = (),
    errors: bool = False,
    warm: bool = True,
    threads: int = 1,
) -> Run:
    """Load a process for a while; `errors`: whether every answer is to be an error. Raises `Broken`."""
    if warm:
        _wrk(process, path, cores, WARM_SECONDS, connections, threads, fields)
    before = process.cpu_seconds()
    seen = _wrk(process, path, cores, seconds, connections, threads, fields)
    used = process.cpu_seconds() - before
    requests = seen["requests"]
    if not seen["bytes"] or seen["broken"] > requests / 1000 or seen["refused"] != (requests if errors else 0):
        raise Broken(f"{path}: {seen}")
    return Run(
        per_second=requests / seen["seconds"],
        per_cpu_second=requests / used if used else 0.0,
        megabytes_per_second=seen["bytes"] / seen["seconds"] / 1e6,
    )


def _wrk(
    process: Process, path: str, cores: str, seconds: float, connections: int, threads: int, fields: Iterable[str]
) -> dict[str, float]:
    # wrk counts whole seconds only: its end comes from the outside, where it has to be a shorter one.
    command = ["taskset", "--cpu-list", cores, "timeout", "--signal", "INT", f"{seconds:.3f}"]
    command += ["wrk", "--threads", str(threads), "--connections", str(connections)]
    command += ["--duration", "60s", "--timeout", "10s"]
    for field in fields:
        command += ["--header", field]
    command += ["--script", str(SCRIPT), f"http://127.0.0.1:{process.port}{path}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise Broken(f"wrk said: {done.stdout[-300:]} {done.stderr[-300:]}")
    seen: dict[str, float] = json.loads(lines[-1])
    return seen
