"""
Job payloads through the real gateway: a healthy one is untouched, a failed one keeps every byte and says why.

One file: the payloads of the four vendors are one table.
"""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import brotli
import pytest
import zstandard

from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_members, check_problem
from tests.e2e.harness.vendor import OK, RogueVendor, fin, json_reply, reply, send, stall
from tests.e2e.harness.vendors import CREDENTIALS
from tests.e2e.harness.wire import Response

JSON = ("Content-Type", "application/json")
PIXII = "/v1/api/jobs/job-1"
APIXO = "/statusTask/kling?taskId=job-1"


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway before the four vendors, and before Pixii with each way of telling a failed job."""
    vendors: dict[str, dict[str, Any]] = {
        name: {
            "base_url": f"{vendor.url}/{name}",
            "credential": credential,
            "timeouts": {"idle": "400ms", "first_byte": "2s", "total": "3s"},
        }
        for name, credential in CREDENTIALS.items()
    }
    for mode in ("header", "off"):
        vendors[f"pixii_{mode}"] = {**vendors["pixii"], "normalizer": "pixii", "job_failures": mode}
    with ThreadGateway(settings_text(vendors)) as gateway:
        yield gateway


def pixii_job(**members: object) -> dict[str, object]:
    """A job as Pixii's jobs page shows it."""
    return {"job_id": "job-1", "status": "completed", "error_code": None, "credits_used": 3} | members


def ad(code: str | None = None) -> dict[str, object]:
    """An image of a Pixii job."""
    error = {"code": code, "message": "It went wrong"} if code else None
    return {"preview_url": None if code else "https://cdn.example/1.png", "error": error}


def apixo_task(state: str, code: str | None = None) -> dict[str, object]:
    """A task as APIXO's status page shows it."""
    data = {"taskId": "job-1", "state": state, "failCode": code, "failMsg": "Sorry", "resultJson": '{"a":"failed"}'}
    return {"code": 200, "message": "success", "data": data}


HEALTHY: dict[str, tuple[str, object]] = {
    "pixii-pending": ("/pixii" + PIXII, pixii_job(status="pending")),
    "pixii-completed": ("/pixii" + PIXII, pixii_job(output={"ads": [ad(), ad()]})),
    "pixii-wrapped": ("/pixii" + PIXII, {"success": True, "data": pixii_job(), "error": None}),
    "pixii-with-problems-of-its-own": ("/pixii" + PIXII, pixii_job(problems=["none"])),
    "pixii-list": ("/pixii/v1/api/jobs?asin=B0", {"data": [pixii_job(status="failed", error_code="X")], "total": 1}),
    "pixii-elsewhere": ("/pixii/v1/other", pixii_job(status="failed", error_code="IMAGE_GENERATION_ERROR")),
    "apixo-processing": ("/apixo" + APIXO, apixo_task("processing")),
    "apixo-success": ("/apixo" + APIXO, apixo_task("success")),
    "pixee-import-waiting": ("/pixee/imports/job-1", {"id": "job-1", "status": "awaiting_mapping"}),
    "pixee-import-cancelled": ("/pixee/imports/job-1", {"id": "job-1", "status": "cancelled"}),
    "pixee-import-partial": ("/pixee/imports/job-1", {"id": "job-1", "status": "completed", "failed_rows": 3}),
    "pikzels-persona": ("/pikzels/v2/pikzonality/job-1", {"id": "job-1", "status": "processing", "progress": 40}),
    "not-an-object": ("/pixii" + PIXII, [pixii_job(status="failed")]),
}

# The body, and for each failure its pointer and its house code.
FAILED: dict[str, tuple[str, object, list[tuple[str, str]]]] = {
    "pixii-job": (
        "/pixii" + PIXII,
        pixii_job(status="failed", error_code="PRODUCT_FETCH_ERROR"),
        [("/error_code", "unprocessable_input")],
    ),
    "pixii-job-wrapped": (
        "/pixii" + PIXII,
        {"success": True, "data": pixii_job(status="failed", error_code="CONTENT_MODERATION_ERROR"), "error": None},
        [("/data/error_code", "content_rejected")],
    ),
    "pixii-job-without-code": ("/pixii" + PIXII, pixii_job(status="failed"), [("/status", "work_failed")]),
    "pixii-job-with-a-new-code": (
        "/pixii" + PIXII,
        pixii_job(status="failed", error_code="BRAND_NEW"),
        [("/error_code", "work_failed")],
    ),
    "pixii-one-image-of-three": (
        "/pixii" + PIXII,
        pixii_job(output={"ads": [ad(), ad("IMAGE_GENERATION_ERROR"), ad()]}),
        [("/output/ads/1/error/code", "work_failed")],
    ),
    "pixii-two-images-wrapped": (
        "/pixii" + PIXII,
        {"data": pixii_job(output={"ads": [ad("CONTENT_MODERATION_ERROR"), ad(), ad("IMAGE_GENERATION_ERROR")]})},
        [("/data/output/ads/0/error/code", "content_rejected"), ("/data/output/ads/2/error/code", "work_failed")],
    ),
    "pixii-images-at-the-top": (
        "/pixii" + PIXII,
        pixii_job(ads=[ad(), ad("CONTENT_MODERATION_ERROR")]),
        [("/ads/1/error/code", "content_rejected")],
    ),
    "apixo-task": (
        "/apixo" + APIXO,
        apixo_task("failed", "NSFW_DETECTED"),
        [("/data/failCode", "content_rejected")],
    ),
    "apixo-task-without-code": ("/apixo" + APIXO, apixo_task("failed"), [("/data/state", "work_failed")]),
    "apixo-task-dotted-code": (
        "/apixo" + APIXO,
        apixo_task("failed", "InputImageSensitiveContentDetected.PrivacyInformation"),
        [("/data/failCode", "content_rejected")],
    ),
    "apixo-task-pattern": (
        "/apixo" + APIXO,
        apixo_task("failed", "AccountBalanceTooLow"),
        [("/data/failCode", "insufficient_credits")],
    ),
    "pixee-import": (
        "/pixee/imports/job-1",
        {"id": "job-1", "status": "failed", "total_rows": 3},
        [("/status", "unprocessable_input")],
    ),
    "pixee-export": ("/pixee/exports/job-1", {"id": "job-1", "status": "failed"}, [("/status", "work_failed")]),
    "pixee-enrichment": ("/pixee/enrichments/job-1", {"id": "job-1", "status": "failed"}, [("/status", "work_failed")]),
    "pikzels-persona": (
        "/pikzels/v2/pikzonality/job-1",
        {"id": "job-1", "status": "failed", "progress": 10},
        [("/status", "work_failed")],
    ),
    "pikzels-style-v1": (
        "/pikzels/v1/style?id=job-1",
        {"id": "job-1", "status": "failed"},
        [("/status", "work_failed")],
    ),
}

# What JSON allows and a round trip through a parser would lose.
FRAGILE = {
    "numbers": b'{"job_id":"job-1","status":"failed","a":1e400,"b":-0.0,"c":%b,"d":1.50}' % (b"1234567890" * 4),
    "duplicate-keys": b'{"status":"completed","job_id":"job-1","status":"failed","x":1,"x":2}',
    "spaces": b' \r\n{ "job_id" : "job-1" ,\t"status":"failed" \n } \n\n',
    "escapes": rb'{"job_id":"job-1","status":"fail\u0065d","s":"\ud83d\ude00 \/ \ud800"}',
    "bad-utf-8": b'{"job_id":"job-1","status":"failed","s":"\xff\xfe"}',
    "bom": b'\xef\xbb\xbf{"job_id":"job-1","status":"failed"}',
    "problems-inside": b'{"job_id":"job-1","status":"failed","output":{"problems":[1]}}',
}

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


def added(answer: Response, original: bytes, member: str = "problems") -> list[dict[str, Any]]:
    """The problems spliced in before the closing brace; everything else must be as it was."""
    assert answer.status == 200
    assert answer.complete
    end = original.rindex(b"}")
    kept, tail = original[:end], original[end:]
    assert answer.body.startswith(kept)
    assert answer.body.endswith(tail)
    between = answer.body[len(kept) : len(answer.body) - len(tail)].strip()
    assert between.startswith(b",")
    members = json.loads(b"{" + between[1:] + b"}")
    assert list(members) == [member]
    problems: list[dict[str, Any]] = members[member]
    for problem in problems:
        check_members(problem)
        assert problem["request_id"] == answer.header("x-request-id")
        assert problem["vendor_error"]["request_id"] == "job-1"
    assert answer.header("errgate-job-codes") == ", ".join(dict.fromkeys(problem["code"] for problem in problems))
    return problems


@pytest.mark.parametrize(("target", "body"), HEALTHY.values(), ids=HEALTHY)
@pytest.mark.parametrize("coding", [None, "gzip"], ids=["plain", "gzip"])
def test_healthy_job_is_untouched(
    gateway: ThreadGateway, vendor: RogueVendor, target: str, body: object, coding: str | None
) -> None:
    """A job without a failure is byte-identical, coded or not, with its validators (W-110)."""
    data = json.dumps(body, indent=1).encode()
    headers = [JSON, ("ETag", '"1"'), ("Digest", "sha-256=x")]
    if coding:
        data = gzip.compress(data)
        headers.append(("Content-Encoding", coding))
    vendor.reply(reply(200, data, headers))

    answer = gateway.ask(target, headers=[("Accept-Encoding", "gzip")])

    assert (answer.status, answer.body) == (200, data)
    assert answer.header("etag") == '"1"'
    assert answer.header("digest") == "sha-256=x"
    assert answer.header("content-encoding") == coding
    assert answer.header("errgate-job-codes") is None


@pytest.mark.parametrize(("target", "body", "failures"), FAILED.values(), ids=FAILED)
def test_failed_job_says_why(
    gateway: ThreadGateway, vendor: RogueVendor, target: str, body: object, failures: list[tuple[str, str]]
) -> None:
    """A failed job keeps its status and every byte; one member tells each failure and where it stands."""
    data = json.dumps(body).encode()
    vendor.reply(reply(200, data, [JSON, ("ETag", '"1"'), ("Content-Digest", "sha-256=:x:"), ("X-Own", "kept")]))

    answer = gateway.ask(target)

    problems = added(answer, data)
    assert [(problem["job_pointer"], problem["code"]) for problem in problems] == failures
    assert answer.header("etag") is None
    assert answer.header("content-digest") is None
    assert answer.header("x-own") == "kept"
    assert answer.header("content-type") == "application/json"


@pytest.mark.parametrize("data", FRAGILE.values(), ids=FRAGILE)
def test_every_byte_is_kept(gateway: ThreadGateway, vendor: RogueVendor, data: bytes) -> None:
    """Beside what is spliced in, not one byte of a failed job changes."""
    vendor.reply(reply(200, data, [JSON]))

    answer = gateway.ask("/pixii" + PIXII)

    assert [problem["code"] for problem in added(answer, data)] == ["work_failed"]


@pytest.mark.parametrize("coding", CODINGS)
def test_coded_failed_job_is_sent_decoded(gateway: ThreadGateway, vendor: RogueVendor, coding: str) -> None:
    """A failed job that came coded goes on decoded, with a true length and without digests."""
    data = json.dumps(pixii_job(status="failed")).encode()
    headers = [JSON, ("Content-Encoding", coding), ("ETag", '"1"'), ("Content-MD5", "x")]
    vendor.reply(reply(200, CODINGS[coding](data), headers))

    answer = gateway.ask("/pixii" + PIXII, headers=[("Accept-Encoding", "gzip, deflate, br, zstd")])

    assert len(added(answer, data)) == 1
    assert not answer.head.names() & {"content-encoding", "etag", "content-md5"}


@pytest.mark.parametrize("coding", ["snappy", "gzip"])
def test_undecodable_job_is_untouched(gateway: ThreadGateway, vendor: RogueVendor, coding: str) -> None:
    """A coding that cannot be undone leaves the job as it is."""
    data = b"not that coding" + json.dumps(pixii_job(status="failed")).encode()
    vendor.reply(reply(200, data, [JSON, ("Content-Encoding", coding)]))

    answer = gateway.ask("/pixii" + PIXII)

    assert (answer.status, answer.body, answer.header("content-encoding")) == (200, data, coding)


def test_a_job_with_problems_keeps_them(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A failed job that already has `problems` gets `errgate_problems`."""
    data = json.dumps(pixii_job(status="failed", problems=[1])).encode()
    vendor.reply(reply(200, data, [JSON]))

    answer = gateway.ask("/pixii" + PIXII)

    assert len(added(answer, data, "errgate_problems")) == 1


UNCHANGED = {
    "header": ("/pixii_header", [], "content_rejected, work_failed"),
    "no-transform": ("/pixii", [("Cache-Control", "private, No-Transform")], "content_rejected, work_failed"),
    "off": ("/pixii_off", [], None),
}


@pytest.mark.parametrize(("prefix", "headers", "codes"), UNCHANGED.values(), ids=UNCHANGED)
def test_failures_beside_the_body(
    gateway: ThreadGateway, vendor: RogueVendor, prefix: str, headers: list[tuple[str, str]], codes: str | None
) -> None:
    """`header` and `no-transform` tell the codes in a header alone; `off` tells nothing and counts `uninspected`."""
    ads = [ad("CONTENT_MODERATION_ERROR"), ad("IMAGE_GENERATION_ERROR"), ad("IMAGE_GENERATION_ERROR")]
    data = gzip.compress(json.dumps(pixii_job(job_id=prefix + str(headers), output={"ads": ads})).encode())
    vendor.reply(reply(200, data, [JSON, ("ETag", '"1"'), ("Content-Encoding", "gzip"), *headers]))
    before = gateway.scrape()

    answer = gateway.ask(prefix + PIXII)

    assert (answer.status, answer.body, answer.header("etag")) == (200, data, '"1"')
    assert answer.header("errgate-job-codes") == codes
    counted = gateway.scrape().grown(before, "errgate_jobs_total")
    result = "partial" if codes else "uninspected"
    assert counted == {frozenset({("vendor", prefix[1:]), ("result", result)}): 1}


LARGE = json.dumps(pixii_job(status="failed", blob=random.Random(1).randbytes(2_500_000).hex())).encode()

STREAMED = {
    "5-mb": LARGE,
    "5-mb-gzip-of-zeros": gzip.compress(json.dumps(pixii_job(status="failed", blob="0" * 5_000_000)).encode()),
    "not-json": b"status: failed\n" * 1000,
    "cut-json": json.dumps(pixii_job(status="failed")).encode()[:-1],
    "empty": b"",
}


@pytest.mark.parametrize("data", STREAMED.values(), ids=STREAMED)
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_other_payloads_stream_through(gateway: ThreadGateway, vendor: RogueVendor, data: bytes, framing: str) -> None:
    """A payload over 1 MiB, or none that is a JSON object, is not held, not changed and counted `uninspected`."""
    headers = [JSON] + ([("Content-Encoding", "gzip")] if data.startswith(b"\x1f\x8b") else [])
    if framing == "chunks":
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces(data)) + b"0\r\n\r\n"
        vendor.reply(reply(200, body, [*headers, ("Transfer-Encoding", "chunked")]))
    else:
        vendor.reply(reply(200, data, headers))
    before = gateway.scrape()

    answer = gateway.ask("/pixii" + PIXII)

    assert answer.complete
    assert (answer.status, answer.body) == (200, data)
    grown = gateway.scrape().grown(before, "errgate_jobs_total")
    assert grown == {frozenset({("vendor", "pixii"), ("result", "uninspected")}): 1}


def pieces(data: bytes, size: int = 65_536) -> Iterator[bytes]:
    """The data in pieces."""
    return (data[index : index + size] for index in range(0, len(data), size))


@pytest.mark.parametrize(("method", "status"), [("POST", 200), ("GET", 201), ("GET", 206), ("HEAD", 200)])
def test_only_a_200_to_get_is_inspected(gateway: ThreadGateway, vendor: RogueVendor, method: str, status: int) -> None:
    """Another method or status on a job route streams through."""
    data = json.dumps(pixii_job(status="failed")).encode()
    vendor.reply(reply(status, data, [JSON]) if method != "HEAD" else reply(200, b"", [("Content-Length", "77")]))

    answer = gateway.ask("/pixii" + PIXII, method, body=b"" if method == "POST" else None)

    assert answer.status == status
    assert answer.body == (b"" if method == "HEAD" else data)
    assert answer.header("content-length") == ("77" if method == "HEAD" else str(len(data)))


def test_a_job_counts_once(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A failed job is told on every poll and counted once per job and failure; the request's outcome stays ok."""
    before = gateway.scrape()

    for job in ("job-7", "job-7", "job-8", "job-7"):
        data = json.dumps(pixii_job(job_id=job, status="failed", error_code="PRODUCT_ANALYSIS_ERROR")).encode()
        vendor.reply(reply(200, data, [JSON]))
        answer = gateway.ask("/pixii" + PIXII)
        assert len(json.loads(answer.body)["problems"]) == 1

    after = gateway.scrape()
    assert after.grown(before, "errgate_errors_total") == {
        frozenset(
            {
                ("vendor", "pixii"),
                ("code", "work_failed"),
                ("vendor_code", "PRODUCT_ANALYSIS_ERROR"),
                ("source", "vendor"),
                ("kind", "job"),
            }
        ): 2
    }
    assert after.grown(before, "errgate_jobs_total") == {frozenset({("vendor", "pixii"), ("result", "failed")}): 2}
    assert {dict(labels)["outcome"] for labels in after.grown(before, "errgate_requests_total")} == {"ok"}


def test_a_cut_job_is_no_job(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A held job body that is cut is 502, one that stalls is 504: nothing had been sent (W-048)."""
    head = OK + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n" + b'{"status":"failed"'

    vendor.script(send(head), fin())
    check_problem(gateway.ask("/pixii" + PIXII), "vendor_failed", source="network", retryable=True)
    vendor.script(send(head), stall())
    check_problem(gateway.ask("/pixii" + PIXII), "vendor_timeout", source="network", retryable=True)


IN_A_SUCCESS: dict[str, tuple[object, str | None]] = {
    "400": (400, "invalid_request"),
    "401": (401, "vendor_account_error"),
    "402": (402, "insufficient_credits"),
    "404": (404, "not_found"),
    "429": (429, "vendor_rate_limited"),
    "503": (503, "vendor_unavailable"),
    "599": (599, "vendor_failed"),
    "digits": ("429", "vendor_rate_limited"),
    "200": (200, None),
    "399": (399, None),
    "600": (600, None),
    "true": (True, None),
    "word": ("SUCCESS", None),
    "float": (400.5, None),
    "null": (None, None),
}


@pytest.mark.parametrize(("code", "house"), IN_A_SUCCESS.values(), ids=IN_A_SUCCESS)
@pytest.mark.parametrize("target", ["/apixo/generateTask/kling", "/apixo" + APIXO], ids=["submit", "poll"])
@pytest.mark.parametrize("coding", [None, "gzip"], ids=["plain", "gzip"])
def test_error_in_a_success(
    gateway: ThreadGateway, vendor: RogueVendor, target: str, code: object, house: str | None, coding: str | None
) -> None:
    """An APIXO 200 whose integer code is 400..599 is answered as that status; `vendor_error.status` stays 200."""
    data = json.dumps({"code": code, "message": "Too bad", "data": {"error": "field x"}}).encode()
    headers = [JSON]
    if coding:
        data = gzip.compress(data)
        headers.append(("Content-Encoding", coding))
    vendor.reply(reply(200, data, headers))
    method, body = ("POST", b"{}") if "generate" in target else ("GET", None)

    answer = gateway.ask(target, method, body=body)

    if house is None:
        assert (answer.status, answer.body, answer.header("content-encoding")) == (200, data, coding)
    else:
        problem = check_problem(answer, house, source="vendor", vendor="apixo")
        assert problem["vendor_error"]["status"] == 200


def test_errors_in_a_success_are_declared(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Only routes that declare it: the same body elsewhere, or over 1 MiB, streams through."""
    small = json.dumps({"code": 400, "message": "Too bad"}).encode()
    large = json.dumps({"code": 400, "message": "x" * (1 << 20)}).encode()

    vendor.reply(reply(200, small, [JSON]), reply(200, small, [JSON]), reply(200, large, [JSON]))
    answers = [
        gateway.ask("/pixii/v1/api/scale", "POST", body=b"{}"),
        gateway.ask("/apixo/apikeys/current-balance"),
        gateway.ask("/apixo/generateTask/kling", "POST", body=b"{}"),
    ]

    assert [(answer.status, answer.body) for answer in answers] == [(200, small), (200, small), (200, large)]


@pytest.mark.parametrize("path", ["/imports/7", "/imports/jobs/7"])
def test_a_pixee_job_is_found_on_both_paths(gateway: ThreadGateway, vendor: RogueVendor, path: str) -> None:
    """The vendor's pages show an import's job at two places, and its failure is told at both (contract 9)."""
    vendor.reply(json_reply(200, {"id": f"job{path}", "status": "failed"}))

    answer = gateway.ask(f"/pixee{path}")

    (problem,) = json.loads(answer.body)["problems"]
    assert problem["code"] == "unprocessable_input"
    assert problem["job_pointer"] == "/status"
