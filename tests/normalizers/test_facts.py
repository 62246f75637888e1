"""
Every row of facts D2 to D6, each as a test whose id begins with the row: `-k D2-07` runs that one.

D2's rows are those of its table, then its two paragraphs; D3 to D6 are lists. Rows about what a socket sees are tested
here as far as the core is concerned; `OVERRULED` lists the rows that the contract answers otherwise, with its reason.

One file, so that a row is found by its number.
"""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from normalizers import (
    VENDORS,
    Asked,
    FieldError,
    HouseCode,
    Problem,
    Reply,
    Routes,
    VendorError,
    describe,
    error_in_success,
    inspect_job,
    normalize,
)
from tests.documented import DATA

OVERRULED = {
    "D2-14": "codes are compared lower-cased, not upper-cased; the table's own spelling becomes the label",
    "D2-17": "an integer code is no code (contract 7), so nothing disagrees; only on declared routes is it a status",
    "D2-19": "with a passed-through credential WWW-Authenticate stays (contract 7)",
    "D2-25": "a delay belongs in `retry_after` always; the header is also bounded to 3,600 s (contract 5)",
    "D3-06": "a built-in vendor's key is known to the settings alone; `errgate check` says it",
    "D5-07": "what bypasses the gateway cannot be tested here",
    "D6-07": "decided by W-157: the vendor's connection is closed within a second, whatever was billed",
}

NOW = 1795262400.0  # 2026-11-21T12:00:00Z


def rows() -> Iterator[str]:
    """The rows of facts D2 to D6."""
    text = (DATA / "facts.md").read_text()
    for section in ("D2", "D3", "D4", "D5", "D6"):
        part = text.split(f"## {section}.", 1)[1].split("\n## ", 1)[0]
        # The table's head and rule are no rows.
        count = len(re.findall(r"^\| ", part, re.MULTILINE)) - 1 if section == "D2" else 0
        count += len(re.findall(r"^(?:\* |Retry delay|Timestamps)", part, re.MULTILINE))
        yield from (f"{section}-{number:02}" for number in range(1, count + 1))


def test_every_row_is_here() -> None:
    """No row of the facts is without a test or a reason."""
    source = Path(__file__).read_text()
    tested = set(re.findall(r'id=f?"(D\d-\d\d)', source))

    assert len([*rows()]) == 57
    assert tested | set(OVERRULED) == set(rows())


def ask(vendor: str, status: int, body: object = b"", asked: Asked | None = None, **headers: str) -> Problem:
    """The problem of a reply; it is always one that can be sent."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    problem = normalize(VENDORS[vendor], Reply(status, named, raw, NOW), asked or Asked())

    encoded = problem.encode(base_uri="/-/problems/", instance="i", request_id="r")
    assert json.loads(encoded)["code"] == problem.code.code
    return problem


def said(problem: Problem) -> VendorError:
    """What the vendor said."""
    assert problem.vendor_error is not None
    return problem.vendor_error


BODY = {"code": "JOB_NOT_FOUND", "message": "Job not found"}
DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("status", "body", "house"),
    [
        pytest.param(401, b"", "vendor_account_error", id="D2-01-401"),
        pytest.param(503, b"", "vendor_unavailable", id="D2-01-503"),
        pytest.param(502, b"<html><h1>502 Bad Gateway</h1></html>", "vendor_failed", id="D2-02-nginx"),
        pytest.param(403, b"<!doctype html>" + b"x" * 100_000, "vendor_access_denied", id="D2-02-firewall"),
        pytest.param(520, b"<title>520: Web server error</title>", "vendor_failed", id="D2-02-cdn"),
        pytest.param(404, b"[1]", "not_found", id="D2-04-array"),
        pytest.param(404, b'"JOB_NOT_FOUND"', "not_found", id="D2-04-string"),
        pytest.param(404, b"404", "not_found", id="D2-04-number"),
        pytest.param(404, b"null", "not_found", id="D2-04-null"),
        pytest.param(429, b'{"code": "INSUFFICIENT_CRED', "vendor_rate_limited", id="D2-05-cut short"),
        pytest.param(503, DEEP, "vendor_unavailable", id="D2-10-lists"),
        pytest.param(503, b'{"code":' * 50_000, "vendor_unavailable", id="D2-10-objects"),
        pytest.param(409, b'{"code": ' + b"9" * 5_000 + b"}", "conflict", id="D2-11"),
    ],
)
def test_unreadable_falls_to_the_status(status: int, body: bytes, house: str) -> None:
    """A body that says nothing leaves the decision to the status, and is never echoed."""
    problem = ask("pixii", status, body)

    assert problem.code.code == house
    assert (said(problem).code, said(problem).message, said(problem).details) == (None, None, None)
    assert problem.unreadable is bool(body)


@pytest.mark.parametrize(
    ("label", "body", "house"),
    [
        pytest.param("text/html", b'{"code": "JOB_NOT_FOUND"}', "not_found", id="D2-03-JSON as HTML"),
        pytest.param("text/plain", b'{"code": "JOB_NOT_FOUND"}', "not_found", id="D2-03-JSON as text"),
        pytest.param("application/json", b"<html></html>", "vendor_failed", id="D2-03-HTML as JSON"),
    ],
)
def test_label_is_not_trusted(label: str, body: bytes, house: str) -> None:
    """The bytes say whether it is JSON, not their label."""
    assert ask("pixii", 500, body, content_type=label).code.code == house


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b'{"code": "JOB_NOT_FOUND", "message": "\xff no"}', "\ufffd no", id="D2-06"),
        pytest.param(b'\xef\xbb\xbf{"code": "JOB_NOT_FOUND", "message": "no"}', "no", id="D2-07"),
        pytest.param(b'{"code": "JOB_NOT_FOUND", "message": "\\ud800 no"}', "\ufffd no", id="D2-09"),
        pytest.param(b'{"code": "X", "message": "a", "message": "no", "code": "JOB_NOT_FOUND"}', "no", id="D2-12"),
    ],
)
def test_sinful_json_is_read(body: bytes, message: str) -> None:
    """Bad bytes, a byte order mark, lone surrogates and names said twice do not hide what the vendor said."""
    problem = ask("pixii", 500, body)

    assert (problem.code, problem.detail) == (HouseCode.NOT_FOUND, message)


@pytest.mark.parametrize("number", [pytest.param(text, id=f"D2-08-{text}") for text in ("NaN", "-Infinity", "1e400")])
def test_numbers_that_are_none(number: str) -> None:
    """A number that JSON does not have is no delay, and never reaches the answer."""
    body = f'{{"code": "JOB_NOT_FOUND", "retry_after": {number}}}'.encode()

    problem = ask("pixii", 500, body)

    assert (problem.code, problem.retry_after) == (HouseCode.NOT_FOUND, None)
    assert said(problem).details == {"code": "JOB_NOT_FOUND", "retry_after": None}


@pytest.mark.parametrize(
    "code",
    [pytest.param(code, id=f"D2-13-{json.dumps(code)[:12]}") for code in (404, True, ["A"], {"A": 1}, "", "x" * 2_048)],
)
def test_what_is_no_code(code: object) -> None:
    """Only a short string is a code."""
    problem = ask("pixii", 409, {"code": code})

    assert (problem.code, problem.label, said(problem).code) == (HouseCode.CONFLICT, "none", None)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, id=f"D2-14-{code}")
        for code in ("job_not_found", "Job_Not_Found", "JOB\\_NOT\\_FOUND", " JOB_NOT_FOUND ")
    ],
)
def test_any_spelling(code: str) -> None:
    """Case, escapes and blanks make no other code; the label is the table's."""
    problem = ask("pixii", 500, {"code": code})

    assert (problem.code, problem.label) == (HouseCode.NOT_FOUND, "JOB_NOT_FOUND")


@pytest.mark.parametrize("code", [pytest.param("BRAND_NEW", id="D2-15"), pytest.param("X" * 128, id="D2-24-long")])
def test_unknown_code(code: str) -> None:
    """A code that no table has is passed on as sent and counted under a label that cannot grow."""
    problem = ask("pixii", 503, {"code": code})

    assert (problem.code, problem.label, said(problem).code) == (HouseCode.VENDOR_UNAVAILABLE, "other", code)


@pytest.mark.parametrize(
    ("vendor", "status", "code", "house"),
    [
        pytest.param("pixii", 422, "NO_ACTIVE_BRAND", "vendor_account_error", id="D2-16-422"),
        pytest.param("pikzels", 500, "INVALID_IMAGE", "unprocessable_input", id="D2-16-500"),
    ],
)
def test_code_beats_an_odd_status(vendor: str, status: int, code: str, house: str) -> None:
    """The code decides and the vendor's status is kept beside it."""
    problem = ask(vendor, status, {"error": {"code": code}})

    assert (problem.code.code, said(problem).status) == (house, status)


@pytest.mark.parametrize("code", [pytest.param(500, id="D2-17-integer"), pytest.param("500", id="D2-17-digits")])
def test_two_codes_disagree(code: object) -> None:
    """On the wire it is a 429, and so it stays."""
    assert ask("apixo", 429, {"code": code, "message": "x"}).code is HouseCode.VENDOR_RATE_LIMITED


@pytest.mark.parametrize("status", [pytest.param(404, id="D2-18-HEAD")])
def test_reply_without_a_body(status: int) -> None:
    """An error reply to HEAD has no body; the status is enough, and nothing counts as unreadable."""
    problem = ask("pixii", status, b"", Asked("HEAD"))

    assert (problem.code, problem.unreadable) == (HouseCode.NOT_FOUND, False)


@pytest.mark.parametrize("name", [pytest.param(name, id=f"D2-19-{name}") for name in ("etag", "set_cookie", "server")])
def test_header_fields_stay_outside(name: str) -> None:
    """Nothing of the vendor's head gets into the envelope but its request id and its delay."""
    problem = ask("pixii", 404, BODY, None, **{name: "marker-7"})

    assert b"marker-7" not in problem.encode(base_uri="/", instance="i", request_id="r")


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(503, {}, b"\x1f\x8b\x08\x00garbage"), id="D2-20-still encoded"),
        pytest.param(Reply(503, {}, b"", unreadable=True), id="D2-20-undecodable"),
    ],
)
def test_coded_body(reply: Reply) -> None:
    """A body whose coding was not undone leaves the decision to the status (W-103)."""
    problem = normalize(VENDORS["pixii"], reply)

    assert (problem.code, problem.unreadable) == (HouseCode.VENDOR_UNAVAILABLE, True)


@pytest.mark.parametrize("status", [pytest.param(302, id="D2-21-302"), pytest.param(308, id="D2-21-308")])
def test_redirects_are_no_errors(status: int) -> None:
    """A redirect with an error in its body stays a redirect."""
    assert error_in_success(VENDORS["apixo"], "submit", Reply(status, {}, b'{"code": 500}')) is None


@pytest.mark.parametrize(
    ("status", "house"),
    [
        pytest.param(99, "vendor_failed", id="D2-22-99"),
        pytest.param(499, "cancelled", id="D2-22-499"),
        pytest.param(521, "vendor_unavailable", id="D2-22-521"),
        pytest.param(527, "vendor_failed", id="D2-22-527"),
        pytest.param(600, "vendor_failed", id="D2-22-600"),
        pytest.param(999, "vendor_failed", id="D2-22-999"),
    ],
)
def test_irregular_statuses(status: int, house: str) -> None:
    """A status that Python's HTTPStatus does not know is a number like any other (W-075)."""
    assert status not in {known.value for known in HTTPStatus}

    assert ask("pixii", status).code.code == house


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(secret, id=f"D2-23-{secret}")
        for secret in ("pk_live_abc123", "pk_test_abc123", "pm_live_abc123", "pkz_abc123", "Bearer abc123")
    ],
)
def test_secrets(secret: str) -> None:
    """A key in the vendor's words does not reach the caller."""
    body = {"code": "JOB_NOT_FOUND", "message": f"invalid key {secret}", "detail": [f"no {secret}"]}

    problem = ask("pixii", 404, body)

    assert problem.detail == "invalid key [redacted]"
    assert b"abc123" not in problem.encode(base_uri="/", instance="i", request_id="r")


@pytest.mark.parametrize("code", [pytest.param("vendor-made", id="D2-24-new"), pytest.param("a\ud800", id="D2-24-odd")])
def test_labels_are_closed(code: str) -> None:
    """A metric's label is a row of the table, "other" or "none"."""
    assert ask("pixii", 500, {"code": code}).label == "other"


@pytest.mark.parametrize(
    ("value", "delay"),
    [
        pytest.param(47, 47, id="D2-25-integer"),
        pytest.param(1.2, 2, id="D2-25-float"),
        pytest.param("47", 47, id="D2-25-text"),
        pytest.param("45s", 45, id="D2-25-unit"),
        pytest.param(-1, None, id="D2-25-negative"),
        pytest.param(0, 1, id="D2-25-zero"),
        pytest.param(float("nan"), None, id="D2-25-NaN"),
        pytest.param(True, None, id="D2-25-boolean"),
        pytest.param("Please wait 60 seconds", None, id="D2-25-prose"),
        pytest.param(90_000_000, 86_400, id="D2-25-milliseconds by mistake"),
        pytest.param(NOW + 30, 30, id="D2-25-epoch"),
        pytest.param((NOW + 30) * 1000, 30, id="D2-25-epoch in milliseconds"),
        pytest.param("2026-11-21T12:00:30Z", 30, id="D2-26-Z"),
        pytest.param("2026-11-21T12:00:29.999999999Z", 30, id="D2-26-nanoseconds"),
        pytest.param("2026-11-21T12:00:30", 30, id="D2-26-naive"),
        pytest.param("21 Nov 2026", None, id="D2-26-no timestamp"),
    ],
)
def test_delays(value: object, delay: int | None) -> None:
    """A delay in any form is whole seconds, rounded up, and what is none is absent."""
    assert ask("pixii", 503, {"code": "X", "retry_after": value}).retry_after == delay


@pytest.mark.parametrize(
    ("header", "body", "delay"),
    [
        pytest.param("60", 47, 60, id="D2-25-larger header"),
        pytest.param("30", 47, 47, id="D2-25-larger body"),
        pytest.param("Sat, 21 Nov 2026 12:01:00 GMT", 47, 60, id="D2-25-date"),
    ],
)
def test_larger_delay(header: str, body: int, delay: int) -> None:
    """Where header and body disagree the larger counts."""
    assert ask("pixii", 429, {"retry_after": body}, None, retry_after=header).retry_after == delay


def test_timestamps_decide_nothing() -> None:
    """A vendor's timestamp is passed on at most."""
    problem = ask("pixee", 404, {"detail": "x", "timestamp": "not a time"})

    assert (problem.code, problem.detail) == (HouseCode.NOT_FOUND, "x")


PIXII = {"code": "VALIDATION_ERROR", "message": "bad", "retry_after": 5}


@pytest.mark.parametrize(
    ("detail", "errors"),
    [
        pytest.param("asin is wrong", [FieldError("asin is wrong")], id="D3-01-text"),
        pytest.param(None, [], id="D3-01-null"),
        pytest.param("", [], id="D3-01-empty"),
        pytest.param(["asin is wrong"], [FieldError("asin is wrong")], id="D3-01-list"),
        pytest.param({"asin": "wrong"}, [FieldError("wrong", "#/asin")], id="D3-01-object"),
    ],
)
def test_pixii_flat_and_wrapped(detail: object, errors: list[FieldError]) -> None:
    """Both of Pixii's shapes say the same, with a detail in any form."""
    flat = ask("pixii", 400, {**PIXII, "detail": detail})
    wrapped = ask("pixii", 400, {"success": False, "data": None, "error": {**PIXII, "detail": detail}})

    for problem in (flat, wrapped):
        assert (problem.code, problem.detail, problem.retry_after) == (HouseCode.INVALID_REQUEST, "bad", 5)
        assert [*problem.errors] == errors


@pytest.mark.parametrize("route", [pytest.param("poll", id="D3-02"), pytest.param("submit", id="D3-02-submit")])
def test_pixii_unsuccessful_success(route: str) -> None:
    """`success: false` in a 200 is documented nowhere and not rewritten."""
    reply = Reply(200, {}, json.dumps({"success": False, "error": {**PIXII}}).encode())

    assert error_in_success(VENDORS["pixii"], route, reply) is None


def job(vendor: str, path: str, body: object, status: int = 200) -> tuple[str | None, list[tuple[str, str | None]]]:
    """How a job payload is read: its result, and each failure's code and pointer."""
    route = Routes(VENDORS[vendor].routes).match("GET", path)
    assert route is not None
    raw = b"" if body is None else json.dumps(body).encode()

    report = inspect_job(VENDORS[vendor], route, Reply(status, {}, raw), Asked())

    return report.result, [(problem.code.code, problem.job_pointer) for problem in report.problems]


FLAGGED = {"ads": [{"error": None}, {"error": {"code": "CONTENT_MODERATION_ERROR"}}]}


@pytest.mark.parametrize(
    ("body", "result", "found"),
    [
        pytest.param(
            {"status": "failed", "error_code": "PRODUCT_FETCH_ERROR"},
            "failed",
            [("unprocessable_input", "/error_code")],
            id="D3-03-error_code",
        ),
        pytest.param(
            {"data": {"status": "failed", "error_code": "PRODUCT_FETCH_ERROR"}},
            "failed",
            [("unprocessable_input", "/data/error_code")],
            id="D3-03-wrapped",
        ),
        pytest.param(
            {"status": "completed", "output": FLAGGED},
            "partial",
            [("content_rejected", "/output/ads/1/error/code")],
            id="D3-03-image",
        ),
        pytest.param(
            {"data": {"status": "completed", "output": FLAGGED}},
            "partial",
            [("content_rejected", "/data/output/ads/1/error/code")],
            id="D3-03-image wrapped",
        ),
        pytest.param(FLAGGED, "partial", [("content_rejected", "/ads/1/error/code")], id="D3-03-image as documented"),
        pytest.param({"status": "failed", "error_code": None}, "failed", [("work_failed", "/status")], id="D3-03-null"),
        pytest.param({"status": "failed", "error": "oops"}, "failed", [("work_failed", "/status")], id="D3-03-error"),
        pytest.param({"data": [{"status": "failed"}], "total": 1}, None, [], id="D3-04-a list is no job"),
    ],
)
def test_pixii_jobs(body: object, result: str | None, found: list[tuple[str, str]]) -> None:
    """A Pixii job is read wherever its pages put things."""
    assert job("pixii", "/v1/api/jobs/7", body) == (result, found)


@pytest.mark.parametrize("path", [pytest.param("/v1/api/jobs", id="D3-04")])
def test_pixii_list_is_not_inspected(path: str) -> None:
    """The list of jobs is another route, which carries no failures."""
    route = Routes(VENDORS["pixii"].routes).match("GET", path)

    assert route is not None
    assert (route.name, route.job) == ("list", ())


@pytest.mark.parametrize(
    "reset", [pytest.param("2026-11-22T00:00:00Z", id="D3-05"), pytest.param(43_200, id="D3-05-s")]
)
def test_pixii_day(reset: object) -> None:
    """The day's limit may name its end as a moment."""
    problem = ask("pixii", 429, {"code": "RATE_LIMIT_DAY_EXCEEDED", "retry_after": reset})

    assert (problem.code, problem.retry_after, problem.retryable) == (HouseCode.QUOTA_EXHAUSTED, 43_200, False)


@pytest.mark.parametrize(
    ("status", "body", "house", "detail"),
    [
        pytest.param(400, {"detail": "a", "error_code": "NOT_FOUND"}, "not_found", "a", id="D4-01-a"),
        pytest.param(400, {"detail": "a"}, "invalid_request", "a", id="D4-01-a without code"),
        pytest.param(429, {"detail": "b", "retry_after_seconds": 3}, "vendor_rate_limited", None, id="D4-01-b"),
        pytest.param(422, {"detail": [{"loc": ["body", "x"], "msg": "c"}]}, "invalid_request", None, id="D4-01-c"),
        pytest.param(404, {"detail": {"message": "d"}}, "not_found", "d", id="D4-01-d"),
        pytest.param(404, {"success": False, "data": None, "errors": ["e"]}, "not_found", "e", id="D4-01-e"),
        pytest.param(404, {"success": False, "code": 404, "message": "f"}, "not_found", "f", id="D4-01-f"),
        pytest.param(400, {"error": "duplicate_ean", "message": "g"}, "conflict", "g", id="D4-01-g"),
        pytest.param(
            400, {"error": {"code": 400, "error_code": "DUPLICATE_EAN", "message": "h"}}, "conflict", "h", id="D4-01-h"
        ),
    ],
)
def test_pixee_shapes(status: int, body: object, house: str, detail: str | None) -> None:
    """All eight of Pixee's shapes are read."""
    problem = ask("pixee", status, body)

    assert (problem.code.code, problem.detail) == (house, detail or problem.code.sentence.format(vendor="Pixee PIM"))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param({"error_code": "A", "error": {"error_code": "B"}}, "A", id="D4-02-first"),
        pytest.param({"error": {"error_code": "B", "code": 404}}, "B", id="D4-02-second"),
        pytest.param({"error": "c"}, "c", id="D4-02-third"),
        pytest.param({"code": 404, "error": {"code": 404}}, None, id="D4-02-integer"),
        pytest.param({"code": "D", "error": 5}, None, id="D4-02-none"),
    ],
)
def test_pixee_probes(body: object, code: str | None) -> None:
    """Pixee's code is looked for in three places, and an integer is none."""
    assert said(ask("pixee", 400, body)).code == code


@pytest.mark.parametrize("body", [pytest.param({"detail": "x"}, id="D4-03")])
def test_pixee_without_code(body: object) -> None:
    """No code is the usual thing at Pixee and no anomaly."""
    problem = ask("pixee", 404, body)

    assert (problem.label, problem.unreadable) == ("none", False)


@pytest.mark.parametrize(
    ("body", "headers", "delay"),
    [
        pytest.param({}, {"retry_after": "9"}, 9, id="D4-04-header"),
        pytest.param({"retry_after_seconds": 9}, {}, 9, id="D4-04-seconds"),
        pytest.param({"retry_after": "9"}, {}, 9, id="D4-04-numeric"),
        pytest.param({"retry_after": "Wait 9 seconds"}, {}, None, id="D4-04-prose"),
        pytest.param({}, {"x_ratelimit_reset": str(int(NOW) + 9)}, 9, id="D4-04-reset"),
    ],
)
def test_pixee_delays(body: object, headers: dict[str, str], delay: int | None) -> None:
    """Pixee's delay is read in four places."""
    assert ask("pixee", 429, body, None, **headers).retry_after == delay


@pytest.mark.parametrize("message", [pytest.param("Contenu interdit : violation, quota dépassé", id="D4-05")])
def test_pixee_french(message: str) -> None:
    """What /ext and /windev say is passed on and never read for meaning."""
    problem = ask("pixee", 404, {"success": False, "code": 404, "message": message})

    assert (problem.code, problem.detail) == (HouseCode.NOT_FOUND, message)


@pytest.mark.parametrize("path", [pytest.param("/api/v1/auth/login", id="D4-06")])
def test_pixee_auth_is_refused(path: str) -> None:
    """Nobody logs in through the gateway, and a 423 is about the account."""
    route = Routes(VENDORS["pixee"].routes).match("POST", path)

    assert route is not None
    assert route.refused
    assert ask("pixee", 423).code is HouseCode.VENDOR_ACCOUNT_ERROR


@pytest.mark.parametrize(
    ("path", "body", "result", "found"),
    [
        pytest.param("/imports/7", {"status": "processing"}, None, [], id="D4-07-accepted"),
        pytest.param(
            "/imports/7", {"status": "failed"}, "failed", [("unprocessable_input", "/status")], id="D4-07-import"
        ),
        pytest.param("/exports/7", {"status": "failed"}, "failed", [("work_failed", "/status")], id="D4-07-export"),
        pytest.param("/imports/7", {"status": "cancelled"}, None, [], id="D4-07-cancelled"),
        pytest.param("/imports/7", {"status": "completed", "failed_rows": 2}, "partial", [], id="D4-07-partial"),
        pytest.param("/imports/7", {"status": "ready"}, None, [], id="D4-07-ready"),
        pytest.param("/imports/7", {"status": "awaiting_mapping"}, None, [], id="D4-07-waits"),
        pytest.param("/imports/7", None, None, [], id="D4-08"),
    ],
)
def test_pixee_jobs(path: str, body: object, result: str | None, found: list[tuple[str, str]]) -> None:
    """Pixee's work is read by its state; no body says nothing."""
    assert job("pixee", path, body, 204 if body is None else 200) == (result, found)


@pytest.mark.parametrize("name", [pytest.param("X-API-Key", id="D4-09")])
def test_pixee_credential(name: str) -> None:
    """The header that Pixee wants today is what its file proposes; the settings may name another."""
    hint = VENDORS["pixee"].credential_hint

    assert hint is not None
    assert hint[0] == name


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        pytest.param({"code": 400, "message": "m", "data": {"error": "e"}}, None, "e", id="D5-01-text"),
        pytest.param({"code": 400, "message": "m", "data": {"error": ["e"]}}, None, "m", id="D5-01-list"),
        pytest.param({"code": 400, "message": "m", "data": {"error": {"x": 1}}}, None, "m", id="D5-01-object"),
        pytest.param({"code": 400, "message": "m", "data": None}, None, "m", id="D5-01-null"),
        pytest.param({"code": 400, "message": "m"}, None, "m", id="D5-01-absent"),
        pytest.param({"failCode": "NSFW"}, "NSFW", None, id="D5-01-failCode"),
        pytest.param({"data": {"failCode": "NSFW"}}, "NSFW", None, id="D5-01-data.failCode"),
        pytest.param({"data": {"error": {"code": "NSFW"}}}, "NSFW", None, id="D5-01-data.error.code"),
        pytest.param({"error": {"code": "NSFW"}}, "NSFW", None, id="D5-01-error.code"),
    ],
)
def test_apixo_errors(body: object, code: str | None, message: str | None) -> None:
    """APIXO's integer is no code; its text is the inner one, and a provider's identifier is looked for."""
    problem = ask("apixo", 400, body)

    assert (said(problem).code, said(problem).message) == (code, message)
    assert problem.code is (HouseCode.CONTENT_REJECTED if code else HouseCode.INVALID_REQUEST)


@pytest.mark.parametrize(
    ("route", "code", "meant"),
    [
        pytest.param("submit", 429, 429, id="D5-02-integer"),
        pytest.param("poll", "503", 503, id="D5-02-digits"),
        pytest.param("submit", 200, None, id="D5-02-success"),
        pytest.param("balance", 500, None, id="D5-02-another route"),
    ],
)
def test_apixo_error_in_success(route: str, code: object, meant: int | None) -> None:
    """A 200 that says otherwise is that, on the two routes that are declared."""
    reply = Reply(200, {}, json.dumps({"code": code}).encode())

    assert error_in_success(VENDORS["apixo"], route, reply) == meant


@pytest.mark.parametrize(
    ("data", "found"),
    [
        pytest.param({"state": "failed", "failCode": "NSFW_DETECTED"}, "content_rejected", id="D5-03"),
        pytest.param({"state": "failed", "failCode": None}, "work_failed", id="D5-03-null"),
        pytest.param({"state": "failed"}, "work_failed", id="D5-03-missing"),
        pytest.param({"state": "failed", "failCode": ""}, "work_failed", id="D5-03-empty"),
        pytest.param({"state": "success", "resultJson": '{"failCode": "NSFW"}'}, None, id="D5-03-resultJson"),
        pytest.param({"state": "failed", "failCode": "NSFW.Face"}, "content_rejected", id="D5-04-dot"),
        pytest.param({"state": "failed", "failCode": "ModerationHit"}, "content_rejected", id="D5-04-content"),
        pytest.param({"state": "failed", "failCode": "GpuTimeout"}, "vendor_timeout", id="D5-04-timeout"),
        pytest.param({"state": "failed", "failCode": "NoBalance"}, "insufficient_credits", id="D5-04-credit"),
        pytest.param({"state": "failed", "failCode": "Overloaded"}, "vendor_unavailable", id="D5-04-unavailable"),
        pytest.param({"state": "failed", "failCode": "ParamError"}, "invalid_request", id="D5-04-invalid"),
        pytest.param({"state": "failed", "failCode": "Mystery"}, "work_failed", id="D5-04-else"),
    ],
)
def test_apixo_tasks(data: object, found: str | None) -> None:
    """A failed task says "success" on top; its code is known, guessed at, or none."""
    _, problems = job("apixo", "/api/v1/statusTask/flux", {"code": 200, "message": "success", "data": data})

    assert [code for code, _ in problems] == ([found] if found else [])


@pytest.mark.parametrize(
    ("status", "message", "house"),
    [
        pytest.param(402, "Insufficient credits", "insufficient_credits", id="D5-05-402"),
        pytest.param(403, "API key lacks permission", "vendor_access_denied", id="D5-05-403"),
        pytest.param(403, "Sensitive content", "content_rejected", id="D5-05-403 about content"),
        pytest.param(400, "Sensitive content", "invalid_request", id="D5-05-only a 403 is read"),
        pytest.param(429, "Rate limit exceeded", "vendor_rate_limited", id="D5-05-429"),
    ],
)
def test_apixo_statuses(status: int, message: str, house: str) -> None:
    """APIXO's statuses mean what one of its pages says, and no delay is invented."""
    problem = ask("apixo", status, {"code": status, "message": message})

    assert (problem.code.code, problem.retry_after) == (house, None)


@pytest.mark.parametrize("code", [pytest.param("rate_limit_exceeded", id="D5-06")])
def test_apixo_llm_is_another_vendor(code: str) -> None:
    """The language model host has other bodies; it is described as a vendor of its own."""
    vendor = describe(
        "apixo_llm", {"code": "/error/code", "message": "/error/message", "codes": {code: "vendor_rate_limited"}}
    )

    problem = normalize(vendor, Reply(400, {}, json.dumps({"error": {"code": code, "type": "x"}}).encode()))

    assert problem.code is HouseCode.VENDOR_RATE_LIMITED


@pytest.mark.parametrize(
    ("body", "headers", "code", "request_id"),
    [
        pytest.param({"error": {"code": "CONFLICT"}, "request_id": "b"}, {}, "CONFLICT", "b", id="D6-01-body"),
        pytest.param({"request_id": "b"}, {"x_request_id": "h"}, None, "h", id="D6-01-header"),
        pytest.param({"error": {"code": "CONFLICT"}}, {}, "CONFLICT", None, id="D6-01-older"),
        pytest.param({"error": "CONFLICT"}, {}, None, None, id="D6-01-string"),
        pytest.param({"error": None}, {}, None, None, id="D6-01-null"),
    ],
)
def test_pikzels_probes(body: object, headers: dict[str, str], code: str | None, request_id: str | None) -> None:
    """Pikzels's code has one place and its request id two; the latter is the vendor's, never ours."""
    problem = ask("pikzels", 409, body, None, **headers)

    assert (said(problem).code, said(problem).request_id) == (code, request_id)
    members = problem.members(base_uri="/", instance="i", request_id="ours")
    assert members["request_id"] == "ours"


@pytest.mark.parametrize(
    ("details", "errors"),
    [
        pytest.param(["a", "b"], [("a", None), ("b", None)], id="D6-02-strings"),
        pytest.param([{"field": "f", "message": "a"}], [("a", "#/f")], id="D6-02-field and message"),
        pytest.param([{"loc": ["body", "f"], "msg": "a"}], [("a", "#/f")], id="D6-02-loc and msg"),
        pytest.param("a", [("a", None)], id="D6-02-string"),
        pytest.param({"f": "a"}, [("a", "#/f")], id="D6-02-object"),
        pytest.param(None, [], id="D6-02-null"),
        pytest.param(["a"] * 60, [("a", None)] * 50, id="D6-02-many"),
    ],
)
def test_pikzels_details(details: object, errors: list[tuple[str, str | None]]) -> None:
    """Every form of Pikzels's details becomes `errors`."""
    problem = ask("pikzels", 400, {"error": {"code": "VALIDATION_ERROR", "message": "m", "details": details}})

    assert [(error.detail, error.pointer) for error in problem.errors] == errors


@pytest.mark.parametrize("status", [pytest.param(400, id="D6-03-400"), pytest.param(500, id="D6-03-500")])
def test_pikzels_generations(status: int) -> None:
    """The table is one for all generations, and a code that moved means the same at both statuses."""
    moved = ask("pikzels", status, {"error": {"code": "INVALID_IMAGE"}})
    v1 = ask("pikzels", status, {"error": {"code": "INSUFFICIENT_BALANCE"}})

    assert (moved.code, v1.code) == (HouseCode.UNPROCESSABLE_INPUT, HouseCode.INSUFFICIENT_CREDITS)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, id=f"D6-04-{code}")
        for code in ("TOO_MANY_REQUESTS", "RATE_LIMITED", "CONCURRENT_LIMIT_EXCEEDED", None)
    ],
)
def test_pikzels_429(code: str | None) -> None:
    """Three names for one thing, or none, and no delay."""
    problem = ask("pikzels", 429, {"error": {"code": code}})

    assert (problem.code, problem.retry_after) == (HouseCode.VENDOR_RATE_LIMITED, None)


@pytest.mark.parametrize("code", [pytest.param("CANCELLED", id="D6-05-code"), pytest.param(None, id="D6-05-bare")])
def test_pikzels_499(code: str | None) -> None:
    """499 is a number that no registry knows, and a cancelled generation is a conflict's status here."""
    problem = ask("pikzels", 499, {"error": {"code": code}})

    assert (problem.code, problem.code.status, said(problem).status) == (HouseCode.CANCELLED, 409, 499)


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=f"D6-06-{path}") for path in ("/v1/edit", "/v2/thumbnail/text")]
)
def test_pikzels_waits(path: str) -> None:
    """A generation may take minutes, and whoever reads of a timeout is told that it may still be billed."""
    route = Routes(VENDORS["pikzels"].routes).match("POST", path)

    assert route is not None
    assert route.timeouts["first_byte"] >= 180
    assert "may still complete and be billed" in ask("pikzels", 504).detail


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=f"D6-08-{path}") for path in ("/v2/pikzonality/7", "/v1/persona", "/v1/style")],
)
def test_pikzels_personas(path: str) -> None:
    """A persona or style that failed says no more than that."""
    assert job("pikzels", path, {"status": "failed"}) == ("failed", [("work_failed", "/status")])


@pytest.mark.parametrize("body", [pytest.param(b"<html>413</html>", id="D6-09")])
def test_pikzels_413(body: bytes) -> None:
    """A body that is too big is refused by whoever sees it first, in whatever words."""
    page = ask("pikzels", 413, body)
    said_so = ask("pikzels", 400, {"error": {"code": "IMAGE_TOO_LARGE"}})

    assert page.code is said_so.code is HouseCode.PAYLOAD_TOO_LARGE
