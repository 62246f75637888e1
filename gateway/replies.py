"""
What a vendor's reply becomes: steps 8 to 10 of the path, once its head is here.

An error is read within bounds and normalized; a success that may carry a failure is held within bounds and inspected.
Whatever is over a bound streams on from its first byte, untouched.
"""

import asyncio
import time
from collections.abc import AsyncIterable, Sequence
from typing import Final

from normalizers import Asked, Problem, Reply, Route, error_in_success, inspect_job, normalize

from . import codings, identity
from .access import Access
from .admission import Admission
from .answers import CLOCK, Answer
from .headers import Header, as_text, errgate_fields, proxy_status, to_annotated, to_problem
from .jobs import INSPECTED_LIMIT_BYTES, annotate, codes_of, free_member
from .lanes import Lane, Runtime
from .metrics import Outcome
from .streams import Download
from .upstream import Exchange

# The vendors' documented error bodies stay below 1 KiB; this leaves room for an HTML page (contract 7).
ERROR_LIMIT_BYTES: Final = 256 * 1024
ERROR_SECONDS: Final = 5.0

# A challenge stays only where the credential is the caller's own, and "Bearer realm" looks like a key; a date is one.
UNSCRUBBED: Final = frozenset({b"date", b"www-authenticate"})


class Judge:
    """Decides what one reply is, and answers accordingly."""

    __slots__ = (
        "_access", "_admission", "_answer", "_errors", "_key", "_lane", "_max_duration", "_prefix", "_route",
        "_runtime",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913  (what the steps before have found out)
        self,
        runtime: Runtime,
        lane: Lane,
        route: Route,
        access: Access,
        answer: Answer,
        admission: Admission,
        *,
        errors: str,
        prefix: bytes,
        key: str,
    ) -> None:
        self._runtime = runtime
        self._lane = lane
        self._route = route
        self._access = access
        self._answer = answer
        self._admission = admission
        self._errors = errors
        self._prefix = prefix
        self._key = key
        self._max_duration = lane.timeouts[route.name].max_duration

    @property
    def _asked(self) -> Asked:
        """What the core has to know of the request."""
        return Asked(
            method=self._access.method,
            own_credential=self._lane.passthrough,
            idempotency_key=self._access.keyed,
            vendor_messages=self._runtime.settings.problems.vendor_messages,
            scrub=self._lane.scrub,
        )

    def may_carry_failure(self, status: int) -> bool:
        """Whether a success must be looked into before it goes on."""
        if status != 200:  # noqa: PLR2004
            return False
        return self._route.name in self._lane.checked_routes or (bool(self._route.job) and self._access.method == "GET")

    async def stream(self, exchange: Exchange) -> None:
        """Step 10: a success as it is."""
        self._admission.replied()
        if exchange.whole is None:
            await self._send(exchange, self._head(exchange), exchange.chunks())
        else:
            await self._answer.whole(exchange.status, self._head(exchange), exchange.whole)

    async def _send(self, exchange: Exchange, head: Sequence[Header], chunks: AsyncIterable[bytes]) -> None:
        """Stream a body that may take `max_duration`, counted from its head."""
        try:
            async with asyncio.timeout(self._max_duration):
                await self._answer.stream(exchange.status, head, chunks)
        except TimeoutError:
            self._access.outcome = Outcome.ABORTED

    async def error(self, exchange: Exchange) -> None:
        """Step 8: an error, in the house's words or with the house's headers."""
        body = Download(exchange.chunks(), exchange.whole)
        try:
            seconds = min(ERROR_SECONDS, self._max_duration)
            read = await body.read_ahead(ERROR_LIMIT_BYTES, seconds=seconds)
            whole = read if len(read) <= ERROR_LIMIT_BYTES else None
            problem = normalize(self._lane.vendor, self._reply(exchange, whole), self._asked)
            self._admission.replied(problem)
            if self._errors == "envelope":
                await self._envelope(exchange, problem)
            else:
                await self._as_it_is(exchange, problem, body)
        finally:
            await body.aclose()

    async def inspect(self, exchange: Exchange) -> None:
        """Step 9: a success that may be an error (contract 7) or carry failures (contract 9)."""
        body = Download(exchange.chunks(), exchange.whole)
        try:
            held = await self._hold(exchange, body)
            if held is None:
                self._admission.replied()
                if self._route.job:
                    self._lane.metrics.job("uninspected")
                await self._send(exchange, self._head(exchange), body)
                return
            status = error_in_success(self._lane.vendor, self._route.name, held)
            if status is not None:
                problem = normalize(self._lane.vendor, held, self._asked, status=status)
                self._admission.replied(problem)
                if self._errors == "envelope":
                    await self._envelope(exchange, problem)
                else:
                    await self._as_it_is(exchange, problem, body)
                return
            self._admission.replied()
            if self._route.job and self._access.method == "GET":
                await self._job(exchange, held, body)
            else:
                await self._send(exchange, self._head(exchange), body)
        finally:
            await body.aclose()

    async def _hold(self, exchange: Exchange, body: Download) -> Reply | None:
        """The whole body as a reply; None for what streams: too long, no JSON object, or nobody asked."""
        wanted = self._route.name in self._lane.checked_routes or self._lane.settings.job_failures != "off"
        if not wanted:
            return None
        read = await body.read_ahead(INSPECTED_LIMIT_BYTES)
        if body.cut is not None:
            # Nothing is sent yet, so the caller learns that the body never came whole (W-048).
            raise body.cut
        if not body.ended or len(read) > INSPECTED_LIMIT_BYTES:
            return None
        reply = self._reply(exchange, read)
        return None if reply.unreadable or not isinstance(reply.json(), dict) else reply

    async def _job(self, exchange: Exchange, held: Reply, body: Download) -> None:
        lane = self._lane
        report = inspect_job(lane.vendor, self._route, held, self._asked)
        name = report.id or self._key
        if report.result is not None and self._runtime.jobs.first(lane.name, name, report.result):
            lane.metrics.job(report.result)
        head = self._head(exchange)
        if not report.problems:
            await self._send(exchange, head, body)
            return
        for problem in report.problems:
            if self._runtime.jobs.first(lane.name, name, problem.job_pointer or "", problem.code.code):
                lane.metrics.error(problem, kind="job")
                self._access.remember(problem, Outcome.OK, kind="job")
        codes = codes_of(report.problems)
        self._access.job_codes = codes.decode("ascii")
        head.append((b"errgate-job-codes", codes))
        members = held.json()
        member = free_member(members) if isinstance(members, dict) else None
        if member is None or lane.settings.job_failures == "header" or _forbids_transform(head):
            await self._send(exchange, head, body)
            return
        annotated = annotate(held.body, [self._encode(problem) for problem in report.problems], member)
        await self._answer.whole(exchange.status, to_annotated(head, length=len(annotated)), annotated)

    def _encode(self, problem: Problem) -> bytes:
        return problem.encode(
            base_uri=self._runtime.settings.problems.base_uri,
            instance=identity.instance(),
            request_id=self._access.request_id,
        )

    def _reply(self, exchange: Exchange, read: bytes | None) -> Reply:
        """The reply as the core reads it: decoded, names in lower case, repeated lines joined; None: over the bound."""
        headers = as_text(exchange.headers)
        decoded: bytes | None = read
        coding = headers.get("content-encoding")
        if coding and read:
            decoded = codings.decode(read, coding)
        return Reply(
            status=exchange.status,
            headers=headers,
            body=decoded or b"",
            received_at=time.time(),
            unreadable=decoded is None,
        )

    async def _envelope(self, exchange: Exchange, problem: Problem) -> None:
        lane = self._lane
        kept = to_problem(
            exchange.headers,
            code=problem.code.code,
            date=CLOCK.date(),
            own_credential=lane.passthrough,
            request_id=None if problem.vendor_error is None else problem.vendor_error.request_id,
            request_id_headers=lane.vendor.places.request_id_headers,
        )
        scrubbed = [(name, value if name in UNSCRUBBED else lane.scrub.bytes(value)) for name, value in kept]
        said = proxy_status(self._runtime.settings.server.name, received_status=exchange.status)
        await self._answer.problem(problem, [*scrubbed, *self._admission.fields(), said])

    async def _as_it_is(self, exchange: Exchange, problem: Problem, body: Download) -> None:
        """`errors: header` and `off`: the vendor's own answer, byte for byte."""
        access = self._access
        access.problem, access.instance = problem, identity.instance()
        extra: list[Header] = []
        if self._errors == "header":
            extra = errgate_fields(
                code=problem.code.code,
                fault=problem.code.fault.value,
                source=problem.source.value,
                instance=access.instance,
                retryable=problem.retryable,
            )
        await self._send(exchange, self._head(exchange, extra), body)

    def _head(self, exchange: Exchange, extra: Sequence[Header] = ()) -> list[Header]:
        return self._lane.to_caller(
            exchange.headers,
            method=self._access.method,
            status=exchange.status,
            prefix=self._prefix,
            request_id=self._access.request_id.encode("ascii"),
            date=CLOCK.date(),
            extra=[*extra, *self._admission.fields()],
        )


def _forbids_transform(head: Sequence[Header]) -> bool:
    """RFC 9111 section 5.2.2.6: `no-transform` forbids any change of a success's content (W-109)."""
    return any(name == b"cache-control" and b"no-transform" in value.lower() for name, value in head)
