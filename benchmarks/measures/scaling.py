"""
What more of everything costs: vendors and limits, workers, connections, idle connections beside the busy ones.

Two sides of one comparison run in turns, as everywhere.
"""

from dataclasses import asdict

from benchmarks import errgate, stub
from benchmarks.bench import Bench
from benchmarks.load import Run, run
from benchmarks.processes import Process

CONNECTIONS = (1, 8, 32, 128, 512)
LIMITS = (0, 1, 2, 5, 10)

FEW = (5, 2)
MANY = (100, 5)


def measure(bench: Bench) -> dict[str, object]:
    """By vendors and limits, by limits, by connections, by workers."""
    return {
        "vendors": _alternating(bench, {f"{v} vendors, {n} limits": _of(bench, v, n) for v, n in (FEW, MANY)}),
        "limits": _alternating(bench, {str(count): _of(bench, 1, count) for count in LIMITS}),
        "connections": _connections(bench),
        "workers": _workers(bench),
    }


def _of(bench: Bench, vendors: int, limits: int) -> dict[str, object]:
    return {
        f"v{number}": errgate.vendor(bench.stub, "plain", limits=errgate.limits(limits)) for number in range(vendors)
    }


def _figures(seen: Run) -> dict[str, float]:
    return {key: round(value, 1) for key, value in asdict(seen).items()}


def _alternating(bench: Bench, sides: dict[str, dict[str, object]]) -> dict[str, list[dict[str, float]]]:
    """Several gateways over different settings, in turns, each asked for its last vendor."""
    started: dict[str, Process] = {}
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    try:
        for name, vendors in sides.items():
            started[name] = bench.gateway(vendors)
        for _ in range(bench.effort.rounds):
            for name, vendors in sides.items():
                last = list(vendors)[-1]
                figures[name].append(_figures(bench.load(started[name], f"/{last}/v1/ok")))
    finally:
        for process in started.values():
            process.end()
    return figures


def _connections(bench: Bench) -> dict[str, list[dict[str, float]]]:
    gateway = bench.subject("errgate")
    figures: dict[str, list[dict[str, float]]] = {str(count): [] for count in CONNECTIONS}
    for _ in range(bench.effort.rounds if gateway else 0):
        for count in CONNECTIONS:
            assert gateway is not None  # noqa: S101  (the loop says so)
            figures[str(count)].append(_figures(bench.load(gateway, "/plain/v1/ok", connections=count)))
    return figures


def _workers(bench: Bench) -> dict[str, list[dict[str, float]]]:
    """Everything on one core with one worker, then everything on two with two: load and vendor are scaled alike."""
    figures: dict[str, list[dict[str, float]]] = {"1": [], "2": []}
    both = f"{bench.proxy_core},{bench.load_core}"
    sides = {"1": (bench.proxy_core, 1), "2": (both, 2)}
    for _ in range(bench.effort.rounds):
        for name, (cores, workers) in sides.items():
            vendor, place = stub.start(bench.folder, cores=cores, workers=workers)
            with vendor, bench.gateway(errgate.vendors(place), workers=workers, cores=cores) as gateway:
                seen = run(
                    gateway,
                    "/plain/v1/ok",
                    cores=cores,
                    seconds=bench.effort.seconds,
                    connections=32 * workers,
                    threads=workers,
                    fields=errgate.FIELDS,
                )
                figures[name].append(_figures(seen))
    return figures
