"""What is known of one request, and the one place where it is counted and logged: once, at its end (W-131)."""

import logging
import time
from typing import Final

from normalizers import Fault, Problem

from . import log
from .metrics import NO_VENDOR, OTHER_ROUTE, Outcome, VendorMetrics
from .resilience import IDEMPOTENT
from .upstream import Call

OUTCOMES: Final = {
    Fault.CALLER: Outcome.CALLER_FAULT,
    Fault.OPERATOR: Outcome.OPERATOR_FAULT,
    Fault.VENDOR: Outcome.VENDOR_FAULT,
}


class Access:
    """
    The running notes on one request.

    Mutable state of the request: each step of the path writes what it learned; `finish` reads it once. What nobody
    writes stands in the class: most requests learn little.
    """

    vendor: str = NO_VENDOR
    route: str = OTHER_ROUTE
    caller: str = "none"
    status: int | None = None
    vendor_status: int | None = None
    problem: Problem | None = None
    instance: str | None = None
    outcome: Outcome | None = None
    job_codes: str | None = None
    reason: str | None = None
    answered_at: float | None = None
    # Seconds that it waited for a limit, and the limit that refused it.
    queued: float = 0.0
    limit: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    retries: int = 0
    sent: bool = False
    # It carries an `Idempotency-Key`, and the settings let that count.
    keyed: bool = False
    call: Call | None = None

    def __init__(self, *, metrics: VendorMetrics, method: str, request_id: str, trace_id: str | None = None) -> None:
        self.metrics = metrics
        self.method = method
        self.request_id = request_id
        self.trace_id = trace_id
        self.began_at = time.perf_counter()

    def __repr__(self) -> str:
        return f"Access(vendor={self.vendor!r}, route={self.route!r}, request_id={self.request_id!r})"

    @property
    def repeatable(self) -> bool:
        """Whether sending the request again does no more than sending it once (W-111, W-114)."""
        return self.keyed or self.method in IDEMPOTENT

    def finish(self, *, logged: bool) -> None:
        """Count the request and write its line."""
        now = time.perf_counter()
        outcome = self._outcome()
        metrics, call = self.metrics, self.call
        seconds = now - self.began_at
        vendor_seconds = queued = overhead = None
        if call is not None and call.sent_at is not None:
            vendor_seconds = (call.head_at or now) - call.sent_at
            queued = self.queued + (call.connected_at or now) - call.began_at
        elif self.queued:
            queued = self.queued
        if self.answered_at is not None:
            waited = 0.0 if call is None else (call.head_at or self.answered_at) - call.began_at
            overhead = max(0.0, self.answered_at - self.began_at - waited - self.queued)
        tally = metrics.tally(self.route, self.method, self.status, outcome, self.caller, self.vendor_status)
        if self.trace_id is None:
            tally.add((seconds, vendor_seconds, queued, overhead))
        else:
            tally.add((None, None, queued, overhead))
            metrics.traced(self.route, seconds, vendor_seconds, self.trace_id)
        if self.reason is not None:
            metrics.no_reply(self.reason)
        if self.problem is not None:
            metrics.error(self.problem)
            self.remember(self.problem, outcome)
        elif outcome is Outcome.ABORTED:
            self.remember(None, outcome)
        if logged:
            self._write(outcome, seconds, vendor_seconds)

    def remember(self, problem: Problem | None, outcome: Outcome, kind: str = "http") -> None:
        """Keep a failure for the console; none without a problem but an answer that was cut off."""
        self.metrics.recent.failed(
            problem,
            vendor=self.vendor,
            route=self.route,
            caller=self.caller,
            method=self.method[:32],
            # A job is read before its answer's head is out; the status that it then has is the vendor's.
            status=self.status or self.vendor_status,
            vendor_status=self.vendor_status,
            outcome=outcome.value,
            request_id=self.request_id,
            instance=self.instance,
            kind=kind,
            reason=self.reason,
        )

    def _outcome(self) -> Outcome:
        if self.outcome is not None:
            return self.outcome
        return Outcome.OK if self.problem is None else OUTCOMES[self.problem.code.fault]

    def _write(self, outcome: Outcome, seconds: float, vendor_seconds: float | None) -> None:
        problem = self.problem
        error = None if problem is None else problem.vendor_error
        log.event(
            logging.INFO,
            "request",
            vendor=self.vendor,
            route=self.route,
            caller=self.caller,
            method=self.method[:32],
            status=self.status,
            vendor_status=self.vendor_status,
            code=None if problem is None else problem.code.code,
            vendor_code=None if error is None else error.code,
            source=None if problem is None else problem.source.value,
            rule=None if problem is None else problem.rule or None,
            reason=self.reason,
            limit=self.limit,
            job_codes=self.job_codes,
            outcome=outcome.value,
            duration_seconds=round(seconds, 6),
            vendor_seconds=None if vendor_seconds is None else round(vendor_seconds, 6),
            queued_seconds=round(self.queued, 6) or None,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            retries=self.retries,
            request_id=self.request_id,
            instance=self.instance,
            trace_id=self.trace_id,
        )
