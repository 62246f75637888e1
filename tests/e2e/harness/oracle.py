"""What holds after every test, whatever it did: nothing leaked, nothing counted twice, the next request works."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.harness.gateway import ThreadGateway
from tests.e2e.harness.vendor import RogueVendor

# How long the gateway may take to let go of what a test took.
SETTLE = 2.0


def until(holds: Callable[[], bool], within: float = SETTLE) -> bool:
    """Whether it comes to hold in that many seconds."""
    end = time.monotonic() + within
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def descriptors() -> int:
    """How many file descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def busy(gateway: ThreadGateway) -> dict[str, float]:
    """What is at work in the gateway: must all be 0 between requests."""
    scrape = gateway.scrape()
    return {
        "in flight": scrape.sum("errgate_requests_in_flight"),
        "busy connections": scrape.sum("errgate_vendor_connections", state="busy"),
    }


@contextmanager
def leaving_no_trace(gateway: ThreadGateway, vendor: RogueVendor, clean: bytes) -> Iterator[None]:
    """
    Hold a test to the leak oracle and the metric oracle; `clean` is a request that a well vendor answers.

    Idle pooled connections may stay: each is a descriptor on both sides, and they are taken off.
    """
    until(lambda: not any(busy(gateway).values()))
    before = gateway.scrape().sum("errgate_requests_total")
    asked = gateway.asked
    tasks = gateway.tasks()
    files = descriptors() - 2 * vendor.open

    yield

    assert vendor.faults == [], "the gateway wrote what no vendor should read"
    vendor.forget()
    assert gateway.send(clean).body == b"ok", "the next request does not work"
    assert until(lambda: not any(busy(gateway).values())), f"still at work: {busy(gateway)}"
    assert until(lambda: gateway.tasks() <= tasks), f"{gateway.tasks()} tasks, {tasks} before"
    assert until(lambda: descriptors() - 2 * vendor.open <= files + 1), f"{descriptors()} descriptors, {files} before"
    assert "Traceback" not in gateway.log.getvalue()
    assert until(lambda: counted(gateway) - before == gateway.asked - asked), (
        f"{counted(gateway) - before} counted, {gateway.asked - asked} asked"
    )


def counted(gateway: ThreadGateway) -> float:
    """How many requests the gateway has counted."""
    return gateway.scrape().sum("errgate_requests_total")
