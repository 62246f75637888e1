"""What every envelope must be, by the contract and by tests/documented.py: never by the code that makes it."""

import json
import re
from typing import Any

from tests.documented import HOUSE
from tests.e2e.harness.wire import Response

ALWAYS = ("type", "title", "status", "detail", "instance", "code", "source", "fault", "retryable", "request_id")
SOMETIMES = {"retry_after", "vendor", "vendor_error", "errors", "limit", "job_pointer"}
VENDOR_ERROR = {"status", "code", "message", "request_id", "details"}
INSTANCE = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
POINTER = re.compile(r"#(/.*)?")

# What describes the vendor's body or origin and must not stand on ours: W-105, W-146, W-023.
FOREIGN = {
    "content-encoding", "content-md5", "digest", "content-digest", "repr-digest", "signature",
    "signature-input", "etag", "last-modified", "content-location", "content-disposition", "accept-ranges",
    "expires", "age", "transfer-encoding", "alt-svc", "strict-transport-security", "clear-site-data",
    "public-key-pins", "nel", "report-to", "reporting-endpoints", "refresh", "x-accel-redirect", "x-sendfile",
    "access-control-allow-origin", "x-powered-by", "server", "set-cookie", "upgrade", "keep-alive",
    "proxy-connection", "proxy-authenticate", "trailer", "te",
}  # fmt: skip


def check_members(problem: dict[str, Any]) -> None:
    """The rules of contract 5 that hold for every envelope, alone or inside a job."""
    house = HOUSE[problem["code"]]
    assert set(ALWAYS) <= set(problem), f"missing: {set(ALWAYS) - set(problem)}"
    assert set(problem) <= set(ALWAYS) | SOMETIMES, f"unknown: {set(problem) - set(ALWAYS) - SOMETIMES}"
    assert problem["type"].endswith(f"/-/problems/{problem['code']}")
    assert problem["status"] == house.status
    assert problem["fault"] == house.fault
    assert problem["retryable"] in ({True, False} if house.retryable else {False})
    assert problem["source"] in {"vendor", "network", "gateway"}
    assert INSTANCE.fullmatch(problem["instance"])
    assert REQUEST_ID.fullmatch(problem["request_id"])
    assert isinstance(problem["title"], str)
    assert problem["title"]
    assert isinstance(problem["detail"], str)
    assert 0 < len(problem["detail"]) <= 1024
    assert ("vendor_error" in problem) == (problem["source"] == "vendor")
    check_optional(problem)


def check_optional(problem: dict[str, Any]) -> None:
    """The members that come when known, each in its shape."""
    if "retry_after" in problem:
        assert type(problem["retry_after"]) is int
        assert 1 <= problem["retry_after"] <= 86_400
    if "vendor_error" in problem:
        error = problem["vendor_error"]
        assert set(error) <= VENDOR_ERROR
        assert 100 <= error["status"] <= 599
        assert len(error.get("code", "")) <= 128
        assert len(error.get("message", "")) <= 1024
        assert len(json.dumps(error.get("details"), ensure_ascii=False).encode()) <= 4096 + 64
    for error in problem.get("errors", ()):
        assert set(error) <= {"detail", "pointer"}
        assert isinstance(error["detail"], str)
        assert POINTER.fullmatch(error.get("pointer", "#"))
    assert len(problem.get("errors", ())) <= 50


def check_headers(response: Response, problem: dict[str, Any]) -> None:
    """The fields that stand on every error: contract 5 and appendix C of the wire rules."""
    header = response.header
    assert header("content-type") == "application/problem+json"
    assert header("cache-control") == "no-store"
    assert header("x-content-type-options") == "nosniff"
    assert header("errgate-code") == problem["code"]
    assert header("errgate-fault") == problem["fault"]
    assert header("x-should-retry") == ("true" if problem["retryable"] else "false")
    assert header("x-request-id") == problem["request_id"]
    assert (header("proxy-status") or "").split(",")[-1].strip().startswith("errgate; ")
    assert "details" not in (header("proxy-status") or "")
    after = problem.get("retry_after")
    if after is not None and problem["retryable"] and after <= 3600:
        assert header("retry-after") == str(after)
    else:
        assert header("retry-after") is None
    assert not response.head.names() & FOREIGN
    assert len(response.head.all("date")) == 1
    if "vendor_error" in problem:
        assert f"received-status={problem['vendor_error']['status']}" in (header("proxy-status") or "")


def check_problem(response: Response, code: str, **members: object) -> dict[str, Any]:
    """
    The answer is the whole, valid envelope of `code`; its members, which then are compared with `members`.

    A member expected to be `...` must be there, one expected to be None must not.
    """
    assert response.complete
    problem = response.json()
    assert problem["code"] == code, f"{problem['code']}: {problem.get('vendor_error')} {problem['detail']}"
    assert response.status == problem["status"]
    check_members(problem)
    check_headers(response, problem)
    for name, expected in members.items():
        if expected is None:
            assert name not in problem
        elif expected is ...:
            assert name in problem
        else:
            assert problem[name] == expected, name
    return problem
