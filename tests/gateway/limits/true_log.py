"""The sliding log as it is defined, written without a look at the algorithm: every admission, none forgotten early."""

from collections.abc import Iterable
from itertools import pairwise


class TrueLog:
    """All admissions of the last window, each with its time and cost."""

    def __init__(self, count: int, window: int) -> None:
        self.count = count
        self.window = window
        self.admissions: list[tuple[int, int]] = []
        self._left = 0
        self._used = 0

    def used(self, now: int) -> int:
        """What the half-open span of one window that ends now has admitted."""
        while self._left < len(self.admissions) and self.admissions[self._left][0] <= now - self.window:
            self._used -= self.admissions[self._left][1]
            self._left += 1
        return self._used

    def fits(self, cost: int, now: int) -> bool:
        """Whether so much more may be admitted."""
        return self.used(now) + cost <= self.count

    def free_at(self, cost: int, now: int) -> int:
        """When it may, if nothing else is."""
        lack = self.used(now) + cost - self.count
        number = self._left
        while lack > 0:
            lack -= self.admissions[number][1]
            now = self.admissions[number][0] + self.window
            number += 1
        return now

    def admit(self, cost: int, now: int) -> None:
        """Note an admission."""
        self.admissions.append((now, cost))
        self._used += cost

    def take_away(self, cost: int, time: int) -> None:
        """Forget an admission that never was."""
        place = len(self.admissions) - 1 - self.admissions[::-1].index((time, cost))
        del self.admissions[place]
        if place >= self._left:
            self._used -= cost
        else:
            self._left -= 1


def worst(admissions: Iterable[tuple[int, int]], window: int) -> int:
    """The most that any span of one window holds, wherever it starts."""
    log = sorted(admissions)
    most = used = left = 0
    for time, cost in log:
        used += cost
        while log[left][0] <= time - window:
            used -= log[left][1]
            left += 1
        most = max(most, used)
    return most


def gaps(times: Iterable[int]) -> list[int]:
    """The pauses between one and the next."""
    return [after - before for before, after in pairwise(sorted(times))]
