"""Every documented code of every vendor, as raw bytes through the real gateway, against the tables of the contract."""

import json
from collections.abc import Iterator

import pytest

from tests.documented import GENERAL, HOUSE, HTTP, JOB, Documented
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_members, check_problem
from tests.e2e.harness.vendor import RogueVendor, json_reply, reply
from tests.e2e.harness.vendors import FAILED_AT, POLL, SAID, SHAPES, both_ways, failed_job

# A challenge to whoever's credential was refused.
CHALLENGE = 'Bearer realm="theirs"'
# No table of any vendor lists it, and its class would say invalid_request.
UNLISTED = 418
# With no known code these may have been applied: a request that is not idempotent must not be sent again (contract 5).
MAY_HAVE_BEEN_APPLIED = {502, 504, 520, 522, 524}


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway before the four vendors, each with a credential of ours and with the caller's own."""
    with ThreadGateway(settings_text(both_ways(vendor.url))) as gateway:
        yield gateway


@pytest.mark.parametrize("row", HTTP, ids=lambda row: row.id)
def test_documented_code(gateway: ThreadGateway, vendor: RogueVendor, row: Documented) -> None:
    """A documented code becomes its house code, whatever its status, its shape and whose credential it was."""
    wrong = 400 if row.status >= 500 else 500
    for shape in SHAPES[row.vendor].values():
        body = shape(row.code)
        sent = body.get("error_code") or body.get("code") or body["error"]
        sent = sent if isinstance(sent, str) else sent.get("error_code", sent["code"])
        for status, method in ((row.status, "POST"), (wrong, "GET"), (UNLISTED, "POST")):
            vendor.reply(json_reply(status, body, [("WWW-Authenticate", CHALLENGE)]))
            for name, code in ((row.vendor, row.house), (f"{row.vendor}_own", row.own)):
                answer = gateway.ask(f"/{name}/any/path", method, body=b"{}" if method == "POST" else None)

                problem = check_problem(
                    answer, code, source="vendor", vendor=name, retryable=HOUSE[code].retryable, retry_after=None
                )
                error = problem["vendor_error"]
                assert (error["status"], error["code"], error["message"]) == (status, sent, SAID)
                assert error.get("request_id") == body.get("request_id")
                assert (problem["detail"] == SAID) == (problem["fault"] == "caller")
                if name == row.vendor:
                    assert "www-authenticate" not in answer.head.names()
                elif answer.status == 401:
                    assert answer.header("www-authenticate") == CHALLENGE


@pytest.mark.parametrize("row", JOB, ids=lambda row: row.id)
@pytest.mark.parametrize("own", [False, True], ids=["our-credential", "own-credential"])
def test_documented_job_code(gateway: ThreadGateway, vendor: RogueVendor, row: Documented, own: bool) -> None:
    """A documented job code is told beside the job, which keeps its status and every byte."""
    name = f"{row.vendor}_own" if own else row.vendor
    body = json.dumps(failed_job(row.vendor, row.code)).encode()
    vendor.reply(reply(200, body, [("Content-Type", "application/json")]))

    answer = gateway.ask(f"/{name}{POLL[row.vendor]}")

    assert answer.status == 200
    assert answer.body.startswith(body[:-1])
    assert answer.header("errgate-job-codes") == row.house
    added = json.loads(answer.body)["problems"]
    assert len(added) == 1
    check_members(added[0])
    house = HOUSE[row.house]
    assert (added[0]["code"], added[0]["status"], added[0]["fault"], added[0]["retryable"]) == (
        row.house,
        house.status,
        house.fault,
        house.retryable,
    )
    assert added[0]["job_pointer"] == FAILED_AT[row.vendor]
    assert (added[0]["source"], added[0]["vendor"]) == ("vendor", name)
    error = added[0]["vendor_error"]
    assert (error["status"], error["code"], error["request_id"]) == (200, row.code, "job-1")


@pytest.mark.parametrize("row", [row for row in JOB if row.vendor == "apixo"], ids=lambda row: row.id)
def test_job_code_of_an_immediate_error(gateway: ThreadGateway, vendor: RogueVendor, row: Documented) -> None:
    """An APIXO fail code in an immediate error means what it means in a task (facts A3)."""
    for body in (
        {"code": 400, "message": SAID, "failCode": row.code},
        {"message": SAID, "data": {"failCode": row.code}},
    ):
        vendor.reply(json_reply(400, body))

        answer = gateway.ask("/apixo/generateTask/kling", "POST", body=b"{}")

        check_problem(answer, row.house, source="vendor", retryable=HOUSE[row.house].retryable)


def bare_statuses() -> Iterator[tuple[str, int, str, str]]:
    """A vendor and a status without a code, and what they become with our credential and with the caller's own."""
    for row in GENERAL:
        status = {"4xx": 444, "5xx": 555}.get(row.trigger) or int(row.trigger)
        yield "pixii" if row.vendor == "*" else row.vendor, status, row.house, row.own


SPEECHLESS = {"empty": b"", "html": b"<html><body><h1>502 Bad Gateway</h1>nginx</body></html>"}


@pytest.mark.parametrize(
    ("name", "status", "ours", "own"), list(bare_statuses()), ids=lambda value: str(value) if value is not None else "-"
)
def test_bare_status(gateway: ThreadGateway, vendor: RogueVendor, name: str, status: int, ours: str, own: str) -> None:
    """Without a known code the status decides; what may have been applied is not retryable (contract 5 and 7)."""
    unknown = json.dumps(next(iter(SHAPES[name].values()))("BRAND_NEW")).encode()
    for what, body in {**SPEECHLESS, "unknown-code": unknown}.items():
        vendor.reply(reply(status, body, [("Content-Type", "text/html")]))
        for target, code in ((name, ours), (f"{name}_own", own)):
            for method in ("GET", "POST"):
                answer = gateway.ask(f"/{target}/any", method, body=b"" if method == "POST" else None)

                applied = method == "POST" and status in MAY_HAVE_BEEN_APPLIED
                problem = check_problem(answer, code, retryable=HOUSE[code].retryable and not applied)
                assert problem["vendor_error"]["status"] == status
                assert ("code" in problem["vendor_error"]) == (what == "unknown-code")
                assert b"nginx" not in answer.body


DELAYS = {
    "header": ("RATE_LIMIT_MINUTE_EXCEEDED", {}, [("Retry-After", "30")], 30, "30"),
    "body": ("RATE_LIMIT_MINUTE_EXCEEDED", {"retry_after": 47}, [], 47, "47"),
    "larger-of-both": ("RATE_LIMIT_MINUTE_EXCEEDED", {"retry_after": 5}, [("Retry-After", "30")], 30, "30"),
    "rounded-up": ("RATE_LIMIT_MINUTE_EXCEEDED", {"retry_after": 1.2}, [], 2, "2"),
    "over-an-hour": ("RATE_LIMIT_MINUTE_EXCEEDED", {"retry_after": 3601}, [], 3601, None),
    "a-day-is-no-header": ("RATE_LIMIT_DAY_EXCEEDED", {"retry_after": 43_200}, [], 43_200, None),
    "clamped": ("RATE_LIMIT_DAY_EXCEEDED", {}, [("Retry-After", "999999")], 86_400, None),
    "zero-is-one": ("RATE_LIMIT_MINUTE_EXCEEDED", {}, [("Retry-After", "0")], 1, "1"),
    "prose-is-nothing": ("RATE_LIMIT_MINUTE_EXCEEDED", {"retry_after": "in a while"}, [], None, None),
    "negative-is-nothing": ("RATE_LIMIT_MINUTE_EXCEEDED", {}, [("Retry-After", "-5")], None, None),
    "not-retryable-no-header": ("VALIDATION_ERROR", {}, [("Retry-After", "30")], 30, None),
}


@pytest.mark.parametrize(("code", "more", "headers", "seconds", "header"), DELAYS.values(), ids=DELAYS)
def test_delay(
    gateway: ThreadGateway,
    vendor: RogueVendor,
    code: str,
    more: dict[str, object],
    headers: list[tuple[str, str]],
    seconds: int | None,
    header: str | None,
) -> None:
    """The vendor's delay is `retry_after`; the header says it only when a thread may sleep that long (contract 5)."""
    vendor.reply(json_reply(429, {"code": code, "message": SAID, **more}, headers))

    answer = gateway.ask("/pixii/v1/api/scale", "POST", body=b"{}")

    house = {"VALIDATION_ERROR": "invalid_request", "RATE_LIMIT_DAY_EXCEEDED": "quota_exhausted"}.get(
        code, "vendor_rate_limited"
    )
    check_problem(answer, house, retry_after=seconds)
    assert answer.header("retry-after") == header


def test_counted_as_the_table_spells_it(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Each error counts once under its house code and the vendor's code; unknown codes share one label."""
    before = gateway.scrape()

    for code in ("VALIDATION_ERROR", "validation_error", "VALIDATION\\_ERROR", "BRAND_NEW", "\ud800", ""):
        vendor.reply(json_reply(400, {"code": code, "message": SAID}))
        gateway.ask("/pixii/x")

    grown = gateway.scrape().grown(before, "errgate_errors_total")
    labels = {"vendor": "pixii", "code": "invalid_request", "source": "vendor", "kind": "http"}
    assert grown == {
        frozenset((labels | {"vendor_code": "VALIDATION_ERROR"}).items()): 3,
        frozenset((labels | {"vendor_code": "other"}).items()): 2,
        frozenset((labels | {"vendor_code": "none"}).items()): 1,
    }
