"""Where a redirect leads, said from the caller's side."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.headers import Base

PLAIN = Base(scheme="https", authority="api.pixii.ai")
DEEP = Base(scheme="https", authority="api.pixii.ai:8443", path=b"/v1/")


@pytest.mark.parametrize(
    ("location", "by_path", "by_host"),
    [
        # Inside the base: the way the caller came.
        (b"/x/y?a=b#c", b"/pixii/x/y?a=b#c", b"/x/y?a=b#c"),
        (b"/", b"/pixii/", b"/"),
        (b"https://api.pixii.ai/x", b"/pixii/x", b"/x"),
        (b"HTTPS://API.Pixii.AI:443/X", b"/pixii/X", b"/X"),
        (b"https://api.pixii.ai", b"/pixii", b"/"),
        (b"https://api.pixii.ai?a=b", b"/pixii?a=b", b"/?a=b"),
        (b"//api.pixii.ai/x", b"/pixii/x", b"/x"),
        (b"/a%2Fb", b"/pixii/a%2Fb", b"/a%2Fb"),
        # Anywhere else: as it is.
        (b"https://evil.example/x", b"https://evil.example/x", b"https://evil.example/x"),
        (b"https://api.pixii.ai.evil/x", b"https://api.pixii.ai.evil/x", b"https://api.pixii.ai.evil/x"),
        (b"https://u@api.pixii.ai/x", b"https://u@api.pixii.ai/x", b"https://u@api.pixii.ai/x"),
        (b"https://api.pixii.ai:8080/x", b"https://api.pixii.ai:8080/x", b"https://api.pixii.ai:8080/x"),
        (b"http://api.pixii.ai/x", b"http://api.pixii.ai/x", b"http://api.pixii.ai/x"),
        (b"//evil.example/x", b"//evil.example/x", b"//evil.example/x"),
        (b"mailto:a@b", b"mailto:a@b", b"mailto:a@b"),
        (b"https:/x", b"https:/x", b"https:/x"),
        (b"x/y", b"x/y", b"x/y"),
        (b"../x", b"../x", b"../x"),
        (b"?a=b", b"?a=b", b"?a=b"),
        (b"#c", b"#c", b"#c"),
        (b"", b"", b""),
        # What climbs could lead the caller out of the vendor's prefix.
        (b"/../pikzels/x", b"https://api.pixii.ai/../pikzels/x", b"https://api.pixii.ai/../pikzels/x"),
        (b"/a/%2E%2e/x", b"https://api.pixii.ai/a/%2E%2e/x", b"https://api.pixii.ai/a/%2E%2e/x"),
        (b"/a/..;b/x", b"https://api.pixii.ai/a/..;b/x", b"https://api.pixii.ai/a/..;b/x"),
        (b"/a\\b", b"https://api.pixii.ai/a\\b", b"https://api.pixii.ai/a\\b"),
        (b"https://api.pixii.ai/..", b"https://api.pixii.ai/..", b"https://api.pixii.ai/.."),
        # Without a prefix two slashes would name another host.
        (b"https://api.pixii.ai//evil/x", b"/pixii//evil/x", b"https://api.pixii.ai//evil/x"),
    ],
)
def test_location_from_the_callers_side(location: bytes, by_path: bytes, by_host: bytes) -> None:
    """W-070: inside the base it is the caller's path, else it is left as the vendor meant it."""
    assert PLAIN.to_caller(location, b"/pixii") == by_path
    assert PLAIN.to_caller(location, b"") == by_host


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (b"/v1", b"/pixii"),
        (b"/v1/", b"/pixii/"),
        (b"/v1/x", b"/pixii/x"),
        (b"https://api.pixii.ai:8443/v1/x", b"/pixii/x"),
        # An absolute path outside the base becomes absolute to the vendor (RC-20: a prefix ends at a segment).
        (b"/x", b"https://api.pixii.ai:8443/x"),
        (b"/v10/x?a=b", b"https://api.pixii.ai:8443/v10/x?a=b"),
        (b"/", b"https://api.pixii.ai:8443/"),
        (b"https://api.pixii.ai:8443/x", b"https://api.pixii.ai:8443/x"),
        (b"https://api.pixii.ai/v1/x", b"https://api.pixii.ai/v1/x"),
    ],
)
def test_location_with_a_base_path(location: bytes, expected: bytes) -> None:
    """W-070: the base's own path is taken off, and only where it ends with a segment."""
    assert DEEP.to_caller(location, b"/pixii") == expected


@given(st.binary(max_size=40), st.sampled_from([b"", b"/pixii"]))
def test_any_location_is_mapped(location: bytes, prefix: bytes) -> None:
    """W-070: no Location raises, and none becomes another host's by our doing."""
    mapped = PLAIN.to_caller(location, prefix)

    assert mapped == location or not mapped.startswith(b"//")
