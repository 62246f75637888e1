"""
What every kind of limit can do, and the state it does it on.

A rule holds no state: it reads and writes flat cells of integers (a list, or a memoryview of a shared segment), all
zero at first. Time is in whole microseconds and passed in.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

SECOND: Final = 1_000_000


@dataclass(slots=True, init=False)
class Moment:
    """When something is decided, in microseconds: by the monotonic clock, and by the wall clock since 1970 UTC."""

    steady: int
    wall: int

    def __init__(self, steady: int, wall: int) -> None:
        self.steady = steady
        self.wall = wall

    def __iter__(self) -> Iterator[int]:
        return iter((self.steady, self.wall))


class Cells(Protocol):
    """The state of one counter: integers below 2^53, so that the Lua of Redis holds them exactly."""

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


# How much of a limit is left, and in how many microseconds there will be more; None: nobody knows.
Standing: TypeAlias = tuple[int, int | None]


class Rule(Protocol):
    """
    One kind of limit.

    A cost is never above `count`. `steady` and `wall` are the two halves of a `Moment`.
    """

    @property
    def count(self) -> int:
        """How much the limit admits."""

    @property
    def cells(self) -> int:
        """How many integers the state takes."""

    def free_at(self, cells: Cells, cost: int, steady: int, wall: int, /) -> int:
        """When `cost` fits, by the steady clock; `steady` itself: now. Forgets what is over and charges nothing."""

    def charge(self, cells: Cells, cost: int, steady: int, wall: int, /) -> tuple[int, Standing]:
        """Take `cost`, after `free_at` has said "now" of the same moment. The mark finds the charge again."""

    def standing(self, cells: Cells, steady: int, wall: int, /) -> Standing:
        """What is left, after `free_at` of the same moment."""

    def give_back(self, cells: Cells, cost: int, mark: int, /) -> None:
        """Undo one charge, as far as it still counts."""

    def expires_at(self, cells: Cells, steady: int, wall: int, /) -> int:
        """From when on the state says no more than an empty one, by the steady clock."""

    def charges(self, cells: Cells, /) -> list[tuple[int, int]]:
        """The state as (mark, units), oldest first, for a rule that takes it over."""

    def adopt(self, cells: Cells, charges: Iterable[tuple[int, int]], /) -> None:
        """Fill empty cells with the charges of another rule of this class."""
