"""Requests that come at bad moments: bursts, edges, long pauses, in the same microsecond."""

from collections.abc import Iterator
from random import Random

# Longest log of moments that arrivals aim at.
AIMS = 64


class Arrivals:
    """
    The moments at which requests come, never backwards.

    `aims` are moments of interest, such as the end of a refusal; arrivals come at them, just before and just after.
    """

    def __init__(self, seed: int, count: int, window: int, grain: int) -> None:
        self._random = Random(seed)
        self._count = count
        self._window = window
        self._grain = grain
        self.aims: list[int] = []
        self.now = self._random.randrange(window, 10**12)

    def aim(self, moment: int) -> None:
        """Note a moment of interest."""
        self.aims.append(moment)
        del self.aims[:-AIMS]

    def __iter__(self) -> Iterator[int]:
        kinds = (self._burst, self._stream, self._at_aims, self._at_edge, self._pause)
        while True:
            (kind,) = self._random.choices(kinds, weights=(35, 25, 30, 6, 4))
            for moment in kind():
                self.now = max(self.now, moment)
                yield self.now

    def _burst(self) -> Iterator[int]:
        for _ in range(self._random.randrange(1, min(self._count, 40) + 2)):
            yield self.now

    def _stream(self) -> Iterator[int]:
        pace = max(1, self._window // self._count)
        for _ in range(self._random.randrange(1, 60)):
            yield self.now + self._random.randrange(max(2, pace // self._random.choice((1, 3, 10))))

    def _at_aims(self) -> Iterator[int]:
        ahead = [moment for moment in self.aims if moment >= self.now]
        if ahead:
            at = self._random.choice(ahead)
            yield from (at - 1, at, at + 1)

    def _at_edge(self) -> Iterator[int]:
        edge = self.now + self._grain - self.now % self._grain
        yield from (edge - 1, edge)

    def _pause(self) -> Iterator[int]:
        long = (self._window - 1, self._window, self._window // 2, 10 * self._window, 10**12)
        yield self.now + self._random.choice(long)
