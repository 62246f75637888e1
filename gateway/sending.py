"""
Sending a request to its vendor, and again where that is certainly safe (contract 13).

A breaker and a retry budget stand before a vendor's connections. A retry takes another connection, after a short random
pause, within the first try's deadline; nothing is sent again once a byte of a reply was passed on.
"""

import asyncio
import random
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Final

from normalizers import HouseCode

from .access import Access
from .admission import Admission
from .problems import Refused, refuse
from .resilience import DOWN, LOST, Breaker, RetryBudget, pause
from .settings.vendors import Breaker as Rest
from .settings.vendors import Retries
from .streams import Upload
from .upstream import Call, Exchange, Header, NoReply, Reason, Upstream

# What makes a pause for all is not sent again by one.
TOO_MANY: Final = 429


class Sender:
    """
    A vendor's connections behind its breaker and its retry budget.

    Mutable state: theirs. A reload that does not change how they are set up changes nothing of what they know.

    Args:
        upstream: the connections.
        retries: what may be sent again.
        breaker: when the vendor is given a rest; None: never.
        before: the same vendor's in the generation of the settings before this one.
    """

    def __init__(
        self, upstream: Upstream, retries: Retries, breaker: Rest | None, *, before: "Sender | None" = None
    ) -> None:
        self.upstream = upstream
        self.retries = retries
        self.rest = breaker
        self.budget = RetryBudget(retries.budget)
        self.breaker = None if breaker is None else Breaker(breaker.failures, breaker.open_for)
        if before is not None and before.upstream is upstream:
            if before.retries.budget == retries.budget:
                self.budget = before.budget
            if before.rest == breaker:
                self.breaker = before.breaker

    def counts_key(self, headers: Iterable[Header]) -> bool:
        """Whether these fields make any request idempotent: an `Idempotency-Key`, where the settings say so (W-114)."""
        return self.retries.idempotency_key and any(name == b"idempotency-key" for name, _ in headers)

    def check(self) -> None:
        """
        See whether the breaker would let a request pass.

        Raises:
            Refused: while it is open.
        """
        if self.breaker is not None and (wait := self.breaker.wait(time.monotonic())) is not None:
            raise _resting(wait)

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
        raise _resting(wait)

    def exchange(self, call: Call, access: Access, admission: Admission, *, probe: bool) -> "Tries":
        """
        Send the call, and again where it is safe.

        Args:
            call: the request; its deadline is the one of all tries together.
            access: told of the last try and of how many there were.
            admission: asked before each further try; one that the limits refuse does not happen.
            probe: whether the breaker let this request through to see how the vendor is.
        """
        return Tries(self, call, access, admission, probe=probe)

    async def may_again(self, access: Access, admission: Admission, wait: float, *, sent: bool) -> bool:
        """Wait, and ask whether the limits let the request go once more; the reply, if any, stays open meanwhile."""
        await asyncio.sleep(wait)
        may = await admission.again(sent=sent)
        if not may:
            access.metrics.retry("refused")
        return may

    def note(self, *, failed: bool, probe: bool) -> None:
        """Tell the breaker how a try went; `probe`: of the request that it let through to see."""
        if self.breaker is None:
            return
        if failed:
            self.breaker.failed(time.monotonic(), probe=probe)
        else:
            self.breaker.succeeded()

    def wait_after_reply(self, call: Call, access: Access, exchange: Exchange, deadline: float) -> float | None:
        """Seconds until a retry of a status that the settings name; None where the reply is the answer (W-119)."""
        if exchange.status not in self.retries.statuses or not access.repeatable:
            return None
        asked = next((value for name, value in exchange.headers if name.lower() == b"retry-after"), None)
        if asked is not None and not asked.isdigit():
            return None
        return self.wait(call, access, deadline, at_least=float(asked or 0))

    def wait(self, call: Call, access: Access, deadline: float, *, at_least: float = 0.0) -> float | None:
        """
        Seconds until the next try; None where there is none (W-115 to W-118).

        There is none, too, where the rest of the time is shorter than what this try took: it would end in a time-out.
        """
        replayable = not isinstance(call.body, Upload) or call.body.replayable
        if access.retries >= self.retries.max or not replayable:
            return None
        wait = max(at_least, pause(access.retries, random.random()))  # noqa: S311  (jitter, no secret)
        now = time.perf_counter()
        if now + wait + (now - call.began_at) >= deadline or (self.breaker is not None and self.breaker.is_open):
            return None
        if not self.budget.take(time.monotonic()):
            access.metrics.retry("refused")
            return None
        return wait


class Tries:
    """
    One request's tries: entered, it gives the exchange whose reply is the answer; left, it lets go of it.

    Mutable state: the try that goes on; whether the breaker waits to hear of it.
    """

    __slots__ = ("_access", "_admission", "_call", "_probe", "_sender", "_try")

    def __init__(self, sender: Sender, call: Call, access: Access, admission: Admission, *, probe: bool) -> None:
        self._sender = sender
        self._call = call
        self._access = access
        self._admission = admission
        self._probe = probe

    async def __aenter__(self) -> Exchange:
        """Send, and wait for a reply. Raises `NoReply`: what the last try failed with."""
        sender, call, access = self._sender, self._call, self._access
        sender.budget.request(time.monotonic())
        deadline = time.perf_counter() + call.timeouts.total
        try:
            while True:
                access.call = call
                self._try = sender.upstream.exchange(call)
                try:
                    exchange = await self._try.__aenter__()
                except NoReply as nothing:
                    if not await self._again_without_reply(call, nothing, deadline):
                        raise
                else:
                    # With nobody to tell, and nothing to weigh, the reply is the answer.
                    if sender.breaker is None and exchange.status not in sender.retries.statuses and not access.retries:
                        return exchange
                    if not await self._again_after(call, exchange, deadline):
                        return exchange
                access.retries += 1
                call = call.again(total=deadline - time.perf_counter())
        finally:
            if self._probe and sender.breaker is not None:
                sender.breaker.gone()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connection, whatever happened to the reply."""
        await self._try.__aexit__(kind, error, trace)

    async def _again_without_reply(self, call: Call, nothing: NoReply, deadline: float) -> bool:
        """Whether to send again what no reply came to; then all is done for it."""
        sender, access = self._sender, self._access
        access.sent = access.sent or call.sent_at is not None
        # A pool that is full is the gateway's own, and tells nothing of the vendor.
        if nothing.reason is not Reason.CONNECTION_LIMIT_REACHED:
            self._note(failed=True)
        if access.retries:
            access.metrics.retry("failed")
        sent = call.sent_at is not None
        safe = nothing.reason in LOST and (not sent or access.repeatable)
        wait = sender.wait(call, access, deadline) if safe else None
        return wait is not None and await sender.may_again(access, self._admission, wait, sent=sent)

    async def _again_after(self, call: Call, exchange: Exchange, deadline: float) -> bool:
        """Whether to send again what has this reply; then the reply is let go of. It stays open while that is asked."""
        sender, access, admission = self._sender, self._access, self._admission
        try:
            self._note(failed=exchange.status in DOWN)
            held = exchange.status == TOO_MANY and admission.holds
            wait = None if held else sender.wait_after_reply(call, access, exchange, deadline)
            again = False
            if wait is not None:
                admission.replied()
                again = await sender.may_again(access, admission, wait, sent=True)
            if not again and access.retries:
                access.metrics.retry("answered")
        except BaseException as error:
            await self._try.__aexit__(type(error), error, error.__traceback__)
            raise
        if again:
            await self._try.__aexit__(None, None, None)
        return again

    def _note(self, *, failed: bool) -> None:
        """Tell the breaker, once for the request that it let through to see."""
        self._sender.note(failed=failed, probe=self._probe)
        self._probe = False


def _resting(wait: int) -> Refused:
    return refuse(
        HouseCode.VENDOR_UNAVAILABLE,
        "The vendor failed so often that the gateway gives it a rest.",
        retry_after=wait,
        proxy_error="destination_unavailable",
    )
