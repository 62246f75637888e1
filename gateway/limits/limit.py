"""A limit: whom and what it counts, by which rule, and what a refusal by it means."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from normalizers import HouseCode

from .calendar import Calendar
from .in_flight import Slots
from .window import Rolling

AnyRule: TypeAlias = Rolling | Calendar | Slots


@dataclass(frozen=True, slots=True)
class Limit:
    """
    One limit.

    `id` names it among all limits of one store. `scope` says whose it is: "caller" when each caller has the whole of
    it, "vendor" when they share it; only where `keyed` is there a counter for each caller. `seconds` is the nominal
    window (None: `in_flight`), `wait` in microseconds. Empty `routes` or `methods` are all.
    """

    id: str
    name: str
    rule: AnyRule
    code: HouseCode
    scope: Literal["caller", "vendor"] = "vendor"
    keyed: bool = False
    cost: int = 1
    seconds: int | None = None
    routes: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    wait: int = 0
    queue: int = 100

    def __post_init__(self) -> None:
        # RC-71: a request that costs more than there ever is would wait for ever.
        if not 1 <= self.cost <= self.rule.count:
            raise ValueError(f"{self.id}: a cost of {self.cost} never fits into {self.rule.count}")

    @property
    def in_flight(self) -> bool:
        """Whether it counts requests at once, not in a window."""
        return self.seconds is None

    def covers(self, route: str | None, method: str) -> bool:
        """Whether a request counts; `route` is None where no route matches."""
        return (not self.routes or route in self.routes) and (not self.methods or method in self.methods)

    def key(self, caller: str) -> str:
        """The counter's name. `caller` is the caller's name or, where there are no callers, its address (W-095)."""
        return f"{self.id}/{caller}" if self.keyed else self.id

    def share(self, gateways: int) -> "Limit":
        """The part that one of several gateways admits while their store is away: at least one request."""
        count = max(self.cost, self.rule.count // max(1, gateways))
        return replace(self, rule=replace(self.rule, count=count))


def covering(limits: Iterable[Limit], route: str | None, method: str) -> tuple[Limit, ...]:
    """The limits that apply to a request, in their order."""
    return tuple(limit for limit in limits if limit.covers(route, method))
