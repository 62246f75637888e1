"""
What the settings can already say and this version does not do: validated as everything else, then refused.

Never silently ignored: who asks for a limit must not believe to have one.
"""

from collections.abc import Iterator

from .faults import Fault, KeyPath
from .models import Settings
from .vendors import VendorSettings


def unavailable(settings: Settings) -> Iterator[Fault]:
    """Refuse each key that asks for what is not there."""
    for path, instead in _asked(settings):
        yield Fault(path, f"is not available yet; {instead}")


def _asked(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Find what is asked for, each with what may stand there until then."""
    for name, caller in settings.named_callers.items():
        if caller.limits:
            yield ("callers", name, "limits"), "write []"
    for name, vendor in settings.vendors.items():
        for key, instead in _asked_of(vendor):
            yield ("vendors", name, *key), instead
    store = settings.limit_store
    if store.url.get_secret_value() != "memory":
        yield ("limit_store", "url"), "write memory"
    if store.ca is not None:
        yield ("limit_store", "ca"), "write null"
    if store.when_away != "share":
        yield ("limit_store", "when_away"), "write share"


def _asked_of(vendor: VendorSettings) -> Iterator[tuple[KeyPath, str]]:
    rows: tuple[tuple[KeyPath, bool, str], ...] = (
        (("limits",), bool(vendor.limits), "write []"),
        (("on_vendor_limit",), vendor.on_vendor_limit != "ignore", "write ignore"),
        *((("hold", key), True, "take it away") for key in sorted(vendor.hold.model_fields_set)),
    )
    yield from ((key, instead) for key, asked, instead in rows if asked)
