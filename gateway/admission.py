"""
One request's dealings with what stands between it and its vendor beside the breaker: hold and limits (contract 4, 11).

What holds for its kind stands in its gate (`gates`); here it passes, waits or is refused, and gives back what it took.
"""

import time
from collections.abc import Iterable
from typing import Final

from normalizers import HouseCode, Problem

from .access import Access
from .gates import Gate, Gates, Refusal
from .headers import Header
from .limits import SECOND, Decision, Draining, Held, Moment, Scope, hold, names_of, policies, service_limits
from .problems import Refused, refuse

# The timers of event loops count in milliseconds.
TICK: Final = SECOND // 1000

# Where a caller's own credential for the vendor is.
CREDENTIALS: Final = (b"authorization", b"x-api-key")


def now() -> Moment:
    """What time it is, by both clocks."""
    return Moment(time.monotonic_ns() // 1000, time.time_ns() // 1000)


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
        refusal = self._gate.refusals[number] if own else Refusal(decision.limits[number])
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
