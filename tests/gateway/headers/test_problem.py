"""What stays of a vendor's head when its error is rewritten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.headers import errgate_fields, proxy_status, to_problem

Headers = list[tuple[bytes, bytes]]

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
OURS = b"Mon, 01 Jan 2029 00:00:00 GMT"

KEPT_ALWAYS = [
    "Allow",
    "Deprecation",
    "Link",
    "Proxy-Status",
    "RateLimit",
    "RateLimit-Policy",
    "RateLimit-Remaining",
    "Sunset",
    "Vary",
    "X-RateLimit-Limit",
]
KEPT_BY_CODE = {
    "Content-Range": "range_not_satisfiable",
    "Accept": "unsupported_media_type",
    "Accept-Encoding": "unsupported_media_type",
    "Accept-Patch": "unsupported_media_type",
    "Accept-Post": "unsupported_media_type",
}
NEVER_KEPT = [
    "Content-Encoding",
    "Content-Length",
    "Content-MD5",
    "Digest",
    "Content-Digest",
    "Repr-Digest",
    "Signature",
    "Signature-Input",
    "ETag",
    "Accept-Ranges",
    "Last-Modified",
    "Content-Location",
    "Content-Disposition",
    "Content-Type",
    "Content-Language",
    "Expires",
    "Age",
    "Cache-Control",
    "Pragma",
    "Transfer-Encoding",
    "Set-Cookie",
    "Upgrade",
    "Location",
    "Retry-After",
    "Server",
    "Alt-Svc",
    "X-Accel-Redirect",
    "Access-Control-Allow-Origin",
    "Errgate-Code",
    "X-Anything",
]


@pytest.mark.parametrize("name", KEPT_ALWAYS)
def test_problems_keep_what_carries_their_meaning(name: str) -> None:
    """W-068, W-089: these stay on a rewritten error, line by line and unchanged."""
    kept = to_problem([(name.encode(), b"a"), (name.encode(), b"b")], code="vendor_failed", date=OURS)

    assert kept == [(name.lower().encode(), b"a"), (name.lower().encode(), b"b"), (b"date", OURS)]


@pytest.mark.parametrize("name", NEVER_KEPT)
def test_problems_drop_what_described_the_old_body(name: str) -> None:
    """W-105, W-106, W-146: what is no longer true, no longer cacheable or never ours is gone."""
    assert to_problem([(name.encode(), b"1")], code="not_found", date=OURS, own_credential=True) == [(b"date", OURS)]


@pytest.mark.parametrize(("name", "code"), KEPT_BY_CODE.items())
def test_some_fields_belong_to_one_code(name: str, code: str) -> None:
    """W-068: Content-Range stays on a 416, what is acceptable on a 415, and nowhere else."""
    field = (name.encode(), b"x")

    assert to_problem([field], code=code, date=OURS)[0] == (name.lower().encode(), b"x")
    assert to_problem([field], code="invalid_request", date=OURS) == [(b"date", OURS)]


def test_a_challenge_is_for_whoever_sent_the_credential() -> None:
    """W-068, W-077: with our own credential the vendor's challenge says nothing to the caller."""
    challenge = [(b"WWW-Authenticate", b"Bearer"), (b"WWW-Authenticate", b"Basic")]

    theirs = to_problem(challenge, code="unauthenticated", date=OURS, own_credential=True)

    assert [name for name, _ in theirs] == [b"www-authenticate", b"www-authenticate", b"date"]
    assert to_problem(challenge, code="vendor_account_error", date=OURS) == [(b"date", OURS)]


def test_problems_are_as_clean_as_successes() -> None:
    """W-022, W-052, W-064: nominated fields, controls and second dates stay out of a rewritten error, too."""
    headers = [(b"Vary", b"a"), (b"Link", b"a\x01"), (b"Connection", b"vary"), (b"Date", DATE), (b"Date", OURS)]

    assert to_problem(headers, code="vendor_failed", date=OURS) == [(b"date", DATE)]


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ([(b"X-Request-Id", b"r-1")], None, b"r-1"),
        ([(b"X-Request-Id", b"r-1")], "b-1", b"r-1"),
        ([], "b-1", b"b-1"),
        ([(b"X-Request-Id", b"a b")], "b-1", b"b-1"),
        ([], "b\r\n1", None),
        ([], None, None),
    ],
)
def test_problems_carry_the_vendors_request_id(headers: Headers, body: str | None, said: bytes | None) -> None:
    """W-138, W-147: the vendor's id, from its head or else its body, has our name for it."""
    kept = to_problem(headers, code="vendor_failed", date=OURS, request_id=body)

    assert kept == [(b"date", OURS), *([(b"errgate-vendor-request-id", said)] if said else [])]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("errgate", b"errgate; error=dns_error"), ("1st gate", b'"1st gate"; error=dns_error')],
)
def test_proxy_status_names_the_failure(name: str, expected: bytes) -> None:
    """RFC 9209: our name as a token or a string, and one error, with nothing of the inside."""
    assert proxy_status(name, error="dns_error") == (b"proxy-status", expected)


def test_proxy_status_names_the_received_status() -> None:
    """RFC 9209: the status a vendor sent, where its own is not the one we answer."""
    assert proxy_status("errgate", received_status=499) == (b"proxy-status", b"errgate; received-status=499")


@pytest.mark.parametrize(("retryable", "said"), [(True, b"true"), (False, b"false")])
def test_an_error_that_passes_is_marked(retryable: bool, said: bytes) -> None:
    """With `errors: header` the head says what the envelope would have said."""
    fields = errgate_fields(
        code="not_found", fault="caller", source="vendor", instance="urn:uuid:1", retryable=retryable
    )

    assert fields == [
        (b"errgate-code", b"not_found"),
        (b"errgate-fault", b"caller"),
        (b"errgate-source", b"vendor"),
        (b"errgate-instance", b"urn:uuid:1"),
        (b"x-should-retry", said),
    ]


NAMES = st.sampled_from([b"Connection", b"Date", b"Vary", b"Link", b"Server", b"X-Request-Id", b"RateLimit"])


@given(st.lists(st.tuples(NAMES | st.binary(min_size=1, max_size=9), st.binary(max_size=30)), max_size=12))
def test_any_head_is_rewritten_clean(headers: Headers) -> None:
    """W-052, W-064, W-105: whatever a vendor sends, there is one Date, no Server and no control."""
    kept = to_problem(headers, code="vendor_failed", date=OURS)

    assert [name for name, _ in kept].count(b"date") == 1
    assert not [name for name, _ in kept if name in {b"server", b"connection"}]
    assert not [value for _, value in kept if any(byte < 32 and byte != 9 for byte in value)]
