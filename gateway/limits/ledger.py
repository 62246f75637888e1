"""
The counters and holds of several workers, in their segment. All here is done while the segment is locked.

The rules work on cells of the segment as they do on lists. Each limit `by: caller` has a table of its own, bounded as
in `Memory`; who makes room there is the closest to its expiry among the next few. Slots are counted for each worker,
too, so that they come back when it dies.

Layout: the header and the journal (`segment`); the directory of tables; the counters that all share; the holds; the
tables. A counter is an entry (`table`): its notes are what its rule looks like, of which kind that is, and how many
cells it has; its body is the rule's state, for slots followed by how many each worker has taken.

One file, since its layout is one: whatever reads a cell has to agree with whatever writes it.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from normalizers import HouseCode

from . import hold
from .calendar import Calendar
from .decision import Decision, decide
from .hold import Held, Scope
from .in_flight import TAKEN, Slots
from .limit import AnyRule, Limit
from .memory import KEYS_LIMIT
from .rule import Moment, Standing
from .segment import ALIVE, CLOCK, JOURNAL_END, PAGE, WORKERS_LIMIT, Segment
from .store import Holding
from .table import BODY, HIGH, LOW, NOTES, NUMBER, USED, Hash, Table, hash_of
from .window import Rolling

# Limits that all share: those of every vendor and of every caller. The longest state has 2,519 cells.
SHARED_LIMIT: Final = 8192
SHARED_CELLS: Final = 2520
# Limits `by: caller`, and the callers of each. The longest state has 269 cells.
TABLES_LIMIT: Final = 128
KEYED_CELLS: Final = 272
# A hold is its state, whose request went first, and the key of its scope; one that is longer is told in part.
HOLDS_LIMIT: Final = 4096
HOLD_CELLS: Final = 56
OWNER: Final = hold.CELLS
LENGTH: Final = hold.CELLS + 1
TEXT: Final = hold.CELLS + 2
TEXT_BYTES: Final = 8 * (HOLD_CELLS - TEXT)

DIRECTORY: Final = JOURNAL_END
DIRECTORY_STRIDE: Final = 3
SHARED: Final = DIRECTORY + PAGE
HOLDS: Final = SHARED + Table.cells(SHARED_LIMIT, SHARED_CELLS)
KEYED: Final = HOLDS + Table.cells(HOLDS_LIMIT, HOLD_CELLS)
KEYED_STRIDE: Final = Table.cells(KEYS_LIMIT, KEYED_CELLS)
SEGMENT_CELLS: Final = KEYED + TABLES_LIMIT * KEYED_STRIDE

SIGNATURE: Final = NOTES
KIND: Final = NOTES + 1
SIZE: Final = NOTES + 2
KINDS: Final[dict[type[AnyRule], int]] = {Slots: 1, Calendar: 2, Rolling: 3}
SLOTS: Final = KINDS[Slots]

# When a counter with requests under way expires.
NEVER: Final = 1 << 62

# Among how many entries the one is sought that makes room, where a table is full.
SAMPLE: Final = 32

# Where counters lie that this worker has used: forgotten together, and found again.
PLACES_LIMIT = 65_536


class Full(Exception):
    """There is no room for another limit, or for another caller with requests under way."""


class _Place:
    """Where a counter lies, as far as its number is still there; `body` is all of it, `cells` the rule's state."""

    __slots__ = ("at", "body", "cells", "number", "rule")

    def __init__(self, cells: memoryview, at: int, size: int, rule: AnyRule) -> None:
        self.at = at
        self.number = cells[at + NUMBER]
        self.rule = rule
        self.body = cells[at + BODY : at + BODY + size]
        self.cells = self.body[: rule.cells]


class Ledger:
    """
    One worker's access to the segment; `worker` is its number.

    Mutable state of its own: where counters were found, and what rules look like that it has seen.
    """

    def __init__(
        self, segment: Segment, worker: int, *, keys_limit: int = KEYS_LIMIT, holds_limit: int = HOLDS_LIMIT
    ) -> None:
        self._segment = segment
        self._worker = worker
        self._keys_limit = keys_limit
        self._holds_limit = holds_limit
        self._shared = Table(segment, SHARED, SHARED_LIMIT, SHARED_CELLS)
        self._holds = Table(segment, HOLDS, HOLDS_LIMIT, HOLD_CELLS)
        self._tables = [
            Table(segment, KEYED + number * KEYED_STRIDE, KEYS_LIMIT, KEYED_CELLS) for number in range(TABLES_LIMIT)
        ]
        self._places: dict[str, _Place] = {}
        self._rules: dict[int, AnyRule] = {}
        self._own = 1 + worker

    @property
    def calm(self) -> bool:
        """Whether no hold is remembered; this may be asked without the lock."""
        return not self._segment.cells[HOLDS + USED]

    def begin(self) -> None:
        """This worker lives; what one that had its number left behind comes back."""
        self.forget(self._worker)
        self._segment.write(ALIVE + self._worker, 1)

    def taken(self) -> dict[str, int]:
        """The slots that this worker has taken, by key; this may be asked without the lock, and nobody else knows."""
        cells = self._segment.cells
        slots = [(key, place) for key, place in self._places.items() if isinstance(place.rule, Slots)]
        own = ((key, place.body[self._own]) for key, place in slots if cells[place.at] == place.number)
        return {key: units for key, units in own if units}

    def forget_places(self) -> None:
        """Some counters may lie elsewhere: what was found in a change that is undone."""
        self._places.clear()

    def alive(self) -> int:
        """How many workers there are; this may be asked without the lock."""
        return sum(self._segment.cells[ALIVE : ALIVE + WORKERS_LIMIT].tolist())

    def decide(self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment, scope: Scope | None) -> Decision:
        """Decide, and charge all or nothing, no earlier than the decision before. Raises `Full`."""
        segment, cells = self._segment, self._segment.cells
        # Who looks at the clock first may have the lock last, and find forgotten what it still had to count.
        if now.steady < cells[CLOCK]:
            now = Moment(cells[CLOCK], now.wall)
        cells[CLOCK] = now.steady
        places: list[_Place | None] = []
        states: list[memoryview | list[int]] = []
        for number, limit in enumerate(limits):
            place = self._places.get(keys[number])
            if place is None or place.rule is not limit.rule or cells[place.at] != place.number:
                place = self._find(limit, keys[number])
            if place is None:
                states.append([0] * limit.rule.cells)
            else:
                segment.save(place.at + BODY, place.body)
                states.append(place.cells)
            places.append(place)
        holding, at = None, 0
        if scope is not None and cells[HOLDS + USED] and (at := self._holds.find(self._hash(scope.key))):
            holding = cells[at + BODY : at + BODY + TEXT]
            segment.save(at + BODY, holding)
        decision = decide(limits, keys, tuple(states), now, scope, holding)
        if decision.marks:
            for number, limit in enumerate(limits):
                place = places[number] or self._insert(limit, keys[number], states[number], now)
                if limit.seconds is None:
                    place.body[self._own] += limit.cost
        if decision.token and holding is not None:
            holding[OWNER] = 1 + self._worker
        return decision

    def charge(self, limit: Limit, key: str, charges: Iterable[tuple[int, int]], now: Moment) -> None:
        """Count what was admitted elsewhere. Raises `Full`."""
        place = self._find(limit, key) or self._insert(limit, key, [0] * limit.rule.cells, now)
        self._segment.save(place.at + BODY, place.body)
        if isinstance(limit.rule, Slots):
            units = sum(units for _, units in charges) - place.body[self._own]
            place.cells[TAKEN] += units
            place.body[self._own] += units
        else:
            limit.rule.adopt(place.cells, charges)

    def give_back(self, decision: Decision) -> None:
        """Undo the charges of the windows."""
        for number, mark in enumerate(decision.marks):
            limit = decision.limits[number]
            place = None if limit.in_flight else self._place(limit, decision.keys[number])
            if place is not None:
                self._segment.save(place.at + BODY, place.body)
                place.rule.give_back(place.cells, limit.cost, mark)

    def release(self, decision: Decision) -> None:
        """Give the slots back, of those that this worker has."""
        for number, limit in enumerate(decision.limits):
            place = self._place(limit, decision.keys[number]) if limit.in_flight else None
            if place is not None:
                body, own = place.body, self._own
                self._segment.save(place.at + BODY, body)
                units = min(limit.cost, body[own])
                body[own] -= units
                body[TAKEN] -= units
                if limit.keyed and not body[TAKEN] and (table := self._table(limit)) is not None:
                    table.remove(place.at)

    def look(self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment) -> tuple[Standing, ...]:
        """What is left of each limit, charging nothing."""
        standings = []
        for limit, key in zip(limits, keys, strict=True):
            place = self._find(limit, key) if self._at(limit, key) else None
            state = [0] * limit.rule.cells if place is None else place.cells.tolist()
            limit.rule.free_at(state, limit.cost, *now)
            standings.append(limit.rule.standing(state, *now))
        return tuple(standings)

    def since(self, key: str, token: int, steady: int) -> Held | None:
        """How a request is held by what was learned since it was admitted."""
        at = self._holds.find(self._hash(key))
        return hold.since(self._segment.cells[at + BODY : at + BODY + TEXT], token, steady) if at else None

    def learn(self, scope: Scope, code: HouseCode, until: int, now: Moment) -> None:
        """Hold the scope until then."""
        segment, cells = self._segment, self._segment.cells
        key = self._hash(scope.key)
        at = self._holds.find(key)
        if not at:
            self._make_room(self._holds, self._holds_limit, now, lambda at: cells[at + BODY + hold.UNTIL])
            at = self._holds.insert(key)
            text = scope.key.encode()[:TEXT_BYTES]
            body = memoryview(text.ljust(TEXT_BYTES, b"\0")).cast("q")
            cells[at + BODY : at + BODY + TEXT] = memoryview(bytes(8 * TEXT)).cast("q")
            cells[at + BODY + LENGTH] = len(text)
            cells[at + BODY + TEXT : at + BODY + HOLD_CELLS] = body
        holding = cells[at + BODY : at + BODY + TEXT]
        segment.save(at + BODY, holding)
        hold.learn(holding, code, until)

    def answered(self, key: str, token: int, steady: int) -> None:
        """The request that went first after a hold has its reply."""
        at = self._holds.find(self._hash(key))
        if at:
            holding = self._segment.cells[at + BODY : at + BODY + TEXT]
            self._segment.save(at + BODY, holding)
            hold.answered(holding, token, steady)
            if not holding[hold.UNTIL]:
                self._holds.remove(at)

    def gone(self, key: str, token: int) -> None:
        """The request that went first is over."""
        at = self._holds.find(self._hash(key))
        if at:
            self._segment.save(at + BODY, self._segment.cells[at + BODY : at + BODY + TEXT])
            hold.gone(self._segment.cells[at + BODY : at + BODY + TEXT], token)

    def holdings(self, now: Moment) -> list[Holding]:
        """The holds that are on."""
        told = []
        for at in self._holds.entries():
            body = self._segment.cells[at + BODY : at + BODY + HOLD_CELLS]
            held = hold.held(body, now.steady)
            if held is not None:
                key = body[TEXT:].tobytes()[: body[LENGTH]].decode(errors="ignore")
                told.append(Holding(key, held, now.steady >= body[hold.UNTIL]))
        return told

    def keep(self, limits: Collection[Limit]) -> None:
        """Forget the counters of all other limits."""
        segment, cells = self._segment, self._segment.cells
        kept = {self._hash(limit.id): limit.keyed for limit in limits}
        for at in self._shared.entries():
            if kept.get((cells[at + LOW], cells[at + HIGH])) is not False:
                self._shared.remove(at)
                segment.stand()
        for number in range(TABLES_LIMIT):
            at = DIRECTORY + number * DIRECTORY_STRIDE
            if cells[at + NUMBER] and kept.get((cells[at + LOW], cells[at + HIGH])) is not True:
                segment.write(at + NUMBER, 0)
                segment.stand()
                self._clear(number)

    def forget(self, worker: int) -> None:
        """A worker is dead: its slots come back, and a request of its that went first after a hold is gone."""
        segment, cells = self._segment, self._segment.cells
        own = BODY + 1 + worker
        for table in (self._shared, *(self._tables[number] for number in range(TABLES_LIMIT) if self._in_use(number))):
            counters = zip(table.column(NUMBER), table.column(KIND), table.column(own), strict=True)
            for number, (serial, kind, units) in enumerate(counters):
                if serial and kind == SLOTS and units:
                    at = table.place(number)
                    segment.save(at + BODY, cells[at + BODY : at + own + 1])
                    cells[at + BODY + TAKEN] -= units
                    cells[at + own] = 0
                    if table is not self._shared and not cells[at + BODY + TAKEN]:
                        table.remove(at)
                    segment.stand()
        for at in self._holds.entries():
            if cells[at + BODY + OWNER] == 1 + worker:
                segment.write(at + BODY + hold.FIRST, 0)
                segment.write(at + BODY + OWNER, 0)
        segment.write(ALIVE + worker, 0)

    # Where counters lie.

    def _hash(self, key: str) -> Hash:
        return hash_of(key, self._segment.secret)

    def _in_use(self, number: int) -> bool:
        return self._segment.cells[DIRECTORY + number * DIRECTORY_STRIDE + NUMBER] != 0

    def _clear(self, number: int) -> None:
        self._segment.discard(KEYED + number * KEYED_STRIDE, KEYED + (number + 1) * KEYED_STRIDE)

    def _table(self, limit: Limit) -> Table | None:
        """The table of a limit, if it has one."""
        if not limit.keyed:
            return self._shared
        cells = self._segment.cells
        low, high = self._hash(limit.id)
        for number in range(TABLES_LIMIT):
            at = DIRECTORY + number * DIRECTORY_STRIDE
            if cells[at + NUMBER] and cells[at + LOW] == low and cells[at + HIGH] == high:
                return self._tables[number]
        return None

    def _new_table(self, limit: Limit) -> Table:
        cells = self._segment.cells
        for number in range(TABLES_LIMIT):
            at = DIRECTORY + number * DIRECTORY_STRIDE
            if not cells[at + NUMBER]:
                # One who died may have left it full.
                self._clear(number)
                self._segment.save(at, cells[at : at + DIRECTORY_STRIDE])
                cells[at + LOW], cells[at + HIGH] = self._hash(limit.id)
                cells[at + NUMBER] = self._segment.serial()
                return self._tables[number]
        raise Full(limit.id)

    def _at(self, limit: Limit, key: str) -> int:
        table = self._table(limit)
        return 0 if table is None else table.find(self._hash(key))

    def _find(self, limit: Limit, key: str) -> _Place | None:
        """The counter of a limit, which goes on by that limit's rule; None: this caller has none."""
        at = self._at(limit, key)
        if not at:
            return None if limit.keyed else self._insert(limit, key, [0] * limit.rule.cells, Moment(0, 0))
        if self._segment.cells[at + SIGNATURE] != self._signature(limit.rule):
            self._follow(at, limit.rule)
        return self._remember(key, at, limit.rule)

    def _insert(self, limit: Limit, key: str, state: Sequence[int], now: Moment) -> _Place:
        cells, rule = self._segment.cells, limit.rule
        table = self._table(limit)
        if table is None:
            table = self._new_table(limit)
        if limit.keyed:
            self._make_room(table, self._keys_limit, now, lambda at: self._expires_at(at, rule, now))
        at = table.insert(self._hash(key))
        if not at:
            raise Full(limit.id)
        self._title(at, rule)
        size = self._size(rule)
        cells[at + BODY : at + BODY + size] = memoryview(bytes(8 * size)).cast("q")
        for number, value in enumerate(state):
            if value:
                cells[at + BODY + number] = value
        return self._remember(key, at, rule)

    def _remember(self, key: str, at: int, rule: AnyRule) -> _Place:
        if len(self._places) >= PLACES_LIMIT:
            self._places.clear()
        place = self._places[key] = _Place(self._segment.cells, at, self._size(rule), rule)
        return place

    def _place(self, limit: Limit, key: str) -> _Place | None:
        """The counter that a charge was made in, with the rule it has now; None: it is gone, or of another kind."""
        cells = self._segment.cells
        place = self._places.get(key)
        if place is None or cells[place.at] != place.number:
            at = self._at(limit, key)
            if not at or cells[at + KIND] != KINDS[type(limit.rule)]:
                return None
            # Another worker may have met new settings before this one.
            rule = limit.rule if cells[at + KIND] == SLOTS else self._rules.get(cells[at + SIGNATURE])
            return None if rule is None else self._remember(key, at, rule)
        return place if type(place.rule) is type(limit.rule) else None

    def _follow(self, at: int, rule: AnyRule) -> None:
        """Go on by another rule, which a reload has brought; what was counted stays where it can."""
        cells = self._segment.cells
        size = self._size(rule)
        self._segment.save(at, cells[at : at + BODY + max(size, cells[at + SIZE])])
        before = self._reader(at, rule)
        charges = [] if before is None else before.charges(cells[at + BODY : at + BODY + cells[at + SIZE]])
        self._title(at, rule)
        # Whoever remembers the place looks again.
        cells[at + NUMBER] = self._segment.serial()
        body = cells[at + BODY : at + BODY + size]
        body[:] = memoryview(bytes(8 * size)).cast("q")
        rule.adopt(body, charges)

    def _title(self, at: int, rule: AnyRule) -> None:
        cells = self._segment.cells
        cells[at + SIGNATURE], cells[at + KIND], cells[at + SIZE] = (
            self._signature(rule),
            KINDS[type(rule)],
            self._size(rule),
        )

    def _reader(self, at: int, rule: AnyRule) -> AnyRule | None:
        """`rule`, as it reads the cells of an older one of its kind; None: the counter is of another kind."""
        cells = self._segment.cells
        if cells[at + KIND] != KINDS[type(rule)]:
            return None
        return replace(rule, cells=cells[at + SIZE]) if isinstance(rule, Rolling) else rule

    def _expires_at(self, at: int, rule: AnyRule, now: Moment) -> int:
        """From when on a counter may be forgotten."""
        cells = self._segment.cells
        reader = self._reader(at, rule)
        if reader is None:
            return 0
        if isinstance(reader, Slots):
            return NEVER if cells[at + BODY + TAKEN] else 0
        return reader.expires_at(cells[at + BODY : at + BODY + cells[at + SIZE]], *now)

    def _make_room(self, table: Table, most: int, now: Moment, expires_at: Callable[[int], int]) -> None:
        """Two at most go that have expired, and the one closest to that where the table is full."""
        for at in list(table.turn(2)):
            if expires_at(at) <= now.steady:
                table.remove(at)
        if table.used < most:
            return
        for steps in (SAMPLE, most):
            first = min(table.turn(steps), key=expires_at, default=0)
            if first and expires_at(first) < NEVER:
                table.turn_to(first)
                table.remove(first)
                return
        raise Full

    def _size(self, rule: AnyRule) -> int:
        return 1 + WORKERS_LIMIT if isinstance(rule, Slots) else rule.cells

    def _signature(self, rule: AnyRule) -> int:
        """What a rule looks like, so that workers know whether they mean the same."""
        if isinstance(rule, Slots):
            # The state of slots does not depend on how many there are.
            return SLOTS
        signature = int.from_bytes(blake2b(repr(rule).encode(), digest_size=8).digest(), "little", signed=True)
        self._rules[signature] = rule
        return signature
