"""The envelope: its members, their order, its schema, and JSON that every reader takes."""

import json

import jsonschema
import pytest

from normalizers import FieldError, HouseCode, Limit, Problem, Source, VendorError, problem_schema

INSTANCE = "urn:uuid:1b8e0f9c-0d3c-4c86-8f5c-0123456789ab"
VALIDATOR = jsonschema.Draft202012Validator(problem_schema())
FULL = Problem(
    HouseCode.VENDOR_RATE_LIMITED,
    Source.VENDOR,
    "Pixii allows no more requests at the moment.",
    vendor="pixii",
    vendor_error=VendorError(429, "RATE_LIMIT_MINUTE_EXCEEDED", "Too many requests", "v-1", {"retry_after": 47}),
    errors=(FieldError("too old", "#/age"), FieldError("odd")),
    retry_after=47,
    limit=Limit("minute", "vendor"),
    job_pointer="/data/failCode",
    rule="the row of RATE_LIMIT_MINUTE_EXCEEDED",
    label="RATE_LIMIT_MINUTE_EXCEEDED",
)


def members(problem: Problem) -> dict[str, object]:
    """The envelope with made-up identities."""
    return problem.members(base_uri="https://errors.example/", instance=INSTANCE, request_id="01J")


def test_members() -> None:
    """The envelope has the members of contract 5 in their order, and nothing that is for logs alone."""
    assert [*members(FULL).items()] == [
        ("type", "https://errors.example/vendor_rate_limited"),
        ("title", "The vendor throttled this request"),
        ("status", 429),
        ("detail", "Pixii allows no more requests at the moment."),
        ("instance", INSTANCE),
        ("code", "vendor_rate_limited"),
        ("source", "vendor"),
        ("fault", "operator"),
        ("retryable", True),
        ("retry_after", 47),
        ("request_id", "01J"),
        ("vendor", "pixii"),
        (
            "vendor_error",
            {
                "status": 429,
                "code": "RATE_LIMIT_MINUTE_EXCEEDED",
                "message": "Too many requests",
                "request_id": "v-1",
                "details": {"retry_after": 47},
            },
        ),
        ("errors", [{"detail": "too old", "pointer": "#/age"}, {"detail": "odd"}]),
        ("limit", {"name": "minute", "scope": "vendor"}),
        ("job_pointer", "/data/failCode"),
    ]


def test_least_members() -> None:
    """What is not known is not there."""
    problem = Problem(HouseCode.NOT_FOUND, Source.GATEWAY, "There is no vendor of this name.")

    assert [*members(problem)] == [
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "code",
        "source",
        "fault",
        "retryable",
        "request_id",
    ]


def test_vendor_error_without_words() -> None:
    """A vendor that answered without a word still has its status told."""
    problem = Problem(HouseCode.VENDOR_FAILED, Source.VENDOR, "x", vendor_error=VendorError(500))

    assert members(problem)["vendor_error"] == {"status": 500}


@pytest.mark.parametrize("house", HouseCode, ids=str)
def test_every_code_fits_the_schema(house: HouseCode) -> None:
    """An envelope of any code is valid, and its retryability is the code's own unless given."""
    problem = Problem(house, Source.GATEWAY, "x")

    assert problem.retryable is house.retryable
    assert Problem(house, Source.GATEWAY, "x", retryable=False).retryable is False
    VALIDATOR.validate(members(problem))


def test_schema_is_one() -> None:
    """The schema is valid itself, and the fullest envelope is valid by it."""
    jsonschema.Draft202012Validator.check_schema(problem_schema())

    VALIDATOR.validate(members(FULL))


@pytest.mark.parametrize(
    "change",
    [
        {"status": 200},
        {"status": 503},
        {"code": "no_such_code"},
        {"title": "Another"},
        {"fault": "caller"},
        {"source": "moon"},
        {"retryable": "yes"},
        {"retry_after": 0},
        {"retry_after": 1.5},
        {"detail": ""},
        {"detail": "x" * 1_025},
        {"instance": "urn:uuid:1"},
        {"vendor": "Pixii"},
        {"vendor_error": {}},
        {"vendor_error": {"status": 429, "body": "<html>"}},
        {"vendor_error": {"status": 429, "code": "x" * 129}},
        {"errors": []},
        {"errors": [{"detail": "x"}] * 51},
        {"errors": [{"pointer": "#/a"}]},
        {"errors": [{"detail": "x", "pointer": "/a"}]},
        {"limit": {"name": "minute", "scope": "moon"}},
        {"job_pointer": "#/a"},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
def test_schema_refuses(change: dict[str, object]) -> None:
    """The schema is a check: what contradicts contract 5 is not valid."""
    assert not VALIDATOR.is_valid(members(FULL) | change)


def test_schema_is_open() -> None:
    """Members are only ever added, so an unknown one is valid."""
    assert VALIDATOR.is_valid(members(FULL) | {"new_member": 1})


def test_encode() -> None:
    """The envelope is compact UTF-8, as it stands."""
    problem = Problem(HouseCode.NOT_FOUND, Source.VENDOR, "Größe 😀 \u0007")

    encoded = problem.encode(base_uri="/-/problems/", instance=INSTANCE, request_id="01J")

    assert json.loads(encoded) == problem.members(base_uri="/-/problems/", instance=INSTANCE, request_id="01J")
    assert "Größe 😀 \\u0007".encode() in encoded
    assert encoded.startswith(b'{"type":"/-/problems/not_found","title":')


def test_encode_survives_a_surrogate() -> None:
    """A lone surrogate costs its character, not the answer (W-017)."""
    problem = Problem(HouseCode.NOT_FOUND, Source.GATEWAY, "lone \ud83d")

    encoded = problem.encode(base_uri="/", instance=INSTANCE, request_id="01J")

    assert json.loads(encoded)["detail"] == "lone ?"


def test_encode_has_no_nan() -> None:
    """What is no JSON is refused where it is made, never sent."""
    problem = Problem(HouseCode.NOT_FOUND, Source.VENDOR, "x", vendor_error=VendorError(404, details=[float("nan")]))

    with pytest.raises(ValueError, match="JSON"):
        problem.encode(base_uri="/", instance=INSTANCE, request_id="01J")
