"""The one file that is kept of a benchmark: the figures of each run, with the machine, the date and the versions."""

import datetime as dt
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from gateway import __version__

RESULTS = Path(__file__).with_name("results.json")

# How each program says its version, and where in what it says.
VERSIONS = {
    "nginx": ("nginx", "-v"),
    "haproxy": ("haproxy", "-v"),
    "node": ("node", "--version"),
    "wrk": ("wrk", "-v"),
}
NUMBER = re.compile(r"\d+\.\d+(?:\.\d+)*")


def machine() -> dict[str, object]:
    """What was measured on."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*:\s*(.+)", text)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model[1].strip() if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """What was measured with."""
    found = {"errgate": __version__}
    found |= {name: metadata.version(name) for name in ("uvicorn", "uvloop", "httptools")}
    for name, command in VERSIONS.items():
        try:
            said = subprocess.run(command, check=False, capture_output=True, text=True)
        except FileNotFoundError:
            continue
        number = NUMBER.search(said.stdout + said.stderr)
        found[name] = number[0] if number else "?"
    return found


def new() -> dict[str, Any]:
    """A run that has measured nothing yet; `load` is how much else ran on the machine when it began."""
    now = dt.datetime.now(dt.UTC)
    return {
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
        "versions": versions(),
        "missing": {},
        "measures": {},
    }


def read(file: Path = RESULTS) -> list[dict[str, Any]]:
    """The runs that are kept; none where there is no file."""
    if not file.exists():
        return []
    runs: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["runs"]
    return runs


def save(runs: list[dict[str, Any]], file: Path = RESULTS) -> None:
    """Keep these runs."""
    text = json.dumps({"runs": runs}, indent=1, sort_keys=True)
    # One figure a line would be thousands of lines: the innermost lists and mappings stand on one.
    text = re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda found: " ".join(found[0].split()), text)
    file.write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Runs:
    """Several runs as one: every figure is a list, a number a round."""

    runs: list[dict[str, Any]]

    def rows(self, measure: str) -> Iterator[dict[str, Any]]:
        """The rows of a measure that is a list of them."""
        for run in self.runs:
            yield from run["measures"].get(measure, ())

    def figures(self, measure: str, name: str) -> list[float]:
        """A figure of a measure that is a mapping."""
        return [value for run in self.runs for value in run["measures"].get(measure, {}).get(name, ())]

    def sides(self, part: str, name: str, figure: str = "per_second") -> list[float]:
        """A figure of one side of a scaling comparison."""
        return [
            seen[figure]
            for run in self.runs
            for seen in run["measures"].get("scaling", {}).get(part, {}).get(str(name), ())
        ]

    def ratios(self, case: str, peer: str, figure: str = "per_second") -> list[float]:
        """Ours by theirs, a number a round: only what was measured side by side is compared."""
        return [
            ours[figure] / theirs[figure]
            for row in self.rows("throughput")
            if (row["case"], row["peer"]) == (case, peer)
            for ours, theirs in zip(row["ours"], row["theirs"], strict=True)
            if theirs[figure]
        ]

    def latencies(self, figure: str, subject: str) -> list[float]:
        """What one adds at a fixed rate, in milliseconds."""
        return [value for row in self.rows("latency") if row["subject"] == subject for value in row[figure]]


def quotients(ours: Iterable[float], theirs: Iterable[float]) -> list[float]:
    """Ours by theirs, round by round."""
    return [one / other for one, other in zip(ours, theirs, strict=False) if other]
