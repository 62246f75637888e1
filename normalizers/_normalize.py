"""
The one algorithm: from a vendor's reply to a problem (contract 7).

The vendor's code decides, else its patterns, else the status: by the vendor's own row, the general one, its class.
What a body says beyond that changes nothing, and no body can make it fail. The table of statuses is a fifth of this
file and one of the steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from typing import Literal

from ._codes import Fault, HouseCode, Source
from ._find import find
from ._problem import FieldError, Problem, VendorError
from ._reply import Reply, at, strings
from ._scrub import TEXT_LIMIT, Scrubber, cleaned, detailed
from ._vendor import Finding, Pattern, Row, StatusRow, SuccessError, Vendor

_H = HouseCode

# What a bare status becomes. Only 401 and 403 are about a credential; 407 is about ours to a proxy, whoever calls.
STATUSES = {
    400: StatusRow(_H.INVALID_REQUEST),
    401: StatusRow(_H.VENDOR_ACCOUNT_ERROR, _H.UNAUTHENTICATED),
    402: StatusRow(_H.INSUFFICIENT_CREDITS),
    403: StatusRow(_H.VENDOR_ACCESS_DENIED, _H.PERMISSION_DENIED),
    404: StatusRow(_H.NOT_FOUND),
    405: StatusRow(_H.METHOD_NOT_ALLOWED),
    406: StatusRow(_H.INVALID_REQUEST),
    407: StatusRow(_H.VENDOR_ACCOUNT_ERROR),
    408: StatusRow(_H.VENDOR_TIMEOUT),
    409: StatusRow(_H.CONFLICT),
    410: StatusRow(_H.NOT_FOUND),
    411: StatusRow(_H.INVALID_REQUEST),
    412: StatusRow(_H.PRECONDITION_FAILED),
    413: StatusRow(_H.PAYLOAD_TOO_LARGE),
    414: StatusRow(_H.URI_TOO_LONG),
    415: StatusRow(_H.UNSUPPORTED_MEDIA_TYPE),
    416: StatusRow(_H.RANGE_NOT_SATISFIABLE),
    421: StatusRow(_H.VENDOR_FAILED),
    422: StatusRow(_H.INVALID_REQUEST),
    423: StatusRow(_H.CONFLICT),
    424: StatusRow(_H.VENDOR_FAILED),
    425: StatusRow(_H.VENDOR_UNAVAILABLE),
    426: StatusRow(_H.VENDOR_FAILED),  # the gateway cannot upgrade
    428: StatusRow(_H.INVALID_REQUEST),
    429: StatusRow(_H.VENDOR_RATE_LIMITED),
    431: StatusRow(_H.HEADER_FIELDS_TOO_LARGE),
    451: StatusRow(_H.CONTENT_REJECTED),
    499: StatusRow(_H.CANCELLED),
    500: StatusRow(_H.VENDOR_FAILED),
    501: StatusRow(_H.NOT_IMPLEMENTED),
    502: StatusRow(_H.VENDOR_FAILED),
    503: StatusRow(_H.VENDOR_UNAVAILABLE),
    504: StatusRow(_H.VENDOR_TIMEOUT),
    507: StatusRow(_H.VENDOR_FAILED),
    # Cloudflare's own, and one that others say "overloaded" by.
    520: StatusRow(_H.VENDOR_FAILED),
    521: StatusRow(_H.VENDOR_UNAVAILABLE),
    522: StatusRow(_H.VENDOR_TIMEOUT),
    523: StatusRow(_H.VENDOR_UNAVAILABLE),
    524: StatusRow(_H.VENDOR_TIMEOUT),
    525: StatusRow(_H.VENDOR_UNAVAILABLE),
    526: StatusRow(_H.VENDOR_UNAVAILABLE),
    529: StatusRow(_H.VENDOR_UNAVAILABLE),
    530: StatusRow(_H.VENDOR_UNAVAILABLE),
}

_ERRORS, _CALLERS_ERRORS = range(400, 600), range(400, 500)
_ERRORS_AS_TEXT = {str(status): status for status in _ERRORS}
# RFC 9110 9.2.2.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
# Said by a middle that may have passed the request on (contract 5).
_MAYBE_APPLIED = frozenset({502, 504, 520, 522, 524})
# House codes whose delay a reset header may tell: it counts a window, which is no reason to wait elsewhere.
_WINDOWED = frozenset({_H.VENDOR_RATE_LIMITED, _H.QUOTA_EXHAUSTED})


VendorMessages = Literal["always", "caller_faults", "never"]
_NO_SECRETS = Scrubber()


@dataclass(slots=True, init=False)
class Asked:
    """
    What was asked of the vendor, as far as the answer depends on it.

    `own_credential`: the caller's own went to the vendor. `idempotency_key`: the request carries one and the settings
    let it count. `vendor_messages` is the setting of that name. `scrub` takes secrets out of the vendor's words.
    """

    method: str
    own_credential: bool
    idempotency_key: bool
    vendor_messages: VendorMessages
    scrub: Callable[[str], str]

    # Written out, here and below: each error makes one, and what `dataclass` writes is slow and never compiled.
    def __init__(
        self,
        method: str = "GET",
        *,
        own_credential: bool = False,
        idempotency_key: bool = False,
        vendor_messages: VendorMessages = "always",
        scrub: Callable[[str], str] = _NO_SECRETS,
    ) -> None:
        self.method = method
        self.own_credential = own_credential
        self.idempotency_key = idempotency_key
        self.vendor_messages = vendor_messages
        self.scrub = scrub


_ASKED = Asked()


@dataclass(slots=True, init=False)
class Verdict:
    """The house code of a failure, the vendor's row that gave it, if one did, and the rule in words."""

    house: HouseCode
    row: Row | None
    rule: str

    def __init__(self, house: HouseCode, row: Row | None, rule: str) -> None:
        self.house = house
        self.row = row
        self.rule = rule


def normalize(vendor: Vendor, reply: Reply, asked: Asked = _ASKED, *, status: int | None = None) -> Problem:
    """
    The problem that a vendor's error reply is. Never raises.

    `status` is the one that counts, where an error in a 200 means another than its status line says.
    """
    meant = reply.status if status is None else status
    found = find(vendor, reply)
    own = asked.own_credential
    verdict = by_words(vendor, found, meant, own_credential=own) or by_status(vendor, meant, own_credential=own)
    retry_after = found.retry_after
    if found.reset_after is not None and verdict.house in _WINDOWED:
        retry_after = max(found.reset_after, retry_after or 0)
    maybe_applied = meant in _MAYBE_APPLIED and verdict.row is None
    repeatable = asked.method in _IDEMPOTENT or asked.idempotency_key
    return worded(
        vendor,
        asked,
        reply.status,
        found,
        verdict,
        retry_after=retry_after,
        retryable=verdict.house.retryable and (repeatable or not maybe_applied),
    )


def error_in_success(vendor: Vendor, route: str, reply: Reply) -> int | None:
    """The status that a 200 on this route is answered as because its body says that it is an error, else None."""
    declared = [entry for entry in vendor.errors_in_success if entry.route == route]
    body = reply.json() if declared and reply.status == HTTPStatus.OK else None
    if not isinstance(body, dict):
        return None
    meant = (_meant(entry, at(body, entry.at)) for entry in declared)
    return next((status for status in meant if status is not None), None)


def _meant(entry: SuccessError, value: object) -> int | None:
    if not entry.statuses:
        # The type too, since 1 equals True in Python; and what is missing equals nothing.
        same = value is not None and type(value) is type(entry.equals) and value == entry.equals
        return HTTPStatus.BAD_REQUEST.value if same else None
    # Digits count as the number.
    value = _ERRORS_AS_TEXT.get(value, value) if isinstance(value, str) else value
    return value if isinstance(value, int) and value in _ERRORS else None


def by_words(vendor: Vendor, found: Finding, status: int, *, own_credential: bool) -> Verdict | None:
    """The house code by what the vendor said: its table, then its patterns."""
    if row := vendor.row(found.code):
        return Verdict(_house(row, status, own_credential=own_credential), row, f"the row of {row.code}")
    for pattern in vendor.patterns:
        if (not pattern.statuses or status in pattern.statuses) and _matches(pattern, found):
            return Verdict(pattern.house, None, f"the pattern {pattern.regex.pattern}")
    return None


def by_status(vendor: Vendor, status: int, *, own_credential: bool) -> Verdict:
    """The house code by the status alone: the vendor's row, the general one, the class."""
    for whose, rows in ((f"{vendor.name}'s", vendor.statuses), ("the general", STATUSES)):
        if row := rows.get(status):
            return Verdict(_house(row, status, own_credential=own_credential), None, f"{whose} row of status {status}")
    house = _H.INVALID_REQUEST if status in _CALLERS_ERRORS else _H.VENDOR_FAILED
    return Verdict(house, None, f"the class of status {status}")


def worded(
    vendor: Vendor,
    asked: Asked,
    status: int,
    found: Finding,
    verdict: Verdict,
    *,
    retry_after: int | None = None,
    retryable: bool | None = None,
    job_pointer: str | None = None,
) -> Problem:
    """The problem in the vendor's words, as far as they may be shown, else in ours."""
    house, row, scrub = verdict.house, verdict.row, asked.scrub
    callers = house.fault is Fault.CALLER
    always = asked.vendor_messages == "always"
    shown = always or (callers and asked.vendor_messages == "caller_faults")
    details, safe = detailed(found.details, scrub) if always else (None, "")
    message = _clean(found.message, scrub, safe) if shown else None
    # What the table has is no secret.
    code = row.code if row is not None and row.code == found.code else _clean(found.code, scrub, safe)
    errors: tuple[FieldError, ...] = ()
    if found.errors and callers and shown:
        errors = tuple(
            [FieldError(cleaned(error.detail, scrub), _clean(error.pointer, scrub)) for error in found.errors]
        )
    return Problem(
        house,
        Source.VENDOR,
        message if message and callers else house.sentence.format(vendor=vendor.title),
        vendor=vendor.name,
        vendor_error=VendorError(
            status,
            code,
            message,
            _clean(found.request_id, scrub, safe),
            details,
            safe,
        ),
        errors=errors,
        retry_after=retry_after,
        retryable=retryable,
        job_pointer=job_pointer,
        rule=verdict.rule,
        label=row.code if row else "other" if found.code else "none",
        unreadable=found.unreadable,
    )


def _clean(text: str | None, scrub: Callable[[str], str], safe: str = "") -> str | None:
    """A text fit to be seen, None where nothing is left; `safe`: JSON in which any string is fit already."""
    if not text:
        return None
    return (text[:TEXT_LIMIT].strip() if f'"{text}"' in safe else cleaned(text, scrub)) or None


def _house(row: Row | StatusRow, status: int, *, own_credential: bool) -> HouseCode:
    # 407 is about our credential to a proxy in between, whoever's key went to the vendor.
    if own_credential and row.without_credential and status != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return row.without_credential
    return row.house


def _matches(pattern: Pattern, found: Finding) -> bool:
    said = (found.code, found.message if pattern.message else None)
    subjects = chain((text for text in said if text), *(strings(at(found.body, pointer)) for pointer in pattern.at))
    # Cut, since a regex of the settings need not be linear.
    return any(pattern.regex.search(subject[:TEXT_LIMIT]) for subject in subjects)
