"""
What every test shares: the budgets of the property tests, and who may run beside whom.

`ERRGATE_LONG=1` is the long run, 20,000 examples a property; without it a few hundred, so that `make test` stays short.
Give the long run `-o faulthandler_timeout=0`: its tests may take minutes.

A test marked `alone` measures time, memory or processes: while it runs, no other worker of the same run does anything.
"""

import fcntl
import os
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.budget import LONG

settings.register_profile(
    "default",
    max_examples=300,
    # A loaded machine is no finding; slow examples are measured in the long run.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # On a build machine the same commit gives the same verdict; new examples are looked for elsewhere.
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
)
settings.register_profile("long", settings.get_profile("default"), max_examples=20_000, derandomize=False)
settings.load_profile("long" if LONG else "default")


def pytest_configure() -> None:
    """Let what the tests start hear Ctrl-C: a shell that runs the tests in the background had them ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test run beside others of its kind, or quite alone."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        return (yield)
    place = Path(tempfile.gettempdir())
    # Whoever wants to be alone stands in the door meanwhile, so that nobody else enters before it.
    with (place / f"errgate-door-{run}").open("w") as door, (place / f"errgate-room-{run}").open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            return (yield)
        finally:
            # Said aloud, since a child that a test left behind may hold the file, too.
            fcntl.flock(room, fcntl.LOCK_UN)


def pytest_sessionfinish() -> None:
    """Take the two locks of the run away."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is not None:
        for name in ("door", "room"):
            (Path(tempfile.gettempdir()) / f"errgate-{name}-{run}").unlink(missing_ok=True)
