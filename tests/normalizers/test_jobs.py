"""Failures inside a 200: what a job payload says, where, and what becomes of it."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from normalizers import (
    VENDORS,
    Asked,
    Failure,
    HouseCode,
    JobReport,
    Pattern,
    Reply,
    Route,
    Row,
    Source,
    Vendor,
    inspect_job,
)
from normalizers._reply import at
from tests.documented import DOCUMENTED, Documented

ROUTES = {(vendor.name, route.name): route for vendor in VENDORS.values() for route in vendor.routes}


def inspect(vendor: str, body: object, route: str = "poll", asked: Asked | None = None) -> JobReport:
    """What a job payload of a built-in vendor says."""
    reply = Reply(200, {}, json.dumps(body).encode())
    return inspect_job(VENDORS[vendor], ROUTES[vendor, route], reply, asked or Asked())


def failures(report: JobReport) -> list[tuple[str, str | None]]:
    """The house codes and pointers of a report."""
    return [(problem.code.code, problem.job_pointer) for problem in report.problems]


PAYLOADS: dict[str, list[tuple[str, dict[str, object]]]] = {
    "pixii": [
        ("/error_code", {"job_id": "j-1", "status": "failed", "error_code": "{}"}),
        ("/data/error_code", {"success": True, "data": {"job_id": "j-1", "status": "failed", "error_code": "{}"}}),
        (
            "/output/ads/1/error/code",
            {
                "job_id": "j-1",
                "status": "completed",
                "output": {"ads": [{"error": None}, {"error": {"code": "{}", "message": "m"}}]},
            },
        ),
        ("/ads/0/error/code", {"job_id": "j-1", "ads": [{"error": {"code": "{}", "message": "m"}}]}),
    ],
    "apixo": [
        (
            "/data/failCode",
            {
                "code": 200,
                "message": "success",
                "data": {"taskId": "j-1", "state": "failed", "failCode": "{}", "failMsg": "m"},
            },
        ),
    ],
}


@pytest.mark.parametrize("own", [False, True], ids=["configured", "passthrough"])
@pytest.mark.parametrize(
    ("row", "pointer", "payload"),
    [
        pytest.param(row, pointer, payload, id=f"{row.id}-{pointer}")
        for row in DOCUMENTED
        if row.kind == "job"
        for pointer, payload in PAYLOADS[row.vendor]
    ],
)
def test_documented_job_code(row: Documented, pointer: str, payload: Mapping[str, object], own: bool) -> None:
    """Each documented job code, where its vendor puts it, is a problem that points there."""
    body = json.loads(json.dumps(payload).replace("{}", row.code))

    report = inspect(row.vendor, body, asked=Asked(own_credential=own))

    (problem,) = report.problems
    assert report.id == "j-1"
    assert report.result == ("failed" if "error_code" in pointer or "failCode" in pointer else "partial")
    assert problem.code.code == (row.own if own else row.house)
    assert problem.job_pointer == pointer
    assert at(body, pointer) == row.code
    assert problem.source is Source.VENDOR
    assert problem.label.lower() == row.code.lower()
    assert problem.retryable is problem.code.retryable
    assert problem.vendor_error is not None
    assert (problem.vendor_error.status, problem.vendor_error.code) == (200, row.code)
    assert problem.vendor_error.request_id == "j-1"


ADS = {"ads": [{"error": None}, {"error": {"code": "CONTENT_MODERATION_ERROR", "message": "flagged"}}, {}]}


@pytest.mark.parametrize(
    ("body", "result", "found"),
    [
        ({"status": "completed", "output": {"ads": [{"error": None}]}}, "ok", []),
        ({"status": "completed", "error_code": None, "error": None}, "ok", []),
        ({"status": "completed", "error_code": ""}, "ok", []),
        ({"success": True, "data": {"status": "completed"}, "error": None}, "ok", []),
        ({"status": "processing"}, None, []),
        ({"status": "pending", "error_code": 5}, None, []),
        ({"status": "failed"}, "failed", [("work_failed", "/status")]),
        ({"status": " Failed "}, "failed", [("work_failed", "/status")]),
        ({"status": "failed", "error_code": None}, "failed", [("work_failed", "/status")]),
        ({"status": "failed", "error_code": "NEW"}, "failed", [("work_failed", "/error_code")]),
        ({"status": "failed", "error": "went wrong"}, "failed", [("work_failed", "/status")]),
        (
            {"status": "failed", "error": {"code": "PRODUCT_FETCH_ERROR"}},
            "failed",
            [("unprocessable_input", "/error/code")],
        ),
        ({"data": {"status": "failed"}}, "failed", [("work_failed", "/data/status")]),
        ({"error_code": "PRODUCT_FETCH_ERROR"}, "failed", [("unprocessable_input", "/error_code")]),
        (
            {"status": "failed", "error_code": "IMAGE_GENERATION_ERROR", "output": ADS},
            "failed",
            [("work_failed", "/error_code"), ("content_rejected", "/output/ads/1/error/code")],
        ),
        (
            {"status": "completed", "output": ADS, "ads": ADS["ads"]},
            "partial",
            [("content_rejected", "/output/ads/1/error/code")],
        ),
        (
            {"data": {"status": "completed", "output": ADS}},
            "partial",
            [("content_rejected", "/data/output/ads/1/error/code")],
        ),
        ({"status": "processing", "output": ADS}, None, [("content_rejected", "/output/ads/1/error/code")]),
        ({"output": {"ads": []}, **ADS}, "partial", [("content_rejected", "/ads/1/error/code")]),
        ({"success": False, "error": {"code": "JOB_NOT_FOUND", "message": "Job not found"}}, None, []),
        ({"output": {"ads": "none"}}, None, []),
        ({"output": {"ads": [None, 5, [], "x"]}, "status": "completed"}, "ok", []),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_pixii(body: object, result: str | None, found: list[tuple[str, str]]) -> None:
    """A Pixii job fails as a whole, by image, or not at all; one failure told twice is one."""
    report = inspect("pixii", body)

    assert (report.result, failures(report)) == (result, found)


@pytest.mark.parametrize(
    ("route", "body", "result", "found"),
    [
        ("import_job", {"id": "i", "status": "failed"}, "failed", [("unprocessable_input", "/status")]),
        ("export_job", {"id": "i", "status": "failed"}, "failed", [("work_failed", "/status")]),
        ("enrich_job", {"data": {"id": "i", "status": "failed"}}, "failed", [("work_failed", "/data/status")]),
        (
            "import_job",
            {"id": "i", "status": "failed", "error_code": "IMPORT_MAPPING_INVALID"},
            "failed",
            [("invalid_request", "/error_code")],
        ),
        ("import_job", {"id": "i", "status": "completed", "failed_rows": 0}, "ok", []),
        ("import_job", {"id": "i", "status": "completed", "failed_rows": 3}, "partial", []),
        ("import_job", {"id": "i", "status": "completed", "failed_rows": True}, "ok", []),
        ("import_job", {"id": "i", "status": "processing", "failed_rows": 3}, None, []),
        ("import_job", {"id": "i", "status": "cancelled"}, None, []),
        ("import_job", {"id": "i", "status": "awaiting_mapping"}, None, []),
        ("import_job", {"id": "i", "status": "ready"}, None, []),
    ],
)
def test_pixee(route: str, body: object, result: str | None, found: list[tuple[str, str]]) -> None:
    """A failed import is the file's fault, other failed work the vendor's; cancelled work has not failed."""
    report = inspect("pixee", body, route)

    assert (report.result, report.id, failures(report)) == (result, "i", found)


@pytest.mark.parametrize(
    ("data", "result", "found"),
    [
        ({"state": "success", "failCode": None}, "ok", []),
        ({"state": "success", "resultJson": '{"state": "failed", "failCode": "NSFW"}'}, "ok", []),
        ({"state": "pending"}, None, []),
        ({"state": "processing"}, None, []),
        ({"state": "failed"}, "failed", [("work_failed", "/data/state")]),
        ({"state": "failed", "failCode": ""}, "failed", [("work_failed", "/data/state")]),
        ({"state": "failed", "failCode": None}, "failed", [("work_failed", "/data/state")]),
        ({"state": "failed", "failCode": "NEW"}, "failed", [("work_failed", "/data/failCode")]),
        ({"state": "failed", "failCode": "NSFW.Nudity"}, "failed", [("content_rejected", "/data/failCode")]),
        ({"state": "failed", "failCode": "CopyrightHit"}, "failed", [("content_rejected", "/data/failCode")]),
        ({"state": "failed", "failCode": "UpstreamTimeout"}, "failed", [("vendor_timeout", "/data/failCode")]),
        ({"state": "failed", "failCode": "LowBalance"}, "failed", [("insufficient_credits", "/data/failCode")]),
        ({"state": "failed", "failCode": "ModelOverloaded"}, "failed", [("vendor_unavailable", "/data/failCode")]),
        ({"state": "failed", "failCode": "BadParam"}, "failed", [("invalid_request", "/data/failCode")]),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_apixo(data: object, result: str | None, found: list[tuple[str, str]]) -> None:
    """An APIXO task fails by its state; an unknown code is guessed at by its words, and its result is not read."""
    report = inspect("apixo", {"code": 200, "message": "success", "data": data})

    assert (report.result, failures(report)) == (result, found)


def test_pikzels() -> None:
    """A failed persona has no code; should it have one, then where errors have it."""
    silent = inspect("pikzels", {"id": 7, "status": "failed", "progress": 40}, "persona")
    said = inspect("pikzels", {"status": "failed", "error": {"code": "INVALID_TRAINING_DATA"}}, "persona")
    done = inspect("pikzels", {"id": 7, "status": "completed"}, "persona")

    assert failures(silent) == [("work_failed", "/status")]
    assert silent.id == "7"
    assert failures(said) == [("unprocessable_input", "/error/code")]
    assert done == JobReport("ok", "7", ())


def test_words() -> None:
    """A caller's failure has the vendor's message, another one ours; the setting and the scrubber apply."""
    task = {"state": "failed", "failCode": "CONTENT_VIOLATION", "failMsg": "refused, sk-abcdef123"}
    failed = {"state": "failed", "failCode": "GENERATION_FAILED", "failMsg": "GPU 7 is on fire"}

    callers = inspect("apixo", {"data": task}).problems[0]
    vendors = inspect("apixo", {"data": failed}).problems[0]
    silent = inspect("apixo", {"data": task}, asked=Asked(vendor_messages="never")).problems[0]

    assert callers.detail == "refused, [redacted]"
    assert vendors.detail == "APIXO took the work but produced no result."
    assert vendors.vendor_error is not None
    assert vendors.vendor_error.message == "GPU 7 is on fire"
    assert silent.detail == "APIXO refused this content by its policy."
    assert silent.vendor_error is not None
    assert silent.vendor_error.message is None


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b'{"status": "failed"', b"[" * 5_000])
def test_no_payload(body: bytes) -> None:
    """What is no JSON object reports nothing."""
    report = inspect_job(VENDORS["pixii"], ROUTES["pixii", "poll"], Reply(200, {}, body), Asked())

    assert report == JobReport()


def test_many_failures() -> None:
    """A payload with thousands of failures reports a hundred."""
    ads = [{"error": {"code": "CONTENT_MODERATION_ERROR"}}] * 3_000

    report = inspect("pixii", {"status": "completed", "ads": ads})

    assert len(report.problems) == 100


ACME = Vendor(
    "acme",
    "Acme",
    rows=(Row("NO_FILE", HouseCode.UNPROCESSABLE_INPUT, "job", ""),),
    patterns=(Pattern(re.compile("(?i)blocked"), HouseCode.CONTENT_REJECTED, message=True),),
)
WORK = Failure(
    at=("/ok",),
    equals=frozenset({"false", "3"}),
    code=("/why/code",),
    message=("/why/text",),
    by_code=True,
    otherwise=HouseCode.CONFLICT,
    done=frozenset({"true"}),
    partial=("/lost",),
)


@pytest.mark.parametrize(
    ("failure", "body", "result", "found"),
    [
        (WORK, {"ok": False}, "failed", [("conflict", "/ok")]),
        (WORK, {"ok": 3}, "failed", [("conflict", "/ok")]),
        (WORK, {"ok": True}, "ok", []),
        (WORK, {"ok": True, "lost": 0.5}, "partial", []),
        (WORK, {"ok": [False]}, None, []),
        (WORK, {"ok": True, "why": {"code": "NO_FILE"}}, "failed", [("unprocessable_input", "/why/code")]),
        (WORK, {"ok": False, "why": {"text": "is blocked"}}, "failed", [("content_rejected", "/ok")]),
        (replace(WORK, by_code=False), {"ok": True, "why": {"code": "NO_FILE"}}, "ok", []),
        (
            replace(WORK, items=("/parts",)),
            {"parts": [{"ok": True}, {"ok": False}]},
            "partial",
            [("conflict", "/parts/1/ok")],
        ),
    ],
)
def test_any_vendor(failure: Failure, body: object, result: str | None, found: list[tuple[str, str]]) -> None:
    """States of any type, a code alone, a part counted, members of a list: all by data."""
    route = Route("poll", job=(failure,))

    report = inspect_job(ACME, route, Reply(200, {}, json.dumps(body).encode()), Asked())

    assert (report.result, failures(report)) == (result, found)
