"""
A request that is stopped: `Refused`, and what every problem says in the head.

Whoever must stop a request raises `Refused`; nobody returns "either a result or an error".
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from normalizers import HouseCode, Limit, Problem, Source

from .headers import Header
from .upstream import Reason

# A caller that obeys `Retry-After` sleeps in a thread; nobody should sleep until tomorrow (contract 5).
RETRY_AFTER_LIMIT_SECONDS = 3600


# What every problem of a code has in its head.
_FIELDS = {
    house: (
        (b"content-type", b"application/problem+json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"errgate-code", house.code.encode()),
        (b"errgate-fault", house.fault.encode()),
    )
    for house in HouseCode
}
_SHOULD_RETRY, _SHOULD_NOT = (b"x-should-retry", b"true"), (b"x-should-retry", b"false")


class Refused(Exception):
    """A request that goes no further, and what its caller is told."""

    def __init__(
        self, problem: Problem, *, proxy_error: str, headers: Sequence[Header] = (), close: bool = False
    ) -> None:
        super().__init__(problem.code.code)
        self.problem = problem
        self.proxy_error = proxy_error
        self.headers = headers
        self.close = close

    def of(self, vendor: str | None) -> "Refused":
        """The same refusal, once a vendor was chosen."""
        if vendor is not None and self.problem.vendor != vendor:
            self.problem = replace(self.problem, vendor=vendor)
        return self


def refuse(  # noqa: PLR0913  (a problem has that many parts)
    code: HouseCode,
    detail: str,
    *,
    source: Source = Source.GATEWAY,
    vendor: str | None = None,
    retryable: bool | None = None,
    retry_after: int | None = None,
    limit: Limit | None = None,
    proxy_error: str = "http_request_error",
    headers: Sequence[Header] = (),
    close: bool = False,
) -> Refused:
    """A refusal of our own making; `proxy_error` is its name in RFC 9209."""
    problem = Problem(
        code=code,
        source=source,
        detail=detail,
        vendor=vendor,
        retry_after=retry_after,
        retryable=code.retryable if retryable is None else retryable,
        limit=limit,
    )
    return Refused(problem, proxy_error=proxy_error, headers=headers, close=close)


def headers_of(problem: Problem, *, request_id: bytes) -> list[Header]:
    """The fields that say in the head what the envelope says in the body (contract 5)."""
    should_retry = _SHOULD_RETRY if problem.retryable else _SHOULD_NOT
    fields = [*_FIELDS[problem.code], should_retry, (b"x-request-id", request_id)]
    if problem.retryable and problem.retry_after is not None and problem.retry_after <= RETRY_AFTER_LIMIT_SECONDS:
        fields.append((b"retry-after", str(problem.retry_after).encode()))
    if problem.source is not Source.VENDOR:
        fields.append((b"content-language", b"en"))
    return fields


def too_large(limit: int) -> Refused:
    """The refusal of a body over `limit` bytes; the connection closes, since the rest is not read (W-056)."""
    return refuse(HouseCode.PAYLOAD_TOO_LARGE, f"The request's body is larger than {limit:,} bytes.", close=True)


def not_allowed(methods: Iterable[str]) -> Refused:
    """The refusal of a method where others are allowed (W-069)."""
    allow = ", ".join(methods)
    return refuse(HouseCode.METHOD_NOT_ALLOWED, f"Allowed here: {allow}.", headers=((b"allow", allow.encode("ascii")),))


def no_reply(vendor: str, reason: Reason, *, repeatable: bool) -> Refused:
    """
    The answer where no reply came (contract 8).

    Args:
        vendor: the vendor's title, for a person.
        reason: why, from the engine.
        repeatable: whether sending the request again does no harm: it is idempotent, or certainly was not sent.
    """
    return refuse(
        reason.house,
        reason.sentence.format(vendor=vendor),
        source=reason.source,
        retryable=reason.house.retryable and repeatable,
        retry_after=1 if reason is Reason.CONNECTION_LIMIT_REACHED else None,
        proxy_error=reason.rfc9209,
    )
