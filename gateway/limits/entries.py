"""The entries of `limits` in the settings, compiled."""

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from normalizers import HouseCode

from .calendar import Calendar
from .clock import SECONDS, Unit
from .in_flight import Slots
from .limit import AnyRule, Limit
from .rule import SECOND
from .window import BUCKETS, Rolling

# A limit that all share has one counter, so its log may be longer: true up to a thousand units, which covers every
# vendor's own limits, and above that a day's limit is at most 87 s late.
SHARED_BUCKETS = 1000


class Entry(Protocol):
    """What is read of one entry; durations are in seconds."""

    @property
    def label(self) -> str:
        """Its name, own or default."""

    @property
    def requests(self) -> int | None:
        """How much a window admits."""

    @property
    def per(self) -> Unit | None:
        """The window."""

    @property
    def in_flight(self) -> int | None:
        """How many requests may run at once."""

    @property
    def routes(self) -> Sequence[str]:
        """The routes that count; empty: all."""

    @property
    def methods(self) -> Sequence[str]:
        """The methods that count; empty: all."""

    @property
    def by(self) -> Literal["caller"] | None:
        """Whether each caller has the whole limit to itself."""

    @property
    def cost(self) -> int:
        """What one request takes."""

    @property
    def wait(self) -> float:
        """How long a refused request may wait."""

    @property
    def queue(self) -> int:
        """How many may wait."""

    @property
    def margin(self) -> float:
        """How much wider the window is kept."""

    @property
    def window(self) -> Literal["rolling", "calendar"]:
        """The kind of window."""

    @property
    def zone(self) -> str | None:
        """The zone of a calendar window."""


def of_vendor(vendor: str, entries: Iterable[Entry]) -> tuple[Limit, ...]:
    """A vendor's limits, in the order of the settings."""
    return tuple(_limit(f"vendor/{vendor}", entry, keyed=entry.by == "caller", own=False) for entry in entries)


def of_caller(caller: str, entries: Iterable[Entry]) -> tuple[Limit, ...]:
    """A caller's own limits, over all vendors; `by: caller` says nothing new there."""
    return tuple(_limit(f"caller/{caller}", entry, keyed=False, own=True) for entry in entries)


def _limit(whose: str, entry: Entry, *, keyed: bool, own: bool) -> Limit:
    seconds = None if entry.per is None else SECONDS[entry.per]
    alone = keyed or own
    return Limit(
        id=f"{whose}/{entry.label}",
        name=entry.label,
        rule=_rule(entry, BUCKETS if keyed else SHARED_BUCKETS),
        code=_code(seconds, alone=alone),
        scope="caller" if alone else "vendor",
        keyed=keyed,
        cost=entry.cost,
        seconds=seconds,
        routes=frozenset(entry.routes),
        # GET includes HEAD, here as in routes.
        methods=frozenset((*entry.methods, "HEAD") if "GET" in entry.methods else entry.methods),
        wait=round(entry.wait * SECOND),
        queue=entry.queue,
    )


def _rule(entry: Entry, buckets: int) -> AnyRule:
    if entry.requests is None or entry.per is None:
        return Slots(entry.in_flight or 0)
    margin = round(entry.margin * SECOND)
    if entry.window == "calendar":
        return Calendar(entry.requests, entry.per, ZoneInfo(entry.zone or "UTC"), margin)
    return Rolling.of(entry.requests, SECONDS[entry.per] * SECOND + margin, buckets)


def _code(seconds: int | None, *, alone: bool) -> HouseCode:
    """What a refusal is called (contract 11): the caller's own doing, everybody's, or everybody's for today."""
    if alone:
        return HouseCode.RATE_LIMITED
    if seconds is not None and seconds >= SECONDS["day"]:
        return HouseCode.QUOTA_EXHAUSTED
    return HouseCode.CAPACITY_EXHAUSTED
