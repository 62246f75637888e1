"""
The store of several gateways: one script in one Redis, or Valkey, decides by its clock (`decide.lua`).

A decision is one round trip: all limits, the hold and the slots at once. Every gateway has a name there, which it
renews every two seconds; the slots of one that was not heard of for ten are free. All keys begin with `{errgate}`, so
they lie in one slot of a cluster, and all of them expire.

**Away.** A decision that has no answer after 50 ms, or a server that is gone, read-only, full or does not let us in:
then the gateway admits its share (`Shares`), or nothing that is limited, and asks nothing more of Redis than a new
start, after ever longer pauses. That new start makes all right again: the gateway comes with a new name, tells which
slots its running requests have, what it has admitted meanwhile, and, where Redis has lost its data, what it admitted
before. Answers that come too late are undone.

One file: what a decision counts here is what the next new start tells, and neither can be read without the other.
"""

import asyncio
import contextlib
import itertools
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal, cast
from uuid import uuid4

from gateway import log
from gateway.limits.calendar import Calendar
from gateway.limits.decision import Charge, Decision
from gateway.limits.hold import Held, Scope
from gateway.limits.limit import Limit
from gateway.limits.rule import Moment, Standing
from gateway.limits.shares import Counted, Lent, Shares
from gateway.limits.store import Holding
from normalizers import HouseCode

from .link import Argument, Link, Lost, Reply
from .wording import ADMITTED, CODES, SKEW, STRANGER, Wording, decision, marks, standings

# One slot of a cluster for all keys. Installations that share a server have a database each.
PREFIX = "{errgate}:"
# The keys that every command names, before those of its counters.
OWN_KEYS = ("gateways", "holds", "era")

# What a decision may wait for Redis (F-80).
PATIENCE_SECONDS = 0.05
LATE_TURNS = 3
# How long the start waits for Redis, before requests come.
START_SECONDS = 1.0
# A gateway's name is renewed so often; the script takes it for gone after five times that.
BEAT_SECONDS = 2.0
# The pauses between attempts to have Redis back; each is lengthened by up to its half, so that not all come at once.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0
# A connection on which an answer is missing for so long is given up.
STUCK_SECONDS = 1.0
# How many counters one command carries, and how many are told to a Redis that has lost its data.
COUNTERS_AT_ONCE, COUNTERS_LIMIT = 100, 5000
# What waits to be told while Redis is away: what running requests give back and learn; more is not remembered.
LATE_LIMIT = 10_000
# Names that a gateway had and that Redis may still know.
NAMES_LIMIT = 16


class _Asked:
    """One question for a decision, and what became of it."""

    __slots__ = ("decision", "keys", "left", "limits", "name", "now", "scope", "since")

    def __init__(
        self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment, scope: Scope | None, since: int
    ) -> None:
        self.limits = limits
        self.keys = keys
        self.now = now
        self.scope = scope
        # When it was asked, by this gateway's clock, and under which name.
        self.since = since
        self.name = ""
        # Whether nobody waits for the answer any more.
        self.left = False
        self.decision: Decision | None = None


class Redis:
    """
    The limits of this gateway and all others on the same Redis; keeps the `Store` protocol.

    Mutable state: the connection, whether Redis answers, this gateway's name there, the slots of its running requests,
    its shares, and what waits to be told.
    """

    def __init__(
        self, url: str, ca: str | None = None, when_away: Literal["share", "refuse"] = "share", *, name: str = "errgate"
    ) -> None:
        """`ca`: the file of the authorities that sign the server's certificate, None: the system's; `name`: whose."""
        self._url = url
        self._ca = ca
        self._when_away = when_away
        self._clock = _now
        self._wording = Wording()
        self._up = False
        self._errors = 0
        self._why = "not reached yet"
        self._said = False
        # The connection, whether it is good for nothing more, and where to ask instead.
        self._link: Link | None = None
        self._spoiled = False
        self._moved: tuple[str, int] | None = None
        # The name in force, and those that Redis may still know.
        self._instance = f"{name}/{uuid4().hex[:12]}"
        self._numbers = itertools.count(1)
        self._name = ""
        self._former: deque[str] = deque(maxlen=NAMES_LIMIT)
        # Since when Redis has its data, and how many gateways it knows.
        self._era = 0
        self._gateways = 1
        # By key, the slots of requests that Redis has admitted.
        self._taken: dict[str, int] = {}
        self._shares = Shares(lambda: self._gateways, refuse=when_away == "refuse")
        self._late: deque[Callable[[], object]] = deque(maxlen=LATE_LIMIT)
        self._owed: deque[Sequence[Charge]] = deque(maxlen=LATE_LIMIT)
        self._joining: asyncio.Task[None] | None = None
        self._tending: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def up(self) -> bool:
        """Whether Redis answers."""
        return self._up

    @property
    def errors(self) -> int:
        """How often it did not, or not in time."""
        return self._errors

    @property
    def calm(self) -> bool:
        """Never for sure: another gateway may have learned of a hold just now."""
        return False

    async def start(self) -> None:
        """Connect; if that fails or takes too long, go on without."""
        self._shares.begin({}, self._clock())
        self._tending = asyncio.create_task(self._tend())
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_SECONDS
        while not self._up and not (self._errors and self._link is None) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        if not self._up:
            self._say_away()

    async def aclose(self) -> None:
        """Leave: the slots come back at once."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        if self._link is not None:
            if self._up:
                await self._answer(self._run("leave"))
            self._up = False
            await self._link.close()
        if self._joining is not None:
            await asyncio.wait({self._joining})

    async def take(
        self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment, scope: Scope | None = None
    ) -> Decision:
        """Decide, and charge all or nothing; where Redis does not answer in time, by the share."""
        asked = _Asked(limits, keys, now, scope, self._clock().steady)
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while self._up:
            asked.name = self._name
            question: list[Argument] = [*self._written(limits, now), *(("", 0) if scope is None else scope)]
            future = self._run("take", *question, keys=keys, then=partial(self._hear, asked))
            try:
                reply = await self._answer(future, deadline)
            except asyncio.CancelledError:
                asked.left = True
                if asked.decision is not None:
                    self._undo(asked.decision)
                raise
            if asked.decision is not None:
                return asked.decision
            asked.left = reply is None
            if reply is not None and reply[0] == STRANGER:
                await self._join_once(asked.name, deadline)
        return await self._shares.take(limits, keys, now, scope)

    def since(self, decision: Decision, now: Moment) -> Held | None:
        """How an admitted request is held by what was learned since."""
        return self._shares.since(decision, now)

    def give_back(self, decision: Decision) -> None:
        """Undo the charges of the windows: the request never got a connection."""
        if self._shares.lends(decision):
            self._shares.give_back(decision)
        elif charges := [charge for charge in decision.charges if not charge.limit.in_flight]:
            self._shares.unnote(decision)
            self._give_back(charges)

    def release(self, decision: Decision) -> None:
        """Give the slots back: the request is over, however."""
        if self._shares.lends(decision):
            self._shares.release(decision)
        elif slots := _slots(decision):
            for key, cost in slots.items():
                self._taken[key] = self._taken.get(key, 0) - cost
                if self._taken[key] <= 0:
                    del self._taken[key]
            if self._up:
                self._run("release", *slots.values(), keys=slots)
            else:
                # The new start tells which slots are taken.
                self._shares.freed(decision)

    def learn(self, scope: Scope, code: HouseCode, lasts: int, now: Moment) -> None:
        """Hold the scope for that many microseconds, after a reply of the vendor: as `hold.lasts` says."""
        self._shares.learn(scope, code, lasts, now)
        until = self._clock().steady + lasts
        number = CODES.index(code)
        self._soon(lambda: self._run("learn", scope.key, max(0, until - self._clock().steady), number))

    def answered(self, decision: Decision, now: Moment) -> None:
        """A reply has come; called after `learn`, if it is one that holds."""
        self._shares.answered(decision, now)
        self._tell_of_first("answered", decision)

    def gone(self, decision: Decision) -> None:
        """The request is over. Where `answered` came before, this changes nothing."""
        self._shares.gone(decision)
        self._tell_of_first("gone", decision)

    async def look(self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment) -> tuple[Standing, ...]:
        """What is left of each limit, charging nothing."""
        for _ in range(2 if limits else 0):
            reply = await self._answer(self._run("look", *self._written(limits, now), keys=keys)) if self._up else None
            if reply is None:
                break
            self._wording.ahead = reply[1] - now.wall
            if reply[0] == ADMITTED:
                return standings(reply[2:])
        return await self._shares.look(self._shares.parts(limits), keys, now)

    def holds(self, now: Moment) -> list[Holding]:
        """The holds that are on, as Redis said some seconds ago, and those that this gateway has learned."""
        return self._shares.holds(now)

    def keep(self, limits: Collection[Limit]) -> None:
        """Forget what was counted here; counters in Redis expire by themselves."""
        self._shares.keep(limits)

    def about(self) -> Mapping[str, object]:
        """All gateways on one Redis count together."""
        about = {"kind": "redis", "gateways": self._gateways, "when_away": self._when_away}
        return about if self._up else {**about, "away": self._why}

    # What is told.

    def _hear(self, asked: _Asked, reply: Reply) -> None:
        """The answer to a question, as soon as it is there, whoever still waits for it."""
        passed = self._clock().steady - asked.since
        now = Moment(asked.now.steady + passed, asked.now.wall + passed)
        if reply[0] == STRANGER:
            return
        self._wording.ahead = reply[1] - now.wall
        if reply[0] == SKEW:
            return
        decided = decision(reply, asked.limits, asked.keys, now, asked.scope)
        if decided.held is not None and asked.scope is not None:
            self._shares.know(asked.scope.key, [decided.held.until, CODES.index(decided.held.code), 0])
        if asked.left:
            self._disown(decided, asked.name)
            return
        for key, cost in _slots(decided).items():
            self._taken[key] = self._taken.get(key, 0) + cost
        if decided.marks:
            self._shares.note(decided)
        elif decided.held is None:
            self._shares.note_left(decided)
        if decided.token and asked.scope is not None:
            self._shares.go_first(asked.scope.key, now.steady + asked.scope.lease)
        asked.decision = decided

    def _disown(self, decision: Decision, name: str) -> None:
        """A decision that nobody has waited for: nothing of it was counted here."""
        if charges := [charge for charge in decision.charges if not charge.limit.in_flight]:
            self._give_back(charges)
        self._tell_of_first("gone", decision)
        slots = _slots(decision)
        # With a name its slots go, too.
        if slots and self._up and name == self._name:
            self._run("release", *slots.values(), keys=slots)

    def _undo(self, decision: Decision) -> None:
        self.give_back(decision)
        self.release(decision)
        self.gone(decision)

    def _give_back(self, charges: Sequence[Charge]) -> None:
        """Undo charges of windows, or when Redis is back, unless it has lost them."""
        if not self._up:
            self._owed.append(charges)
            return
        wall = self._clock().wall
        written = [self._wording.limit(limit, wall, marks(limit, mark)) for limit, _, mark in charges]
        self._run("give_back", *written, keys=[key for _, key, _ in charges])

    def _tell_of_first(self, what: str, decision: Decision) -> None:
        scope, token = decision.scope, decision.token
        if scope is not None and token and not isinstance(decision, Lent):
            self._shares.go_first(scope.key, 0)
            self._soon(lambda: self._run(what, scope.key, token))

    def _soon(self, tell: Callable[[], object]) -> None:
        """Tell it now, or when Redis is back."""
        if self._up:
            tell()
        else:
            self._late.append(tell)

    def _written(self, limits: tuple[Limit, ...], now: Moment) -> list[str]:
        return [self._wording.limit(limit, now.wall) for limit in limits]

    def _run(
        self, what: str, *arguments: Argument, keys: Iterable[str] = (), then: Callable[[Reply], None] | None = None
    ) -> asyncio.Future[Reply]:
        """Have the script do something; a failure of it, whoever waits for it, is one of the store."""
        names = [PREFIX + key for key in (*OWN_KEYS, *keys)]
        # There is a connection before anything is asked.
        future = cast("Link", self._link).run(names, what, self._name, *arguments, then=then)
        future.add_done_callback(self._see)
        return future

    def _see(self, done: asyncio.Future[Reply]) -> None:
        error = done.exception()
        if isinstance(error, Lost):
            self._spoiled = True
            self._moved = error.moved or self._moved
            self._go_away(str(error))

    async def _answer(self, future: asyncio.Future[Reply], deadline: float | None = None) -> Reply | None:
        """The reply; None: it did not come in time, or the server could not."""
        loop = asyncio.get_running_loop()
        patience = PATIENCE_SECONDS if deadline is None else max(0.0, deadline - loop.time())
        await asyncio.wait({future}, timeout=patience)
        for _ in range(LATE_TURNS):
            if future.done():
                break
            # Where our own event loop was late, the answer may be there and not be read yet.
            await asyncio.sleep(0)
        if future.done() and future.exception() is None:
            return future.result()
        self._errors += 1
        self._go_away("no answer in time")
        return None

    # Away and back.

    def _go_away(self, why: str) -> None:
        if self._up:
            self._up = False
            self._why = why
            self._shares.begin(self._taken, self._clock())
            self._say_away()
            self._wake.set()

    def _say_away(self) -> None:
        if not self._said:
            self._said = True
            admits = "its share" if self._when_away == "share" else "nothing that is limited"
            log.event(
                logging.ERROR,
                f"limit store is away: this gateway admits {admits}",
                store="redis",
                why=self._why,
                gateways=self._gateways,
            )

    async def _tend(self) -> None:
        """Renew the name while Redis is there, and have it back when it is not, until cancelled."""
        loop = asyncio.get_running_loop()
        pause, back_at = 0.0, loop.time()
        while True:
            if self._up:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_SECONDS):
                        await self._wake.wait()
                if self._up:
                    await self._beat()
                elif loop.time() - back_at > LONGEST_PAUSE_SECONDS:
                    # By then nobody still waits who asked under the former name.
                    pause = FIRST_PAUSE_SECONDS
                continue
            await asyncio.sleep(pause * random.uniform(1.0, 1.5))  # noqa: S311  (no secret)
            pause = min(max(2 * pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            try:
                await self._begin_anew()
            except Lost as error:
                self._errors += 1
                self._why = str(error)
            back_at = loop.time()

    async def _begin_anew(self) -> None:
        """Join over the connection there is, or a new one where that is lost or stuck. Raises `Lost`."""
        link = self._link
        if link is not None:
            waits = asyncio.get_running_loop().time() - link.waits_since()
            if not link.closed and not self._spoiled and 0 < waits < STUCK_SECONDS:
                return
            if link.closed or self._spoiled or waits >= STUCK_SECONDS:
                await link.close()
                self._link = link = None
        if link is None:
            moved, self._moved = self._moved, None
            self._spoiled = False
            self._link = await Link.open(self._url, self._ca, self._lost, moved)
        await self._join()

    def _lost(self, why: str) -> None:
        self._errors += 1
        self._go_away(why)

    async def _join_once(self, name: str, deadline: float) -> None:
        """Join under a new name, since Redis does not know this one; whoever else finds that out waits for it, too."""
        if self._name != name:
            return
        if self._joining is None or self._joining.done():
            self._joining = asyncio.create_task(self._join())
        await asyncio.wait({self._joining}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        if self._name == name:
            self._go_away("no answer in time")

    async def _join(self) -> None:
        """Tell Redis that this gateway is there, and which slots its requests have."""
        self._former.append(self._name)
        self._name = f"{self._instance}.{next(self._numbers)}"
        slots = self._slots()
        former = list(self._former)
        reply = await self._answer(self._run("join", len(former), *former, *slots.values(), keys=slots))
        if reply is not None and reply[0] == ADMITTED:
            self._joined(reply, slots)

    def _joined(self, reply: Reply, told: dict[str, int]) -> None:
        """Redis knows this gateway: tell it what else it should know."""
        now = self._clock()
        _, theirs, gateways, era = reply
        lost, self._era = self._era not in {0, era}, era
        self._gateways = max(1, gateways)
        self._former.clear()
        self._wording.ahead = theirs - now.wall
        if not self._up:
            slots = self._slots()
            if slots != told:
                self._run("join", 0, *(slots.get(key, 0) for key in told | slots), keys=told | slots)
            self._taken = slots
        if lost or not self._up:
            counted = [each for each in self._shares.counted(now, everything=lost) if not each[0].in_flight]
            for number in range(0, min(len(counted), COUNTERS_LIMIT), COUNTERS_AT_ONCE):
                self._adopt(counted[number : number + COUNTERS_AT_ONCE], theirs - now.steady, now.wall)
        if not self._up:
            self._shares.end()
            self._up = True
            for charges in () if lost else self._owed:
                self._give_back(charges)
            self._owed.clear()
            while self._late:
                self._late.popleft()()
            if self._said:
                self._said = False
                log.event(logging.INFO, "limit store is back", store="redis", gateways=self._gateways)

    def _slots(self) -> dict[str, int]:
        """The slots of all running requests, by key."""
        slots = dict(self._taken)
        if not self._up:
            slots |= self._shares.slots()
        return {key: units for key, units in slots.items() if units}

    def _adopt(self, counted: Sequence[Counted], ahead: int, wall: int) -> None:
        """Tell what was counted here; `ahead` is Redis's clock, of our steady one."""
        written = []
        for limit, _, charges in counted:
            shift = 0 if isinstance(limit.rule, Calendar) else ahead
            written.append(self._wording.limit(limit, wall, [(mark + shift, units) for mark, units in charges]))
        self._run("adopt", *written, keys=[key for _, key, _ in counted])

    async def _beat(self) -> None:
        """Renew the name, and hear of the others' holds."""
        name = self._name
        reply = await self._answer(self._run("beat"))
        if reply is not None and reply[0] == STRANGER:
            await self._join_once(name, asyncio.get_running_loop().time() + PATIENCE_SECONDS)
        elif reply is not None:
            self._gateways = max(1, reply[2])
        if self._up:
            await self._hear_of_holds()

    async def _hear_of_holds(self) -> None:
        before = self._shares.scopes()
        cursor, found = "0", set()
        while self._up:
            reply = await self._answer(self._run("holds", cursor))
            if reply is None:
                return
            now = self._clock().steady
            cursor = reply[0].decode()
            for number in range(1, len(reply), 4):
                scope, ends, code, first = reply[number : number + 4]
                found.add(scope.decode())
                self._shares.know(scope.decode(), [now + ends, code, now + first if first else 0])
            if cursor == "0":
                self._shares.forget(before - found)
                return


def _slots(decision: Decision) -> dict[str, int]:
    """By key, the slots that a request has."""
    return {key: limit.cost for limit, key, _ in decision.charges if limit.in_flight}


def _now() -> Moment:
    return Moment(time.monotonic_ns() // 1000, time.time_ns() // 1000)
