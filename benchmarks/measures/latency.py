"""
What a request through a proxy takes longer than one straight to the vendor, at a rate that strains nobody.

One connection each, 200 requests a second in turns of a second: all meet the same moments of the machine. nginx stands
for the least that two more wakings of a sleeping core cost here.
"""

import os
import socket
import statistics
import time

from benchmarks.bench import Bench
from benchmarks.errgate import FIELDS
from benchmarks.measures.throughput import OURS

RATE = 200
SLICE_SECONDS = 1.0

# Whom a request goes through, beside the gateway.
BESIDE = ("nginx", "@fastify/http-proxy")


def measure(bench: Bench) -> list[dict[str, object]]:
    """What each adds to p50 and p99, and these straight to the vendor: in milliseconds, a number a round."""
    ports = {name: process.port for name in (OURS, *BESIDE) if (process := bench.subject(name)) is not None}
    rows: dict[str, dict[str, list[float]]] = {
        name: {"p50": [], "p99": [], "straight_p50": [], "straight_p99": []} for name in ports
    }
    os.sched_setaffinity(0, {int(bench.load_core)})
    try:
        for _ in range(bench.effort.rounds):
            straight: list[float] = []
            through: dict[str, list[float]] = {name: [] for name in ports}
            for _ in range(max(2, int(bench.effort.seconds * 2))):
                straight += ask(bench.stub.plain, "/v1/ok")
                for name, port in ports.items():
                    through[name] += ask(port, "/plain/v1/ok")
            before = percentiles(straight)
            for name, row in rows.items():
                after = percentiles(through[name])
                row["p50"].append(round(after[0] - before[0], 3))
                row["p99"].append(round(after[1] - before[1], 3))
                row["straight_p50"].append(round(before[0], 3))
                row["straight_p99"].append(round(before[1], 3))
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    return [{"subject": name, **row} for name, row in rows.items()]


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile, in milliseconds."""
    return statistics.median(seconds) * 1000, statistics.quantiles(seconds, n=100)[98] * 1000


def ask(port: int, path: str) -> list[float]:
    """How long each request of one slice took, in seconds."""
    request = "\r\n".join((f"GET {path} HTTP/1.1", "Host: localhost", *FIELDS, "", "")).encode()
    took = []
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due = time.perf_counter()
        for number in range(int(RATE * SLICE_SECONDS) + 5):
            due += 1 / RATE
            time.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            sock.sendall(request)
            answer = b""
            while not answer.endswith(b"}"):
                answer += sock.recv(65_536)
            # The first ones make connections.
            if number >= 5:  # noqa: PLR2004
                took.append(time.perf_counter() - began)
    return took
