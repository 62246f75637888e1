"""
The numbers behind `X-RateLimit-…`: counted, never enforced. `Sandbox-Error` brings the 429; traffic does not.

The state lives in `Allowance`: one count per window, by the wall clock passed in.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Allowance:
    """`limit` requests in each window of `seconds`."""

    limit: int
    seconds: int
    _window: int = -1
    _taken: int = 0

    def take(self, at: float) -> int:
        """One more request at Unix time `at`; how many remain in its window, never below zero."""
        window = int(at // self.seconds)
        if window != self._window:
            self._window, self._taken = window, 0
        self._taken += 1
        return max(self.limit - self._taken, 0)

    def reset(self, at: float) -> int:
        """When the window of `at` ends, in Unix seconds."""
        return (int(at // self.seconds) + 1) * self.seconds
