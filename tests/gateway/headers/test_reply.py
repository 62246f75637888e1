"""What of a vendor's head goes back to the caller."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.headers import Base, ToCaller, to_annotated

Headers = list[tuple[bytes, bytes]]

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
OURS = b"Mon, 01 Jan 2029 00:00:00 GMT"
LENGTH = (b"content-length", b"5")

BASE = Base(scheme="https", authority="api.pixii.ai")
to_caller = ToCaller(BASE)


def head(headers: Headers, rules: ToCaller = to_caller, *, method: str = "GET", status: int = 200) -> Headers:
    """The whole head that a caller gets."""
    return rules(headers, method=method, status=status, prefix=b"/pixii", request_id=b"ours-1234", date=OURS)


def passed(headers: Headers, rules: ToCaller = to_caller) -> Headers:
    """What a caller gets of these fields, without what every answer has."""
    added = {LENGTH, (b"date", OURS), (b"x-request-id", b"ours-1234")}
    return [header for header in head([*headers, LENGTH], rules) if header not in added]


@pytest.mark.parametrize(
    "name",
    [
        # Hop by hop (W-023, W-055, RC-02, RC-04).
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "HTTP2-Settings",
        "Proxy-Authenticate",
        "Proxy-Authentication-Info",
        "Proxy-Authorization",
        "Proxy-Connection",
        # What acts on our origin or our ingress (W-146).
        "Alt-Svc",
        "Strict-Transport-Security",
        "Clear-Site-Data",
        "Public-Key-Pins",
        "Public-Key-Pins-Report-Only",
        "NEL",
        "Report-To",
        "Reporting-Endpoints",
        "Refresh",
        "X-Accel-Redirect",
        "X-Accel-Buffering",
        "X-Sendfile",
        "X-Lighttpd-Send-File",
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
        "X-Powered-By",
        "Server",
        # Ours to say, and nobody else's (W-145).
        "Errgate-Code",
        "errgate-anything",
        "Set-Cookie",
        "Set-Cookie2",
    ],
)
def test_what_is_not_the_callers_business_stays(name: str) -> None:
    """W-023, W-145, W-146: none of these reaches a caller."""
    assert passed([(name.encode(), b"x"), (name.lower().encode(), b"y")]) == []


@pytest.mark.parametrize(
    "headers",
    [
        [(b"cache-control", b"max-age=600"), (b"etag", b'"x"'), (b"last-modified", DATE), (b"vary", b"*")],
        [(b"content-digest", b"sha-256=:x:"), (b"signature", b"s=:x:"), (b"signature-input", b"s=()")],
        [(b"content-range", b"bytes 0-1/2"), (b"accept-ranges", b"bytes"), (b"content-encoding", b"gzip")],
        [(b"ratelimit", b'"default";r=5;t=9'), (b"x-ratelimit-remaining", b"5"), (b"retry-after", b"7")],
        [(b"www-authenticate", b"Basic"), (b"allow", b"GET"), (b"proxy-status", b"a"), (b"via", b"1.1 b")],
        [(b"x-multi", b"b"), (b"x-other", b""), (b"x-multi", b"a"), (b"x-multi", b"a"), (b"trailers", b"x")],
        [(b"content-type", b"Text/Plain; charset=x"), (b"content-type", b"b/c")],
    ],
)
def test_everything_else_passes_as_it_is(headers: Headers) -> None:
    """W-025, W-066, W-107: unknown fields, validators and digests pass, line by line."""
    assert passed([(name.title(), value) for name, value in headers]) == headers


def test_cookies_pass_where_settings_say_so() -> None:
    """W-025, W-145: with `forward.cookies` every Set-Cookie is a line of its own."""
    cookies = [(b"set-cookie", b"a=1; Expires=Sun, 06 Nov 1994 08:49:37 GMT"), (b"set-cookie", b"b=2")]

    assert passed(cookies, ToCaller(BASE, cookies=True)) == cookies


@pytest.mark.parametrize("lines", [[b"close,, X-Foo, location"], [b"", b"x-foo", b"Location,keep-alive"]])
def test_nominated_fields_stay(lines: list[bytes]) -> None:
    """W-022: what a vendor's Connection lines name is the connection's."""
    headers = [(b"X-Foo", b"1"), *((b"Connection", line) for line in lines), (b"Location", b"/x"), (b"X-Bar", b"2")]

    assert passed(headers) == [(b"x-bar", b"2")]


@pytest.mark.parametrize("value", [b"a\x01b", b"a\r\nb", b"\x00", b"\x7f", b"a\x1b[0m"])
def test_fields_with_controls_are_dropped(value: bytes) -> None:
    """W-052: the field goes, the answer stays."""
    assert passed([(b"X-A", value), (b"Location", b"/" + value), (b"X-B", b"a\tb\xe9")]) == [(b"x-b", b"a\tb\xe9")]


@pytest.mark.parametrize(
    ("given_dates", "date"),
    [
        ([], OURS),
        ([DATE], DATE),
        ([b"Sunday, 06-Nov-94 08:49:37 GMT"], b"Sunday, 06-Nov-94 08:49:37 GMT"),
        ([b"Sun Nov  6 08:49:37 1994"], b"Sun Nov  6 08:49:37 1994"),
        ([b"now"], OURS),
        ([b""], OURS),
        ([b"Sun, 06 Nov 1994 08:49:37 +0000"], OURS),
        ([DATE, OURS], DATE),
        ([b"now", DATE], DATE),
    ],
)
def test_there_is_one_date(given_dates: list[bytes], date: bytes) -> None:
    """W-064: the vendor's Date where it is one, else ours, never two."""
    sent = head([(b"Date", value) for value in given_dates])

    assert [value for name, value in sent if name == b"date"] == [date]


@pytest.mark.parametrize(
    ("method", "status", "headers", "expected"),
    [
        ("GET", 200, [LENGTH], [LENGTH]),
        ("GET", 200, [LENGTH, LENGTH], [LENGTH]),
        ("GET", 200, [LENGTH, (b"Transfer-Encoding", b"chunked")], [(b"x-accel-buffering", b"no")]),
        ("GET", 200, [(b"Transfer-Encoding", b"chunked")], [(b"x-accel-buffering", b"no")]),
        ("GET", 200, [], [(b"x-accel-buffering", b"no")]),
        ("HEAD", 200, [(b"Content-Length", b"1234")], [(b"content-length", b"1234")]),
        ("HEAD", 200, [], []),
        ("HEAD", 200, [(b"Transfer-Encoding", b"chunked")], []),
        ("GET", 204, [LENGTH], []),
        ("GET", 204, [(b"Transfer-Encoding", b"chunked")], []),
        ("GET", 304, [(b"Content-Length", b"30")], []),
        ("GET", 206, [LENGTH], [LENGTH]),
    ],
)
def test_one_framing_or_none(method: str, status: int, headers: Headers, expected: Headers) -> None:
    """W-047, W-049, W-050: a length only where it is true, a HEAD's kept, none where no content may follow."""
    framing = {b"content-length", b"transfer-encoding", b"x-accel-buffering"}

    sent = [header for header in head(headers, method=method, status=status) if header[0] in framing]

    assert sent == expected


def test_event_streams_are_not_buffered() -> None:
    """W-158: an ingress is told to pass events on, and only those, with our word in place of the vendor's."""
    events = [(b"Content-Type", b"Text/Event-Stream; charset=utf-8"), (b"X-Accel-Buffering", b"yes"), LENGTH]
    page = [(b"Content-Type", b"text/html"), (b"X-Accel-Buffering", b"yes"), LENGTH]

    assert [value for name, value in head(events) if name == b"x-accel-buffering"] == [b"no"]
    assert not [value for name, value in head(page) if name == b"x-accel-buffering"]


def test_request_ids_are_told_apart() -> None:
    """W-138: ours is `X-Request-Id` on every answer, the vendor's own has our other name."""
    sent = head([(b"X-Request-Id", b"theirs"), LENGTH])

    assert sent[-2:] == [(b"x-request-id", b"ours-1234"), (b"errgate-vendor-request-id", b"theirs")]


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([(b"X-Trace", b"t-1"), (b"X-Request-Id", b"r-1")], b"t-1"),
        ([(b"X-Request-Id", b"r-1")], b"r-1"),
        ([(b"X-Trace", b"a b"), (b"X-Request-Id", b"r-1"), (b"X-Request-Id", b"r-2")], b"r-1"),
        ([(b"X-Trace", b"\x01"), (b"X-Request-Id", b"")], None),
        ([], None),
    ],
)
def test_a_vendor_may_have_its_own_field_for_its_id(headers: Headers, said: bytes | None) -> None:
    """W-138, W-147: the first field that holds an id counts; one of another name stays where it was, too."""
    rules = ToCaller(BASE, request_id_headers=("X-Trace", "X-Request-Id"))

    sent = passed(headers, rules)

    assert [value for name, value in sent if name == b"errgate-vendor-request-id"] == ([said] if said else [])
    assert [value for name, value in sent if name == b"x-trace"] == [v for n, v in headers if n == b"X-Trace"][
        : 0 if said is None else None
    ]


def test_location_is_said_from_the_callers_side() -> None:
    """W-070: every Location of a redirect or a creation is mapped."""
    assert passed([(b"Location", b"https://api.pixii.ai/x")]) == [(b"location", b"/pixii/x")]


def test_extra_fields_come_last() -> None:
    """What the gateway adds to an answer stands beside what it passes."""
    added = [(b"errgate-job-codes", b"work_failed")]

    sent = to_caller([LENGTH], method="GET", status=200, prefix=b"", request_id=b"r", date=OURS, extra=added)

    assert sent[-1:] == added


OVER_THE_BODY = [
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
]


def test_a_changed_body_loses_what_was_computed_over_it() -> None:
    """W-110: a spliced job keeps its fields but digests, signatures, tag and coding, and has its true length."""
    sent = head([(name.encode(), b"1") for name in OVER_THE_BODY] + [(b"X-A", b"1"), (b"Last-Modified", DATE)])

    annotated = to_annotated(sent, length=99)

    assert annotated == [
        (b"x-a", b"1"),
        (b"last-modified", DATE),
        (b"date", OURS),
        (b"x-request-id", b"ours-1234"),
        (b"content-length", b"99"),
    ]


NAMES = st.sampled_from([b"Connection", b"Date", b"Location", b"Content-Length", b"Server", b"X-Request-Id", b"Link"])


@given(
    st.lists(st.tuples(NAMES | st.binary(min_size=1, max_size=9), st.binary(max_size=30)), max_size=12),
    st.sampled_from([200, 204, 304, 308, 404]),
)
def test_any_head_is_answered_clean(headers: Headers, status: int) -> None:
    """W-052, W-064, W-146: whatever a vendor sends, there is one Date, no Server and no control."""
    sent = head(headers, status=status)

    assert [name for name, _ in sent].count(b"date") == 1
    assert not [name for name, _ in sent if name in {b"server", b"connection"}]
    assert not [value for _, value in sent if any(byte < 32 and byte != 9 for byte in value)]
