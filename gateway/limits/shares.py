"""
What one of several admits while the store of all is away (contract 11): its share, or nothing that is limited.

A share begins where the store left off, as far as this process knows: the slots of its requests under way are taken,
the windows count what was noted, and of what the store last said to be left there is only a part for each. So all of
them together stay within N also at the moment when the store goes. What is admitted meanwhile is told to the store when
that is back.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Final, TypeAlias

from . import hold
from .calendar import Calendar
from .decision import Decision
from .hold import Held, Scope
from .in_flight import TAKEN, Slots
from .limit import Limit
from .memory import Memory, _Counter
from .rule import SECOND, Moment
from .window import Rolling

# Limits whose shares are remembered, those of the settings, and counters whose limits are.
PARTS_LIMIT: Final = 4096
ASKED_LIMIT: Final = 65_536


# What one counter has admitted: its limit, its key, and the charges as its rule tells them.
Counted: TypeAlias = tuple[Limit, str, list[tuple[int, int]]]


class Lent(Decision):
    """A decision by a share, and in which period. Its `limits` are the shares of those that were asked for."""

    def __init__(self, by: Decision, period: int) -> None:
        super().__init__(
            by.limits, by.keys, by.now, by.standings, by.marks, by.refusing, by.free_at, by.scope, by.token, by.held
        )
        self.period = period


class Shares(Memory):
    """
    The limits of one process among several.

    `among` says of how many. With `refuse` nothing is admitted that a limit covers.
    """

    def __init__(self, among: Callable[[], int], *, refuse: bool = False) -> None:
        super().__init__()
        self._among = among
        self._refuse = refuse
        self._period = 0
        self._parts: dict[int, tuple[Limit, int, Limit]] = {}
        # By key: the limits that were asked for, the slots of requests that the store admitted, and what was counted
        # when it went away.
        self._asked: dict[str, Limit] = {}
        self._taken: dict[str, int] = {}
        self._before: dict[str, dict[int, int]] = {}
        # What the store last said to be left, and when; and what was set aside for that, with the mark of it.
        self._left: dict[str, tuple[int, Moment]] = {}
        self._asides: list[tuple[Limit, str, int, int]] = []

    def begin(self, taken: Mapping[str, int], now: Moment) -> None:
        """The store is away from now on; `taken` are the slots, by key, of this process's requests under way."""
        self._period += 1
        self._taken = dict(taken)
        self._before = {key: dict(counter.rule.charges(counter.cells)) for key, counter in self._counters()}
        among = self._among()
        for key, (left, at) in self._left.items():
            if key in self._asked:
                self._set_aside(key, left // among, at, now)
        self._left.clear()

    def end(self) -> None:
        """The store is back, and knows what was counted; it has the slots of all requests under way."""
        self._period += 1
        self._before.clear()
        self._asides.clear()
        self._shared = {key: each for key, each in self._shared.items() if not isinstance(each.rule, Slots)}
        for table in self._keyed.values():
            for key in [key for key, each in table.items() if isinstance(each.rule, Slots)]:
                del table[key]

    def lends(self, decision: Decision) -> bool:
        """Whether a share made this decision, and the store knows nothing of it."""
        return isinstance(decision, Lent) and decision.period == self._period

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
                    self._counter_of(part, key).cells[TAKEN] += self._taken.pop(key)
            decision = await super().take(parts, keys, now, scope)
            if decision.admitted:
                self._remember(limits, keys)
        return Lent(decision, self._period)

    def note(self, decision: Decision) -> None:
        """Count in the windows what the store has admitted."""
        self.note_left(decision)
        for part, key in zip(self.parts(decision.limits), decision.keys, strict=True):
            if not part.in_flight:
                counter = self._counter_of(part, key)
                counter.rule.free_at(counter.cells, part.cost, *decision.now)
                counter.rule.charge(counter.cells, part.cost, *decision.now)

    def note_left(self, decision: Decision) -> None:
        """What the store says to be left."""
        self._remember(decision.limits, decision.keys)
        for limit, key, (left, _) in zip(decision.limits, decision.keys, decision.standings, strict=True):
            if not limit.in_flight:
                self._left[key] = (left, decision.now)

    def unnote(self, decision: Decision) -> None:
        """What the store has admitted was given back."""
        for limit, key in zip(decision.limits, decision.keys, strict=True):
            if not limit.in_flight:
                before = self._charges(limit, key)
                self._undo(limit, key, decision.now.wall if isinstance(limit.rule, Calendar) else decision.now.steady)
                after = self._charges(limit, key)
                # It was no charge of the time since the store went away.
                known = self._before.get(key, {})
                for mark in known.keys() & before.keys():
                    known[mark] -= before[mark] - after.get(mark, 0)

    def freed(self, decision: Decision) -> None:
        """A request that the store admitted before it went away is over."""
        for limit, key in zip(decision.limits, decision.keys, strict=True):
            if limit.in_flight and key in self._taken:
                self._taken[key] -= limit.cost
            elif limit.in_flight:
                self._undo(limit, key, 0)

    def slots(self) -> dict[str, int]:
        """By key, the slots that are taken of limits that a share was asked for."""
        return {key: counter.cells[TAKEN] for key, counter in self._counters() if isinstance(counter.rule, Slots)}

    def counted(self, now: Moment, *, everything: bool = False) -> Iterator[Counted]:
        """All slots that are taken, and what windows count: since the store went away, or all of it."""
        for part, key, units, mark in self._asides:
            counter = self._counter_of(part, key)
            counter.rule.give_back(counter.cells, units, mark)
        self._asides.clear()
        for key, counter in self._counters():
            rule, cells = counter.rule, counter.cells
            rule.free_at(cells, 1, *now)
            before = {} if everything or isinstance(rule, Slots) else self._before.get(key, {})
            charges = [(mark, units - before.get(mark, 0)) for mark, units in rule.charges(cells)]
            if isinstance(rule, Calendar):
                charges = [charge for charge in charges if rule.window(charge[0])[1] > now.wall]
            charges = [charge for charge in charges if charge[1] > 0]
            if key in self._asked and (charges or isinstance(rule, Slots)):
                yield self._asked[key], key, charges

    def know(self, scope: str, cells: list[int]) -> None:
        """A hold is on, as the store says."""
        self._holds[scope] = cells

    def go_first(self, scope: str, until: int) -> None:
        """A request that the store let go first is under way, at most until then; 0: it is over."""
        if scope in self._holds:
            self._holds[scope][hold.FIRST] = until

    def scopes(self) -> set[str]:
        """What is held, or was."""
        return set(self._holds)

    def forget(self, scopes: Iterable[str]) -> None:
        """These are not held any more."""
        for scope in scopes:
            self._holds.pop(scope, None)

    def since(self, decision: Decision, now: Moment) -> Held | None:
        """How an admitted request is held by what was learned since; the store's tokens are not the shares'."""
        if not decision.token or decision.scope is None or isinstance(decision, Lent):
            return super().since(decision, now)
        cells = self._holds.get(decision.scope.key)
        return None if cells is None or now.steady >= cells[hold.UNTIL] else hold.held(cells, now.steady)

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

    def _set_aside(self, key: str, left: int, at: Moment, now: Moment) -> None:
        """Count so much of a window that no more than `left` is free in it, as long as it was so `at` that moment."""
        part = self._part(self._asked[key], self._among())
        rule, cells = part.rule, self._counter_of(part, key).cells
        over = rule.window(at.wall)[1] <= now.wall if isinstance(rule, Calendar) else True
        if isinstance(rule, Rolling):
            over = at.steady + rule.window <= now.steady
        rule.free_at(cells, part.cost, *now)
        units = rule.standing(cells, *now)[0] - left
        if not over and units > 0:
            mark, _ = rule.charge(cells, units, *at)
            self._asides.append((part, key, units, mark))

    def _charges(self, limit: Limit, key: str) -> dict[int, int]:
        counter = self._counter(limit, key) if key in self._before else None
        return {} if counter is None else dict(counter.rule.charges(counter.cells))

    def _counters(self) -> Iterator[tuple[str, _Counter]]:
        yield from self._shared.items()
        for table in self._keyed.values():
            yield from table.items()

    def _counter_of(self, part: Limit, key: str) -> _Counter:
        """The counter of a share, which is made where there is none."""
        table: MutableMapping[str, _Counter] = self._table(part) if part.keyed else self._shared
        counter = table.pop(key, None) or _Counter(part.rule)
        # Who was charged last is at the end.
        table[key] = counter
        if part.keyed and not part.in_flight and len(table) > self._keys_limit:
            del table[next(iter(table))]
        counter.follow(part.rule)
        return counter

    def _remember(self, limits: tuple[Limit, ...], keys: tuple[str, ...]) -> None:
        if len(self._asked) > ASKED_LIMIT:
            self._asked.clear()
            self._left.clear()
        self._asked.update(zip(keys, limits, strict=True))
