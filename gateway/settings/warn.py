"""What is allowed and still worth a line: said at start, by `errgate check` and after a reload."""

from collections.abc import Iterator

from .faults import Fault
from .models import Settings


def warn(settings: Settings) -> Iterator[Fault]:
    """Find what an operator should know."""
    yield from ()
