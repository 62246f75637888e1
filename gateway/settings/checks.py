"""What only the whole file can tell: combinations that are impossible or dangerous, duplicates, names that nothing has."""

from collections.abc import Iterator

from .faults import Fault
from .models import Settings


def check(settings: Settings) -> Iterator[Fault]:
    """Find every fault of settings whose keys are each right by themselves."""
    yield from ()
