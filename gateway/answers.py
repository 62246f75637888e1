"""
What goes back to the caller: a problem, a whole body, or a stream; one head at the most (contract 10).

Once a byte of an answer is out nothing can be rewritten: what breaks then is cut, so that it cannot look whole (W-153).
"""

import http
import time
from collections.abc import AsyncIterable, Iterable, Sequence
from email.utils import formatdate
from typing import Final

from starlette.types import Send

from normalizers import HouseCode, Problem, Source

from . import identity, problems
from .access import Access
from .headers import Header, proxy_status
from .lanes import Runtime
from .metrics import Outcome
from .problems import Refused
from .settings import Settings
from .streams import Connection, Presence
from .upstream import Cut


class Clock:
    """The `Date` of now, formatted once a second. Mutable state: the last one."""

    def __init__(self) -> None:
        self._second = 0
        self._date = b""

    def date(self) -> bytes:
        """The current date as RFC 9110 section 5.6.7 writes it."""
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode("ascii")
        return self._date


CLOCK: Final = Clock()


class Answer:
    """
    The answer to one request.

    Mutable state: `begun`, set when the head goes out.
    """

    def __init__(
        self, settings: Settings, access: Access, presence: Presence, send: Send, connection: Connection | None = None
    ) -> None:
        """`connection`: our own server's, which takes an answer that is whole in one go."""
        self._settings = settings
        self._access = access
        self._presence = presence
        self._send = send
        self._connection = connection
        self.begun = False

    async def refusal(self, refused: Refused, *, close: bool) -> None:
        """Answer with a problem of our own; `close`: the request was not read to its end (W-056)."""
        headers = [
            *refused.headers,
            (b"date", CLOCK.date()),
            proxy_status(self._settings.server.name, error=refused.proxy_error),
        ]
        if close or refused.close:
            headers.append((b"connection", b"close"))
        await self.problem(refused.problem, headers)

    async def problem(self, problem: Problem, kept: Sequence[Header]) -> None:
        """Answer with a problem; `kept`: what else stands in the head."""
        access = self._access
        access.problem = problem
        access.instance = identity.instance()
        body = problem.encode(
            base_uri=self._settings.problems.base_uri, instance=access.instance, request_id=access.request_id
        )
        headers = problems.headers_of(problem, request_id=access.request_id.encode("ascii"))
        headers.extend(kept)
        headers.append((b"content-length", b"%d" % len(body)))
        await self.whole(problem.code.status, headers, body)

    async def options(self, methods: Iterable[str]) -> None:
        """Answer an OPTIONS that goes no further than here (W-033, W-036)."""
        headers = [
            (b"allow", ", ".join(methods).encode("ascii")),
            (b"date", CLOCK.date()),
            (b"x-request-id", self._access.request_id.encode("ascii")),
        ]
        await self.whole(204, headers, b"")

    async def whole(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Answer with a body that is here."""
        connection, access = self._connection, self._access
        began = time.perf_counter()
        if connection is not None and connection.whole(status, headers, body):
            self.begun = True
            access.status, access.answered_at = status, began
            access.bytes_out += len(body)
            self._presence.answered()
        else:
            await self._head(status, headers)
            await self._last(body)

    async def stream(self, status: int, headers: Sequence[Header], chunks: AsyncIterable[bytes]) -> None:
        """
        Send what arrives as it arrives, waiting for the caller to take it.

        How long the vendor may pause is kept by its engine (`idle`), how long the caller by the server (`write_idle`).
        """
        await self._head(status, headers)
        try:
            async for chunk in chunks:
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
                self._access.bytes_out += len(chunk)
        except Cut as cut:
            self._access.outcome = Outcome.ABORTED
            self._access.reason = cut.reason.rfc9209
            return
        await self._last(b"")

    async def _head(self, status: int, headers: Sequence[Header]) -> None:
        self.begun = True
        self._access.status = status
        self._access.answered_at = time.perf_counter()
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _last(self, body: bytes) -> None:
        self._access.bytes_out += len(body)
        self._presence.answered()
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def unread(runtime: Runtime, code: HouseCode, detail: str) -> bytes:
    """
    The whole answer to what never became a request, as bytes: the parser refused it, or its head never came (W-021).

    It is counted and logged like any other.
    """
    settings = runtime.settings
    access = Access(metrics=runtime.metrics.nobody, method="_OTHER", request_id=identity.request_id(()))
    problem = Problem(
        code=code, source=Source.GATEWAY, detail=detail, retry_after=1 if code is HouseCode.OVERLOADED else None
    )
    access.problem, access.instance, access.status = problem, identity.instance(), code.status
    body = problem.encode(base_uri=settings.problems.base_uri, instance=access.instance, request_id=access.request_id)
    access.bytes_out = len(body)
    if code is HouseCode.OVERLOADED:
        access.outcome = Outcome.REFUSED
    access.finish(logged=settings.log.requests)
    headers = [
        *problems.headers_of(problem, request_id=access.request_id.encode("ascii")),
        (b"date", CLOCK.date()),
        proxy_status(settings.server.name, error="http_request_error"),
        (b"connection", b"close"),
        (b"content-length", b"%d" % len(body)),
    ]
    lines = [b"HTTP/1.1 %d %b" % (code.status, http.HTTPStatus(code.status).phrase.encode("ascii"))]
    return b"\r\n".join([*lines, *(name + b": " + value for name, value in headers), b"", body])
