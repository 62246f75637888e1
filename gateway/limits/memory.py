"""
The store of one process. Nothing here waits, so nothing interrupts a decision (F-85).

Where each caller has a counter of its own, the table of them is bounded: those that expired go first, then the one that
is closest to it (RC-72, F-84, W-095).
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Final

from normalizers import HouseCode

from . import hold
from .decision import Decision, decide
from .hold import Held, Scope
from .limit import AnyRule, Limit
from .rule import Moment, Standing
from .store import Holding

# Callers, or addresses, that one limit remembers. A counter takes 2 KiB at most, so a limit 32 MiB.
KEYS_LIMIT: Final = 16_384
# Only credentials that pass through, and were throttled, can make more holds than there are routes.
HOLDS_LIMIT: Final = 4096

# Kinds of requests that differ in their caller, route or method.
FOUND_LIMIT: Final = 4096


class _Counter:
    """The state of one limit for one key, and the rule that wrote it."""

    __slots__ = ("cells", "rule")

    def __init__(self, rule: AnyRule) -> None:
        self.rule = rule
        self.cells = [0] * rule.cells

    def follow(self, rule: AnyRule) -> None:
        """Go on by another rule, which a reload has brought; what was counted stays where it can."""
        if rule != self.rule:
            before, cells = self.rule, self.cells
            self.cells = [0] * rule.cells
            if type(rule) is type(before):
                rule.adopt(self.cells, before.charges(cells))
        self.rule = rule


class Memory:
    """
    Limits and holds of this process alone; keeps the `Store` protocol.

    Mutable state: `_shared` by key, `_keyed` by limit and key, `_holds` by the key of their scope; `_found`, which
    says nothing that the others do not.
    """

    def __init__(self, *, keys_limit: int = KEYS_LIMIT, holds_limit: int = HOLDS_LIMIT) -> None:
        self._keys_limit = keys_limit
        self._holds_limit = holds_limit
        self._shared: dict[str, _Counter] = {}
        # The counters of each limit `by: caller` in the order of their last charge: the first is the first to expire.
        self._keyed: dict[str, OrderedDict[str, _Counter]] = {}
        self._holds: dict[str, list[int]] = {}
        # What `take` found for limits that all callers share, by the identity of the tuple, which is kept with it: the
        # same one comes with every request of its kind.
        self._found: dict[int, tuple[tuple[Limit, ...], tuple[list[int], ...]]] = {}

    @property
    def up(self) -> bool:
        """Always."""
        return True

    @property
    def errors(self) -> int:
        """None, ever."""
        return 0

    @property
    def calm(self) -> bool:
        """Whether no hold is remembered."""
        return not self._holds

    async def start(self) -> None:
        """There is nothing to begin."""

    async def aclose(self) -> None:
        """There is nothing to end."""

    async def take(
        self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment, scope: Scope | None = None
    ) -> Decision:
        """Decide, and charge all or nothing."""
        holding = None if scope is None else self._holds.get(scope.key)
        found = self._found.get(id(limits))
        if found is not None:
            return decide(limits, keys, found[1], now, scope, holding)
        states, own = self._states(limits, keys)
        decision = decide(limits, keys, states, now, scope, holding)
        if own and decision.marks:
            for number, counter, known in own:
                if known:
                    self._keyed[limits[number].id].move_to_end(keys[number])
                else:
                    self._insert(limits[number], keys[number], counter, now)
        return decision

    def _states(
        self, limits: tuple[Limit, ...], keys: tuple[str, ...]
    ) -> tuple[tuple[list[int], ...], list[tuple[int, _Counter, bool]]]:
        """The cells of each limit; and the counters of this caller alone, and whether each is in its table already."""
        cells = []
        own: list[tuple[int, _Counter, bool]] = []
        for number, limit in enumerate(limits):
            table = self._table(limit) if limit.keyed else self._shared
            counter = table.get(keys[number])
            known = counter is not None
            if counter is None:
                counter = _Counter(limit.rule)
                if not limit.keyed:
                    self._shared[keys[number]] = counter
            elif counter.rule is not limit.rule:
                # Its cells may be others from now on.
                self._found.clear()
                counter.follow(limit.rule)
            if limit.keyed:
                own.append((number, counter, known))
            cells.append(counter.cells)
        states = tuple(cells)
        if not own:
            if len(self._found) >= FOUND_LIMIT:
                self._found.clear()
            self._found[id(limits)] = limits, states
        return states, own

    def since(self, decision: Decision, now: Moment) -> Held | None:
        """How an admitted request is held by what was learned since."""
        cells = None if decision.scope is None else self._holds.get(decision.scope.key)
        return None if cells is None else hold.since(cells, decision.token, now.steady)

    def give_back(self, decision: Decision) -> None:
        """Undo the charges of the windows: the request never got a connection."""
        for limit, key, mark in decision.charges:
            if not limit.in_flight:
                self._undo(limit, key, mark)

    def release(self, decision: Decision) -> None:
        """Give the slots back: the request is over, however."""
        for number, limit in enumerate(decision.limits):
            if limit.seconds is None and decision.marks:
                self._undo(limit, decision.keys[number], decision.marks[number])

    def learn(self, scope: Scope, code: HouseCode, lasts: int, now: Moment) -> None:
        """Hold the scope for that many microseconds, after a reply of the vendor: as `hold.lasts` says."""
        cells = self._holds.get(scope.key)
        if cells is None:
            if len(self._holds) >= self._holds_limit:
                self._forget_holds(now)
            cells = self._holds[scope.key] = [0] * hold.CELLS
        hold.learn(cells, code, now.steady + lasts)

    def answered(self, decision: Decision, now: Moment) -> None:
        """A reply has come; called after `learn`, if it is one that holds."""
        cells = self._held_by(decision)
        if cells is not None:
            hold.answered(cells, decision.token, now.steady)
            if decision.scope is not None and not cells[hold.UNTIL]:
                del self._holds[decision.scope.key]

    def gone(self, decision: Decision) -> None:
        """The request is over. Where `answered` came before, this changes nothing."""
        cells = self._held_by(decision)
        if cells is not None:
            hold.gone(cells, decision.token)

    async def look(self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment) -> tuple[Standing, ...]:
        """What is left of each limit, charging nothing."""
        standings = []
        for limit, key in zip(limits, keys, strict=True):
            counter = self._counter(limit, key) or _Counter(limit.rule)
            if counter.rule is not limit.rule:
                self._found.clear()
                counter.follow(limit.rule)
            counter.rule.free_at(counter.cells, limit.cost, *now)
            standings.append(counter.rule.standing(counter.cells, *now))
        return tuple(standings)

    def holds(self, now: Moment) -> list[Holding]:
        """The holds that are on."""
        states = ((key, hold.held(cells, now.steady), cells) for key, cells in self._holds.items())
        return [Holding(key, held, now.steady >= cells[hold.UNTIL]) for key, held, cells in states if held is not None]

    def keep(self, limits: Collection[Limit]) -> None:
        """Forget the counters of all other limits: a reload has taken them away."""
        kept = {limit.id: limit.keyed for limit in limits}
        self._found.clear()
        self._shared = {key: counter for key, counter in self._shared.items() if kept.get(key) is False}
        self._keyed = {name: table for name, table in self._keyed.items() if kept.get(name) is True}

    def about(self) -> Mapping[str, object]:
        """Each process counts for itself."""
        return {"kind": "process"}

    def _table(self, limit: Limit) -> OrderedDict[str, _Counter]:
        table = self._keyed.get(limit.id)
        if table is None:
            table = self._keyed[limit.id] = OrderedDict()
        return table

    def _counter(self, limit: Limit, key: str) -> _Counter | None:
        return (self._keyed.get(limit.id, {}) if limit.keyed else self._shared).get(key)

    def _undo(self, limit: Limit, key: str, mark: int) -> None:
        counter = self._counter(limit, key)
        # After a reload the name may be that of a rule to which the mark says nothing.
        if counter is None or type(counter.rule) is not type(limit.rule):
            return
        counter.rule.give_back(counter.cells, limit.cost, mark)
        if limit.keyed and limit.in_flight and not counter.rule.charges(counter.cells):
            del self._keyed[limit.id][key]

    def _insert(self, limit: Limit, key: str, counter: _Counter, now: Moment) -> None:
        """Remember a caller that was charged for the first time; make room for it."""
        table = self._keyed[limit.id]
        table[key] = counter
        # Two at most go for each that comes: the table shrinks as fast as it grew.
        for _ in range(2):
            oldest, first = next(iter(table.items()))
            full = len(table) > self._keys_limit and not limit.in_flight
            if not full and first.rule.expires_at(first.cells, *now) > now.steady:
                break
            del table[oldest]

    def _held_by(self, decision: Decision) -> list[int] | None:
        """The hold after which the request went first, if it did."""
        if not decision.token or decision.scope is None:
            return None
        return self._holds.get(decision.scope.key)

    def _forget_holds(self, now: Moment) -> None:
        """Make room: those that ended go, or else the quarter that ends first."""
        by_end = sorted(self._holds, key=lambda key: self._holds[key][hold.UNTIL])
        ended = [key for key in by_end if self._holds[key][hold.UNTIL] <= now.steady]
        for key in ended or by_end[: len(by_end) // 4 + 1]:
            del self._holds[key]
