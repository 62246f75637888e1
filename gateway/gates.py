"""
What holds for the requests of one caller with one route and method: hold and limits, in words and numbers made once.

    Gates (a vendor's) ──of──▶ Gate (of a caller, a route and a method) ──▶ Admission (one request's, `admission`)

A request pays for a look-up and for what its limits cost. Where no limit covers it and nothing is held it pays for
nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from normalizers import Limit as Named

from .limits import SECOND, Bounds, Limit, Queue, Scope, covering, names_of, policies, scope_key
from .metrics import OTHER_ROUTE

# How much longer than its deadline the first request after a hold may stay unanswered: its error's body is read, too.
GRACE_SECONDS: Final = 10.0

# The nominal windows in words.
WINDOWS: Final = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day", None: "at once"}


class Refusal:
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
    refusals: tuple[Refusal, ...]
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
            refusals=tuple(Refusal(limit) for limit in limits),
            lends=any(limit.in_flight for limit in limits),
            scope=scope,
        )
