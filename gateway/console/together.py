"""What several workers remember of what failed last, told as one."""

from collections import deque
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

# Two workers' worth: the newest of all of them, whoever had them.
REMEMBERED_FAILURES = 400


class Together:
    """
    The memories of several workers.

    Mutable state: the failures in the order in which they became known here, each with a number of our own; for each
    worker the number of the last that it told, and its unknown codes. What a worker told outlives it.
    """

    def __init__(self) -> None:
        self._epoch = uuid4().hex
        self._last = 0
        self._failures: deque[dict[str, Any]] = deque(maxlen=REMEMBERED_FAILURES)
        self._cursors: dict[int, int] = {}
        self._unknown: dict[int, list[dict[str, Any]]] = {}

    def cursor(self, worker: int) -> int:
        """The number of the last failure that this worker told."""
        return self._cursors.get(worker, 0)

    def take(self, worker: int, recent: Mapping[str, Any]) -> None:
        """Hear what a worker remembers since it was asked last."""
        known = self.cursor(worker)
        for failure in recent["failures"]:
            if failure["number"] > known:
                self._last += 1
                self._failures.append({**failure, "number": self._last})
        self._cursors[worker] = max(known, recent["last"])
        self._unknown[worker] = recent["unknown"]

    def keep(self, workers: set[int]) -> None:
        """Forget where workers stood that are gone."""
        for gone in self._cursors.keys() - workers:
            del self._cursors[gone], self._unknown[gone]

    def told(self, after: int) -> dict[str, Any]:
        """The failures after that number, and the codes that no table knows."""
        return {
            "epoch": self._epoch,
            "last": self._last,
            "failures": [failure for failure in self._failures if failure["number"] > after],
            "unknown": [code for codes in self._unknown.values() for code in codes],
        }
