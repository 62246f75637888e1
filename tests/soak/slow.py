"""
Callers that take their time: 2,000 half-sent heads, slow bodies and 5,000 idle connections beside one that behaves.

    python -m tests.soak.slow --seconds 30
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.e2e.harness.gateway import ProcessGateway, settings_text

from .callers import Tally, call
from .vendor import read_request, reply

HALF_HEADS = 2_000
IDLE = 5_000
SLOW_BODIES = 200

# How many connections are being opened at once: the kernel's queue of them is no part of this test.
OPENING = 200

# Answers that a percentile needs.
ENOUGH = 20

HALF_A_HEAD = b"GET /pixii/x HTTP/1.1\r\nHost: gateway\r\nX-Slow: "
IDLE_REQUEST = b"GET /pixii/x HTTP/1.1\r\nHost: gateway\r\nX-Nonce: idle\r\n\r\n"
SLOW_BODY = b"POST /pixii/x HTTP/1.1\r\nHost: gateway\r\nX-Nonce: slow\r\nContent-Length: 1000000\r\n\r\n"


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A vendor that answers everything at once."""
    try:
        while (request := await read_request(reader)) is not None:
            writer.write(reply(200, request[1].get(b"x-nonce", b"?")))
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        writer.close()


async def half_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A head that gets a byte a second."""
    del reader
    writer.write(HALF_A_HEAD)
    while not writer.is_closing():
        await asyncio.sleep(1)
        writer.write(b"x")


async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request, and then nothing."""
    writer.write(IDLE_REQUEST)
    await reader.readuntil(b"idle")
    await reader.read()


async def slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body that gets a byte a second."""
    del reader
    writer.write(SLOW_BODY)
    while not writer.is_closing():
        await asyncio.sleep(1)
        writer.write(b"x")


async def run(seconds: float, folder: Path, scale: float = 1.0) -> dict[str, object]:
    """Hold the connections for that long; what the caller that behaves saw meanwhile."""
    vendor = await asyncio.start_server(converse, "127.0.0.1", 0)
    port = vendor.sockets[0].getsockname()[1]
    opening = asyncio.Semaphore(OPENING)
    address = ("127.0.0.1", 0)
    opened = {"half_heads": 0, "idle": 0, "slow_bodies": 0}

    async def hold(kind: str, behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        try:
            async with opening:
                reader, writer = await asyncio.open_connection(*address)
            opened[kind] += 1
            try:
                await behave(reader, writer)
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError):
            return

    timeouts = {"head": "10s", "body_idle": "10s"}
    text = settings_text(
        {"pixii": {"base_url": f"http://127.0.0.1:{port}", "max_connections": 1000}},
        {"timeouts": timeouts, "shutdown": {"lameduck": "0s", "grace": "1s"}},
        log={"requests": False},
    )
    tally = Tally()
    with ProcessGateway(text, folder) as gateway:
        address = gateway.address
        before = gateway.memory()
        holding = [
            asyncio.create_task(hold(kind, behave))
            for kind, behave, count in (
                ("idle", idle, IDLE),
                ("half_heads", half_head, HALF_HEADS),
                ("slow_bodies", slow_body, SLOW_BODIES),
            )
            for _ in range(int(count * scale))
        ]
        # The queue of new connections is over before the one that behaves is timed.
        while sum(opened.values()) < len(holding) * 0.99 and not all(task.done() for task in holding):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        held = gateway.memory()
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(tally.seconds) < ENOUGH:
            await call(gateway.address, 0, tally)
            await asyncio.sleep(0.02)
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)
    vendor.close()
    assert set(tally.seen) <= {"ok", "hung up"}, tally.seen
    return {
        "seconds": seconds,
        "opened": opened,
        "answered": tally.seen["ok"],
        "p50_seconds": round(statistics.median(tally.seconds), 4),
        "p99_seconds": round(statistics.quantiles(tally.seconds, n=100)[98], 4),
        "resident_kib_each": round((held - before) / 1024 / max(1, len(holding)), 1),
    }


def main() -> None:
    """Run from the command line, and print what was seen as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(run(parser.parse_args().seconds, Path(folder)))
        sys.stdout.write(json.dumps(seen, indent=2) + "\n")


if __name__ == "__main__":
    main()
