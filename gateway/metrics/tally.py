"""
What requests add to the metrics, added up in plain numbers and told to prometheus_client in one go.

A request changes a dozen values there, each with a check, a lock and, in a histogram, a loop over its buckets: together
they cost as much as forwarding it. So requests that have all their labels in common share a `Tally`. The first one of a
quiet moment is told at once; under load all of `PERIOD_SECONDS` are told together, and whoever looks at the metrics has
everything told before.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

# Less than a person or a scrape can tell; hundreds of requests under load.
PERIOD_SECONDS = 0.005


class Account(Protocol):
    """Something with numbers that are not told yet."""

    is_open: bool

    def tell(self) -> None:
        """Tell them."""


class Books:
    """
    The accounts of one process.

    Mutable state: those with something to tell, when they told it last, and the timer that makes them.
    """

    def __init__(self) -> None:
        self._open: list[Account] = []
        self._told_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, account: Account) -> None:
        """The account has something to tell: now if it is quiet, else soon."""
        if not account.is_open:
            account.is_open = True
            self._open.append(account)
            if self._timer is None:
                self._tell_or_wait()

    def _tell_or_wait(self) -> None:
        left = self._told_at + PERIOD_SECONDS - time.perf_counter()
        if left <= 0:
            self.tell()
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self.tell)

    def tell(self) -> None:
        """Tell everything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        accounts, self._open = self._open, []
        for account in accounts:
            account.is_open = False
            account.tell()
        self._told_at = time.perf_counter()


class Seconds:
    """
    What is to be added to one histogram; tallies that differ in other labels share it.

    Mutable state: the sum, and how many there were in each bucket.
    """

    __slots__ = ("_bounds", "_child", "_counts", "_none", "_sum")

    def __init__(self, child: Histogram, bounds: Sequence[float]) -> None:
        self._child = child
        self._bounds = tuple(bounds)
        # One more for what is over the last bound.
        self._none = [0] * (len(bounds) + 1)
        self._counts = self._none.copy()
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Note a time."""
        self._sum += seconds
        self._counts[bisect_left(self._bounds, seconds)] += 1

    def tell(self) -> None:
        """Tell the histogram."""
        counts = self._counts
        if counts == self._none:
            return
        # As its `observe` does, but for many at once.
        self._child._sum.inc(self._sum)  # noqa: SLF001
        buckets = self._child._buckets  # noqa: SLF001
        for number, count in enumerate(counts):
            if count:
                buckets[number].inc(count)
        self._counts = self._none.copy()
        self._sum = 0.0


class Tally:
    """
    Requests that have all their labels in common.

    Mutable state: how many there were; their times.
    """

    __slots__ = ("_books", "_count", "_counters", "_duration", "_overhead", "_queue", "_vendor", "is_open")

    def __init__(
        self,
        books: Books,
        counters: Iterable[Counter],
        *,
        duration: Seconds,
        vendor: Seconds | None = None,
        queue: Seconds | None = None,
        overhead: Seconds,
    ) -> None:
        self._books = books
        self._counters = tuple(counters)
        self._duration = duration
        self._vendor = vendor
        self._queue = queue
        self._overhead = overhead
        self._count = 0
        self.is_open = False

    def add(self, duration: float | None, vendor: float | None, queue: float | None, overhead: float | None) -> None:
        """Add a request; a time that is None is not to be noted, or was noted elsewhere."""
        self._count += 1
        if duration is not None:
            self._duration.add(duration)
        if vendor is not None and self._vendor is not None:
            self._vendor.add(vendor)
        if queue is not None and self._queue is not None:
            self._queue.add(queue)
        if overhead is not None:
            self._overhead.add(overhead)
        if not self.is_open:
            self._books.note(self)

    def tell(self) -> None:
        """Tell every metric."""
        count, self._count = self._count, 0
        for counter in self._counters:
            counter.inc(count)
        for times in (self._duration, self._vendor, self._queue, self._overhead):
            if times is not None:
                times.tell()


class Level:
    """
    How many there are of something, told as what was added since.

    Mutable state: the difference. Two generations of the settings may share one gauge.
    """

    __slots__ = ("_books", "_difference", "_gauge", "is_open")

    def __init__(self, books: Books, gauge: Gauge) -> None:
        self._books = books
        self._gauge = gauge
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
        """Tell the gauge."""
        difference, self._difference = self._difference, 0
        if difference:
            self._gauge.inc(difference)
