"""The tables: what was reached, beside whom, and what a core carries. Markdown, for a page as for a terminal."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from .bench import HELLO, PEERS
from .goals import GOALS, Goal
from .measures import latency
from .measures.bodies import BESIDE
from .measures.throughput import FORWARDED, OURS
from .results import Runs

LITTLE = 10


def number(value: float) -> str:
    """Three digits that count, in full from a hundred on."""
    if abs(value) >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= LITTLE else f"{value:.2f}"


def spread(values: Sequence[float], unit: str = "") -> str:
    """The median, and between which numbers the middle half lies."""
    if not values:
        return "not measured"
    middle = number(statistics.median(values)) + unit
    if len(values) == 1:
        return middle
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle} ({number(low)} to {number(high)})"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Rows of finished cells as a Markdown table."""
    names = list(header)
    return "\n".join("| " + " | ".join(line) + " |" for line in (names, ["---"] * len(names), *rows))


def goals(runs: Runs) -> str:
    """Each goal, what was measured, and whether that is enough."""
    header = ("what", "goal", "measured", "by processor time", "")
    return table(header, (_goal(goal, runs) for goal in GOALS))


def _goal(goal: Goal, runs: Runs) -> tuple[str, ...]:
    figures = goal.figures(runs)
    by_cpu = goal.by_cpu(runs) if goal.by_cpu else []
    # Where there is one, the figure that other work on the machine hardly moves decides; time itself has no other.
    decisive = by_cpu if by_cpu and goal.at_least else figures
    met = "" if not decisive else "met" if goal.met(statistics.median(decisive)) else "missed"
    sign = "≥" if goal.at_least else "≤"
    cpu = spread(by_cpu, goal.unit) if by_cpu else ""
    return goal.what, f"{sign} {number(goal.bound)}{goal.unit}", spread(figures, goal.unit), cpu, met


def ratios(runs: Runs) -> str:
    """The gateway by each peer, in every case."""
    cases = [case for case, _, _ in FORWARDED]
    rows = (
        (peer.name, peer.does, *(spread(runs.ratios(case, peer.name), "x") for case in cases))
        for peer in (*PEERS, HELLO)
        if any(runs.ratios(case, peer.name) for case in cases)
    )
    return table(("peer", "what it does", *cases), rows)


def rates(runs: Runs) -> str:
    """Requests a second of the gateway itself, by what it is asked; by the clock and by processor time."""
    seen: dict[str, tuple[list[float], list[float]]] = {}
    for row in runs.rows("throughput"):
        if row["peer"] != OURS:
            clock, processor = seen.setdefault(row["case"], ([], []))
            clock += [one["per_second"] for one in row["ours"]]
            processor += [one["per_cpu_second"] for one in row["ours"]]
    return table(
        ("asked for", "requests a second", "requests for each second of the processor"),
        ((case, spread(clock), spread(processor)) for case, (clock, processor) in seen.items()),
    )


def added(runs: Runs) -> str:
    """What a request through each takes longer than one straight to the vendor."""
    rows = (
        (name, *(spread(runs.latencies(figure, name), " ms") for figure in ("p50", "p99")))
        for name in (OURS, *latency.BESIDE)
        if runs.latencies("p50", name)
    )
    return table(("through", "p50", "p99"), rows)


def scaling(runs: Runs, part: str, name: str) -> str:
    """Requests a second as one thing grows."""
    sides: dict[str, None] = {}
    for run in runs.runs:
        sides.update(dict.fromkeys(run["measures"].get("scaling", {}).get(part, ())))
    rows = (
        (side, spread(runs.sides(part, side)), spread(runs.sides(part, side, "per_cpu_second")))
        for side in sorted(sides, key=lambda side: int(side.split()[0]))
    )
    return table((name, "requests a second", "for each second of the processor"), rows)


def bodies(runs: Runs) -> str:
    """Megabytes a second by the size of the body."""
    sizes: dict[int, dict[str, list[float]]] = {}
    for row in runs.rows("bodies"):
        for name in BESIDE:
            if name in row:
                sizes.setdefault(row["bytes"], {}).setdefault(name, []).extend(row[name]["megabytes_per_second"])
    rows = ((f"{size:,}", *(spread(found.get(name, ())) for name in BESIDE)) for size, found in sizes.items())
    return table(("bytes", *(f"{name}, MB/s" for name in BESIDE)), rows)


# What each figure of memory is of, and its unit.
MEMORY = (
    ("idle_mib", "resident, idle, one worker", " MiB"),
    ("idle_caller_kib", "each of 5,000 idle keep-alive callers", " KiB"),
    ("gibibyte_down_mib", "more while 1 GiB comes down", " MiB"),
    ("gibibyte_up_mib", "more while 1 GiB goes up", " MiB"),
    ("slow_reader_mib", "more while a caller reads slowly", " MiB"),
    ("slow_writer_mib", "more while a caller writes slowly", " MiB"),
    ("slow_vendor_reads_mib", "more while a vendor reads slowly", " MiB"),
    ("slow_vendor_writes_mib", "more while a vendor writes slowly", " MiB"),
)


def memory(runs: Runs) -> str:
    """The gateway's own memory."""
    return table(("what", ""), ((what, spread(runs.figures("memory", name), unit)) for name, what, unit in MEMORY))


def about(runs: Sequence[dict[str, Any]]) -> str:
    """The machine, the dates, the versions, and who was missing."""
    if not runs:
        return "Nothing is measured yet: `make bench`."
    last = runs[-1]
    machine, versions = last["machine"], ", ".join(f"{name} {said}" for name, said in sorted(last["versions"].items()))
    dates = ", ".join(run["date"] for run in runs)
    loads = ", ".join(f"{run['load']:g}" for run in runs)
    missing = "; ".join(f"{name} ({why})" for name, why in sorted(last["missing"].items()))
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"Python {machine['python']}; {versions}. Measured {dates}; load of the machine when each began: {loads}."
        + (f" Missing: {missing}." if missing else "")
    )


def text(runs: Sequence[dict[str, Any]]) -> str:
    """Everything, as the command prints it."""
    joined = Runs(list(runs))
    parts = (
        ("", about(runs)),
        ("What was to be reached", goals(joined)),
        ("errgate by each peer", ratios(joined)),
        ("What one core carries", rates(joined)),
        (f"Added latency at {latency.RATE} requests a second", added(joined)),
        ("Connections", scaling(joined, "connections", "connections")),
        ("Limits", scaling(joined, "limits", "limits")),
        ("Vendors", scaling(joined, "vendors", "settings")),
        ("Workers, all else scaled alike", scaling(joined, "workers", "workers and cores")),
        ("Memory", memory(joined)),
        ("Bodies", bodies(joined)),
    )
    return "\n\n".join(f"## {title}\n\n{part}" if title else part for title, part in parts)
