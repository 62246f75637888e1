"""The finder: field errors in every form, their pointers, and the vendor's error object."""

import json
import math

import pytest

from normalizers import (
    VENDORS,
    Asked,
    FieldError,
    FieldPlaces,
    HouseCode,
    Places,
    Problem,
    Reply,
    Row,
    Vendor,
    normalize,
)

ROWS = (Row("BAD", HouseCode.INVALID_REQUEST, "http", ""), Row("OURS", HouseCode.INSUFFICIENT_CREDITS, "http", ""))
ACME = Vendor(
    "acme",
    "Acme",
    rows=ROWS,
    places=Places(code=("/code",), message=("/message",), errors=FieldPlaces(list=("/fields", "/more"))),
)


def problem_of(fields: object, **body: object) -> Problem:
    """The problem of a reply with these field errors."""
    said = {"code": "BAD", "message": "No", "fields": fields, **body}
    return normalize(ACME, Reply(400, {}, json.dumps(said).encode()))


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ("too old", [("too old", None)]),
        (["too old", "too long"], [("too old", None), ("too long", None)]),
        ([{"field": "age", "message": "too old"}], [("too old", "#/age")]),
        ([{"path": "a.0.b", "detail": "bad"}], [("bad", "#/a/0/b")]),
        ([{"name": "a[0].b", "msg": "bad"}], [("bad", "#/a/0/b")]),
        ([{"pointer": "/a/0/b", "why": "bad"}], [("bad", "#/a/0/b")]),
        ([{"pointer": "#/a/0/b", "error": "bad"}], [("bad", "#/a/0/b")]),
        ([{"param": "$.a[0]", "message": "bad"}], [("bad", "#/a/0")]),
        ([{"loc": ["body", "items", 0, "ean"], "msg": "bad"}], [("bad", "#/items/0/ean")]),
        ([{"loc": ["query", "q"], "msg": "bad"}], [("bad", "#/query/q")]),
        ([{"loc": ["body"], "msg": "bad"}], [("bad", "#")]),
        ([{"loc": [], "msg": "bad"}], [("bad", None)]),
        ([{"loc": ["body", {}, "a"], "msg": "bad"}], [("bad", "#/a")]),
        ([{"field": ".", "message": "bad"}], [("bad", None)]),
        ([{"field": "", "name": "age", "message": "bad"}], [("bad", "#/age")]),
        ([{"field": 5, "message": "bad"}], [("bad", None)]),
        ([{"message": "bad"}], [("bad", None)]),
        ({"field": "age", "message": "too old"}, [("too old", "#/age")]),
        ({"age": ["too old", "not a number"]}, [("too old", "#/age"), ("not a number", "#/age")]),
        ({"age": "too old", "": "odd"}, [("too old", "#/age"), ("odd", None)]),
        ({"age": [{"message": "too old"}], "n": 5}, [("too old", "#/age")]),
        ([{"age": ["too old"]}], [("too old", "#/age")]),
        ({"a/b": "bad", "m~n": "bad", "x.y": "bad"}, [("bad", "#/a~1b"), ("bad", "#/m~0n"), ("bad", "#/x/y")]),
        ({"größe": "bad", "two words": "bad"}, [("bad", "#/gr%C3%B6%C3%9Fe"), ("bad", "#/two%20words")]),
        ({"\ud800": "bad"}, [("bad", "#/?")]),
        ([{"pointer": "/a~1b", "message": "bad"}], [("bad", "#/a~1b")]),
        ([{"pointer": "#/two%20words", "message": "bad"}], [("bad", "#/two%20words")]),
        ([{"pointer": "/" + "/x" * 31, "message": "bad"}], [("bad", "#/" + "/x" * 31)]),
        ([["nested"], 5, None, {}, " ", True], []),
        ({}, []),
        ([], []),
        (None, []),
        (5, []),
        ("No", []),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_field_errors(fields: object, errors: list[tuple[str, str | None]]) -> None:
    """Every form in which vendors name wrong fields becomes `errors`, with the pointer as RFC 9457 shows it (W-011)."""
    problem = problem_of(fields)

    assert problem.errors == tuple(FieldError(detail, pointer) for detail, pointer in errors)


def test_first_place_with_errors_counts() -> None:
    """A place that names no field gives way to the next."""
    assert problem_of([], more=["x"]).errors == (FieldError("x"),)
    assert problem_of(["y"], more=["x"]).errors == (FieldError("y"),)


def test_at_most_fifty() -> None:
    """However many fields are wrong, fifty are named."""
    many = [{"field": "a", "message": "b"}] * 5_000
    by_field = {f"f{n}": ["a"] * 60 for n in range(60)}

    assert len(problem_of(many).errors) == 50
    assert len(problem_of(by_field).errors) == 50


@pytest.mark.parametrize("path", ["a." * 50_000, ["a"] * 50_000, "é" * 1_000], ids=["dots", "list", "name"])
def test_endless_path(path: object) -> None:
    """Where a field is cannot be told by half of its path."""
    problem = problem_of([{"field": path, "message": "bad"}])

    assert problem.errors == (FieldError("bad"),)


def test_errors_are_for_callers() -> None:
    """Where the caller is not at fault no field is wrong."""
    assert problem_of(["x"], code="OURS").errors == ()


def test_errors_are_cleaned() -> None:
    """What the vendor says about a field is as unsafe as its message."""
    scrub = Asked(scrub=lambda text: text.replace("secret", "***"))
    body = {"code": "BAD", "fields": [{"field": "secret", "message": "the secret\u0007" + "x" * 2_000}]}

    problem = normalize(ACME, Reply(400, {}, json.dumps(body).encode()), scrub)

    assert problem.errors[0].pointer == "#/***"
    assert problem.errors[0].detail.startswith("the ***\ufffdxxx")
    assert len(problem.errors[0].detail) == 1_024


def details_of(body: object, places: Places = ACME.places) -> object:
    """The vendor's error object of a reply."""
    vendor = Vendor("acme", "Acme", rows=ROWS, places=places)
    error = normalize(vendor, Reply(400, {}, json.dumps(body).encode())).vendor_error
    assert error is not None
    return error.details


DEEP: list[object] = []
for _ in range(40):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({"error": {"code": "BAD"}, "id": 1}, {"code": "BAD"}),
        ({"code": "BAD", "n": [1, 2.5, None, True]}, {"code": "BAD", "n": [1, 2.5, None, True]}),
        ({"error": "bad", "id": 1}, {"error": "bad", "id": 1}),
        ({"error": [1]}, [1]),
        ({"error": {}}, None),
        ({}, None),
        ([1], None),
        ({"n": math.inf, "m": math.nan}, {"n": None, "m": None}),
        ({"t": "\ud800\u0007\n"}, {"t": "\ufffd\ufffd "}),
        ({"\u0007": 1}, {"\ufffd": 1}),
        ({"t": "x" * 4_084}, {"t": "x" * 4_084}),
        ({"t": "x" * 4_097}, None),
        ({"t": "é" * 2_045}, None),
        ({"l": [1] * 5_000}, None),
        ({"l": DEEP}, None),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_details(body: object, details: object) -> None:
    """The vendor's error object comes along: safe, finite, and at most 4 KiB."""
    assert details_of(body) == details


def test_details_elsewhere() -> None:
    """A vendor's file or description says where its error object is."""
    places = Places(detail=("/fault/info", "/fault"))

    assert details_of({"fault": {"info": {"a": 1}}}, places) == {"a": 1}
    assert details_of({"fault": {"info": "x"}}, places) == {"info": "x"}
    assert details_of({"error": {"a": 1}}, places) == {"error": {"a": 1}}


def test_details_are_scrubbed() -> None:
    """A secret in a name or a value of the error object is taken out."""
    body = {"error": {"sk-abcdef123": ["ok", {"k": "key pkz_123 is bad"}], "n": 1}}

    error = normalize(VENDORS["pikzels"], Reply(500, {}, json.dumps(body).encode())).vendor_error

    assert error is not None
    assert error.details == {"[redacted]": ["ok", {"k": "key [redacted] is bad"}], "n": 1}
