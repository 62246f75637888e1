"""What is counted of limits, holds and the store that keeps them (contract 14)."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from prometheus_client import Counter, Gauge

from .tally import Books, Level


class Named(Protocol):
    """Where metrics are found by name, and what tells them together."""

    books: Books

    def counter(self, name: str) -> Counter:
        """The counter of that name."""

    def gauge(self, name: str) -> Gauge:
        """The gauge of that name."""


class LimitMetrics:
    """
    One vendor's limits: whom they refused.

    Mutable state: the counts, by limit and caller; both are from the settings.
    """

    def __init__(self, metrics: Named, vendor: str) -> None:
        self._vendor = vendor
        self._refused = metrics.counter("errgate_limit_refused_total")
        self._books = metrics.books
        self._counts: dict[tuple[str, str], Level] = {}

    def prepare(self, refusing: Iterable[tuple[str, str]]) -> None:
        """Make the counts of each limit and caller, at 0."""
        for limit, caller in refusing:
            self._count(limit, caller)

    def refused(self, limit: str, caller: str) -> None:
        """Count a request that this limit refused."""
        (self._counts.get((limit, caller)) or self._count(limit, caller)).inc()

    def _count(self, limit: str, caller: str) -> Level:
        child = self._refused.labels(self._vendor, limit, caller)
        return self._counts.setdefault((limit, caller), Level(self._books, child))


class LimitGauges:
    """
    What is left, what is held, and how the store is.

    Mutable state: what has a gauge already, since what a reload takes away stays, at 0; how many of the store's errors
    are counted.
    """

    def __init__(self, metrics: Named) -> None:
        self._remaining = metrics.gauge("errgate_limit_remaining")
        self._requests = metrics.gauge("errgate_limit_requests")
        self._held_until = metrics.gauge("errgate_held_until_seconds")
        self._up = metrics.gauge("errgate_limit_store_up")
        self._errors = metrics.counter("errgate_limit_store_errors_total")
        self._shown: dict[tuple[str, str], tuple[int, int]] = {}
        self._held: dict[str, float] = {}
        self._counted = 0

    def standing(self, limits: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Note what each shared limit, by vendor and name, admits, and what is left of it; these are all there are."""
        self._shown = {**dict.fromkeys(self._shown, (0, 0)), **limits}
        for names, (count, left) in self._shown.items():
            self._requests.labels(*names).set(count)
            self._remaining.labels(*names).set(left)

    def held_until(self, ends: Mapping[str, float]) -> None:
        """Note when the latest hold of each vendor ends, as Unix time; 0: there is none."""
        self._held = {**dict.fromkeys(self._held, 0.0), **ends}
        for vendor, when in self._held.items():
            self._held_until.labels(vendor).set(when)

    def store(self, *, up: bool, errors: int) -> None:
        """Note whether it answers, and how often it did not."""
        self._up.set(up)
        self._errors.inc(max(0, errors - self._counted))
        self._counted = errors
