"""When a request may be sent again, and when not at all (contract 13). Pure: times in seconds are passed in."""

from dataclasses import dataclass
from math import ceil
from typing import Final

from .upstream import Reason

# W-113: a body up to this long is kept to be sent again.
REPLAYED_LIMIT_BYTES: Final = 64 * 1024

# W-116: a share of the vendor's requests over ten seconds, plus one a second.
BUDGET_WINDOW_SECONDS: Final = 10
BUDGET_FLOOR_PER_SECOND: Final = 1

# W-117: full jitter below 25 ms, doubled each time, up to ten times that; Envoy's router does the same.
FIRST_PAUSE_SECONDS: Final = 0.025
LONGEST_PAUSE_SECONDS: Final = 0.25

# How many times `open_for` a breaker stays open at the most.
LONGEST_OPENING: Final = 10

# A connection that was lost before a byte of the reply. Time-outs are none of them: the vendor may be at work, and the
# caller has waited long enough.
LOST: Final = frozenset(
    {
        Reason.DNS_ERROR,
        Reason.CONNECTION_REFUSED,
        Reason.DESTINATION_IP_UNROUTABLE,
        Reason.DESTINATION_UNAVAILABLE,
        Reason.TLS_PROTOCOL_ERROR,
        Reason.CONNECTION_TERMINATED,
    }
)

# RFC 9110 section 9.2.2: sending one of these again does no more than sending it once.
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

# Statuses of a vendor that count as failures of the whole vendor, not of the request (W-123).
DOWN: Final = frozenset({502, 503, 504})


def pause(retry: int, jitter: float) -> float:
    """How many seconds to wait before retry number `retry` (from 0); `jitter` is random in 0..1."""
    return jitter * min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**retry)


class RetryBudget:
    """
    Retries are at most a share of the requests of the last ten seconds, plus one a second (W-116).

    Mutable state: two rings of counters, one slot a second.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._second = 0
        self._requests = [0] * BUDGET_WINDOW_SECONDS
        self._retries = [0] * BUDGET_WINDOW_SECONDS

    def request(self, now: float) -> None:
        """Count a request."""
        self._turn(now)
        self._requests[self._second % BUDGET_WINDOW_SECONDS] += 1

    def take(self, now: float) -> bool:
        """Take one retry, if the budget has one."""
        self._turn(now)
        allowed = self._share * sum(self._requests) + BUDGET_FLOOR_PER_SECOND * BUDGET_WINDOW_SECONDS
        this_second = self._retries[self._second % BUDGET_WINDOW_SECONDS]
        allowed_now = self._share * max(self._requests) + BUDGET_FLOOR_PER_SECOND
        if sum(self._retries) + 1 > allowed or this_second + 1 > allowed_now:
            return False
        self._retries[self._second % BUDGET_WINDOW_SECONDS] += 1
        return True

    def _turn(self, now: float) -> None:
        """Empty the slots of the seconds that have passed."""
        second = int(now)
        if second <= self._second:
            return
        for passed in range(max(self._second + 1, second - BUDGET_WINDOW_SECONDS + 1), second + 1):
            self._requests[passed % BUDGET_WINDOW_SECONDS] = self._retries[passed % BUDGET_WINDOW_SECONDS] = 0
        self._second = second


@dataclass(slots=True)
class Breaker:
    """
    Refuses at once what would fail anyway.

    `failures` consecutive failures open it for `open_for` seconds; then one request probes while the others are still
    refused. A failed probe opens it for twice as long, up to ten times `open_for`; a good one closes it.

    Mutable state: the count, until when it is open, and whether a probe is under way; changed by the four verbs.
    """

    failures: int
    open_for: float
    _count: int = 0
    _open_until: float | None = None
    _opening: float = 0.0
    _probing: bool = False

    @property
    def is_open(self) -> bool:
        """Whether requests are being refused."""
        return self._open_until is not None

    def admit(self, now: float) -> int | None:
        """Let a request through (None), or tell after how many seconds to come back."""
        wait = self.wait(now)
        if wait is None and self._open_until is not None:
            self._probing = True
        return wait

    def wait(self, now: float) -> int | None:
        """What `admit` would say, letting nobody through."""
        if self._open_until is None or (now >= self._open_until and not self._probing):
            return None
        return max(1, ceil(self._open_until - now))

    def succeeded(self) -> None:
        """The vendor answered as a vendor that works does."""
        self._count, self._open_until, self._opening, self._probing = 0, None, 0.0, False

    def failed(self, now: float, *, probe: bool) -> None:
        """No reply came, or one that says the vendor is down; `probe`: this request was let through to see."""
        self._count += 1
        if probe and self._open_until is not None:
            self._opening = min(self._opening * 2, self.open_for * LONGEST_OPENING)
            self._open_until, self._probing = now + self._opening, False
        elif self._open_until is None and self._count >= self.failures:
            self._opening, self._open_until = self.open_for, now + self.open_for

    def gone(self) -> None:
        """The probe's caller hung up before the vendor answered: the next request may probe."""
        self._probing = False
