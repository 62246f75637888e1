"""
The calendar window: never more than `count` admitted while the clock of a zone shows the same minute (or day).

A second, minute, hour or day by the wall clock, which counts here and nowhere else in the limits (W-092). A day lasts
from midnight to midnight of its zone, so 23 to 25 hours; an hour that the clock shows twice is two hours.

A clock that is set back shows windows again, and what they admitted before still counts: the last windows are kept,
as many as an hour's step brings back. Before the oldest of them nobody knows what was admitted, so nothing is, until
one window's length has passed without a charge; then all of them are forgotten. A clock that was far ahead thus costs
one window, not the years until it is there again.

`margin` widens each window at its start: what is sent that shortly before it may reach the vendor inside it, and
counts in both.

State: where the newest window lies (0: there is none), the steady time of the last charge, then (start, units) of each
window, oldest first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from .clock import SECONDS, Unit, day, span
from .rule import SECOND, Cells, Standing

NEWEST, LAST, WINDOWS = range(3)

# The step back that is remembered window by window: as far as a wrong zone or a missed summer time puts a clock.
STEP_SECONDS: Final = 3600
# For seconds that would be 3,600 windows; a minute of them covers what a time server corrects.
KEPT_LIMIT: Final = 64


@dataclass(frozen=True, slots=True)
class Calendar:
    """`count` units while the clock of `zone` shows the same `unit`; `margin` is in microseconds."""

    count: int
    unit: Unit
    zone: tzinfo
    margin: int = 0
    # The window that the clock showed last, start and end: a cache and no state.
    _shown: list[int] = field(default_factory=lambda: [0, 0], init=False, repr=False, compare=False)

    @property
    def kept(self) -> int:
        """How many windows are remembered: those of an hour, this one, the next, and one that was cut."""
        return min(KEPT_LIMIT, STEP_SECONDS // SECONDS[self.unit] + 3)

    @property
    def cells(self) -> int:
        """The size of the state."""
        return WINDOWS + 2 * self.kept

    def window(self, wall: int) -> tuple[int, int]:
        """Start and end of the window that the clock shows, in microseconds since 1970 UTC."""
        return day(wall, self.zone) if self.unit == "day" else span(wall, self.zone, SECONDS[self.unit] * SECOND)

    def free_at(self, cells: Cells, cost: int, steady: int, wall: int) -> int:
        """When `cost` fits: now, or when the first window with room begins (W-088)."""
        start, end = self._now(wall)
        at = cells[NEWEST]
        if not at or cells[at] < start:
            return steady
        if cells[at] == start:
            return steady if cells[at + 1] + cost <= self.count else steady + end - wall
        return self._search(cells, cost, steady, wall)

    def charge(self, cells: Cells, cost: int, steady: int, wall: int) -> tuple[int, Standing]:
        """Take `cost` in this window, and in the next if that begins within `margin`."""
        start, end = self._now(wall)
        cells[LAST] = steady
        used = self._add(cells, start, cost)
        if wall >= end - self.margin:
            self._add(cells, end, cost)
        return wall, (self.count - used, end - wall)

    def standing(self, cells: Cells, _steady: int, wall: int) -> Standing:
        """What is left, until this window ends."""
        start, end = self._now(wall)
        return max(0, self.count - self._used(cells, start)), end - wall

    def give_back(self, cells: Cells, cost: int, mark: int) -> None:
        """Take the units out of the window, or the two, that the charge was counted in."""
        start, end = self.window(mark)
        for begin in (start, end) if mark >= end - self.margin else (start,):
            at = self._place(cells, begin)
            if at and cells[at] == begin:
                cells[at + 1] = max(0, cells[at + 1] - cost)

    def expires_at(self, cells: Cells, steady: int, wall: int) -> int:
        """An hour after the newest window, which a step back may show again."""
        newest = cells[NEWEST]
        return steady + self.window(cells[newest])[1] - wall + STEP_SECONDS * SECOND if newest else steady

    def charges(self, cells: Cells) -> list[tuple[int, int]]:
        """The windows."""
        return [(cells[at], cells[at + 1]) for at in range(WINDOWS, cells[NEWEST] + 1, 2)]

    def adopt(self, cells: Cells, charges: Iterable[tuple[int, int]]) -> None:
        """Count what other windows hold in those of this unit and zone."""
        for start, units in charges:
            self._add(cells, self.window(start)[0], units)

    def _now(self, wall: int) -> tuple[int, int]:
        start, end = self._shown
        if not start <= wall < end:
            start, end = self._shown[:] = self.window(wall)
        return start, end

    def _search(self, cells: Cells, cost: int, steady: int, wall: int) -> int:
        """`free_at`, where a window after this one counts already."""
        room = self.count - cost
        start, end = self._now(wall)
        if self._unknown(cells, start):
            # The steady clock of another machine may be behind, too.
            cells[LAST] = min(cells[LAST], steady)
            if steady - cells[LAST] < end - start:
                return cells[LAST] + end - start
            cells[NEWEST] = 0
        free = wall
        while self._used(cells, start) > room or (free >= end - self.margin and self._used(cells, end) > room):
            free = end
            start, end = self.window(free)
        return steady + free - wall

    def _place(self, cells: Cells, start: int) -> int:
        """Where the last window lies that begins no later; 0 when none does."""
        at = cells[NEWEST]
        while at and cells[at] > start:
            at -= 2
        return at

    def _used(self, cells: Cells, start: int) -> int:
        at = self._place(cells, start)
        if at and cells[at] == start:
            return cells[at + 1]
        return self.count if self._unknown(cells, start) else 0

    def _unknown(self, cells: Cells, start: int) -> bool:
        """Whether the window is older than all that are remembered, and others were forgotten."""
        return cells[NEWEST] == self.cells - 2 and start < cells[WINDOWS]

    def _add(self, cells: Cells, start: int, cost: int) -> int:
        """Count in a window; a new one goes to its place in the order, and drops the oldest when all are taken."""
        at = self._place(cells, start)
        if at and cells[at] == start:
            used = cells[at + 1] = cells[at + 1] + cost
            return used
        newest = cells[NEWEST]
        if newest == self.cells - 2:
            if not at:
                # Older than all that are remembered: what another process counted, told late.
                return cost
            for cell in range(WINDOWS, at):
                cells[cell] = cells[cell + 2]
        else:
            for cell in range(newest + 1, at + 1, -1):
                cells[cell + 2] = cells[cell]
            cells[NEWEST] = newest + 2
            at += 2
        cells[at], cells[at + 1] = start, cost
        return cost
