"""What holds after every test, whatever it did: nothing leaked, nothing counted twice, the next request works."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.harness.gateway import ThreadGateway
from tests.e2e.harness.metrics import Scrape
from tests.e2e.harness.vendor import RogueVendor

# How long the gateway may take, on a busy machine, to let go of what a test took.
SETTLE = 5.0


def until(holds: Callable[[], bool], within: float = SETTLE) -> bool:
    """Whether it comes to hold in that many seconds."""
    end = time.monotonic() + within
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


LISTENING = "0A"


def sockets() -> list[str]:
    """The TCP connections that this process holds, each as `local remote state`, ports and states in hexadecimal."""
    held = {link.removeprefix("socket:[").removesuffix("]") for link in _links() if link.startswith("socket:")}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [f"{line[1]} {line[2]} {line[3]}" for line in lines if line[9] in held and line[3] != LISTENING]


def _links() -> Iterator[str]:
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(entry.readlink())


def busy(scrape: Scrape) -> dict[str, float]:
    """What is at work in the gateway: must all be 0 between requests."""
    found = {
        "in flight": scrape.sum("errgate_requests_in_flight"),
        "busy connections": scrape.sum("errgate_vendor_connections", state="busy"),
    }
    return {what: number for what, number in found.items() if number}


def counted(scrape: Scrape) -> float:
    """How many requests the gateway has counted."""
    return scrape.sum("errgate_requests_total")


@contextmanager
def leaving_no_trace(gateway: ThreadGateway, vendor: RogueVendor, clean: bytes) -> Iterator[None]:
    """Hold a test to the leak oracle and the metric oracle; `clean` is a request that a well vendor answers."""
    if gateway.last is None:
        (gateway.last, gateway.idle_tasks), gateway.others = gateway.glance(), len(sockets())
    before = counted(gateway.last)
    asked, gateway.uncounted = gateway.asked, False
    logged, loud = len(gateway.log.getvalue()), len(gateway.noise.getvalue())

    yield

    assert vendor.faults == [], "the gateway wrote what no vendor should read"
    assert '"message":"internal error"' not in gateway.log.getvalue()[logged:]
    assert gateway.noise.getvalue()[loud:] == ""
    vendor.forget()
    assert gateway.send(clean).body == b"ok", "the next request does not work"
    end = time.monotonic() + SETTLE
    while found := remains(gateway, vendor, before, asked):
        assert time.monotonic() < end, found
        time.sleep(0.01)


def remains(gateway: ThreadGateway, vendor: RogueVendor, before: float, asked: int) -> list[str]:
    """
    What a test has left behind, each in a phrase; nothing, one hopes.

    Idle pooled connections may stay, on both sides.
    """
    scrape, tasks = gateway.glance()
    gateway.last = scrape
    found = [f"{number:.0f} {what}" for what, number in busy(scrape).items()]
    if tasks > gateway.idle_tasks:
        found.append(f"{tasks - gateway.idle_tasks} tasks")
    idle = scrape.sum("errgate_vendor_connections", state="idle") + vendor.open
    if len(held := sockets()) > gateway.others + idle:
        found.append(f"{len(held)} sockets, {gateway.others} before and {idle:.0f} idle: {held}")
    if not gateway.uncounted and counted(scrape) - before != gateway.asked - asked:
        found.append(f"{counted(scrape) - before:.0f} counted, {gateway.asked - asked} asked")
    return found
