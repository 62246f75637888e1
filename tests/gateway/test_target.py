"""Which vendor and which path, and what is refused before anybody is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bad_input import BadTarget, UriTooLong
from gateway.target import (
    TARGET_LIMIT_BYTES,
    Target,
    for_matching,
    has_escaped_slash,
    join,
    read,
    read_whole,
)

READ = {
    b"/pixii": ("pixii", b""),
    b"/pixii/": ("pixii", b"/"),
    b"/pixii/v1/api/jobs/7": ("pixii", b"/v1/api/jobs/7"),
    b"/-/healthy": ("-", b"/healthy"),
    b"/-": ("-", b""),
    b"/": ("", b""),
    # No vendor has such a name: unknown, not malformed.
    b"/Pixii/x": ("Pixii", b"/x"),
    b"/pixii%2Fx/y": ("pixii%2Fx", b"/y"),
    b"/%70ixii/x": ("%70ixii", b"/x"),
}

# Byte for byte, whatever another proxy would tidy up (RC-22 and RC-20 among them).
UNTOUCHED = [
    b"/v/a%2Fb//c%20",
    b"/v//x",
    b"/v/x//",
    b"/v//10.0.0.10/hi",
    b"/v/foo%20%2Fbar",
    b"/v/%5B...slug%5D.js",
    b"/v/...",
    b"/v/..a/b..",
    b"/v/.well-known/x",
    b"/v/a.b/c.",
    b"/v/%252e%252e/x",
    b"/v/%252E%252E",
    b"/v/%41%42%43//%2f/",
    b"/v/b/%20/c",
    b"/v/caf%C3%A9",
    b"/v/%23x",
    b"/v/%3Fx",
    b"/v/a;b=c/d",
    b"/v/a:b@c!$&'()*+,=~_-",
    b'/v/"<>^`{|}[]',
    b"/v/%2e%2e%2e",
    b"/v/http://evil.com/x",
    b"/v/@evil/",
]

REFUSED = [
    # Dot segments, in any spelling (W-059, RC-20, RC-21, RC-22, RC-27).
    b"/.",
    b"/..",
    b"/v/.",
    b"/v/..",
    b"/v/./x",
    b"/v/../admin",
    b"/v/foo/bar/../",
    b"/v/foo/bar/..",
    b"/../x",
    b"/..///b///",
    b"/a/../b/%41%42%43//%2f/",
    b"/v/%2e%2e/x",
    b"/v/%2E%2E/",
    b"/ho/%2E%2E/hi",
    b"/v/.%2e/x",
    b"/v/%2e./x",
    b"/v/%2e",
    b"/v/%2e/x",
    b"/v/..;/admin",
    b"/v/..;a=b/x",
    b"/v/.;/x",
    b"/v/%2e%2e%3b/x",
    b"/v/..%3ba/x",
    # Dot segments that one decoding brings to light (W-058).
    b"/v/..%2f",
    b"/v/%2e%2e%2f",
    b"/v/a%2F..%2Fb",
    b"/v/a%2f%2e%2e",
    b"/..%2f..%2fadmin",
    b"/pixii%2F..%2Fpikzels/x",
    b"/-/../pixii/x",
    # Backslashes, controls, NUL.
    b"/v/a\\b",
    b"/v/a\\..\\b",
    b"/v/..%5c..%5cx",
    b"/v/a%5Cb",
    b"/v/a%00b",
    b"/v/%0A",
    b"/v/%0d",
    b"/v/%1f",
    b"/v/%7F",
    b"/v/a\x00",
    b"/v/a\nb",
    b"/v/a\x7f",
    # What must be escaped.
    b"/v/a b",
    b"/v/caf\xc3\xa9",
    b"/v/x#frag",
    b"/v/x?y",
    # Escapes that are none.
    b"/v/%",
    b"/v/%2",
    b"/v/%zz",
    b"/v/%2g",
    b"/%u0041",
    # No path at all, or one that names an authority (W-033, W-060, RC-20, RC-24).
    b"",
    b"*",
    b"admin",
    b"index.html",
    b"//evil.example/x",
    b"//",
    b"http://10.0.0.10/hi",
    b"https://evil/x",
    b"blah://x",
    b"urn:foo:bar",
    b"@evil/",
    b"../private",
    b"%2e%2e/",
]


@pytest.mark.parametrize(("path", "expected"), READ.items())
def test_vendor_is_the_first_undecoded_segment(path: bytes, expected: tuple[str, bytes]) -> None:
    """W-058: the vendor is the first segment as it came, and the rest begins with its slash."""
    target = read(path, b"a=1")

    assert target == Target(*expected, b"a=1")


@pytest.mark.parametrize("path", UNTOUCHED)
def test_odd_paths_go_on_byte_for_byte(path: bytes) -> None:
    """W-057, W-060: what is odd but has one reading is not mended."""
    target = read(path, b"")

    assert b"/v" + target.rest == path
    assert read_whole(path, b"", "pixii") == Target("pixii", path, b"")


@pytest.mark.parametrize("path", REFUSED)
def test_paths_with_two_readings_are_refused(path: bytes) -> None:
    """W-059, W-060: what another server could read as another path is 400, however the vendor is found."""
    with pytest.raises(BadTarget) as refused:
        read(path, b"")
    with pytest.raises(BadTarget):
        read_whole(path, b"", "pixii")

    assert refused.value.code == "invalid_request"
    assert refused.value.reason.endswith(".")


@pytest.mark.parametrize("query", [b"a=1&a=2;b=3", b"a=%zz&b=3", b"q=%2F+'[]|&x=", b"/../?%00%5c\\", b"a=.."])
def test_queries_are_never_parsed(query: bytes) -> None:
    """W-057: a query is the vendor's to read, so it goes on as it came."""
    assert read(b"/v/x", query).query == query


@pytest.mark.parametrize("query", [b"a b", b"a\tb", b"a\x00", b"a#b", b"\xff", b"a\x7f"])
def test_raw_bytes_that_stand_in_no_query_are_refused(query: bytes) -> None:
    """W-059: raw controls, spaces, non-ASCII and a fragment are refused in the query, too."""
    with pytest.raises(BadTarget):
        read(b"/v/x", query)


@pytest.mark.parametrize(
    ("path", "query"), [(TARGET_LIMIT_BYTES, 0), (TARGET_LIMIT_BYTES - 1, 0), (TARGET_LIMIT_BYTES - 2, 1), (4096, 4095)]
)
def test_targets_of_the_limit_pass(path: int, query: int) -> None:
    """W-062: 8,192 bytes pass, the question mark counted."""
    assert read(b"/" + b"a" * (path - 1), b"q" * query).query == b"q" * query


@pytest.mark.parametrize(("path", "query"), [(TARGET_LIMIT_BYTES + 1, 0), (TARGET_LIMIT_BYTES - 1, 1), (1, 100_000)])
def test_targets_over_the_limit_are_too_long(path: int, query: int) -> None:
    """W-062: 8,193 bytes are 414."""
    with pytest.raises(UriTooLong) as refused:
        read(b"/" + b"a" * (path - 1), b"q" * query)

    assert refused.value.code == "uri_too_long"


@pytest.mark.parametrize(
    ("rest", "expected"),
    [(b"/a%2Fb", True), (b"/a%2fb", True), (b"/a%20b", False), (b"/a/b", False), (b"/a%252Fb", False), (b"", False)],
)
def test_escaped_slash_is_seen(rest: bytes, expected: bool) -> None:
    """W-061: `%2F` in either case is what `escaped_slash: reject` refuses."""
    assert has_escaped_slash(rest) is expected


@pytest.mark.parametrize(
    ("base", "rest", "expected"),
    [
        (b"", b"", b"/"),
        (b"", b"/", b"/"),
        (b"", b"/path", b"/path"),
        (b"/", b"", b"/"),
        (b"/", b"/", b"/"),
        (b"/", b"/path", b"/path"),
        (b"/favicon.ico", b"", b"/favicon.ico"),
        (b"/base", b"", b"/base"),
        (b"/base", b"/", b"/base/"),
        (b"/base", b"/path", b"/base/path"),
        (b"/base", b"/path/", b"/base/path/"),
        (b"/base/", b"", b"/base/"),
        (b"/base/", b"/", b"/base/"),
        (b"/base/", b"/path", b"/base/path"),
        (b"/base/", b"//path", b"/base//path"),
        (b"/base//", b"/path", b"/base//path"),
        (b"/base", b"/path/%2F%20", b"/base/path/%2F%20"),
        (b"/a/b", b"/c", b"/a/b/c"),
        (b"/a%2Fb", b"/c", b"/a%2Fb/c"),
        (b"/a%2Fb%2F", b"/c", b"/a%2Fb%2F/c"),
        (b"/a%2Fb/", b"/c%2Fd", b"/a%2Fb/c%2Fd"),
    ],
)
def test_base_and_rest_are_joined_by_one_slash(base: bytes, rest: bytes, expected: bytes) -> None:
    """W-057, RC-23: the base without its last slash and the rest, no byte of either re-encoded."""
    assert join(base, rest) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/v1/api", "/v1/api"),
        (b"/v1/%61pi", "/v1/api"),
        (b"/v1/%41%7e%7E%2d%5f%39", "/v1/A~~-_9"),
        (b"/v1/a%2Fb%20%c3%a9", "/v1/a%2Fb%20%c3%a9"),
        (b"/v1/%2561", "/v1/%2561"),
    ],
)
def test_matching_undoes_needless_escapes_only(path: bytes, expected: str) -> None:
    """A route cannot be evaded by escaping its letters, and no escape with a meaning is undone."""
    assert for_matching(path) == expected


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_any_bytes_are_read_or_refused(path: bytes, query: bytes) -> None:
    """W-057, W-059: whatever comes, it is refused with a reason or goes on whole and without a dot segment."""
    try:
        target = read(b"/" + path, query)
    except BadTarget:
        return

    assert f"/{target.vendor}".encode() + target.rest == b"/" + path
    assert not {".", ".."} & set(for_matching(b"/" + path).split("/"))


def test_hostile_paths_cost_no_more_than_their_length() -> None:
    """W-059: no path of the permitted length makes the patterns backtrack."""
    paths = [b"/" + b"a" * 8000 + b"%", b"/a" * 4000 + b"\\", b"/" + b".;" * 4000, b"/.." * 2000, b"/%2e" * 2000]

    for path in paths:
        with pytest.raises(BadTarget):
            read(path, b"")
