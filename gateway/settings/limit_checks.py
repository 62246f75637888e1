"""What is wrong with a limit as a whole: what it counts, which window, which routes, whose name it has."""

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from .faults import Fault, KeyPath
from .limits import LimitSettings
from .models import Settings
from .vendor_checks import Known, unknown_route

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
WINDOW_KEYS = ("per", "margin", "window", "zone")


def limits(settings: Settings) -> Iterator[Fault]:
    """Check the limits of every vendor and every caller, and the store that counts them."""
    for name, vendor in settings.vendors.items():
        yield from _each(("vendors", name, "limits"), vendor.limits, Known.of(name, vendor))
    each = [Known.of(name, vendor) for name, vendor in settings.vendors.items()]
    everywhere = Known(
        frozenset[str]().union(*(known.routes for known in each)),
        "any vendor",
        tuple(path for known in each for path in known.about),
    )
    for name, caller in settings.named_callers.items():
        yield from _each(("callers", name, "limits"), caller.limits, everywhere)
    store = settings.limit_store
    if store.ca is not None and not store.url.get_secret_value().startswith("rediss:"):
        yield Fault(("limit_store", "ca"), "is for a store that speaks TLS; write rediss:// in `url`, or take it away")


def _each(path: KeyPath, limits: Sequence[LimitSettings], known: Known) -> Iterator[Fault]:
    names = [limit.label for limit in limits]
    for index, limit in enumerate(limits):
        here: KeyPath = (*path, index)
        if names.index(limit.label) < index:
            first: KeyPath = (*path, names.index(limit.label))
            about = tuple((*place, key) for place in (here, first) for key in ("name", "per", "requests", "in_flight"))
            yield Fault(
                (*here, "name"), f'"{limit.label}" is the name of another limit of this list; name it', about=about
            )
        yield from _one(here, limit)
        for number, route in enumerate(limit.routes):
            if route not in known.routes:
                yield unknown_route((*here, "routes", number), route, known)


def _one(path: KeyPath, limit: LimitSettings) -> Iterator[Fault]:
    counts = tuple((*path, key) for key in ("requests", "in_flight", "per"))
    if (limit.requests is None) == (limit.in_flight is None):
        yield Fault(path, "must have either `requests` with `per`, or `in_flight`", about=counts)
        return
    count = limit.requests or limit.in_flight or 0
    if limit.cost > count:
        yield Fault(
            (*path, "cost"), f"is {limit.cost}, above the limit of {count}: nothing would pass; lower it", about=counts
        )
    if limit.in_flight is not None:
        for key in WINDOW_KEYS:
            if key in limit.model_fields_set:
                yield Fault((*path, key), "belongs to a window, and `in_flight` has none; take it away", about=counts)
    elif limit.per is None:
        yield Fault((*path, "per"), "is missing; write second, minute, hour or day", about=counts)
    elif limit.window == "calendar" and limit.margin >= SECONDS[limit.per]:
        text = "is as long as the window, or longer: two windows would be one; shorten it"
        yield Fault((*path, "margin"), text, about=counts)
    if limit.zone is not None:
        yield from _zone((*path, "zone"), limit.zone)
        if limit.window != "calendar" and limit.in_flight is None:
            yield Fault((*path, "zone"), "belongs to `window: calendar`; write that too", about=((*path, "window"),))


def _zone(path: KeyPath, zone: str) -> Iterator[Fault]:
    try:
        ZoneInfo(zone)
    # A name with NUL, of a folder, or as long as no file may be.
    except (OSError, ValueError, KeyError):
        yield Fault(path, "is no time zone known here; write a name such as UTC or Europe/Berlin")
