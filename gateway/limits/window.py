"""
The rolling window: never more than `count` admitted in any span of its length, wherever the span starts (W-091).

A log of admissions, oldest first: each entry is (time of its last admission, units) and leaves, whole, one window
after that time. Up to `buckets` units every admission has an entry of its own, and the log is the true one. Above,
the admissions of one grain (a `buckets`-th of the window) share an entry: units leave up to one grain late, never
early. So at saturation `buckets / (buckets + 1)` of `count` is used in the worst case, and all of it once the same
bursts return.

The entries are a ring, as many as can be alive at once. Every step is O(1), amortised: an entry is appended and
dropped once, and a refusal reads as many entries as the missing units fill (one, where all costs are equal).

State: units in all (0: no entry), where the oldest and the newest entry lie, then the ring of (time, units). The
oldest and the newest entry are never empty.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .rule import Cells, Standing

USED: Final = 0
OLDEST: Final = 1
NEWEST: Final = 2
RING: Final = 3

# 98 % of N needs 49 buckets; a hundred lose less than 1 %, and an hour's limit is at most 36 s late.
BUCKETS: Final = 100


@dataclass(frozen=True, slots=True)
class Rolling:
    """
    `count` units in any `window` microseconds.

    Admissions of one `grain` (microseconds) share an entry; `cells` is the size of the state.
    """

    count: int
    window: int
    grain: int
    cells: int

    @classmethod
    def of(cls, count: int, window: int, buckets: int = BUCKETS) -> "Rolling":
        """A window of that many microseconds: exact up to `buckets` units, above at most one bucket late."""
        if count > buckets:
            # Entries alive at once began in at most `buckets + 1` grains: the window is cut at both ends.
            return cls(count, window, grain=-(-window // buckets), cells=RING + 2 * (buckets + 1))
        # An entry that was given back stays until it is the oldest or the newest. With a quarter to spare, sweeping
        # such entries out of a full ring is rare enough to cost nothing.
        return cls(count, window, grain=1, cells=RING + 2 * (count + count // 4 + 8))

    def free_at(self, cells: Cells, cost: int, steady: int, _wall: int) -> int:
        """When `cost` fits: the exact time at which enough of the oldest entries leave (W-088)."""
        used = cells[USED]
        if used:
            time = cells[cells[OLDEST]]
            if time > steady or time <= steady - self.window:
                self._forget(cells, steady)
                used = cells[USED]
        lack = used + cost - self.count
        if lack <= 0:
            return steady
        at = cells[OLDEST]
        while lack > cells[at + 1]:
            lack -= cells[at + 1]
            at = self._after(at)
        return cells[at] + self.window

    def charge(self, cells: Cells, cost: int, steady: int, _wall: int) -> tuple[int, Standing]:
        """Take `cost`; a clock that is behind the newest entry charges that one."""
        mark = steady
        used = cells[USED]
        if not used:
            at = cells[OLDEST] = cells[NEWEST] = RING
            cells[at + 1] = 0
        else:
            at = cells[NEWEST]
            time = cells[at]
            if steady <= time:
                mark = time
            elif steady // self.grain != time // self.grain:
                at += 2
                if at == self.cells:
                    at = RING
                if at == cells[OLDEST]:
                    at = self._sweep(cells)
                else:
                    cells[at + 1] = 0
                cells[NEWEST] = at
        used = cells[USED] = used + cost
        cells[at] = mark
        cells[at + 1] += cost
        return mark, (self.count - used, cells[cells[OLDEST]] + self.window - steady)

    def standing(self, cells: Cells, steady: int, _wall: int) -> Standing:
        """What is left, until the oldest entry leaves; all of it, for one window."""
        used = cells[USED]
        return max(0, self.count - used), (cells[cells[OLDEST]] if used else steady) + self.window - steady

    def give_back(self, cells: Cells, cost: int, mark: int) -> None:
        """Take the units out of the entry that holds them; one that left has nothing to give back."""
        at = self._find(cells, mark)
        if at is None:
            return
        units = min(cost, cells[at + 1])
        cells[at + 1] -= units
        cells[USED] -= units
        while cells[USED] and not cells[cells[NEWEST] + 1]:
            cells[NEWEST] = (cells[NEWEST] if cells[NEWEST] > RING else self.cells) - 2
        while cells[USED] and not cells[cells[OLDEST] + 1]:
            cells[OLDEST] = self._after(cells[OLDEST])

    def expires_at(self, cells: Cells, steady: int, _wall: int) -> int:
        """One window after the last admission."""
        return cells[cells[NEWEST]] + self.window if cells[USED] else steady

    def charges(self, cells: Cells) -> list[tuple[int, int]]:
        """The log."""
        places = [self._place(cells, number) for number in range(self._size(cells))]
        return [(cells[at], cells[at + 1]) for at in places if cells[at + 1]]

    def adopt(self, cells: Cells, charges: Iterable[tuple[int, int]]) -> None:
        """Write a log of another length."""
        for time, units in charges:
            self.charge(cells, units, time, 0)

    def _forget(self, cells: Cells, steady: int) -> None:
        """Drop the entries that left; in one step after a long sleep."""
        newest = cells[cells[NEWEST]]
        if newest <= steady - self.window:
            cells[USED] = 0
        elif newest > steady + self.window:
            # The clock was set back. Nobody knows how long ago the admissions were: as if all were now.
            cells[OLDEST] = cells[NEWEST] = RING
            cells[RING], cells[RING + 1] = steady, cells[USED]
        else:
            at, used, edge = cells[OLDEST], cells[USED], steady - self.window
            while cells[at] <= edge or not cells[at + 1]:
                used -= cells[at + 1]
                at = at + 2 if at + 2 < self.cells else RING
            cells[OLDEST], cells[USED] = at, used

    def _sweep(self, cells: Cells) -> int:
        """Sweep empty entries out of a full ring and find a place; without one, the newest entry, which is safe."""
        log = self.charges(cells)
        for number, (time, units) in enumerate(log):
            cells[RING + 2 * number], cells[RING + 2 * number + 1] = time, units
        cells[OLDEST] = RING
        at = RING + 2 * len(log)
        if at == self.cells:
            return at - 2
        cells[at + 1] = 0
        return at

    def _find(self, cells: Cells, mark: int) -> int | None:
        """The entry with a charge that was made then: the first that is no older, if it is of the same grain."""
        low, high = 0, self._size(cells)
        while low < high:
            middle = (low + high) // 2
            if cells[self._place(cells, middle)] < mark:
                low = middle + 1
            else:
                high = middle
        at = self._place(cells, low)
        return at if low < self._size(cells) and cells[at] // self.grain == mark // self.grain else None

    def _size(self, cells: Cells) -> int:
        return (cells[NEWEST] - cells[OLDEST]) % (self.cells - RING) // 2 + 1 if cells[USED] else 0

    def _place(self, cells: Cells, number: int) -> int:
        """Where an entry lies, counted from the oldest."""
        return RING + (cells[OLDEST] - RING + 2 * number) % (self.cells - RING)

    def _after(self, at: int) -> int:
        at += 2
        return at if at < self.cells else RING
