"""
The way back to the caller: what of a vendor's head goes on, for each kind of answer.

A success or a redirect keeps all but what is the connection's, ours to say, or dangerous to say (`ToCaller`); a job's
body with something spliced in loses what was computed over the old one (`to_annotated`); a problem keeps the few
fields that carry the error's meaning in the protocol (`to_problem`, wire.md appendix C).
"""

import re
from collections.abc import Iterable, Sequence

from gateway.identity import vendor_request_id

from .location import Base
from .names import (
    HOP_BY_HOP,
    OURS_TO_SAY,
    OURS_TO_SAY_PREFIXES,
    OVER_THE_BODY,
    Header,
    nominated,
    without_controls,
)

_NEVER = HOP_BY_HOP | OURS_TO_SAY | {b"date", b"x-request-id"}
_COOKIES = frozenset({b"set-cookie", b"set-cookie2"})
_NEVER_PREFIXES = (*OURS_TO_SAY_PREFIXES, b"errgate-")

# Passed without a second look.
_ORDINARY = frozenset(
    {b"cache-control", b"content-encoding", b"content-type", b"etag", b"last-modified", b"retry-after", b"vary"}
)

# RFC 9110 section 5.6.7: the one format to write and the two to read.
_HTTP_DATE = re.compile(
    rb"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
    rb"|[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT"
    rb"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}"
)

# RFC 9110 sections 15.3.5 and 15.4.5: no content follows, so no framing either (W-049).
_WITHOUT_CONTENT = frozenset({204, 304})

# Appendix C of wire.md: what a rewritten error keeps, always and by house code.
_KEPT_ON_PROBLEM = frozenset({b"allow", b"deprecation", b"link", b"proxy-status", b"sunset", b"vary"})
_KEPT_PREFIXES = (b"ratelimit", b"x-ratelimit")
_KEPT_BY_CODE = {
    "range_not_satisfiable": frozenset({b"content-range"}),
    "unsupported_media_type": frozenset({b"accept", b"accept-encoding", b"accept-patch", b"accept-post"}),
}
_CHALLENGE = frozenset({b"www-authenticate"})

# What a body that was decoded and spliced no longer has (contract 9).
_CHANGED_WITH_THE_BODY = OVER_THE_BODY | {
    b"accept-ranges",
    b"content-encoding",
    b"content-length",
    b"x-accel-buffering",
}

# RFC 9651 section 3.3.4: what a bare Token may be; any other name is a String.
_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")

_UNBUFFERED = (b"x-accel-buffering", b"no")


class ToCaller:
    """The rules for one vendor's successes and redirects, compiled from its settings."""

    __slots__ = ("_base", "_passes", "_request_id_names")

    def __init__(
        self, base: Base, *, cookies: bool = False, request_id_headers: Sequence[str] = ("x-request-id",)
    ) -> None:
        """`request_id_headers`: where this vendor says its own request id."""
        dropped = _NEVER if cookies else _NEVER | _COOKIES
        self._passes = dict.fromkeys(_ORDINARY | _COOKIES, True) | dict.fromkeys(dropped, False)
        self._base = base
        self._request_id_names = frozenset(name.lower().encode("ascii") for name in request_id_headers)

    def __call__(
        self,
        headers: Iterable[Header],
        *,
        method: str,
        status: int,
        prefix: bytes,
        request_id: bytes,
        date: bytes,
        extra: Sequence[Header] = (),
    ) -> list[Header]:
        """
        The head of a success, a redirect, or an error that passes as it is; names lower-case.

        `prefix` is how the caller came (`/pixii`, or nothing by the vendor's own Host); `date` is ours, used where the
        vendor's is missing or no date; `extra` is added last.
        """
        passing: list[Header] = []
        connection: list[bytes] = []
        dates: list[bytes] = []
        length: bytes | None = None
        chunked = streamed = False
        vendor_id: bytes | None = None
        passes = self._passes
        for given, value in headers:
            name = given.lower()
            if name in self._request_id_names:
                vendor_id = vendor_id or vendor_request_id(value)
            verdict = passes.get(name)
            if verdict is None:
                if name == b"content-length":
                    length = value
                elif name == b"location":
                    passing.append((name, self._base.to_caller(value, prefix)))
                elif not name.startswith(_NEVER_PREFIXES):
                    passing.append((name, value))
            elif verdict:
                passing.append((name, value))
                streamed = streamed or (name == b"content-type" and value[:17].lower() == b"text/event-stream")
            elif name == b"connection":
                connection.append(value)
            elif name == b"date":
                dates.append(value)
            elif name == b"transfer-encoding":
                chunked = True
        if connection and (gone := nominated(connection)):
            passing = [header for header in passing if header[0] not in gone]
        passing = without_controls(passing)
        if status not in _WITHOUT_CONTENT:
            # Of two framings the length is the one that lies (RFC 9112 section 6.3, W-047).
            if length is not None and not chunked:
                passing.append((b"content-length", length))
            elif method != "HEAD":
                streamed = True
            if streamed:
                passing.append(_UNBUFFERED)
        passing.append((b"date", _date(dates, date)))
        passing.append((b"x-request-id", request_id))
        if vendor_id:
            passing.append((b"errgate-vendor-request-id", vendor_id))
        passing += extra
        return passing


def to_annotated(headers: Iterable[Header], *, length: int) -> list[Header]:
    """The head that `ToCaller` gave, for a body that was decoded and has something spliced in; `length` in bytes."""
    kept = [header for header in headers if header[0] not in _CHANGED_WITH_THE_BODY]
    return [*kept, (b"content-length", b"%d" % length)]


def to_problem(
    headers: Iterable[Header],
    *,
    code: str,
    date: bytes,
    own_credential: bool = False,
    request_id: str | None = None,
    request_id_headers: Sequence[str] = ("x-request-id",),
) -> list[Header]:
    """
    What stays of a vendor's head when its error is rewritten (wire.md appendix C), and its request id under our name.

    `code` is the house code; `own_credential`: the caller's own one was refused, so the challenge is for the caller;
    `request_id` is the vendor's as its body says it, used where no header does. What the envelope itself needs is
    added by whoever answers.
    """
    wanted = _KEPT_ON_PROBLEM | _KEPT_BY_CODE.get(code, frozenset())
    wanted |= _CHALLENGE if own_credential else frozenset()
    kept: list[Header] = []
    connection: list[bytes] = []
    dates: list[bytes] = []
    vendor_id: bytes | None = None
    for given, value in headers:
        name = given.lower()
        if name in wanted or name.startswith(_KEPT_PREFIXES):
            kept.append((name, value))
        elif name == b"date":
            dates.append(value)
        elif name == b"connection":
            connection.append(value)
        if vendor_id is None and name.decode("latin-1") in request_id_headers:
            vendor_id = vendor_request_id(value)
    gone = nominated(connection)
    kept = without_controls([header for header in kept if header[0] not in gone])
    kept.append((b"date", _date(dates, date)))
    if vendor_id := vendor_id or vendor_request_id(request_id):
        kept.append((b"errgate-vendor-request-id", vendor_id))
    return kept


def errgate_fields(*, code: str, fault: str, source: str, instance: str, retryable: bool) -> list[Header]:
    """What `errors: header` adds to an error that otherwise passes as it is (contract 5)."""
    return [
        (b"errgate-code", code.encode("ascii")),
        (b"errgate-fault", fault.encode("ascii")),
        (b"errgate-source", source.encode("ascii")),
        (b"errgate-instance", instance.encode("ascii")),
        (b"x-should-retry", b"true" if retryable else b"false"),
    ]


def proxy_status(name: str, *, received_status: int | None = None, error: str | None = None) -> Header:
    """Our member of `Proxy-Status` (RFC 9209): the status a vendor sent, or why there was none."""
    member = name if _TOKEN.fullmatch(name) else f'"{name}"'
    said = f"received-status={received_status}" if error is None else f"error={error}"
    return b"proxy-status", f"{member}; {said}".encode("ascii")


def _date(given: Sequence[bytes], ours: bytes) -> bytes:
    """The vendor's date if it is one, else ours: there is always exactly one (W-064)."""
    return next((date for date in given if _HTTP_DATE.fullmatch(date)), ours)
