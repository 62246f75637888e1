"""
What requests add to the metrics, added up in plain numbers and told to prometheus_client in one go.

A request changes a dozen values there, each with a check, a lock and, in a histogram, a loop over its buckets: together
they cost as much as forwarding it. So requests that have all their labels in common share a `Tally`, and all of
`PERIOD_SECONDS` are told together, when a request that came alone is on its way; in one of several workers all of one
turn of its loop. Whoever looks at the metrics has everything told before.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

# Less than a person can tell; dozens of requests under load. A request that comes alone is with its vendor by then.
PERIOD_SECONDS = 0.002


class Account(Protocol):
    """Something with numbers that are not told yet."""

    is_open: bool

    def tell(self) -> None:
        """Tell them."""


class Books:
    """
    The accounts of one process.

    Mutable state: those with something to tell, and what makes them tell it.

    Args:
        each_turn: let nothing wait longer than for the events that are there: a worker that is killed must not take the
            counts of answered requests with it.
    """

    def __init__(self, *, each_turn: bool = False) -> None:
        self._each_turn = each_turn
        self._open: list[Account] = []
        self._timer: asyncio.Handle | None = None

    def note(self, account: Account) -> None:
        """The account has something to tell, soon."""
        if not account.is_open:
            account.is_open = True
            self._open.append(account)
            if self._timer is None:
                loop = asyncio.get_running_loop()
                tell = self.tell
                self._timer = loop.call_soon(tell) if self._each_turn else loop.call_later(PERIOD_SECONDS, tell)

    def tell(self) -> None:
        """Tell everything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        accounts, self._open = self._open, []
        for account in accounts:
            account.is_open = False
            account.tell()


class Seconds:
    """One histogram, told of many times at once; tallies that differ in other labels share it."""

    __slots__ = ("_bounds", "_child")

    def __init__(self, child: Histogram, bounds: Sequence[float]) -> None:
        self._child = child
        self._bounds = tuple(bounds)

    def tell(self, times: Iterable[float | None]) -> None:
        """Do as `observe` does, for each of the times, in seconds; those that are None are none."""
        known = sorted([time for time in times if time is not None])
        if not known:
            return
        self._child._sum.inc(sum(known))  # noqa: SLF001
        buckets = self._child._buckets  # noqa: SLF001
        before = 0
        for number, bound in enumerate(self._bounds):
            upto = bisect_right(known, bound, before)
            if upto > before:
                buckets[number].inc(upto - before)
                before = upto
                if upto == len(known):
                    return
        buckets[-1].inc(len(known) - before)


# The times of one request, in seconds: all of it, its vendor's, its wait for a place, and what we have added.
Times = tuple[float | None, float | None, float | None, float | None]


class Tally:
    """
    Requests that have all their labels in common.

    Mutable state: the times of those that were not told yet.
    """

    __slots__ = ("_books", "_counters", "_histograms", "_times", "is_open")

    def __init__(
        self,
        books: Books,
        counters: Iterable[Counter],
        histograms: tuple[Seconds, Seconds | None, Seconds | None, Seconds],
    ) -> None:
        self._books = books
        self._counters = tuple(counters)
        self._histograms = histograms
        self._times: list[Times] = []
        self.is_open = False

    def add(self, times: Times) -> None:
        """Add a request; a time that is None is not to be noted, or was noted elsewhere."""
        self._times.append(times)
        if not self.is_open:
            self._books.note(self)

    def tell(self) -> None:
        """Tell every metric."""
        times, self._times = self._times, []
        for counter in self._counters:
            counter.inc(len(times))
        for histogram, column in zip(self._histograms, zip(*times, strict=True), strict=False):
            if histogram is not None:
                histogram.tell(column)


class Level:
    """
    How many there are of something, or were, told as what was added since.

    Mutable state: the difference. Two generations of the settings may share one metric.
    """

    __slots__ = ("_books", "_difference", "_metric", "is_open")

    def __init__(self, books: Books, metric: Gauge | Counter) -> None:
        """`metric`: a counter of what only grows."""
        self._books = books
        self._metric = metric
        self._difference = 0
        self.is_open = False

    def inc(self) -> None:
        """One more."""
        self._difference += 1
        if not self.is_open:
            self._books.note(self)

    def dec(self) -> None:
        """One less."""
        self._difference -= 1
        if not self.is_open:
            self._books.note(self)

    def tell(self) -> None:
        """Tell the metric."""
        difference, self._difference = self._difference, 0
        if difference:
            self._metric.inc(difference)
