"""A sandbox in this process, its clock in the test's hand."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.testclient import TestClient

from gateway.sandbox import create_sandbox

# 2027-01-15T08:00:00.25Z: a whole minute and a quarter of a second.
NOON = 1_800_000_000.25


@dataclass
class Clock:
    """Unix seconds that move when the test says so."""

    now: float = NOON

    def __call__(self) -> float:
        """The time it stands at."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The sandbox's clock."""
    return Clock()


@pytest.fixture
def caller(clock: Clock) -> Iterator[TestClient]:
    """Somebody who calls the sandbox, without any key."""
    with TestClient(create_sandbox(clock=clock)) as client:
        yield client
