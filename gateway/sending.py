"""
Sending a request to its vendor, and again where that is certainly safe (contract 13).

A breaker and a retry budget stand before a vendor's connections. A retry takes another connection, after a short random
pause, within the first try's deadline; nothing is sent again once a byte of a reply was passed on.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from normalizers import HouseCode

from .access import Access
from .problems import refuse
from .resilience import DOWN, IDEMPOTENT, LOST, Breaker, RetryBudget, pause
from .settings.vendors import Retries
from .streams import Upload
from .upstream import Call, Exchange, NoReply, Upstream


class Sender:
    """
    A vendor's connections behind its breaker and its retry budget.

    Mutable state: theirs; both live as long as one generation of the settings.
    """

    def __init__(self, upstream: Upstream, retries: Retries, breaker: Breaker | None) -> None:
        self._upstream = upstream
        self._retries = retries
        self._budget = RetryBudget(retries.budget)
        self.breaker = breaker

    def admit(self) -> bool:
        """
        Let a request pass the breaker; true for the one that probes a vendor that was down.

        Raises:
            Refused: while the breaker is open.
        """
        if self.breaker is None:
            return False
        wait = self.breaker.admit(time.monotonic())
        if wait is None:
            return self.breaker.is_open
        raise refuse(
            HouseCode.VENDOR_UNAVAILABLE,
            "The vendor failed so often that the gateway gives it a rest.",
            retry_after=wait,
            proxy_error="destination_unavailable",
        )

    @asynccontextmanager
    async def exchange(self, call: Call, access: Access, *, probe: bool) -> AsyncIterator[Exchange]:
        """
        Send the call, and again where it is safe. Raises `NoReply`: what the last try failed with.

        Args:
            call: the request; its deadline is the one of all tries together.
            access: told of the last try and of how many there were.
            probe: whether the breaker let this request through to see how the vendor is.
        """
        self._budget.request(time.monotonic())
        deadline = time.perf_counter() + call.timeouts.total
        answered = False
        try:
            while True:
                access.call = call
                try:
                    async with self._upstream.exchange(call) as exchange:
                        answered = True
                        self._note(failed=exchange.status in DOWN, probe=probe)
                        wait = self._wait_after_reply(call, access, exchange, deadline)
                        if wait is None:
                            if access.retries:
                                access.metrics.retry("answered")
                            yield exchange
                            return
                except NoReply as nothing:
                    answered = True
                    access.sent = access.sent or call.sent_at is not None
                    self._note(failed=True, probe=probe)
                    if access.retries:
                        access.metrics.retry("failed")
                    safe = nothing.reason in LOST and (call.sent_at is None or self._repeatable(call))
                    wait = self._wait(call, access, deadline) if safe else None
                    if wait is None:
                        raise
                await asyncio.sleep(wait)
                access.retries += 1
                call = call.again(total=deadline - time.perf_counter())
        finally:
            if probe and not answered and self.breaker is not None:
                self.breaker.gone()

    def _note(self, *, failed: bool, probe: bool) -> None:
        if self.breaker is None:
            return
        if failed:
            self.breaker.failed(time.monotonic(), probe=probe)
        else:
            self.breaker.succeeded()

    def _repeatable(self, call: Call) -> bool:
        """Whether sending the request again does no more than sending it once (W-111, W-114)."""
        if call.method.decode("ascii") in IDEMPOTENT:
            return True
        return self._retries.idempotency_key and any(name == b"idempotency-key" for name, _ in call.headers)

    def _wait_after_reply(self, call: Call, access: Access, exchange: Exchange, deadline: float) -> float | None:
        """Seconds until a retry of a status that the settings name; None where the reply is the answer (W-119)."""
        if exchange.status not in self._retries.statuses or not self._repeatable(call):
            return None
        asked = next((value for name, value in exchange.headers if name.lower() == b"retry-after"), None)
        if asked is not None and not asked.isdigit():
            return None
        return self._wait(call, access, deadline, at_least=float(asked or 0))

    def _wait(self, call: Call, access: Access, deadline: float, *, at_least: float = 0.0) -> float | None:
        """Seconds until the next try; None where there is none (W-115 to W-118)."""
        replayable = not isinstance(call.body, Upload) or call.body.replayable
        if access.retries >= self._retries.max or not replayable:
            return None
        wait = max(at_least, pause(access.retries, random.random()))  # noqa: S311  (jitter, no secret)
        if time.perf_counter() + wait >= deadline or (self.breaker is not None and self.breaker.is_open):
            return None
        if not self._budget.take(time.monotonic()):
            access.metrics.retry("refused")
            return None
        return wait
