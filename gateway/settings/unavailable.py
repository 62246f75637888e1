"""
What the settings can already say and this version does not do: validated as everything else, then refused.

Never silently ignored: who asks for a limit must not believe to have one.
"""

from collections.abc import Iterator, Mapping

from .faults import Fault, KeyPath
from .models import Settings
from .vendors import VendorSettings

# Each with what may stand there until then.
INSTEAD: Mapping[str, str] = {
    "workers": "write 1",
    "limits": "write []",
    "on_vendor_limit": "write ignore",
    "hold": "take it away",
    "max": "write 0",
    "statuses": "write []",
    "idempotency_key": "write false",
    "breaker": "write null",
    "engine": "write httpx",
    "url": "write memory",
    "ca": "write null",
    "when_away": "write share",
}


def unavailable(settings: Settings) -> Iterator[Fault]:
    """Refuse each key that asks for what is not there."""
    for path in _asked(settings):
        key = next(str(step) for step in reversed(path) if step in INSTEAD)
        yield Fault(path, f"is not available yet; {INSTEAD[key]}")


def _asked(settings: Settings) -> Iterator[KeyPath]:
    if settings.server.workers > 1:
        yield "server", "workers"
    for name, caller in settings.named_callers.items():
        if caller.limits:
            yield "callers", name, "limits"
    for name, vendor in settings.vendors.items():
        yield from (("vendors", name, *key) for key in _asked_of(vendor))
    store = settings.limit_store
    if store.url.get_secret_value() != "memory":
        yield "limit_store", "url"
    if store.ca is not None:
        yield "limit_store", "ca"
    if store.when_away != "share":
        yield "limit_store", "when_away"


def _asked_of(vendor: VendorSettings) -> Iterator[KeyPath]:
    asks: Mapping[KeyPath, bool] = {
        ("limits",): bool(vendor.limits),
        ("on_vendor_limit",): vendor.on_vendor_limit != "ignore",
        **{("hold", key): True for key in vendor.hold.model_fields_set},
        ("retries", "max"): vendor.retries.max > 0,
        ("retries", "statuses"): bool(vendor.retries.statuses),
        ("retries", "idempotency_key"): vendor.retries.idempotency_key,
        ("breaker",): vendor.breaker is not None,
        ("engine",): vendor.engine != "httpx",
    }
    yield from (key for key, asked in asks.items() if asked)
