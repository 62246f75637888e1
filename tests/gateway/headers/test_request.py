"""
What of a caller's head goes on to a vendor.

One file: a table of fields, each with its fate.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bad_input import BadHeaders, LoopDetected
from gateway.headers import BARE, Framing, ToVendor, max_forwards, read_framing
from gateway.headers.request import Credential

Headers = list[tuple[bytes, bytes]]

HOST = (b"host", b"api.pixii.ai")
VIA = (b"via", b"1.1 errgate")

to_vendor = ToVendor(authority="api.pixii.ai")


def passed(headers: Headers, rules: ToVendor = to_vendor) -> Headers:
    """What goes on of these fields, without what we add to every request."""
    framing = read_framing("1.1", [(b"host", b"gateway"), *headers])
    return [header for header in rules([(b"host", b"gateway"), *headers], framing) if header not in {HOST, VIA}]


@pytest.mark.parametrize(
    "name",
    [
        # Hop by hop (W-023, RC-02, RC-03, RC-04).
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "upgrade-insecure-requests",
        "proxy",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "proxy-anything",
        # Said to us, not to the vendor.
        "expect",
        "host",
        "errgate-key",
        "errgate-code",
        "errgate-anything",
        "cookie",
        # Where the caller sits (W-079, W-083).
        "forwarded",
        "x-real-ip",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-anything",
        # Its traces (W-137).
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-b3-traceid",
        "uber-trace-id",
        "sentry-trace",
        "x-datadog-trace-id",
        "x-request-id",
        # Credentials of nobody here.
        "authorization",
        "x-api-key",
        # Aliases of those (W-084, RC-06).
        "x_forwarded_for",
        "x.forwarded.for",
        "x_api_key",
        "x.api.key",
        "x-api_key",
        "errgate_key",
        "transfer_encoding",
        "content.length",
        "content_type",
        "x_request_id",
        "accept_encoding",
    ],
)
def test_what_is_not_the_vendors_business_stays(name: str) -> None:
    """W-023, W-083, W-084: by default none of these reaches a vendor, in any case of its name."""
    sent = to_vendor([(name.encode(), b"chunked"), (name.title().encode(), b"x")])

    assert sent == [HOST, VIA]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"user-agent", b"explicit UA"), (b"accept", b"*/*")],
        [(b"x-own-thing", b"1"), (b"x_own_thing", b"2"), (b"x.own.thing", b"3")],
        [(b"x-multi", b"b"), (b"x-other", b""), (b"x-multi", b"a"), (b"x-multi", b"a")],
        [(b"range", b"bytes=0-1,5-"), (b"if-match", b'"x"'), (b"if-none-match", b"*"), (b"if-range", b'"y"')],
        [(b"if-modified-since", b"Sun, 06 Nov 1994 08:49:37 GMT"), (b"if-unmodified-since", b"x")],
        [(b"content-type", b"application/json ; charset=utf-8"), (b"content-encoding", b"gzip")],
        [(b"idempotency-key", b'"8e03978e"'), (b"x-latin", b"caf\xe9"), (b"x-tab", b"a\tb")],
        [(b"accept", b"text/html"), (b"accept-language", b"de"), (b"sec-websocket-key", b"x")],
    ],
)
def test_everything_else_passes_as_it_is(headers: Headers) -> None:
    """W-025, W-066: unknown fields pass, and lines of one name are neither merged nor reordered."""
    assert passed(headers) == headers


def test_the_vendor_hears_its_own_name() -> None:
    """W-031, W-143: one Host, the vendor's, and it comes first."""
    sent = to_vendor([(b"host", b"evil"), (b"x", b"1"), (b"host", b"evil2")])

    assert sent == [HOST, (b"x", b"1"), VIA]


@pytest.mark.parametrize(
    ("framing", "field"),
    [
        (BARE, []),
        (Framing("length", 0), [(b"content-length", b"0")]),
        (Framing("length", 7), [(b"content-length", b"7")]),
        (Framing("chunked"), [(b"transfer-encoding", b"chunked")]),
    ],
)
def test_framing_is_said_once(framing: Framing, field: Headers) -> None:
    """W-045: one framing field of ours, none on a request without a body, whatever the caller's said."""
    sent = to_vendor([(b"content-length", b"99"), (b"transfer-encoding", b"x")], framing)

    assert sent == [HOST, *field, VIA]


@pytest.mark.parametrize(
    "lines",
    [[b"X-Foo, x-bar"], [b"close,, X-Foo", b"X-Bar"], [b"", b"x-foo,x-bar,"], [b"keep-alive, X-FOO , X-Bar, te"]],
)
def test_nominated_fields_stay(lines: list[bytes]) -> None:
    """W-022: whatever any Connection line names goes no further, before or after it (RC-01)."""
    headers = [(b"x-foo", b"1"), *((b"connection", line) for line in lines), (b"x-bar", b"2"), (b"x-baz", b"3")]

    assert passed(headers) == [(b"x-baz", b"3")]


def test_what_we_add_cannot_be_nominated_away() -> None:
    """W-024: our own fields are added after the caller's are taken away (RC-08)."""
    rules = ToVendor(authority="api.pixii.ai", credential=("X-Api-Key", "ours"), trace=True)
    headers = [(b"connection", b"x-api-key, x-forwarded-for, traceparent, x-request-id"), (b"x-api-key", b"theirs")]
    framing = read_framing("1.1", [(b"host", b"a"), *headers])

    sent = rules(headers, framing, forwarded_for=b"1.1.1.1", traceparent=b"00-1-2-00", request_id=b"r")

    assert sent == [
        HOST,
        VIA,
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"traceparent", b"00-1-2-00"),
        (b"x-request-id", b"r"),
        (b"x-api-key", b"ours"),
    ]


CALLERS_OWN = [
    (b"authorization", b"Bearer theirs"),
    (b"x-api-key", b"theirs"),
    (b"x-API-key", b"theirs"),
    (b"x-vendor-token", b"theirs"),
    (b"x_vendor_token", b"theirs"),
    (b"errgate-key", b"egk_1"),
]


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        ("none", [(b"x-vendor-token", b"theirs"), (b"x_vendor_token", b"theirs")]),
        (
            "passthrough",
            [
                (b"authorization", b"Bearer theirs"),
                (b"x-api-key", b"theirs"),
                (b"x-api-key", b"theirs"),
                (b"x-vendor-token", b"theirs"),
                (b"x_vendor_token", b"theirs"),
            ],
        ),
        (("X-Vendor-Token", "ours"), [(b"x-vendor-token", b"ours")]),
        (
            ("Authorization", "Bearer ours"),
            [(b"x-vendor-token", b"theirs"), (b"x_vendor_token", b"theirs"), (b"authorization", b"Bearer ours")],
        ),
    ],
)
def test_one_credential_reaches_the_vendor(credential: Credential, expected: Headers) -> None:
    """W-143: ours replaces every line of the caller's, or the caller's own goes on; the gateway's key never does."""
    rules = ToVendor(authority="api.pixii.ai", credential=credential)

    assert passed(CALLERS_OWN, rules) == expected


def test_cookies_pass_where_settings_say_so() -> None:
    """W-145: `forward.cookies` lets them through, line by line."""
    cookies = [(b"cookie", b"a=1"), (b"cookie", b"b=2")]

    assert passed(cookies, ToVendor(authority="api.pixii.ai", cookies=True)) == cookies


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], []),
        ([b"gzip"], [b"gzip"]),
        ([b"gzip, deflate, br, zstd"], [b"gzip, deflate, br, zstd"]),
        ([b"gzip;q=0.5,br;q=1.0"], [b"gzip;q=0.5,br;q=1.0"]),
        ([b"identity;q=0"], [b"identity;q=0"]),
        ([b"gzip, compress;q=0.9, br;q=0.8"], [b"gzip, br;q=0.8"]),
        ([b"GZIP , exi"], [b"GZIP"]),
        ([b"gzip ; q=0.3, *;q=0"], [b"gzip ; q=0.3"]),
        ([b"*"], [b"identity"]),
        ([b"dcb, dcz"], [b"identity"]),
        ([b""], [b"identity"]),
        ([b"gzip", b"compress", b"br"], [b"gzip", b"br"]),
        ([b"compress", b""], [b"identity"]),
        ([b"gzip,gzipx"], [b"gzip"]),
    ],
)
def test_only_codings_that_we_can_undo_are_asked_for(lines: list[bytes], expected: list[bytes]) -> None:
    """W-100: the caller's list without what we cannot decode, q kept; never one that the caller did not send."""
    assert passed([(b"accept-encoding", line) for line in lines]) == [(b"accept-encoding", line) for line in expected]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_via_names_the_received_version(version: str) -> None:
    """W-026: our hop is appended to those before, in their order, with the version in which the caller spoke."""
    before = [(b"via", b"1.1 a, 1.0 b (x)"), (b"via", b"2 c")]

    sent = to_vendor([before[0], (b"x", b"1"), before[1]], http_version=version)

    assert sent == [HOST, (b"x", b"1"), *before, (b"via", f"{version} errgate".encode())]


@pytest.mark.parametrize("value", [b"1.1 errgate", b"1.0 a, HTTP/1.1  ErrGate (comment)", b"1.1 errgate, 1.1 b"])
def test_our_own_name_is_a_loop(value: bytes) -> None:
    """W-027: a request that has been here before is 500 and goes no further."""
    with pytest.raises(LoopDetected) as refused:
        to_vendor([(b"via", b"1.1 a"), (b"via", value)])

    assert refused.value.code == "internal_error"


@pytest.mark.parametrize("value", [b"1.1 errgate-eu", b"1.1 a (errgate)", b"errgate", b"", b"1.1 errgate:80"])
def test_another_name_is_no_loop(value: bytes) -> None:
    """W-027: only the whole name of a hop is ours."""
    assert (b"via", value) in to_vendor([(b"via", value)])


@pytest.mark.parametrize("value", [b"a\x01b", b"\x7f", b"a\x1b[31m", b"\x0b"])
def test_fields_with_controls_are_dropped(value: bytes) -> None:
    """W-052: a control that ends no line costs its field, not the request."""
    assert to_vendor([(b"x-a", value), (b"x-b", b"1")]) == [HOST, (b"x-b", b"1"), VIA]


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nb", b"\r", b"a\x00"])
def test_line_breaks_are_refused(value: bytes) -> None:
    """W-052: CR, LF and NUL could end the field, so the whole head is refused."""
    with pytest.raises(BadHeaders) as refused:
        to_vendor([(b"x-a", value)])

    assert refused.value.close


@pytest.mark.parametrize(
    ("method", "values", "hops"),
    [
        ("OPTIONS", [b"0"], 0),
        ("OPTIONS", [b"1"], 1),
        ("OPTIONS", [b"garbage"], None),
        ("OPTIONS", [b"-1"], None),
        ("OPTIONS", [b"1", b"1"], None),
        ("OPTIONS", [b"9" * 5000], None),
        ("OPTIONS", [], None),
        ("GET", [b"1"], None),
    ],
)
def test_max_forwards_counts_on_options(method: str, values: list[bytes], hops: int | None) -> None:
    """W-036: the field has a meaning on OPTIONS only, and none where it is no number."""
    assert max_forwards(method, [(b"max-forwards", value) for value in values]) == hops


def test_max_forwards_goes_on_as_counted() -> None:
    """W-036: one less goes on, the field is never invented, and on other methods it passes."""
    headers = [(b"max-forwards", b"3"), (b"x", b"1")]

    assert to_vendor(headers, max_forwards=2) == [HOST, (b"x", b"1"), (b"max-forwards", b"2"), VIA]
    assert passed(headers) == headers
    assert passed([]) == []


def test_tracing_and_addresses_are_ours_to_add() -> None:
    """W-083, W-137: with `forward.trace` our own traceparent and id go, never the caller's baggage or tracestate."""
    rules = ToVendor(authority="api.pixii.ai", trace=True)
    theirs = [(b"traceparent", b"theirs"), (b"tracestate", b"a=1"), (b"baggage", b"a=1"), (b"x-request-id", b"theirs")]

    assert rules(theirs) == [HOST, VIA]
    assert to_vendor(theirs, traceparent=b"t", request_id=b"r") == [HOST, VIA]
    assert rules(theirs, traceparent=b"t", request_id=b"r")[2:] == [(b"traceparent", b"t"), (b"x-request-id", b"r")]


def test_the_request_itself_is_left_alone() -> None:
    """The caller's own list is not changed: others read it after us."""
    headers = ((b"host", b"a"), (b"connection", b"x"), (b"x", b"1"))

    to_vendor(headers, read_framing("1.1", headers))

    assert headers == ((b"host", b"a"), (b"connection", b"x"), (b"x", b"1"))


NAMES = st.sampled_from(
    [b"connection", b"via", b"accept-encoding", b"cookie", b"x_forwarded_for", b"x-a", b"te", b"authorization", b"a.b"]
)


@given(st.lists(st.tuples(NAMES | st.binary(min_size=1, max_size=9), st.binary(max_size=20)), max_size=12))
def test_any_head_is_sent_clean_or_refused(headers: Headers) -> None:
    """W-022, W-045, W-052: whatever comes, what goes on has one Host, no connection's field, no control."""
    try:
        framing = read_framing("1.1", [(b"host", b"a"), *headers])
        sent = to_vendor(headers, framing)
    except BadHeaders:
        return

    names = [name for name, _ in sent]
    assert names.count(b"host") == 1
    assert not {b"connection", b"te", b"cookie", b"authorization", b"x_forwarded_for"} & set(names)
    assert not [value for _, value in sent if any(byte < 32 and byte != 9 for byte in value)]
