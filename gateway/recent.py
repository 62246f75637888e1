"""
What failed last, for the console: a short memory of failures, and of the vendor codes that no table knows.

Both are bounded in number and in size, and a request that succeeds does not touch them. Problems are scrubbed where
they are made (contract 5); nothing of a request but its method, route and caller is kept.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from uuid import uuid4

from normalizers import HouseCode, Problem

# What a person on call reads through; at about 2 KiB each: 400 KiB a process, a few MiB where a vendor is hostile.
REMEMBERED_FAILURES = 200

# A vendor that names 50 fields at a time fills no more than this many of each remembered problem.
REMEMBERED_ERRORS = 10

# More new codes than a vendor brings in a release; the one that was seen longest ago makes room.
REMEMBERED_CODES = 100


@dataclass(slots=True, init=False)
class Failure:
    """A request that failed, or a job that a poll found failed; `at` in Unix seconds, `number` counts them all."""

    number: int
    at: float
    vendor: str
    route: str
    caller: str
    method: str
    status: int | None
    vendor_status: int | None
    outcome: str
    kind: str
    reason: str | None
    request_id: str
    instance: str | None
    problem: Problem | None

    # Written out: each error makes one, and what `dataclass` writes is slow and never compiled.
    def __init__(  # noqa: PLR0913  (a record)
        self,
        *,
        number: int,
        at: float,
        vendor: str,
        route: str,
        caller: str,
        method: str,
        status: int | None,
        vendor_status: int | None,
        outcome: str,
        kind: str,
        reason: str | None,
        request_id: str,
        instance: str | None,
        problem: Problem | None,
    ) -> None:
        self.number = number
        self.at = at
        self.vendor = vendor
        self.route = route
        self.caller = caller
        self.method = method
        self.status = status
        self.vendor_status = vendor_status
        self.outcome = outcome
        self.kind = kind
        self.reason = reason
        self.request_id = request_id
        self.instance = instance
        self.problem = problem

    def row(self, base_uri: str) -> dict[str, object]:
        """It as JSON has it: what the console's table shows, and the envelope that its caller got."""
        problem = self.problem
        error = None if problem is None else problem.vendor_error
        return {
            "number": self.number,
            "at": round(self.at, 3),
            "vendor": self.vendor,
            "route": self.route,
            "caller": self.caller,
            "method": self.method,
            "status": self.status,
            "vendor_status": self.vendor_status,
            "outcome": self.outcome,
            "kind": self.kind,
            "reason": self.reason,
            "request_id": self.request_id,
            "code": None if problem is None else problem.code.code,
            "fault": None if problem is None else problem.code.fault.value,
            "source": None if problem is None else problem.source.value,
            "vendor_code": None if error is None else error.code,
            "rule": None if problem is None else problem.rule or None,
            "envelope": None if problem is None else self._envelope(problem, base_uri),
        }

    def _envelope(self, problem: Problem, base_uri: str) -> dict[str, object]:
        members = problem.members(base_uri=base_uri, instance=self.instance or "", request_id=self.request_id)
        if self.instance is None:
            del members["instance"]
        return members


@dataclass(slots=True)
class UnknownCode:
    """A vendor code that is in no row of its vendor's table. Mutable state: how often it came, and what it was last."""

    vendor: str
    code: str = field(repr=False)
    kind: str
    house: HouseCode
    status: int
    rule: str
    count: int = 0
    first_at: float = 0.0
    last_at: float = 0.0

    def row(self) -> dict[str, object]:
        """It as JSON has it."""
        return {
            "vendor": self.vendor,
            "code": self.code,
            "kind": self.kind,
            "house_code": self.house.code,
            "status": self.status,
            "rule": self.rule,
            "count": self.count,
            "first_at": round(self.first_at, 3),
            "last_at": round(self.last_at, 3),
        }


class Recent:
    """
    The memory of one process.

    Mutable state: the last failures, and each vendor's unknown codes; it outlives a reload of the settings.
    """

    def __init__(self) -> None:
        self._failures: deque[Failure] = deque(maxlen=REMEMBERED_FAILURES)
        self._unknown: dict[str, OrderedDict[tuple[str, str], UnknownCode]] = {}
        self._last = 0
        # Whoever reads on where it was must learn that the numbers began anew.
        self._epoch = uuid4().hex

    @property
    def last(self) -> int:
        """The number of the last failure; 0 before the first."""
        return self._last

    def told(self, after: int, base_uri: str) -> dict[str, object]:
        """The failures after that number, and the codes that no table knows, as JSON has them."""
        return {
            "epoch": self._epoch,
            "last": self._last,
            "failures": [failure.row(base_uri) for failure in self.since(after)],
            "unknown": [code.row() for code in self.unknown()],
        }

    def failed(  # noqa: PLR0913  (a line of the log has that many parts)
        self,
        problem: Problem | None,
        *,
        vendor: str,
        route: str,
        caller: str,
        method: str,
        status: int | None,
        vendor_status: int | None,
        outcome: str,
        request_id: str,
        instance: str | None = None,
        kind: str = "http",
        reason: str | None = None,
    ) -> None:
        """Remember a failure; without a problem it was cut off in the middle of its answer."""
        if problem is not None and len(problem.errors) > REMEMBERED_ERRORS:
            problem = replace(problem, errors=problem.errors[:REMEMBERED_ERRORS])
        self._last += 1
        self._failures.append(
            Failure(
                number=self._last,
                at=time.time(),
                vendor=vendor,
                route=route,
                caller=caller,
                method=method,
                status=status,
                vendor_status=vendor_status,
                outcome=outcome,
                kind=kind,
                reason=reason,
                request_id=request_id,
                instance=instance,
                problem=problem,
            )
        )

    def unmapped(self, vendor: str, problem: Problem, kind: str) -> None:
        """Remember the code of a problem whose code no row of the vendor's table has."""
        error = problem.vendor_error
        if error is None or error.code is None:
            return
        codes = self._unknown.setdefault(vendor, OrderedDict())
        key = (kind, error.code)
        now = time.time()
        seen = codes.get(key)
        if seen is None:
            seen = codes[key] = UnknownCode(
                vendor, error.code, kind, problem.code, error.status, problem.rule, first_at=now
            )
        seen.count += 1
        seen.last_at = now
        seen.house, seen.status, seen.rule = problem.code, error.status, problem.rule
        codes.move_to_end(key)
        if len(codes) > REMEMBERED_CODES:
            codes.popitem(last=False)

    def since(self, number: int) -> Iterator[Failure]:
        """The failures after the one of this number, oldest first, as far as they are remembered."""
        return (failure for failure in list(self._failures) if failure.number > number)

    def unknown(self) -> list[UnknownCode]:
        """Every unknown code that is remembered, those seen last first."""
        codes = [code for codes in self._unknown.values() for code in reversed(codes.values())]
        return sorted(codes, key=lambda code: -code.last_at)
