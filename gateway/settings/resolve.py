"""Each vendor's normalizer, found by its name or built from its mapping, with own routes first."""

from collections.abc import Iterable, Iterator, Mapping

from .faults import Fault
from .models import Settings


def resolve(settings: Settings) -> list[Fault]:
    """Settle every vendor whose normalizer can be had; a fault for each of the others."""
    return []
