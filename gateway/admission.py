"""
What stands between a request and its vendor beside the breaker: the hold and the limits (contract 4 and 11).

    Gates (a vendor's) ──of──▶ Gate (of a caller, a route and a method) ──▶ Admission (one request's)

A gate is made once, so that a request pays for a look-up and for what its limits cost. Where no limit covers it and
nothing is held it pays for nothing else.

One file: a gate and what it admits decide together, and give back what they took together.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from normalizers import HouseCode, Problem
from normalizers import Limit as Named

from .access import Access
from .headers import Header
from .limits import (
    SECOND,
    Bounds,
    Decision,
    Draining,
    Held,
    Limit,
    Moment,
    Queue,
    Scope,
    covering,
    hold,
    names_of,
    policies,
    scope_key,
    service_limits,
)
from .metrics import OTHER_ROUTE
from .problems import Refused, refuse

# How much longer than its deadline the first request after a hold may stay unanswered: its error's body is read, too.
GRACE_SECONDS: Final = 10.0

# The timers of event loops count in milliseconds.
TICK: Final = SECOND // 1000

# Where a caller's own credential for the vendor is.
CREDENTIALS: Final = (b"authorization", b"x-api-key")

# The nominal windows in words.
WINDOWS: Final = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day", None: "at once"}


def now() -> Moment:
    """What time it is, by both clocks."""
    return Moment(time.monotonic_ns() // 1000, time.time_ns() // 1000)


class _Refusal:
    """What a limit says to a request that it refuses."""

    __slots__ = ("code", "detail", "limit")

    def __init__(self, limit: Limit) -> None:
        whose = "This caller" if limit.scope == "caller" else "All callers together"
        what = "requests" if limit.cost == 1 else f"units, {limit.cost} for each request of this kind,"
        self.code = limit.code
        self.detail = f'{whose} may send {limit.rule.count:,} {what} {WINDOWS[limit.seconds]} (limit "{limit.name}").'
        self.limit = Named(limit.name, limit.scope)


@dataclass(frozen=True, slots=True)
class Gate:
    """
    What holds for the requests of one caller with one route and method.

    `keys` are the counters of the limits, None where each client has its own; `refusals` is what each says to a request
    that it refuses. `lends`: some of them give slots, which come back. `scope` is what a 429 holds, None where nothing
    is, and without the credential where each is held by itself.
    """

    limits: tuple[Limit, ...]
    keys: tuple[str, ...] | None
    policy: bytes
    names: tuple[str, ...]
    refusals: tuple[_Refusal, ...]
    lends: bool
    scope: Scope | None


class Gates:
    """
    The gates of one vendor.

    Mutable state: those that were asked for; as many as callers with limits of their own, routes and methods make.

    Args:
        vendor: the vendor's name, and its title for a person.
        limits: the vendor's.
        callers: each caller's own limits.
        queue: where it is decided, in this process.
        bounds: of a hold; None: a 429 holds nothing.
        by_credential: whether each credential is held by itself.
        totals: the deadline of each route, in seconds.
        told: whether answers tell the limits that applied.
    """

    def __init__(
        self,
        vendor: tuple[str, str],
        limits: tuple[Limit, ...],
        callers: Mapping[str, tuple[Limit, ...]],
        queue: Queue,
        *,
        bounds: Bounds | None,
        by_credential: bool,
        totals: Mapping[str, float],
        told: bool,
    ) -> None:
        self.name, self.title = vendor
        self.limits = limits
        self.queue = queue
        self.bounds = bounds
        self.by_credential = by_credential
        self.told = told
        self._callers = callers
        self._totals = totals
        self._gates: dict[tuple[str | None, str, str], Gate] = {}

    def of(self, caller: str, route: str, method: str) -> Gate:
        """The gate of such requests; all three are from closed sets."""
        key = (caller if caller in self._callers else None, route, method)
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = self._gate(*key)
        return gate

    def _gate(self, caller: str | None, route: str, method: str) -> Gate:
        matched = None if route == OTHER_ROUTE else route
        shared = covering(self.limits, matched, method)
        own = covering(self._callers[caller], matched, method) if caller is not None else ()
        limits = (*own, *shared)
        scope = None
        if self.bounds is not None:
            # GET includes HEAD, here as in routes.
            held = scope_key(self.name, shared, matched, "GET" if method == "HEAD" else method)
            scope = Scope(held, round((self._totals[route] + GRACE_SECONDS) * SECOND))
        keyed = any(limit.keyed for limit in limits)
        return Gate(
            limits=limits,
            keys=None if keyed else tuple(limit.id for limit in limits),
            policy=policies(limits).encode("ascii"),
            names=names_of(limits),
            refusals=tuple(_Refusal(limit) for limit in limits),
            lends=any(limit.in_flight for limit in limits),
            scope=scope,
        )


class Admission:
    """
    One request's dealings with hold and limits, from the decision to its last exit.

    Mutable state: the decision that stands (None: there is none, or it is settled), and the last that was told.
    """

    __slots__ = ("_access", "_decision", "_gate", "_gates", "_headers", "_scope", "_told", "_who")

    def __init__(self, gates: Gates, gate: Gate, access: Access, headers: Iterable[Header], who: str) -> None:
        """`who` has counters of its own: the caller's name or, where there are no callers, its address (W-095)."""
        self._gates = gates
        self._gate = gate
        self._access = access
        self._headers = headers
        self._who = who
        self._scope: Scope | None = None
        self._decision: Decision | None = None
        self._told: Decision | None = None

    @property
    def asks(self) -> bool:
        """Whether there is anything to decide."""
        return bool(self._gate.limits) or (self._gate.scope is not None and not self._gates.queue.store.calm)

    @property
    def holds(self) -> bool:
        """Whether a 429 makes a pause."""
        return self._gate.scope is not None

    async def enter(self) -> None:
        """
        Pass the hold and the limits, now or when it is this request's turn.

        Raises:
            Refused: held, or over a limit, or the gateway stops and nobody waits any longer.
        """
        began = time.monotonic_ns() // 1000
        until = 0
        try:
            decision = await self._gates.queue.take(self._gate.limits, self._keys(), self._held_by())
            until = decision.now.steady
        except Draining:
            raise refuse(
                HouseCode.OVERLOADED, "The gateway is stopping.", retry_after=1, proxy_error="proxy_internal_error"
            ) from None
        finally:
            waited = (until or time.monotonic_ns() // 1000) - began
            # No wait is shorter than a turn of the event loop; what the decision itself takes is our own time.
            if waited >= TICK:
                self._access.queued += waited / SECOND
        self._told = decision
        if not decision.admitted:
            raise self._refusal(decision)
        self._decision = decision

    async def again(self, *, sent: bool) -> bool:
        """
        Whether the request may be sent once more; what the try before took is settled.

        Each try that may have reached the vendor is charged there, so here, too. Nobody waits for a retry.
        """
        if not self.asks:
            return True
        self.settle(sent=sent)
        decision = await self._gates.queue.store.take(self._gate.limits, self._keys(), now(), self._held_by())
        if decision.admitted:
            self._decision = self._told = decision
        return decision.admitted

    def ready(self) -> None:
        """
        Look once more whether the request is held, now that a connection is there and nothing was sent yet.

        Raises:
            Refused: a 429 to another request has come meanwhile.
        """
        store = self._gates.queue.store
        if self._gate.scope is None or store.calm:
            return
        moment = now()
        decision = self._decision or Decision((), (), moment, scope=self._held_by())
        held = store.since(decision, moment)
        if held is not None:
            raise self._held(held, Decision((), (), moment, free_at=held.until, held=held).retry_after)

    def replied(self, problem: Problem | None = None) -> None:
        """A reply has come, and is this problem; learn from it."""
        bounds, queue = self._gates.bounds, self._gates.queue
        scope = None if bounds is None or problem is None else self._held_by()
        if scope is not None and bounds is not None and problem is not None:
            lasts = hold.lasts(problem.code, problem.retry_after, bounds)
            if lasts is not None:
                queue.learn(scope, problem.code, lasts, now())
        if self._decision is not None and self._decision.token:
            queue.answered(self._decision, now())

    def settle(self, *, sent: bool) -> None:
        """The request is over, or this try of it: slots come back, and charges where nothing was sent."""
        decision, self._decision = self._decision, None
        if decision is None:
            return
        queue = self._gates.queue
        if not sent:
            queue.give_back(decision)
        # A store that is away makes decisions of its own kind, and knows what to do with them.
        if self._gate.lends or decision.token or type(decision) is not Decision:
            queue.release(decision)
            queue.gone(decision)

    def fields(self) -> list[Header]:
        """`RateLimit-Policy` and `RateLimit` for the answer; none where no limit applied (W-086)."""
        told = self._told
        if told is None or not told.standings or not self._gates.told:
            return []
        # A store that is away has told the shares.
        gate, policy, names = self._gate, self._gate.policy, self._gate.names
        if told.limits is not gate.limits:
            policy, names = policies(told.limits).encode("ascii"), names_of(told.limits)
        passed = time.monotonic_ns() // 1000 - told.now.steady
        left = service_limits(told.limits, told.standings, passed, names)
        return [(b"ratelimit-policy", policy), (b"ratelimit", left.encode("ascii"))]

    def _keys(self) -> tuple[str, ...]:
        return self._gate.keys or tuple([limit.key(self._who) for limit in self._gate.limits])

    def _held_by(self) -> Scope | None:
        """What would be held with this request."""
        scope = self._gate.scope
        if scope is None or not self._gates.by_credential:
            return scope
        if self._scope is None:
            secret = b"\n".join([value for name, value in self._headers if name in CREDENTIALS])
            self._scope = Scope(hold.with_credential(scope.key, secret), scope.lease)
        return self._scope

    def _refusal(self, decision: Decision) -> Refused:
        after = decision.after(now().steady)
        if decision.held is not None:
            return self._held(decision.held, after)
        number = decision.refusing[0]
        # As in `fields`.
        own = decision.limits is self._gate.limits
        refusal = self._gate.refusals[number] if own else _Refusal(decision.limits[number])
        name = refusal.limit.name
        self._access.limit = name
        self._access.metrics.limits.refused(name, self._access.caller)
        return refuse(
            refusal.code,
            refusal.detail,
            vendor=self._gates.name,
            retry_after=after,
            limit=refusal.limit,
            headers=self.fields(),
            proxy_error="http_request_denied",
        )

    def _held(self, held: Held, after: int) -> Refused:
        return refuse(
            held.code,
            f"{self._gates.title} asked for a pause; until it is over the gateway sends nothing of this kind there.",
            vendor=self._gates.name,
            retry_after=after,
            proxy_error="http_request_denied",
        )
