"""Megabytes a second for bodies of many sizes, from nothing to 100 MB, the gateway's beside a plain forwarder's."""

from benchmarks.bench import Bench
from benchmarks.load import Broken
from benchmarks.stub import BODY_SIZES

BESIDE = ("errgate", "@fastify/http-proxy", "nginx")
CONNECTIONS = 8


def measure(bench: Bench) -> list[dict[str, object]]:
    """Each size, with each subject's requests and megabytes a second, a number a round."""
    rows: dict[int, dict[str, object]] = {}
    for _ in range(max(1, bench.effort.rounds // 2)):
        for size in BODY_SIZES:
            row = rows.setdefault(size, {"bytes": size})
            for name in BESIDE:
                process = bench.subject(name)
                if process is None:
                    continue
                try:
                    seen = bench.load(process, f"/plain/v1/bytes/{size}", connections=CONNECTIONS, warm=False)
                except Broken:
                    continue
                figures = row.setdefault(name, {"per_second": [], "megabytes_per_second": []})
                figures["per_second"].append(round(seen.per_second, 1))  # type: ignore[index]
                figures["megabytes_per_second"].append(round(seen.megabytes_per_second, 1))  # type: ignore[index]
    return list(rows.values())
