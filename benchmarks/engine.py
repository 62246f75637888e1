"""
The engines alone: requests per second of each over one event loop, against the stub, in turn.

    python -m benchmarks.engine [--seconds 3] [--rounds 3] [--at-once 32] [--tls] [--target /v1/ok] [--engine http1]

The loop runs on core 0 and the stub on core 1. Only the ratio of one run counts: requests per second of processor time,
since a busy machine takes its share of the other kind.
"""

import argparse
import asyncio
import os
import ssl
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from benchmarks import stub
from gateway.upstream import Call, Deadlines, Fields, Upstream
from gateway.upstream.http1 import Http1Upstream
from gateway.upstream.httpx import HttpxUpstream

ENGINES = {"http1": Http1Upstream, "httpx": HttpxUpstream}
DEADLINES = Deadlines(connect=5.0, first_byte=120.0, idle=60.0, total=300.0, max_duration=3600.0)
HEADERS = [
    (b"Host", b"localhost"),
    (b"accept", b"*/*"),
    (b"user-agent", b"bench"),
    (b"via", b"1.1 errgate"),
    (b"authorization", b"Bearer made-up"),
]


async def ask(upstream: Upstream, target: bytes, until: float) -> int:
    """One request after the other until then; how many."""
    count = 0
    while time.perf_counter() < until:
        async with upstream.exchange(Call(b"GET", target, Fields(HEADERS), None, DEADLINES)) as exchange:
            async for _ in exchange.chunks():
                pass
        count += 1
    return count


async def measure(upstream: Upstream, target: bytes, *, at_once: int, seconds: float) -> float:
    """Requests per second of processor time."""
    await asyncio.gather(*(ask(upstream, target, time.perf_counter() + 0.3) for _ in range(at_once)))
    began, used = time.perf_counter(), time.process_time()
    counts = await asyncio.gather(*(ask(upstream, target, began + seconds) for _ in range(at_once)))
    rate = sum(counts) / (time.process_time() - used)
    await upstream.aclose()
    return rate


def main() -> None:
    """Run from the command line, and print a line for each engine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--target", default="/v1/ok")
    parser.add_argument("--engine", choices=ENGINES)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {0})
    with tempfile.TemporaryDirectory() as folder:
        process, vendor = stub.start(Path(folder), cores="1")
        with process:
            tls = ssl.create_default_context(cafile=str(vendor.authority))
            url = vendor.url("tls" if asked.tls else "plain")
            rates: dict[str, list[float]] = {name: [] for name in ENGINES if asked.engine in {None, name}}
            for _ in range(asked.rounds):
                for name, seen in rates.items():
                    upstream = ENGINES[name](url, max_connections=asked.at_once, tls=tls)
                    measured = measure(upstream, asked.target.encode(), at_once=asked.at_once, seconds=asked.seconds)
                    seen.append(uvloop.run(measured))
    for name, seen in rates.items():
        sys.stdout.write(
            f"{name}: {statistics.median(seen):,.0f} requests per second ({min(seen):,.0f} to {max(seen):,.0f})\n"
        )


if __name__ == "__main__":
    main()
