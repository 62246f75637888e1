"""
The way back to the caller: what of a vendor's head goes on with a success or a redirect.

All but what is the connection's, ours to say, or dangerous to say; and of a body into which something was spliced, all
but what was computed over the old one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from gateway.identity import vendor_request_id

from .location import Base
from .names import (
    HOP_BY_HOP,
    OURS_TO_SAY,
    OURS_TO_SAY_PREFIXES,
    OVER_THE_BODY,
    Fate,
    Fates,
    Header,
    nominated,
    sift,
    without_controls,
)

_NEVER: Final = HOP_BY_HOP | OURS_TO_SAY
_COOKIES: Final = frozenset({b"set-cookie", b"set-cookie2"})
_NEVER_PREFIXES: Final = (*OURS_TO_SAY_PREFIXES, b"errgate-")

# Looked at before it is decided.
_WEIGHED: Final = frozenset(
    {b"connection", b"content-length", b"content-type", b"date", b"location", b"transfer-encoding", b"x-request-id"}
)

# Passed without a second look.
_ORDINARY: Final = frozenset(
    {b"cache-control", b"content-encoding", b"etag", b"last-modified", b"retry-after", b"vary"}
)

# RFC 9110 section 5.6.7: the one format to write and the two to read.
_HTTP_DATE: Final = re.compile(
    rb"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
    rb"|[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT"
    rb"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}"
)
# "Wednesday, 00-Sep-00 00:00:00 GMT" is the longest.
_DATE_LIMIT_BYTES: Final = 33

# The most that a signed 64-bit reader takes: a longer one is no length to the caller.
_LENGTH_LIMIT_DIGITS: Final = 19

# RFC 9110 sections 15.3.5 and 15.4.5: no content follows, so no framing either (W-049).
_WITHOUT_CONTENT: Final = frozenset({204, 304})

# What a body that was decoded and spliced no longer has (contract 9).
_CHANGED_WITH_THE_BODY: Final = OVER_THE_BODY | {
    b"accept-ranges",
    b"content-encoding",
    b"content-length",
    b"x-accel-buffering",
}

_UNBUFFERED: Final = (b"x-accel-buffering", b"no")


class ToCaller:
    """The rules for one vendor's successes and redirects, compiled from its settings."""

    __slots__ = ("_base", "_fates", "_other_id_names", "_request_id_names")

    def __init__(
        self, base: Base, *, cookies: bool = False, request_id_headers: Sequence[str] = ("x-request-id",)
    ) -> None:
        """`request_id_headers`: where this vendor says its own request id, in order."""
        self._request_id_names = tuple(name.lower().encode("ascii") for name in request_id_headers)
        self._other_id_names = tuple(name for name in self._request_id_names if name != b"x-request-id")
        table = (
            dict.fromkeys(_ORDINARY | _COOKIES, Fate.PASS)
            | dict.fromkeys(_NEVER if cookies else _NEVER | _COOKIES, Fate.DROP)
            | dict.fromkeys(_WEIGHED.union(self._request_id_names), Fate.NOTE)
        )
        self._fates = Fates(table, _may_pass)
        self._base = base

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
        passing, noted = sift(headers, self._fates)
        types = noted.get(b"content-type", ())
        for value in types:
            passing.append((b"content-type", value))
        if b"location" in noted:
            passing += [(b"location", self._base.to_caller(value, prefix)) for value in noted[b"location"]]
        # An id in a field of another name than ours stays there, too.
        for name in self._other_id_names:
            passing += [(name, value) for value in noted.get(name, ())]
        if b"connection" in noted and (gone := nominated(noted[b"connection"])):
            passing = [header for header in passing if header[0] not in gone]
        passing = without_controls(passing)
        if status not in _WITHOUT_CONTENT:
            lengths = noted.get(b"content-length")
            # Of two framings the length is the one that lies (RFC 9112 section 6.3, W-047).
            if lengths and _is_length(lengths[0]) and b"transfer-encoding" not in noted:
                passing.append((b"content-length", lengths[0]))
                streamed = any([value[:17].lower() == b"text/event-stream" for value in types])  # noqa: C419  (half the time)
            else:
                streamed = method != "HEAD"
            if streamed:
                passing.append(_UNBUFFERED)
        passing.append((b"date", one_date(noted.get(b"date", ()), date)))
        passing.append((b"x-request-id", request_id))
        if vendor_id := vendor_id_in(self._request_id_names, noted):
            passing.append((b"errgate-vendor-request-id", vendor_id))
        passing += extra
        return passing


def _may_pass(name: bytes) -> bool:
    return not name.startswith(_NEVER_PREFIXES)


def vendor_id_in(names: Iterable[bytes], noted: Mapping[bytes, Sequence[bytes]]) -> bytes | None:
    """The vendor's request id from the first field that says one."""
    for name in names:
        for value in noted.get(name, ()):
            if found := vendor_request_id(value):
                return found
    return None


def to_annotated(headers: Iterable[Header], *, length: int) -> list[Header]:
    """The head that `ToCaller` gave, for a body that was decoded and has something spliced in; `length` in bytes."""
    kept = [header for header in headers if header[0] not in _CHANGED_WITH_THE_BODY]
    return [*kept, (b"content-length", b"%d" % length)]


def one_date(given: Sequence[bytes], ours: bytes) -> bytes:
    """The vendor's date if it is one, else ours: there is always exactly one (W-064)."""
    for date in given:
        if _is_date(date):
            return date
    return ours


@lru_cache(maxsize=64)
def _is_date(value: bytes) -> bool:
    """Whether it is written as a date; the same one is said again and again within its second."""
    return len(value) <= _DATE_LIMIT_BYTES and _HTTP_DATE.fullmatch(value) is not None


def _is_length(value: bytes) -> bool:
    return value.isdigit() and len(value) <= _LENGTH_LIMIT_DIGITS
