"""
What a request through the gateway takes longer than one straight to the vendor, at a rate that strains nobody.

One connection each, 200 requests a second in turns of a second: both meet the same moments of the machine.
"""

import os
import socket
import statistics
import time

from benchmarks.bench import Bench
from benchmarks.errgate import FIELDS

RATE = 200
SLICE_SECONDS = 1.0


def measure(bench: Bench) -> list[dict[str, object]]:
    """For plain HTTP, and over TLS the gateway's own figures: p50 and p99 in milliseconds, a number a round."""
    gateway = bench.subject("errgate")
    if gateway is None:
        return []
    os.sched_setaffinity(0, {int(bench.load_core)})
    try:
        rows: dict[str, dict[str, list[float]]] = {}
        for _ in range(bench.effort.rounds):
            straight: list[float] = []
            through: list[float] = []
            for _ in range(max(2, int(bench.effort.seconds * 2))):
                straight += ask(bench.stub.plain, "/v1/ok")
                through += ask(gateway.port, "/plain/v1/ok")
            row = rows.setdefault("http", {"p50": [], "p99": [], "straight_p50": [], "straight_p99": []})
            before, after = percentiles(straight), percentiles(through)
            row["p50"].append(round(after[0] - before[0], 3))
            row["p99"].append(round(after[1] - before[1], 3))
            row["straight_p50"].append(round(before[0], 3))
            row["straight_p99"].append(round(before[1], 3))
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    return [{"case": case, **row} for case, row in rows.items()]


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
