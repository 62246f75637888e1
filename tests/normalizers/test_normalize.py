"""
The one algorithm: the order of decision, whose credential it was, what may be retried, which words are shown.

One file, since the algorithm is one.
"""

import json
import re
from dataclasses import replace
from typing import Literal

import pytest

from normalizers import (
    GENERIC,
    VENDORS,
    Asked,
    Finding,
    HouseCode,
    Pattern,
    Places,
    Reply,
    Row,
    Source,
    StatusRow,
    SuccessError,
    Vendor,
    error_in_success,
    find,
    normalize,
)
from tests.documented import DOCUMENTED, Documented

ACME = Vendor(
    "acme",
    "Acme",
    rows=(
        Row("TAKEN", HouseCode.CONFLICT, "http", "Name is taken"),
        Row("BAD_KEY", HouseCode.VENDOR_ACCOUNT_ERROR, "http", "", without_credential=HouseCode.UNAUTHENTICATED),
        Row("SLOW", HouseCode.VENDOR_TIMEOUT, "http", "Took too long"),
    ),
    places=Places(code=("/code",), message=("/message",), retry_after=("/retry_in",), request_id=("/id",)),
    patterns=(
        Pattern(re.compile("(?i)blocked"), HouseCode.CONTENT_REJECTED),
        Pattern(re.compile("(?i)nudity"), HouseCode.CONTENT_REJECTED, at=("/reasons",), statuses=frozenset({403})),
        Pattern(re.compile("(?i)sold out"), HouseCode.QUOTA_EXHAUSTED, message=True),
    ),
    statuses={
        409: StatusRow(HouseCode.VENDOR_UNAVAILABLE),
        452: StatusRow(HouseCode.VENDOR_ACCOUNT_ERROR, HouseCode.PERMISSION_DENIED),
    },
)

# Documented nowhere: the one belongs to nobody, the others contradict the documented one.
UNLISTED, WRONG_FOR_CALLERS, WRONG_FOR_VENDORS = 477, 404, 503
BODIES = {
    "pixii": '{{"code": "{}", "message": "m"}}',
    "pixee": '{{"error_code": "{}", "detail": "m"}}',
    "apixo": '{{"code": 400, "message": "m", "data": {{"failCode": "{}"}}}}',
    "pikzels": '{{"error": {{"code": "{}", "message": "m"}}}}',
}


def reply(status: int, body: object = None, **headers: str) -> Reply:
    """A reply with a JSON body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, b"" if body is None else json.dumps(body).encode())


@pytest.mark.parametrize("own", [False, True], ids=["configured", "passthrough"])
@pytest.mark.parametrize("which", ["documented", "wrong", "unlisted"])
@pytest.mark.parametrize("row", DOCUMENTED, ids=lambda row: row.id)
def test_code_beats_status(row: Documented, which: Literal["documented", "wrong", "unlisted"], own: bool) -> None:
    """Each documented code becomes its house code, whatever the status, with our credential and with the caller's."""
    documented = row.status if row.kind == "http" else 400
    wrong = WRONG_FOR_VENDORS if documented < 500 else WRONG_FOR_CALLERS
    status = {"documented": documented, "wrong": wrong, "unlisted": UNLISTED}[which]
    answer = Reply(status, body=BODIES[row.vendor].format(row.code).encode())

    problem = normalize(VENDORS[row.vendor], answer, Asked("POST", own_credential=own))

    house = HouseCode.of(row.own if own else row.house)
    assert problem.code is house
    assert problem.retryable is house.retryable
    assert problem.source is Source.VENDOR
    assert problem.label.lower() == row.code.lower()
    assert problem.vendor_error is not None
    assert (problem.vendor_error.status, problem.vendor_error.code) == (status, row.code)


@pytest.mark.parametrize(
    ("status", "body", "house", "rule", "label"),
    [
        (400, {"code": "TAKEN", "message": "blocked"}, "conflict", "the row of TAKEN", "TAKEN"),
        (400, {"code": "taken.by_you"}, "conflict", "the row of TAKEN", "TAKEN"),
        (409, {"code": "IS_BLOCKED"}, "content_rejected", "the pattern (?i)blocked", "other"),
        (409, {"code": "NEW", "message": "blocked"}, "vendor_unavailable", "acme's row of status 409", "other"),
        (409, {"code": "NEW", "message": "sold out"}, "quota_exhausted", "the pattern (?i)sold out", "other"),
        (403, {"reasons": [{"why": ["x", "Nudity"]}]}, "content_rejected", "the pattern (?i)nudity", "none"),
        (400, {"reasons": ["nudity"]}, "invalid_request", "the general row of status 400", "none"),
        (410, {}, "not_found", "the general row of status 410", "none"),
        (477, {"code": "NEW"}, "invalid_request", "the class of status 477", "other"),
        (577, {}, "vendor_failed", "the class of status 577", "none"),
        (999, {}, "vendor_failed", "the class of status 999", "none"),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_order_of_decision(status: int, body: object, house: str, rule: str, label: str) -> None:
    """Code, then pattern, then the vendor's status row, then the general one, then the class; and it says which."""
    answer = reply(status, body)

    problem = normalize(ACME, answer)

    assert (problem.code.code, problem.rule, problem.label) == (house, rule, label)


@pytest.mark.parametrize(
    ("status", "body", "ours", "own"),
    [
        (401, None, "vendor_account_error", "unauthenticated"),
        (403, None, "vendor_access_denied", "permission_denied"),
        (407, None, "vendor_account_error", "vendor_account_error"),
        (452, None, "vendor_account_error", "permission_denied"),
        (500, {"code": "BAD_KEY"}, "vendor_account_error", "unauthenticated"),
        (407, {"code": "BAD_KEY"}, "vendor_account_error", "vendor_account_error"),
        (401, {"code": "TAKEN"}, "conflict", "conflict"),
        (404, None, "not_found", "not_found"),
    ],
    ids=["401", "403", "407", "vendor row", "code", "code at 407", "code about something else", "404"],
)
def test_whose_credential(status: int, body: object, ours: str, own: str) -> None:
    """A refused credential is the caller's fault only where it is the caller's (W-077); 407 never is."""
    answer = reply(status, body)

    codes = [normalize(ACME, answer, Asked(own_credential=flag)).code.code for flag in (False, True)]

    assert codes == [ours, own]


@pytest.mark.parametrize(
    ("method", "status", "body", "key", "retryable"),
    [
        ("POST", 502, None, False, False),
        ("POST", 504, None, False, False),
        ("POST", 520, None, False, False),
        ("POST", 522, None, False, False),
        ("POST", 524, {"code": "NEW"}, False, False),
        ("PATCH", 502, None, False, False),
        ("BREW", 502, None, False, False),
        ("POST", 500, None, False, True),
        ("POST", 503, None, False, True),
        ("POST", 521, None, False, True),
        ("POST", 504, {"code": "SLOW"}, False, True),
        ("POST", 502, {"code": "TAKEN"}, False, False),
        ("POST", 502, None, True, True),
        ("GET", 502, None, False, True),
        ("PUT", 504, None, False, True),
        ("DELETE", 524, None, False, True),
        ("GET", 404, None, True, False),
    ],
)
def test_retryable(method: str, status: int, body: object, key: bool, retryable: bool) -> None:
    """What may have been applied is not to be sent again, unless the vendor's own code says what became of it."""
    answer = reply(status, body)

    problem = normalize(ACME, answer, Asked(method, idempotency_key=key))

    assert problem.retryable is retryable


@pytest.mark.parametrize(
    ("code", "meant"),
    [
        (" TAKEN ", True),
        ("taken", True),
        ("Ta\\ken", True),
        ("TAKEN.", True),
        ("TAKEN.BY.YOU", True),
        ("x" * 128, False),
        ("TAKEN" + " " * 200, True),
        ("TAKEN_BY_YOU", False),
        (".TAKEN", False),
    ],
)
def test_spellings_of_a_code(code: str, meant: bool) -> None:
    """A code is compared unescaped, trimmed and in any case, then without what follows its first dot."""
    answer = reply(500, {"code": code})

    problem = normalize(ACME, answer)

    assert (problem.code is HouseCode.CONFLICT) is meant
    assert problem.vendor_error is not None
    assert problem.vendor_error.code == code.strip()


@pytest.mark.parametrize("code", [7, 409, True, [], ["TAKEN"], {"TAKEN": 1}, "", " ", "x" * 129, None, 1.5])
def test_what_is_no_code(code: object) -> None:
    """Only a string of 1 to 128 characters is a code; anything else counts as none, and the status decides."""
    answer = reply(404, {"code": code})

    problem = normalize(ACME, answer)

    assert (problem.code, problem.label) == (HouseCode.NOT_FOUND, "none")
    assert problem.vendor_error is not None
    assert problem.vendor_error.code is None


@pytest.mark.parametrize(
    ("setting", "house", "shown"),
    [
        ("always", "caller", {"detail", "message", "errors", "details"}),
        ("always", "operator", {"message", "details"}),
        ("caller_faults", "caller", {"detail", "message", "errors"}),
        ("caller_faults", "operator", set()),
        ("never", "caller", set()),
        ("never", "operator", set()),
    ],
)
def test_vendor_messages(setting: Literal["always", "caller_faults", "never"], house: str, shown: set[str]) -> None:
    """The vendor's words are shown as far as the setting goes; its status, code and request id always are."""
    code = {"caller": "VALIDATION_ERROR", "operator": "INSUFFICIENT_CREDITS"}[house]
    said = {"error": {"code": code, "message": "words", "details": ["field"]}, "request_id": "r-1"}

    problem = normalize(VENDORS["pikzels"], reply(400, said), Asked(vendor_messages=setting))

    error = problem.vendor_error
    assert error is not None
    assert {
        name
        for name, there in (
            ("detail", problem.detail == "words"),
            ("message", error.message),
            ("errors", problem.errors),
            ("details", error.details),
        )
        if there
    } == shown
    assert (error.status, error.code, error.request_id) == (400, code, "r-1")
    assert problem.detail in {"words", problem.code.sentence.format(vendor="Pikzels")}


def test_ours_without_theirs() -> None:
    """Where the vendor is silent, a caller's fault has a sentence of ours."""
    problem = normalize(ACME, reply(404))

    assert problem.detail == "Acme has no such resource."
    assert problem.vendor == "acme"


@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        ({"x_request_id": "h"}, {"id": "b"}, "h"),
        ({}, {"id": "b"}, "b"),
        ({"x_request_id": ""}, {"id": 77}, "77"),
        ({"x_request_id": "x" * 129}, {"id": "y" * 129}, None),
        ({}, {"id": True}, None),
        ({}, {"id": ["b"]}, None),
    ],
)
def test_vendor_request_id(headers: dict[str, str], body: object, found: str | None) -> None:
    """The vendor's request id comes from its header, else from its body; what is too long for one is none."""
    problem = normalize(ACME, reply(500, body, **headers))

    assert problem.vendor_error is not None
    assert problem.vendor_error.request_id == found


@pytest.mark.parametrize(
    ("status", "headers", "body", "delay"),
    [
        (503, {"retry_after": "10"}, {"retry_in": 3}, 10),
        (503, {"retry_after": "3"}, {"retry_in": "10s"}, 10),
        (503, {"x_ratelimit_reset": "99"}, {"retry_in": 3}, 3),
        (429, {"x_ratelimit_reset": "99"}, {"retry_in": 3}, 99),
        (409, {"x_ratelimit_reset": "99", "retry_after": "0"}, {"message": "sold out"}, 99),
        (400, {"retry_after": "5"}, None, 5),
        (429, {}, None, None),
    ],
    ids=["header", "body", "no window", "rate", "quota", "any code", "none"],
)
def test_largest_delay(status: int, headers: dict[str, str], body: object, delay: int | None) -> None:
    """The largest of header, body and, for a rate or a quota, reset header counts (W-074)."""
    problem = normalize(ACME, reply(status, body, **headers))

    assert problem.retry_after == delay


def test_reset_by_the_vendors_clock() -> None:
    """A moment is compared with the reply's own Date, else with our clock."""
    headers = {"x_ratelimit_reset": "1795262460"}

    ours = normalize(ACME, replace(reply(429, None, **headers), received_at=1795262400.5))
    theirs = normalize(ACME, reply(429, None, date="Sat, 21 Nov 2026 12:00:00 GMT", **headers))

    assert (ours.retry_after, theirs.retry_after) == (60, 60)


SUBMIT = SuccessError("submit", "/code", statuses=True)
OK = SuccessError("submit", "/ok", equals=False)


@pytest.mark.parametrize(
    ("entry", "status", "body", "meant"),
    [
        (SUBMIT, 200, {"code": 429}, 429),
        (SUBMIT, 200, {"code": "503"}, 503),
        (SUBMIT, 200, {"code": 400}, 400),
        (SUBMIT, 200, {"code": 599}, 599),
        (SUBMIT, 200, {"code": 200}, None),
        (SUBMIT, 200, {"code": 399}, None),
        (SUBMIT, 200, {"code": 600}, None),
        (SUBMIT, 200, {"code": True}, None),
        (SUBMIT, 200, {"code": 429.0}, None),
        (SUBMIT, 200, {"code": "٤٢٩"}, None),
        (SUBMIT, 200, {"code": " 429"}, None),
        (SUBMIT, 200, {"code": [429]}, None),
        (SUBMIT, 200, {}, None),
        (SUBMIT, 200, [{"code": 429}], None),
        (SUBMIT, 201, {"code": 429}, None),
        (OK, 200, {"ok": False}, 400),
        (OK, 200, {"ok": True}, None),
        (OK, 200, {"ok": 0}, None),
        (OK, 200, {}, None),
    ],
)
def test_error_in_success(entry: SuccessError, status: int, body: object, meant: int | None) -> None:
    """A 200 is an error only where its route says how, and only by exactly that."""
    vendor = replace(ACME, errors_in_success=(entry,))

    found = error_in_success(vendor, "submit", reply(status, body))

    assert found == meant
    assert error_in_success(vendor, "other", reply(status, body)) is None


@pytest.mark.parametrize(
    ("body", "house"),
    [
        ({"code": 429}, "vendor_rate_limited"),
        ({"code": "401"}, "vendor_account_error"),
        ({"code": 504}, "vendor_timeout"),
    ],
)
def test_error_in_success_is_answered_as_that(body: object, house: str) -> None:
    """It is answered as its status would be, while the vendor's status stays 200."""
    vendor, answer = VENDORS["apixo"], reply(200, body)

    problem = normalize(vendor, answer, Asked("POST"), status=error_in_success(vendor, "submit", answer))

    assert problem.code.code == house
    assert problem.vendor_error is not None
    assert problem.vendor_error.status == 200
    assert problem.retryable is (house == "vendor_rate_limited")


@pytest.mark.parametrize(
    ("answer", "unreadable"),
    [
        (Reply(500), False),
        (Reply(500, {}, b"{}"), False),
        (Reply(500, {}, b"<html>"), True),
        (Reply(500, {}, b"[]"), True),
        (Reply(500, {}, b"null"), True),
        (Reply(500, unreadable=True), True),
    ],
    ids=["empty", "object", "html", "array", "null", "undecodable"],
)
def test_unreadable(answer: Reply, unreadable: bool) -> None:
    """A body that is neither empty nor a JSON object is told apart, for the counter."""
    problem = normalize(ACME, answer)

    assert problem.unreadable is unreadable
    assert problem.code is HouseCode.VENDOR_FAILED


def test_own_finder() -> None:
    """A package may read replies by itself; should that fail, the status decides."""
    reads = replace(ACME, finder=lambda reply: Finding(code=reply.headers["x-code"], details={"n": object()}))

    found = normalize(reads, Reply(500, {"x-code": "TAKEN"}))
    failed = normalize(reads, Reply(503))

    assert (found.code, found.unreadable) == (HouseCode.CONFLICT, False)
    assert found.vendor_error is not None
    assert found.vendor_error.details is None
    assert (failed.code, failed.unreadable) == (HouseCode.VENDOR_UNAVAILABLE, True)


def test_find() -> None:
    """A finding is what the vendor said, word for word."""
    found = find(GENERIC("acme"), reply(500, {"code": "x", "message": "\u0007"}))

    assert (found.code, found.message, found.retry_after) == ("x", "\u0007", None)
