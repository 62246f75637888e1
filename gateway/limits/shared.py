"""
The store of several workers of one gateway: memory that they share, and no service beside them.

The supervisor makes it (`create`) and hands its descriptor to the workers, each of which has a `Shared` over it. When a
worker dies the supervisor says so (`Shelf.forget`), and so does the worker that takes its place: the slots come back.
How one that dies in the middle of a decision leaves no half of it, `segment` tells.

The lock is held for some microseconds. A worker that does not get it within 50 ms, because the one that holds it is
stopped, admits its share (`shares`) until it does: rather too few than more than N. What comes back meanwhile, and what
was learned, is noted then. On a machine so busy that the holder does not get its turn, a decision waits longer.

One file: what is done with the lock, and what without it, are the two halves of each method.
"""

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Final

from gateway import log
from normalizers import HouseCode

from .decision import Decision
from .hold import Held, Scope
from .ledger import HOLDS_LIMIT, SEGMENT_CELLS, Full, Ledger
from .limit import Limit
from .memory import KEYS_LIMIT
from .rule import SECOND, Moment, Standing
from .segment import Segment, create_file
from .shares import Lent, Shares
from .store import Holding

# How long a decision waits for the lock while its holder is stopped, and how long in any case. How often it asks before
# it lets others have the event loop: a decision takes about as long as asking ten times.
PATIENCE_SECONDS: Final = 0.05
LONGEST_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.0005
ATTEMPTS: Final = 20

# What waits to be noted: what comes back of requests under way, and what they learn; more is none.
LATE_LIMIT: Final = 65_536


class Shelf:
    """What the supervisor has of the segment: `fd` is its descriptor, which the workers inherit."""

    def __init__(self) -> None:
        self.fd = create_file(SEGMENT_CELLS)
        self._segment = Segment(self.fd)
        self._ledger = Ledger(self._segment, 0)
        self._one_at_a_time = threading.Lock()

    def forget(self, number: int) -> None:
        """
        A worker is dead: its slots come back, and a request of its that went first after a hold is gone.

        Any thread may call this. Where the lock cannot be had, the worker that gets its number says so at its start.
        """
        end = time.monotonic() + PATIENCE_SECONDS
        # The segment's lock is between processes; threads of one have it together.
        with self._one_at_a_time:
            while not self._segment.enter(ATTEMPTS):
                if time.monotonic() >= end:
                    return
                time.sleep(PAUSE_SECONDS)
            try:
                self._ledger.forget(number)
            finally:
                self._segment.leave()

    def close(self) -> None:
        """Let go of it; it lives as long as a worker does."""
        self._segment.close()
        os.close(self.fd)


def create() -> Shelf:
    """A new segment, empty. Raises `OSError` where the system has no anonymous files."""
    return Shelf()


class Shared:
    """
    The limits of this worker and its siblings; keeps the `Store` protocol.

    `number` is the worker's, which no other one alive has. Mutable state: whether the lock could be had when it was
    wanted last, what is to be noted once it can, and what was lent meanwhile.
    """

    def __init__(self, fd: int, number: int, *, keys_limit: int = KEYS_LIMIT, holds_limit: int = HOLDS_LIMIT) -> None:
        self._segment = Segment(fd)
        self._ledger = Ledger(self._segment, number, keys_limit=keys_limit, holds_limit=holds_limit)
        self._shares = Shares(self._ledger.alive)
        self._late: deque[Callable[[], None]] = deque(maxlen=LATE_LIMIT)
        self._retry: asyncio.TimerHandle | None = None
        self._up = True
        self._closed = False
        self._errors = 0

    @property
    def up(self) -> bool:
        """Whether the lock could be had when it was wanted last."""
        return self._up

    @property
    def errors(self) -> int:
        """How often it could not, and how often there was no room for another counter."""
        return self._errors

    @property
    def calm(self) -> bool:
        """Whether no hold is remembered."""
        return self._ledger.calm and self._shares.calm

    async def start(self) -> None:
        """Take the place of a worker that died, if one did."""
        self._note(self._ledger.begin)

    async def aclose(self) -> None:
        """Let go of the segment."""
        if self._retry is not None:
            self._retry.cancel()
        self._closed = True
        self._segment.close()

    async def take(
        self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment, scope: Scope | None = None
    ) -> Decision:
        """Decide, and charge all or nothing."""
        if not self._enter():
            since = time.monotonic()
            if not await self._entered():
                return await self._shares.take(limits, keys, now, scope)
            waited = round((time.monotonic() - since) * SECOND)
            now = Moment(now.steady + waited, now.wall + waited)
        try:
            return self._ledger.decide(limits, keys, now, scope)
        except Full:
            self._undo()
            self._errors += 1
        except BaseException:
            self._undo()
            raise
        finally:
            self._segment.leave()
        return await self._shares.take(limits, keys, now, scope)

    def since(self, decision: Decision, now: Moment) -> Held | None:
        """How an admitted request is held by what was learned since."""
        scope = decision.scope
        if scope is None or self.calm:
            return None
        if not self._enter():
            return self._shares.since(decision, now)
        try:
            return self._ledger.since(scope.key, decision.token, now.steady)
        finally:
            self._segment.leave()

    def give_back(self, decision: Decision) -> None:
        """Undo the charges of the windows: the request never got a connection."""
        if self._shares.lends(decision):
            self._shares.give_back(decision)
        elif decision.marks:
            self._note(lambda: self._ledger.give_back(decision))

    def release(self, decision: Decision) -> None:
        """Give the slots back: the request is over, however."""
        if not decision.marks or not any(limit.in_flight for limit in decision.limits):
            return
        if self._shares.lends(decision):
            self._shares.release(decision)
            return
        self._note(lambda: self._ledger.release(decision))
        if not self._up:
            self._shares.freed(decision)

    def learn(self, scope: Scope, code: HouseCode, lasts: int, now: Moment) -> None:
        """Hold the scope for that many microseconds, after a reply of the vendor: as `hold.lasts` says."""
        self._note(lambda: self._ledger.learn(scope, code, now.steady + lasts, now))
        if not self._up:
            self._shares.learn(scope, code, lasts, now)

    def answered(self, decision: Decision, now: Moment) -> None:
        """A reply has come; called after `learn`, if it is one that holds."""
        if isinstance(decision, Lent):
            self._shares.answered(decision, now)
        elif decision.token and (scope := decision.scope) is not None:
            self._note(lambda: self._ledger.answered(scope.key, decision.token, now.steady))

    def gone(self, decision: Decision) -> None:
        """The request is over. Where `answered` came before, this changes nothing."""
        if isinstance(decision, Lent):
            self._shares.gone(decision)
        elif decision.token and (scope := decision.scope) is not None:
            self._note(lambda: self._ledger.gone(scope.key, decision.token))

    async def look(self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment) -> tuple[Standing, ...]:
        """What is left of each limit, charging nothing."""
        if not self._enter() and not await self._entered():
            return await self._shares.look(self._shares.parts(limits), keys, now)
        try:
            return self._ledger.look(limits, keys, now)
        finally:
            self._segment.leave()

    def holds(self, now: Moment) -> list[Holding]:
        """The holds that are on."""
        if self.calm or not self._enter():
            return self._shares.holds(now)
        try:
            return self._ledger.holdings(now)
        finally:
            self._segment.leave()

    def keep(self, limits: Collection[Limit]) -> None:
        """Forget the counters of all other limits: a reload has taken them away."""
        kept = tuple(limits)
        self._note(lambda: self._ledger.keep(kept))
        self._shares.keep(kept)

    def about(self) -> Mapping[str, object]:
        """All workers of this gateway count together."""
        return {"kind": "workers", "workers": self._ledger.alive()}

    # The lock.

    def _enter(self) -> bool:
        """Take the lock, unless somebody has it; then what could not be noted before is."""
        if not self._segment.enter(ATTEMPTS if self._up else 1):
            return False
        if self._late or not self._up:
            self._catch_up()
        return True

    async def _entered(self) -> bool:
        """Wait for the lock, while others have the event loop; while it is away nobody does."""
        since = time.monotonic()
        while self._up:
            await asyncio.sleep(PAUSE_SECONDS)
            if self._enter():
                return True
            waited = time.monotonic() - since
            if waited >= LONGEST_SECONDS or (waited >= PATIENCE_SECONDS and self._segment.is_stopped()):
                self._go_away()
        self._errors += 1
        return False

    def _undo(self) -> None:
        self._segment.undo()
        self._ledger.forget_places()

    def _note(self, change: Callable[[], None]) -> None:
        """Change something, at once or as soon as the lock can be had; at the end the supervisor sees to the slots."""
        if self._closed:
            return
        self._late.append(change)
        if self._enter():
            self._segment.leave()
        elif self._retry is None:
            self._note_soon()

    def _note_soon(self) -> None:
        pause = PAUSE_SECONDS if self._up else PATIENCE_SECONDS
        self._retry = asyncio.get_running_loop().call_later(pause, self._note_late)

    def _note_late(self) -> None:
        self._retry = None
        if self._enter():
            self._segment.leave()
        else:
            self._note_soon()

    def _catch_up(self) -> None:
        """Note what could not be noted, in its order; and what was lent, once the lock is back."""
        while self._late:
            self._change(self._late.popleft())
        if not self._up:
            self._up = True
            now = _now()
            for limit, key, charges in self._shares.counted(now):
                self._change(lambda: self._ledger.charge(limit, key, charges, now))  # noqa: B023  (called at once)
            self._shares.end()
            log.event(logging.INFO, "limit store is back")

    def _change(self, change: Callable[[], None]) -> None:
        try:
            change()
        except Full:
            self._undo()
            self._errors += 1
        else:
            self._segment.stand()

    def _go_away(self) -> None:
        self._up = False
        self._shares.begin(self._ledger.taken(), _now())
        log.event(logging.ERROR, "limit store is away: every worker admits its share", store="workers")


def _now() -> Moment:
    return Moment(time.monotonic_ns() // 1000, time.time_ns() // 1000)
