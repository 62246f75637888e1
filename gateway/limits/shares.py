"""
What one of several admits while the store of all is away (contract 11): its share, or nothing that is limited.

A share begins where the store left off, as far as this process knows: the slots of its requests under way are taken,
and the windows count what was noted. What is admitted meanwhile is told to the store when that is back.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from .decision import Decision
from .hold import Scope
from .in_flight import TAKEN, Slots
from .limit import Limit
from .memory import Memory, _Counter
from .rule import SECOND, Moment

# Limits whose shares are remembered: those of the settings, and of the settings before a reload.
PARTS_LIMIT = 4096


class Lent(Decision):
    """A decision by a share: by which. Its `limits` are the shares of those that were asked for."""

    shares: "Shares"


class Counted(NamedTuple):
    """What one counter has admitted while the store was away: `charges` as its rule tells them."""

    limit: Limit
    key: str
    charges: list[tuple[int, int]]


class Shares(Memory):
    """
    The limits of one process among several.

    `among` says of how many. With `refuse` nothing is admitted that a limit covers.
    """

    def __init__(self, among: Callable[[], int], *, refuse: bool = False) -> None:
        super().__init__()
        self._among = among
        self._refuse = refuse
        self._parts: dict[int, tuple[Limit, int, Limit]] = {}
        self._asked: dict[str, Limit] = {}
        # By key: the slots of requests that the store admitted, and what else was counted when it went away.
        self._taken: dict[str, int] = {}
        self._before: dict[str, dict[int, int]] = {}

    def begin(self, taken: Mapping[str, int]) -> None:
        """The store is away from now on; `taken` are the slots, by key, of this process's requests under way."""
        self._taken = dict(taken)
        self._before = {key: dict(counter.rule.charges(counter.cells)) for key, counter in self._counters()}

    async def take(
        self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment, scope: Scope | None = None
    ) -> Lent:
        """Decide by the shares."""
        parts = self.parts(limits)
        if parts and self._refuse:
            refusing = (*range(len(parts)),)
            decision = Decision(parts, keys, now, ((0, None),) * len(parts), (), refusing, now.steady + SECOND, scope)
        else:
            for part, key in zip(parts, keys, strict=True):
                if part.in_flight and key in self._taken:
                    self._counter_of(part, key, now).cells[TAKEN] += self._taken.pop(key)
            decision = await super().take(parts, keys, now, scope)
            if decision.admitted:
                self._asked.update(zip(keys, limits, strict=True))
        lent = Lent._make(decision)
        lent.shares = self
        return lent

    def note(self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment) -> None:
        """Count in the windows what the store has admitted."""
        for part, key in zip(self.parts(limits), keys, strict=True):
            if not part.in_flight:
                counter = self._counter_of(part, key, now)
                counter.rule.free_at(counter.cells, part.cost, *now)
                counter.rule.charge(counter.cells, part.cost, *now)

    def freed(self, decision: Decision) -> None:
        """A request that the store admitted before it went away is over."""
        for limit, key in zip(decision.limits, decision.keys, strict=True):
            if limit.in_flight and key in self._taken:
                self._taken[key] -= limit.cost
            elif limit.in_flight:
                self._undo(limit, key, 0)

    def counted(self, now: Moment) -> Iterator[Counted]:
        """What was admitted since the store went away, and still counts; and all slots that are taken."""
        for key, counter in self._counters():
            rule, cells = counter.rule, counter.cells
            rule.free_at(cells, 1, *now)
            before = {} if isinstance(rule, Slots) else self._before.get(key, {})
            charges = [(mark, units - before.get(mark, 0)) for mark, units in rule.charges(cells)]
            if key in self._asked:
                yield Counted(self._asked[key], key, [charge for charge in charges if charge[1] > 0])

    def parts(self, limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
        """The shares of the limits."""
        among = self._among()
        return tuple([self._part(limit, among) for limit in limits])

    def _part(self, limit: Limit, among: int) -> Limit:
        """The share of a limit, made once."""
        known = self._parts.get(id(limit))
        if known is None or known[0] is not limit or known[1] != among:
            if len(self._parts) > PARTS_LIMIT:
                self._parts.clear()
            known = self._parts[id(limit)] = (limit, among, limit.share(among))
        return known[2]

    def _counters(self) -> Iterator[tuple[str, _Counter]]:
        yield from self._shared.items()
        for table in self._keyed.values():
            yield from table.items()

    def _counter_of(self, part: Limit, key: str, now: Moment) -> _Counter:
        """The counter of a share, which is made where there is none."""
        counter = self._counter(part, key)
        if counter is None:
            counter = _Counter(part.rule)
            if part.keyed:
                self._table(part)
                self._insert(part, key, counter, now)
            else:
                self._shared[key] = counter
        counter.follow(part.rule)
        return counter
