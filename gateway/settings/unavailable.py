"""
What the settings can already say and this version does not do: validated as everything else, then refused.

Never silently ignored: who asks for something must not believe to have it.
"""

from collections.abc import Iterator

from .faults import Fault, KeyPath
from .models import Settings


def unavailable(settings: Settings) -> Iterator[Fault]:
    """Refuse each key that asks for what is not there."""
    for path, instead in _asked(settings):
        yield Fault(path, f"is not available yet; {instead}")


def _asked(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Find what is asked for, each with what may stand there until then."""
    store = settings.limit_store
    if store.url.get_secret_value() != "memory":
        yield ("limit_store", "url"), "write memory"
    if store.ca is not None:
        yield ("limit_store", "ca"), "write null"
    if store.when_away != "share":
        yield ("limit_store", "when_away"), "write share"
