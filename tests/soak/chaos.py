"""
Everything at once, for a while: vendor faults, hang-ups, reloads, and one worker killed.

Every request is counted exactly once (those in flight in the killed worker at most once), every answer is a success, a
valid envelope or a visibly cut connection, and afterwards the gateway is as idle as before, and every slot is free.

    python -m tests.soak.chaos --seconds 300
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.e2e.harness.gateway import ProcessGateway, settings_text

from .callers import Tally, call
from .vendor import converse

CALLERS = 40
# Fewer than callers, so that some wait in line.
SLOTS = 32
RELOAD_SECONDS = 3.0

# What a process comes to hold under this load: 8 to 25 MiB, after a minute as after ten. A leak of half a KiB for each
# of the requests of ten minutes would be 90.
GROWTH_BYTES = 48 * 1024 * 1024

# What a request that never ends would hold; every deadline below is shorter than a caller's patience.
TIMEOUTS = {"connect": "2s", "first_byte": "2s", "idle": "2s", "total": "5s", "max_duration": "10s"}


def settings(port: int) -> str:
    """Two workers in front of the one vendor."""
    vendor = {
        "base_url": f"http://127.0.0.1:{port}",
        "timeouts": TIMEOUTS,
        "max_connections": 60,
        "limits": [{"name": "slots", "in_flight": SLOTS, "wait": "500ms"}, {"requests": 1_000_000, "per": "minute"}],
        "on_vendor_limit": "hold",
        "hold": {"max": "100ms", "max_quota": "100ms"},
    }
    server = {"workers": 2, "shutdown": {"lameduck": "0s", "grace": "5s"}}
    return settings_text({"pixii": vendor}, server, log={"requests": False})


def pids(gateway: ProcessGateway) -> list[int]:
    """The workers' process ids."""
    status = json.loads(gateway.ask_admin("/-/status").body)
    return [worker["pid"] for worker in status["workers"]]


def held(gateway: ProcessGateway, pid: int) -> tuple[int, int]:
    """A worker's open descriptors but for its pooled connections, which may stay, and its resident memory in bytes."""
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    status = json.loads(gateway.ask_admin("/-/status").body)
    (worker,) = (worker for worker in status["workers"] if worker["pid"] == pid)
    pooled = sum(vendor["connections"]["idle"] for vendor in worker["vendors"].values())
    return len(list(Path(f"/proc/{pid}/fd").iterdir())) - pooled, resident


def gauge(gateway: ProcessGateway, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    total = 0.0
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    for line in gateway.ask_admin("/metrics").body.decode().splitlines():
        if line.startswith((name + "{", name + " ")) and all(label in line for label in wanted):
            total += float(line.rpartition(" ")[2])
    return total


async def disturb(gateway: ProcessGateway, seconds: float) -> None:
    """Reload every few seconds, and kill a worker in the middle."""
    end, killed = time.monotonic() + seconds, False
    while time.monotonic() < end:
        await asyncio.sleep(min(RELOAD_SECONDS, seconds / 4))
        gateway.signal(signal.SIGHUP)
        if not killed and time.monotonic() > end - seconds / 2:
            os.kill((await asyncio.to_thread(pids, gateway))[0], signal.SIGKILL)
            killed = True


async def load(gateway: ProcessGateway, tally: Tally, seconds: float) -> None:
    """Keep `CALLERS` requests going for that long."""
    end = time.monotonic() + seconds

    async def caller(number: int) -> None:
        while time.monotonic() < end:
            await call(gateway.address, number, tally)

    await asyncio.gather(disturb(gateway, seconds), *map(caller, range(CALLERS)))


async def settled(gateway: ProcessGateway) -> bool:
    """Whether nothing is in flight any more, within ten seconds."""
    for _ in range(100):
        busy = await asyncio.to_thread(gauge, gateway, "errgate_vendor_connections", state="busy")
        if busy + await asyncio.to_thread(gauge, gateway, "errgate_requests_in_flight") == 0:
            return True
        await asyncio.sleep(0.1)
    return False


async def run(seconds: float, folder: Path) -> dict[str, object]:
    """Run chaos; what was seen. Raises `AssertionError` where a promise broke."""
    vendor = await asyncio.start_server(converse, "127.0.0.1", 0)
    port = vendor.sockets[0].getsockname()[1]
    tally = Tally()
    with ProcessGateway(settings(port), folder) as gateway:
        warm = Tally()
        await asyncio.gather(*(call(gateway.address, number, warm) for number in range(200)))
        assert await settled(gateway)
        counted = await asyncio.to_thread(gauge, gateway, "errgate_requests_total")
        survivor = (await asyncio.to_thread(pids, gateway))[1]
        before = await asyncio.to_thread(held, gateway, survivor)
        await load(gateway, tally, seconds)
        assert await settled(gateway), "connections or requests are left behind"
        # Idle connections to the vendor are closed after 4 s.
        await asyncio.sleep(5)
        counted = await asyncio.to_thread(gauge, gateway, "errgate_requests_total") - counted
        free = await asyncio.to_thread(gauge, gateway, "errgate_limit_remaining", limit="slots")
        after = await asyncio.to_thread(held, gateway, survivor)
        logged = gateway.logs()
    vendor.close()
    lost = tally.sent - counted
    assert 0 <= lost <= CALLERS, f"{tally.sent} sent, {counted} counted"
    assert free == SLOTS, f"{free} of {SLOTS} slots are free"
    assert '"internal error"' not in logged
    assert "Traceback" not in logged
    assert after[0] <= before[0] + 5, f"descriptors: {before[0]}, then {after[0]}"
    assert after[1] <= before[1] + GROWTH_BYTES, f"resident: {before[1]} bytes, then {after[1]}"
    return {
        "seconds": seconds,
        "sent": tally.sent,
        "lost_with_the_killed_worker": lost,
        "seen": dict(tally.seen),
        "p50_seconds": round(statistics.median(tally.seconds), 4),
        "p99_seconds": round(statistics.quantiles(tally.seconds, n=100)[98], 3),
        "descriptors": [before[0], after[0]],
        "resident_mib": [round(size / 2**20, 1) for size in (before[1], after[1])],
    }


def main() -> None:
    """Run from the command line, and print what was seen as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        seen = asyncio.run(run(parser.parse_args().seconds, Path(folder)))
        sys.stdout.write(json.dumps(seen, indent=2) + "\n")


if __name__ == "__main__":
    main()
