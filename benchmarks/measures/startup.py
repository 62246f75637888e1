"""From the start of the process to its first answer."""

from benchmarks import errgate
from benchmarks.bench import Bench


def measure(bench: Bench) -> dict[str, list[float]]:
    """Seconds by the clock and of the processor, a number a round; the first start of all fills the caches."""
    figures: dict[str, list[float]] = {"seconds": [], "cpu_seconds": []}
    for number in range(bench.effort.rounds + 1):
        vendors = errgate.vendors(bench.stub)
        with errgate.start(bench.folder, vendors, cores=bench.proxy_core) as gateway:
            took = gateway.answered("/plain/v1/ok", errgate.FIELDS)
            if number:
                figures["seconds"].append(round(took, 3))
                figures["cpu_seconds"].append(round(gateway.cpu_seconds(), 3))
    return figures
