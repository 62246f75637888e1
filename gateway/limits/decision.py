"""
One decision over everything that stands between a request and the vendor: the hold and all the limits (W-090).

All of them admit it and all are charged, or none is. Where several refuse, the one that is free last speaks for them.
"""

from dataclasses import dataclass
from typing import NamedTuple

from normalizers import HouseCode

from . import hold
from .hold import Held, Scope
from .limit import Limit
from .rule import SECOND, Cells, Moment, Standing


class Charge(NamedTuple):
    """What one limit has taken: from which counter, and the mark by which the rule finds it again."""

    limit: Limit
    key: str
    mark: int


@dataclass(slots=True, init=False)
class Decision:
    """
    What became of a request.

    `limits` and `keys` are those it was asked with, `standings` what is left of each after it (none when it is held).
    Admitted: `marks` belong to the charges, and `token` is not 0 where the request goes first after a hold. Refused:
    `refusing` are the numbers of the limits that did, the one that is free last first, and `free_at` is when that is,
    or when the hold ends.
    """

    limits: tuple[Limit, ...]
    keys: tuple[str, ...]
    now: Moment
    standings: tuple[Standing, ...]
    marks: tuple[int, ...]
    refusing: tuple[int, ...]
    free_at: int
    scope: Scope | None
    token: int
    held: Held | None

    # Written out: each request makes one, and what `dataclass` writes is never compiled.
    def __init__(  # noqa: PLR0913, PLR0917  (a record)
        self,
        limits: tuple[Limit, ...],
        keys: tuple[str, ...],
        now: Moment,
        standings: tuple[Standing, ...] = (),
        marks: tuple[int, ...] = (),
        refusing: tuple[int, ...] = (),
        free_at: int = 0,
        scope: Scope | None = None,
        token: int = 0,
        held: Held | None = None,
    ) -> None:
        self.limits = limits
        self.keys = keys
        self.now = now
        self.standings = standings
        self.marks = marks
        self.refusing = refusing
        self.free_at = free_at
        self.scope = scope
        self.token = token
        self.held = held

    @property
    def admitted(self) -> bool:
        """Whether the request may go on."""
        return not self.refusing and self.held is None

    @property
    def charges(self) -> list[Charge]:
        """What was taken; nothing when it was refused."""
        return [Charge(*each) for each in zip(self.limits, self.keys, self.marks, strict=True)] if self.admitted else []

    @property
    def refused(self) -> Limit | None:
        """The limit that refused, of several the one that is free last; None: none did."""
        return self.limits[self.refusing[0]] if self.refusing else None

    @property
    def code(self) -> HouseCode | None:
        """The house code of the refusal; None: there is none."""
        if self.held is not None:
            return self.held.code
        return None if self.refused is None else self.refused.code

    @property
    def retry_after(self) -> int:
        """In how many whole seconds the next one is admitted, rounded up (W-088)."""
        return self.after(self.now.steady)

    def after(self, steady: int) -> int:
        """The same, told later."""
        return max(1, -(-(self.free_at - steady) // SECOND))


def decide(
    limits: tuple[Limit, ...],
    keys: tuple[str, ...],
    counters: tuple[Cells, ...],
    now: Moment,
    scope: Scope | None = None,
    holding: Cells | None = None,
) -> Decision:
    """
    Charge all the counters or none.

    `counters` are the states of the limits, one each, and `holding` that of the hold. The caller sees to it that nobody
    else touches them meanwhile.
    """
    steady, wall = now.steady, now.wall
    if holding is not None and (held := hold.held(holding, steady)) is not None:
        return Decision(limits, keys, now, free_at=held.until, scope=scope, held=held)
    times: list[int] = []
    refused = False
    for number, limit in enumerate(limits):
        free_at = limit.rule.free_at(counters[number], limit.cost, steady, wall)
        times.append(free_at)
        refused = refused or free_at > steady
    if refused:
        refusing = sorted([(-free_at, number) for number, free_at in enumerate(times) if free_at > steady])
        left = [limit.rule.standing(counters[number], steady, wall) for number, limit in enumerate(limits)]
        numbers = tuple([number for _, number in refusing])
        return Decision(limits, keys, now, tuple(left), (), numbers, -refusing[0][0], scope)
    marks: list[int] = []
    standings: list[Standing] = []
    for number, limit in enumerate(limits):
        mark, standing = limit.rule.charge(counters[number], limit.cost, steady, wall)
        marks.append(mark)
        standings.append(standing)
    token = 0 if holding is None or scope is None else hold.go(holding, steady, scope.lease)
    return Decision(limits, keys, now, tuple(standings), tuple(marks), (), 0, scope, token)
