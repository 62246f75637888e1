"""
A vendor from a mapping: everything that a built-in one can say.

One file: a mapping a test, in the order of its keys.
"""

import json
import re
from dataclasses import replace

import pytest

from normalizers import (
    VENDORS,
    Asked,
    Failure,
    FieldError,
    HouseCode,
    Problem,
    Reply,
    Route,
    Routes,
    SuccessError,
    Vendor,
    describe,
    error_in_success,
    inspect_job,
    normalize,
)

# As in the contract, section 3.
ACME = {
    "code": ["/error/code", "/code"],
    "message": ["/error/message"],
    "retry_after": ["/error/retry_in"],
    "request_id": ["/meta/request_id"],
    "errors": {"list": "/error/fields", "pointer": "/path", "detail": "/why"},
    "codes": {"OUT_OF_STOCK": "conflict", "THROTTLED": "vendor_rate_limited"},
    "patterns": {"(?i)blocked": "content_rejected"},
    "statuses": {423: "conflict"},
    "routes": [
        {
            "name": "poll",
            "methods": ["GET"],
            "path": "/v1/jobs/*",
            "job": {
                "failed": {"at": "/state", "equals": "failed"},
                "id": "/id",
                "code": ["/failure/code"],
                "message": ["/failure/text"],
                "items": None,
            },
        }
    ],
    "errors_in_success": [{"route": "submit", "at": "/ok", "equals": False}],
}


def answer(vendor: Vendor, status: int, body: object) -> Problem:
    """The problem of a JSON reply."""
    return normalize(vendor, Reply(status, {}, json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("status", "body", "house"),
    [
        (500, {"error": {"code": "OUT_OF_STOCK"}}, "conflict"),
        (500, {"code": "throttled.minute"}, "vendor_rate_limited"),
        (500, {"code": "USER_BLOCKED"}, "content_rejected"),
        (500, {"error": {"message": "This was blocked"}}, "content_rejected"),
        (423, {}, "conflict"),
        (500, {"code": "NEW"}, "vendor_failed"),
    ],
)
def test_acme_decides(status: int, body: object, house: str) -> None:
    """The twelve lines of the contract's example read code, pattern and status."""
    vendor = describe("acme", ACME)

    assert answer(vendor, status, body).code.code == house


def test_acme_speaks() -> None:
    """Message, delay, request id and wrong fields are found where the description says."""
    vendor = describe("acme", ACME)
    body = {
        "error": {
            "code": "OUT_OF_STOCK",
            "message": "None left",
            "retry_in": "45s",
            "fields": [{"path": "items.0.sku", "why": "sold out"}],
        },
        "meta": {"request_id": "r-1"},
    }

    problem = answer(vendor, 400, body)

    assert (problem.vendor, problem.detail, problem.retry_after) == ("acme", "None left", 45)
    assert problem.errors == (FieldError("sold out", "#/items/0/sku"),)
    assert problem.vendor_error is not None
    assert problem.vendor_error.request_id == "r-1"
    assert problem.vendor_error.details == body["error"]
    assert problem.label == "OUT_OF_STOCK"
    assert answer(vendor, 500, {}).detail == "acme failed to handle this request."


def test_acme_jobs() -> None:
    """A job of the description fails by its state, with code, message and id."""
    vendor = describe("acme", ACME)
    body = {"id": 7, "state": "failed", "failure": {"code": "OUT_OF_STOCK", "text": "None left"}}
    route = Routes(vendor.routes).match("GET", "/base/v1/jobs/7")
    assert route is not None

    report = inspect_job(vendor, route, Reply(200, {}, json.dumps(body).encode()), Asked())

    assert (report.result, report.id) == ("failed", "7")
    assert [(problem.code.code, problem.detail, problem.job_pointer) for problem in report.problems] == [
        ("conflict", "None left", "/failure/code")
    ]


def test_acme_errors_in_success() -> None:
    """A 200 that is not ok is an error; its code decides, and without one the request was refused."""
    vendor = describe("acme", ACME)
    silent, known = (
        Reply(200, {}, json.dumps(body).encode()) for body in ({"ok": False}, {"ok": False, "code": "THROTTLED"})
    )

    meant = error_in_success(vendor, "submit", silent)

    assert meant == error_in_success(vendor, "submit", known) == 400
    assert normalize(vendor, silent, status=meant).code is HouseCode.INVALID_REQUEST
    assert normalize(vendor, known, status=meant).code is HouseCode.VENDOR_RATE_LIMITED


def test_everything_a_vendor_can_say() -> None:
    """Rows, patterns, statuses, routes, jobs and headers take their long form, too."""
    vendor = describe(
        "acme",
        {
            "title": "Acme Inc.",
            "detail": ["/fault"],
            "request_id_headers": ["X-Acme-Id"],
            "reset_headers": "X-Acme-Reset",
            "codes": {
                "KEY": {
                    "house": "vendor_account_error",
                    "without_credential": "unauthenticated",
                    "kind": "job",
                    "status": 401,
                    "description": "Bad key",
                    "advice": "Get another",
                }
            },
            "statuses": {"403": {"house": "vendor_account_error", "without_credential": "permission_denied"}},
            "patterns": {"nudity": {"house": "content_rejected", "at": ["/reasons"], "statuses": [403]}},
            "routes": [
                {
                    "name": "work",
                    "path": ["/a/*", "/b"],
                    "refused": True,
                    "timeouts": {"first_byte": 300.0, "total": None},
                    "job": [
                        {
                            "failed": {"at": ["/state"], "equals": ["FAILED", "lost"]},
                            "by_code": True,
                            "otherwise": "conflict",
                            "done": "Done",
                            "partial": "/lost",
                        },
                        {"items": ["/parts"], "code": "/code"},
                    ],
                }
            ],
            "errors_in_success": {"route": "work", "at": "/code", "statuses": True},
        },
    )

    (row,), (pattern,), (route,) = vendor.rows, vendor.patterns, vendor.routes
    assert vendor.title == "Acme Inc."
    assert vendor.places.detail == ("/fault",)
    assert (vendor.places.request_id_headers, vendor.places.reset_headers) == (("x-acme-id",), ("x-acme-reset",))
    assert (row.house, row.without_credential) == (HouseCode.VENDOR_ACCOUNT_ERROR, HouseCode.UNAUTHENTICATED)
    assert (row.kind, row.status, row.description, row.advice) == ("job", 401, "Bad key", "Get another")
    assert vendor.statuses[403].without_credential is HouseCode.PERMISSION_DENIED
    assert (pattern.at, pattern.statuses, pattern.message) == (("/reasons",), frozenset({403}), False)
    assert route == Route(
        "work",
        paths=("/a/*", "/b"),
        refused=True,
        timeouts={"first_byte": 300.0},
        job=(
            Failure(
                at=("/state",),
                equals=frozenset({"failed", "lost"}),
                by_code=True,
                otherwise=HouseCode.CONFLICT,
                done=frozenset({"done"}),
                partial=("/lost",),
            ),
            Failure(items=("/parts",), code=("/code",)),
        ),
    )
    assert vendor.errors_in_success == (SuccessError("work", "/code", statuses=True),)


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.name)
def test_says_what_built_in_ones_do(vendor: Vendor) -> None:
    """Every built-in vendor can be told as a mapping, and is the same vendor then."""
    told = describe(vendor.name, mapping_of(vendor))

    assert replace(
        told, patterns=(), credential_hint=vendor.credential_hint, base_url=vendor.base_url, source=vendor.source
    ) == replace(vendor, patterns=())
    assert [(p.regex, p.house, p.at, p.statuses) for p in told.patterns] == [
        (p.regex, p.house, p.at, p.statuses) for p in vendor.patterns
    ]


def mapping_of(vendor: Vendor) -> dict[str, object]:
    """A vendor as somebody would write it into the settings."""
    places = vendor.places

    def house(row: object, *more: str) -> dict[str, object]:
        said = {name: getattr(row, name) for name in ("house", "without_credential", *more)}
        return {name: value.code if isinstance(value, HouseCode) else value for name, value in said.items() if value}

    def work(job: Failure) -> dict[str, object]:
        return {
            "failed": {"at": job.at, "equals": [*job.equals]},
            "code": job.code,
            "message": job.message,
            "id": job.id,
            "items": job.items,
            "by_code": job.by_code,
            "otherwise": job.otherwise.code,
            "done": [*job.done],
            "partial": job.partial,
        }

    return {
        "title": vendor.title,
        "code": places.code,
        "message": places.message,
        "detail": places.detail,
        "retry_after": places.retry_after,
        "request_id": places.request_id,
        "errors": {"list": places.errors.list, "pointer": places.errors.pointer, "detail": places.errors.detail},
        "codes": {row.code: house(row, "kind", "status", "description", "advice") for row in vendor.rows},
        "statuses": {status: house(row) for status, row in vendor.statuses.items()},
        "patterns": {
            p.regex.pattern: {"house": p.house.code, "at": p.at, "statuses": [*p.statuses]} for p in vendor.patterns
        },
        "routes": [
            {
                "name": route.name,
                "methods": [*route.methods],
                "path": route.paths,
                "refused": route.refused,
                "timeouts": route.timeouts,
                "job": [work(job) for job in route.job],
            }
            for route in vendor.routes
        ],
        "errors_in_success": [
            {"route": entry.route, "at": entry.at, "statuses": entry.statuses} for entry in vendor.errors_in_success
        ],
    }


def test_extends_adds() -> None:
    """A new code stands beside the built-in ones."""
    vendor = describe("pixii_eu", {"extends": "pixii", "codes": {"NEW_CODE": "conflict"}}, VENDORS["pixii"])

    assert answer(vendor, 500, {"code": "NEW_CODE"}).code is HouseCode.CONFLICT
    assert answer(vendor, 500, {"error": {"code": "JOB_NOT_FOUND"}}).code is HouseCode.NOT_FOUND
    assert (vendor.name, vendor.title) == ("pixii_eu", "Pixii")
    assert vendor.routes == VENDORS["pixii"].routes
    assert len(vendor.rows) == len(VENDORS["pixii"].rows) + 1


def test_extends_overrides() -> None:
    """A built-in code gets another house code and keeps the vendor's words; a place that is given replaces the old."""
    mapping = {
        "code": "/kind",
        "codes": {"job_not_found": "conflict", "UNAUTHORIZED": {"house": "permission_denied", "advice": "Ask Ann"}},
        "routes": [{"name": "poll", "methods": ["GET"], "path": "/v9/*"}],
        "statuses": {404: "conflict"},
    }

    vendor = describe("pixii", mapping, VENDORS["pixii"])

    missing, refused = vendor.row("JOB_NOT_FOUND"), vendor.row("UNAUTHORIZED")
    assert missing is not None
    assert refused is not None
    assert (missing.house, missing.status, missing.advice[:12]) == (HouseCode.CONFLICT, 404, "Check the jo")
    assert (refused.house, refused.without_credential, refused.advice) == (
        HouseCode.PERMISSION_DENIED,
        None,
        "Ask Ann",
    )
    assert len(vendor.rows) == len(VENDORS["pixii"].rows)
    assert vendor.places.code == ("/kind",)
    assert vendor.places.message == VENDORS["pixii"].places.message
    assert vendor.routes[0].paths == ("/v9/*",)
    assert len(vendor.routes) == len(VENDORS["pixii"].routes) + 1
    assert answer(vendor, 404, {}).code is HouseCode.CONFLICT


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"cods": {}}, "cods: is unknown; known are code, codes, "),
        ({"code": "error/code"}, "code: 'error/code' is no JSON Pointer; write it as /error/code"),
        ({"code": [5]}, "code: must be text"),
        ({"title": 5}, "title: must be text"),
        ({"errors": ["/a"]}, "errors: must be a mapping"),
        ({"errors": {"lists": "/a"}}, "errors.lists: is unknown; known are detail, list, pointer"),
        ({"codes": ["A"]}, "codes: must be a mapping"),
        ({"codes": {"A": "conflicts"}}, "codes.A.house: 'conflicts' is no house code"),
        ({"codes": {"A": 5}}, "codes.A: must be a mapping"),
        ({"codes": {"A": {}}}, "codes.A.house: is missing"),
        ({"codes": {"A": {"house": "conflict", "kind": "mail"}}}, "codes.A.kind: 'mail' is neither http nor job"),
        ({"codes": {"A": {"house": "conflict", "status": True}}}, "codes.A.status: must be a whole number"),
        ({"statuses": {"4xx": "conflict"}}, "statuses.4xx: '4xx' is no status"),
        ({"statuses": {"404": {"code": "conflict"}}}, "statuses.404.code: is unknown; known are house, "),
        ({"patterns": {"(": "conflict"}}, "patterns.(: is no regular expression (missing )"),
        ({"patterns": {"a": {"house": "conflict", "statuses": ["x"]}}}, "patterns.a.statuses: must be a whole number"),
        ({"routes": ["poll"]}, "routes.0: must be a mapping"),
        ({"routes": [{"name": "a"}, {"nam": "b"}]}, "routes.1.nam: is unknown; known are job, "),
        ({"routes": [{"name": "a", "refused": "yes"}]}, "routes.0.refused: must be true or false"),
        ({"routes": [{"name": "a", "job": {"fail": 1}}]}, "routes.0.job.0.fail: is unknown; known are by_code, "),
        (
            {"routes": [{"name": "a", "job": {"otherwise": "x"}}]},
            "routes.0.job.0.otherwise: 'x' is no house code",
        ),
        ({"errors_in_success": [{"route": "a"}]}, "errors_in_success.0.at: must be one JSON Pointer"),
        (
            {"errors_in_success": [{"route": "a", "at": "/a"}]},
            "errors_in_success.0: needs `equals`, or `statuses: true`",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_is_wrong(mapping: dict[str, object], says: str) -> None:
    """A mistake is named by its key, with what is wrong about it."""
    with pytest.raises(ValueError, match=rf"\A{re.escape(says)}"):
        describe("acme", mapping)
