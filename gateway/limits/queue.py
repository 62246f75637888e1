"""
`wait`: a refused request waits its turn, first come, first served (W-096).

There is a line for each counter at which a request may wait. Its head asks the store again: when the store said that
there would be room, or when something came back. Who stands in a line is not overtaken by who comes. A request waits no
longer than its limit's `wait`, no line is longer than its limit's `queue`, and one that leaves, for whatever reason,
frees its place. Who cannot be served in time is refused at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from normalizers import HouseCode

from .decision import Decision
from .hold import Scope
from .in_flight import HINT
from .limit import Limit
from .rule import SECOND, Moment
from .store import Store

# The timers of event loops count in milliseconds; asked for less they fire early, and the head would spin.
TICK: Final = SECOND // 1000


class Draining(Exception):
    """The gateway is stopping, and nobody waits any longer."""


class _Line:
    """Those who wait at one counter, and when its head was last told that there would be room."""

    __slots__ = ("free_at", "turns")

    def __init__(self) -> None:
        self.turns: deque[asyncio.Event] = deque()
        self.free_at = 0


@dataclass(frozen=True, slots=True)
class _Request:
    """One that may wait, and since when, by the steady clock."""

    limits: tuple[Limit, ...]
    keys: tuple[str, ...]
    scope: Scope | None
    since: int

    def deadline(self, number: int) -> int:
        return self.since + self.limits[number].wait

    def waits_at(self, decision: Decision, steady: int) -> int | None:
        """The number of the limit at which it is worth waiting; None: the decision stands."""
        if not _may_wait(self.limits, decision):
            return None
        number = decision.refusing[0]
        # When a slot comes back nobody knows; when a window has room is known exactly.
        soonest = steady if self.limits[number].in_flight else decision.free_at
        return number if max(soonest, steady + 1) <= self.deadline(number) else None


class Queue:
    """
    A store in which a refused request may wait.

    Mutable state: `_lines`, by the key of their counter. Only lines in which somebody stands are there. `store` is
    what it asks, for those who do not wait.
    """

    def __init__(self, store: Store, clock: Callable[[], Moment], *, poll: int = HINT) -> None:
        """`poll`: how often, in microseconds, a head asks for a slot that another process may have given back."""
        self.store = store
        self._clock = clock
        self._poll = poll
        self._lines: dict[str, _Line] = {}
        self._draining = False

    async def take(self, limits: tuple[Limit, ...], keys: tuple[str, ...], scope: Scope | None = None) -> Decision:
        """Decide, at once or when it is this request's turn. Raises `Draining`."""
        now = self._clock()
        number = self._joins(limits, keys) if self._lines else None
        if number is None:
            decision = await self.store.take(limits, keys, now, scope)
            # Most requests end here, so nothing is made for waiting before.
            if not _may_wait(limits, decision):
                return decision
        request = _Request(limits, keys, scope, now.steady)
        if number is not None:
            if self._full(request, number):
                return await self._refusal(request, number)
            decision = await self._wait(request, number)
        # Whoever has waited at one counter may have to wait at another.
        while (number := request.waits_at(decision, self._clock().steady)) is not None:
            if self._full(request, number):
                break
            decision = await self._wait(request, number)
        return decision

    def give_back(self, decision: Decision) -> None:
        """As the store's; whoever is next asks again."""
        self.store.give_back(decision)
        self._call(decision)

    def release(self, decision: Decision) -> None:
        """As the store's; whoever is next asks again."""
        self.store.release(decision)
        self._call(decision)

    def learn(self, scope: Scope, code: HouseCode, lasts: int, now: Moment) -> None:
        """As the store's; whoever is next asks again, and is told of the hold."""
        self.store.learn(scope, code, lasts, now)
        for line in self._lines.values():
            line.turns[0].set()

    def answered(self, decision: Decision, now: Moment) -> None:
        """As the store's."""
        self.store.answered(decision, now)

    def gone(self, decision: Decision) -> None:
        """As the store's."""
        self.store.gone(decision)

    def drain(self) -> None:
        """Let nobody wait any longer, now or later: they get `Draining`."""
        self._draining = True
        for line in self._lines.values():
            for turn in line.turns:
                turn.set()

    def waiting(self, key: str) -> int:
        """How many stand in the line of a counter."""
        return len(self._lines[key].turns) if key in self._lines else 0

    async def _wait(self, request: _Request, number: int) -> Decision:
        """Stand in the line of one limit, up to a decision that stands, or until the time is up."""
        key, deadline = request.keys[number], request.deadline(number)
        line = self._lines.setdefault(key, _Line())
        turn = asyncio.Event()
        line.turns.append(turn)
        try:
            while not self._draining:
                now = self._clock()
                until = deadline
                if line.turns[0] is turn:
                    decision = await self.store.take(request.limits, request.keys, now, request.scope)
                    line.free_at = decision.free_at
                    now = self._clock()
                    if request.waits_at(decision, now.steady) != number:
                        return decision
                    if request.limits[number].in_flight:
                        until = min(until, now.steady + self._poll)
                    else:
                        until = min(until, decision.free_at)
                elif now.steady >= deadline:
                    return await self._refusal(request, number)
                await _rest(turn, until - now.steady)
            raise Draining
        finally:
            line.turns.remove(turn)
            if line.turns:
                line.turns[0].set()
            else:
                del self._lines[key]

    def _joins(self, limits: tuple[Limit, ...], keys: tuple[str, ...]) -> int | None:
        """The number of the limit where others wait already: they are not overtaken."""
        waits = (number for number, limit in enumerate(limits) if limit.wait)
        return next((number for number in waits if keys[number] in self._lines), None)

    def _full(self, request: _Request, number: int) -> bool:
        return self.waiting(request.keys[number]) >= request.limits[number].queue

    async def _refusal(self, request: _Request, number: int) -> Decision:
        """What one is told whose turn it is not: when the head of the line was told that there would be room."""
        free_at = self._lines[request.keys[number]].free_at
        now = self._clock()
        standings = await self.store.look(request.limits, request.keys, now)
        return Decision(request.limits, request.keys, now, standings, (), (number,), free_at, request.scope)

    def _call(self, decision: Decision) -> None:
        for key in decision.keys if self._lines else ():
            if key in self._lines:
                self._lines[key].turns[0].set()


def _may_wait(limits: tuple[Limit, ...], decision: Decision) -> bool:
    """Whether limits refused, and none of them but lets wait."""
    return bool(decision.refusing) and all(limits[number].wait for number in decision.refusing)


async def _rest(turn: asyncio.Event, microseconds: int) -> None:
    """Wait for that long, or until called."""
    alarm = asyncio.get_running_loop().call_later(max(microseconds, TICK) / SECOND, turn.set)
    try:
        await turn.wait()
    finally:
        alarm.cancel()
    turn.clear()
