"""
The one promise that matters: whatever a vendor sends becomes a valid envelope, quickly and in little memory.

`ERRGATE_LONG=1 pytest --hypothesis-show-statistics -o faulthandler_timeout=0` on this file names the slowest example of
20,000 (goal: 50 ms).
"""

import json
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import jsonschema
from hypothesis import event, given, target
from hypothesis import strategies as st

from normalizers import (
    GENERIC,
    VENDORS,
    Asked,
    Reply,
    Route,
    Routes,
    Scrubber,
    Vendor,
    describe,
    error_in_success,
    inspect_job,
    normalize,
    problem_schema,
)
from tests.budget import LONG

MIB = 1024 * 1024
# What the gateway reads of an error body on the wire.
LARGEST = 256 * 1024
SECRET = "pk_live_0123456789abcdef"
INSTANCE = "urn:uuid:1b8e0f9c-0d3c-4c86-8f5c-0123456789ab"
VALIDATOR = jsonschema.Draft202012Validator(problem_schema())
ACME = describe(
    "acme",
    {
        "code": ["/error/code", "/code"],
        "message": "/message",
        "patterns": {"(?i)denied": "permission_denied"},
        "errors": {"list": ["/errors", "/details"]},
        "errors_in_success": [{"route": "poll", "at": "/success", "equals": False}],
        "routes": [{"name": "poll", "path": "/*", "job": {"items": ["/ads", "/data"], "code": "/error/code"}}],
    },
)
ALL = [*VENDORS.values(), GENERIC("other"), ACME]
ROUTES = [(vendor, route) for vendor in ALL for route in vendor.routes if route.job or vendor.errors_in_success]

WORDS = """
code message detail error errors details data error_code failCode failMsg state status request_id retry_after
retry_after_seconds field loc msg path pointer success id output ads failed_rows taskId
"""
NAMES = st.sampled_from(WORDS.split())
SECRETS = st.sampled_from([SECRET, f"Bearer {SECRET}", "sk-0123456789", "pkz_1"])
CODES = st.sampled_from([row.code for vendor in VENDORS.values() for row in vendor.rows])
STATES = st.sampled_from(["failed", "completed", "success", "FAILED", "cancelled"])
NUMBERS = st.one_of(st.integers(), st.floats(), st.integers(10**8, 10**14), st.integers(400, 599))
TEXTS = st.one_of(st.text(), st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl"])), CODES, SECRETS, STATES)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(st.one_of(NAMES, st.text(max_size=8)), inner, max_size=6)
    ),
    max_leaves=10,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=8)
JSON = OBJECTS.map(lambda value: json.dumps(value).encode())
# What a clever vendor would repeat.
PIECES = st.one_of(
    st.sampled_from(
        [
            b"[",
            b'{"a":',
            b"[[[[]]]],",
            b'{"":{}},',
            b"9,",
            b'"ab",',
            b'{"field":"a","message":"b"},',
            b"Bearer ",
            b"sk-",
        ]
    ),
    st.sampled_from(["\\ud800", "\\u0000", "😀", "pk_live_", "a.", " ", "\\\\", "\u202e"]).map(str.encode),
    st.binary(min_size=1, max_size=12),
)
FRAMES = st.sampled_from(
    [
        (b"", b""),
        (b"[", b"0]"),
        (b'{"message":"', b'"}'),
        (b'{"error":{"code":"VALIDATION_ERROR","details":[', b"0]}}"),
        (b'{"error":{"code":"VALIDATION_ERROR","details":[{"message":"m","field":"', b'"}]}}'),
        (b'{"status":"completed","ads":[', b"0]}"),
        (b'{"retry_after":"', b'"}'),
        (b'{"code":"', b'"}'),
    ]
)


@st.composite
def bombs(draw: st.DrawFn) -> bytes:
    """A piece repeated up to the largest body that is read."""
    (before, after), piece = draw(FRAMES), draw(PIECES)
    size = draw(st.sampled_from([0, 100, 10_000, LARGEST]))
    return before + piece * ((size - len(before) - len(after)) // len(piece)) + after


@st.composite
def cut(draw: st.DrawFn) -> bytes:
    """JSON that is marked, mislabelled or cut."""
    body = draw(JSON)
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff", b"<"])) + body[: draw(st.integers(0, len(body)))]


BODIES = st.one_of(st.binary(), JSON, cut(), bombs())
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "date", "x-request-id", "x-ratelimit-reset", "content-type"]),
    st.one_of(
        st.text(st.characters(max_codepoint=255)),
        st.sampled_from(["0", "120", "9" * 400, "Sat, 21 Nov 2026 12:00:00 GMT", "Sat Nov 21 12:00:00 2026"]),
        SECRETS,
    ),
)


def put(body: dict[str, object], pointer: str, value: object) -> None:
    """Set what a pointer points to, as deep as it goes."""
    *outer, last = pointer.split("/")[1:]
    for step in outer:
        inner = body.get(step)
        body[step] = body = inner if isinstance(inner, dict) else {}
    body[last] = value


@st.composite
def bodies_of(draw: st.DrawFn, vendor: Vendor) -> bytes:
    """What this vendor could say: a code of its table and words, each at one of its places, and whatever else."""
    if not vendor.rows or draw(st.booleans()):
        return draw(BODIES)
    body = draw(OBJECTS)
    put(body, draw(st.sampled_from(vendor.places.code)), draw(st.sampled_from(vendor.rows)).code)
    for pointers in (vendor.places.message, vendor.places.retry_after, vendor.places.errors.list):
        if pointers:
            put(body, draw(st.sampled_from(pointers)), draw(VALUES))
    return json.dumps(body).encode()


@st.composite
def answers(draw: st.DrawFn) -> tuple[Vendor, Reply]:
    """A vendor and what it answers."""
    vendor = draw(st.sampled_from(ALL))
    return vendor, Reply(
        draw(st.integers(400, 599)),
        draw(HEADERS),
        draw(bodies_of(vendor)),
        draw(st.floats(0, 4e9)),
        draw(st.booleans()),
    )


ASKED = st.builds(
    Asked,
    method=st.sampled_from(["GET", "POST", "BREW"]),
    own_credential=st.booleans(),
    idempotency_key=st.booleans(),
    vendor_messages=st.sampled_from(["always", "caller_faults", "never"]),
    scrub=st.just(Scrubber([SECRET])),
)


@contextmanager
def bounded() -> Iterator[None]:
    """At most 8 MiB; and in the long run the time is told to Hypothesis, which then looks for slower examples."""
    tracemalloc.start()
    began = time.perf_counter()
    try:
        yield
        elapsed = time.perf_counter() - began
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 8 * MIB, f"{peak / MIB:.1f} MiB"
    # What follows the clock is never the same run twice, and its noise can keep the search climbing for minutes.
    if LONG:
        target(elapsed * 1000, label="milliseconds of the slowest example, with memory traced")


def check(encoded: bytes) -> None:
    """The envelope is strict JSON, valid by its schema, and without the secret."""
    assert SECRET.encode() not in encoded
    members = json.loads(encoded.decode("utf-8", "strict"), parse_constant=refuse)
    VALIDATOR.validate(members)


def refuse(constant: str) -> None:
    """NaN and Infinity are no JSON."""
    raise AssertionError(constant)


@given(answer=answers(), asked=ASKED)
def test_any_error_is_an_envelope(answer: tuple[Vendor, Reply], asked: Asked) -> None:
    """Any bytes, any headers, any status from 400 to 599, any vendor: a valid envelope."""
    vendor, reply = answer

    with bounded():
        problem = normalize(vendor, reply, asked)
        encoded = problem.encode(base_uri="/-/problems/", instance=INSTANCE, request_id="01J")

    check(encoded)
    assert problem.label in {row.code for row in vendor.rows} | {"other", "none"}
    event("decided by " + " ".join(problem.rule.split()[:2]))


@given(where=st.sampled_from(ROUTES), body=BODIES, asked=ASKED)
def test_any_success_is_survived(where: tuple[Vendor, Route], body: bytes, asked: Asked) -> None:
    """Any body of a 200, on any route: a report whose problems are valid envelopes."""
    vendor, route = where
    reply = Reply(200, {}, body)

    with bounded():
        meant = error_in_success(vendor, route.name, reply)
        report = inspect_job(vendor, route, reply, asked)
        encoded = [problem.encode(base_uri="/", instance=INSTANCE, request_id="01J") for problem in report.problems]

    assert meant is None or 400 <= meant <= 599
    assert all(problem.job_pointer for problem in report.problems)
    for one in encoded[:3]:
        check(one)


@given(method=st.text(max_size=8), path=st.one_of(st.binary(), st.text()))
def test_any_path_is_survived(method: str, path: bytes | str) -> None:
    """Any method and path takes a route or none."""
    for vendor in ALL:
        routes = Routes(vendor.routes)

        found = routes.match(method, path)

        assert found is None or found in vendor.routes
        assert found is None or not found.methods or method in routes.methods_for(path)
