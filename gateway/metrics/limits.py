"""What is counted of limits, holds and the store that keeps them (contract 14)."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from prometheus_client import Counter, Gauge


class Named(Protocol):
    """Where metrics are found by name."""

    def counter(self, name: str) -> Counter:
        """The counter of that name."""

    def gauge(self, name: str) -> Gauge:
        """The gauge of that name."""


class LimitMetrics:
    """
    One vendor's limits and holds.

    Mutable state: the names of the limits that have a gauge; those of a limit that a reload took away stay, at 0.
    """

    def __init__(self, metrics: Named, vendor: str) -> None:
        self._vendor = vendor
        self._refused = metrics.counter("errgate_limit_refused_total")
        self._remaining = metrics.gauge("errgate_limit_remaining")
        self._requests = metrics.gauge("errgate_limit_requests")
        self._held_until = metrics.gauge("errgate_held_until_seconds").labels(vendor)
        self._shown: set[str] = set()

    def prepare(self, refusing: Iterable[tuple[str, str]]) -> None:
        """Make the children of each limit and caller, at 0."""
        for limit, caller in refusing:
            self._refused.labels(self._vendor, limit, caller)

    def refused(self, limit: str, caller: str) -> None:
        """Count a request that this limit refused."""
        self._refused.labels(self._vendor, limit, caller).inc()

    def standing(self, limits: Mapping[str, tuple[int, int]]) -> None:
        """Note what each shared limit admits, and what is left of it; these are all there are."""
        for name in self._shown - limits.keys():
            self._requests.labels(self._vendor, name).set(0)
            self._remaining.labels(self._vendor, name).set(0)
        self._shown.update(limits)
        for name, (count, left) in limits.items():
            self._requests.labels(self._vendor, name).set(count)
            self._remaining.labels(self._vendor, name).set(left)

    def held_until(self, when: float) -> None:
        """Note when the latest hold ends, as Unix time; 0: there is none."""
        self._held_until.set(when)


class StoreMetrics:
    """
    The store.

    Mutable state: how many of its errors are counted.
    """

    def __init__(self, metrics: Named) -> None:
        self._up = metrics.gauge("errgate_limit_store_up")
        self._errors = metrics.counter("errgate_limit_store_errors_total")
        self._counted = 0

    def note(self, *, up: bool, errors: int) -> None:
        """Note whether it answers, and how often it did not."""
        self._up.set(up)
        self._errors.inc(max(0, errors - self._counted))
        self._counted = errors
