"""
Requests at once: as many as there are slots (W-097, RC-70).

A slot comes back when its request is over, whatever became of it; nobody knows when, so "in a second" is a hint.

State: slots taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .rule import SECOND, Cells, Standing

TAKEN: Final = 0

# Contract 11: for `in_flight`, `retry_after` is 1 and a hint.
HINT: Final = SECOND


@dataclass(frozen=True, slots=True)
class Slots:
    """`count` requests at once; one may take several slots."""

    count: int

    @property
    def cells(self) -> int:
        """The size of the state."""
        return 1

    def free_at(self, cells: Cells, cost: int, steady: int, _wall: int) -> int:
        """Now, or a hint."""
        return steady if cells[TAKEN] + cost <= self.count else steady + HINT

    def charge(self, cells: Cells, cost: int, steady: int, _wall: int) -> tuple[int, Standing]:
        """Take the slots."""
        taken = cells[TAKEN] = cells[TAKEN] + cost
        return steady, (self.count - taken, None)

    def standing(self, cells: Cells, _steady: int, _wall: int) -> Standing:
        """The slots that are free."""
        return max(0, self.count - cells[TAKEN]), None

    def give_back(self, cells: Cells, cost: int, _mark: int) -> None:
        """The request is over."""
        cells[TAKEN] = max(0, cells[TAKEN] - cost)

    def expires_at(self, cells: Cells, steady: int, _wall: int) -> int:
        """Now, when no slot is taken; else nobody knows."""
        return steady + HINT if cells[TAKEN] else steady

    def charges(self, cells: Cells) -> list[tuple[int, int]]:
        """The slots taken."""
        return [(0, cells[TAKEN])] if cells[TAKEN] else []

    def adopt(self, cells: Cells, charges: Iterable[tuple[int, int]]) -> None:
        """Go on with the slots that are taken."""
        cells[TAKEN] = sum(units for _, units in charges)
