"""
Writes what the benchmark has measured: the section of README.md, the tables of capacity.md.

    make docs

The figures are those of `benchmarks/results.json`, which `make bench` writes. `tests/test_speed.py` finds a stale page.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import report
from benchmarks.results import Runs, read
from docs.generate import README, splice

CAPACITY = Path(__file__).resolve().parent / "capacity.md"

Part = Callable[[Runs], str]


def _scaling(part: str, name: str) -> Part:
    return lambda runs: report.scaling(runs, part, name)


# Where each table stands: the page, then the name of its markers.
PAGES: Mapping[Path, Mapping[str, Part]] = {
    README: {"speed": lambda runs: f"{report.goals(runs)}\n\n{report.ratios(runs)}\n\n{report.about(runs.runs)}"},
    CAPACITY: {
        "about": lambda runs: report.about(runs.runs),
        "rates": report.rates,
        "added": report.added,
        "connections": _scaling("connections", "connections"),
        "limits": _scaling("limits", "limits"),
        "vendors": _scaling("vendors", "settings"),
        "workers": _scaling("workers", "workers and cores"),
        "memory": report.memory,
        "bodies": report.bodies,
    },
}


def fresh(path: Path) -> str:
    """Give back the page with its tables written anew. Raises ValueError when a marker is missing."""
    page, runs = path.read_text(encoding="utf-8"), Runs(read())
    for name, make in PAGES[path].items():
        page = splice(page, name, make(runs))
    return page


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(fresh(path), encoding="utf-8")
