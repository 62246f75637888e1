"""
Which vendor and which path; what is refused. Pure.

What goes on is byte for byte what came (W-057), and the vendor is the first segment of the undecoded path (W-058): so
a path that another server could read as a different path is refused here and never mended.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from .bad_input import BadTarget, UriTooLong

# RFC 9112 section 3 recommends at least 8,000 octets; 8,192 is what nginx and Apache allow.
TARGET_LIMIT_BYTES: Final = 8192

# A path without escapes and without a segment that begins with a dot needs no second look. Two slashes are ruled out at
# the start only: a target beginning `//` is an authority to some readers (W-060).
_ORDINARY: Final = re.compile(rb"(?!//)(?:/(?!\.)[-A-Za-z0-9_.~!$&'()*+,;=:@]*)+")

# Bytes that stand in no path: controls, space, non-ASCII, and what begins a query, a fragment or (to some) a segment.
_FORBIDDEN_IN_PATH: Final = re.compile(rb"[\x00-\x20\x7f-\xff#?\\]")
_FORBIDDEN_IN_QUERY: Final = re.compile(rb"[\x00-\x20\x7f-\xff#]")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPED_CONTROL_OR_BACKSLASH: Final = re.compile(rb"%(?:[01][0-9A-Fa-f]|7[Ff]|5[Cc])")
# Some servers cut a segment at its semicolon before they look for dots: `..;` and `..;a=b` climb there.
_DOT_SEGMENT: Final = re.compile(rb"(?:^|/)\.\.?(?:;[^/]*)?(?=/|\Z)")

_ESCAPED_SLASH: Final = re.compile(rb"%2[Ff]")

# RFC 3986 section 6.2.2.2: escapes of these, and of nothing else, can be undone without a change of meaning.
_UNRESERVED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_UNESCAPED: Final = {b"%%%02X" % byte: bytes((byte,)) for byte in _UNRESERVED}
_ESCAPE: Final = re.compile(rb"%[0-9A-Fa-f]{2}")


class Target(NamedTuple):
    """
    Where a request wants to go.

    `vendor` is the first segment as it came, not yet looked up (`-` is the gateway itself); `rest` is what follows it,
    `b""` or beginning with a slash; `query` has no question mark. What a path or query says is nobody's to read
    (contract 15).
    """

    vendor: str
    rest: bytes
    query: bytes

    def __repr__(self) -> str:
        return f"Target(vendor={self.vendor!r})"


def read(raw_path: bytes, query: bytes) -> Target:
    """The target of a request to `/{vendor}/{path}`. Raises `BadTarget`, `UriTooLong`."""
    check(raw_path, query)
    vendor, slash, rest = raw_path[1:].partition(b"/")
    return Target(vendor.decode("ascii"), slash + rest, query)


def read_whole(raw_path: bytes, query: bytes, vendor: str) -> Target:
    """The target of a request to a vendor's own Host, whose whole path goes on. Raises `BadTarget`, `UriTooLong`."""
    check(raw_path, query)
    return Target(vendor, raw_path, query)


def check(raw_path: bytes, query: bytes) -> None:
    """Refuse what could be read in two ways. Raises `BadTarget`, `UriTooLong`."""
    _check_length(raw_path, query)
    if not _ORDINARY.fullmatch(raw_path):
        _check_path(raw_path)
    _check_characters(query)


def check_query(raw_path: bytes, query: bytes) -> None:
    """The same for the query behind a path that was checked."""
    _check_length(raw_path, query)
    _check_characters(query)


def _check_characters(query: bytes) -> None:
    if query and _FORBIDDEN_IN_QUERY.search(query):
        message = "The query holds a character that must be percent-encoded."
        raise BadTarget(message)


def _check_length(raw_path: bytes, query: bytes) -> None:
    # The question mark counts where ASGI shows it.
    if len(raw_path) + len(query) + bool(query) > TARGET_LIMIT_BYTES:
        message = f"The target is longer than {TARGET_LIMIT_BYTES:,} bytes."
        raise UriTooLong(message)


def _check_path(path: bytes) -> None:
    decoded = unquote_to_bytes(path)
    # Each rule with the sentence that the caller reads.
    for bad, reason in (
        (not path.startswith(b"/"), "The path must begin with a slash."),
        (path.startswith(b"//"), "The path must not begin with two slashes."),
        (_FORBIDDEN_IN_PATH.search(path), "The path holds a character that must be percent-encoded."),
        (_BAD_ESCAPE.search(path), "The path holds a percent sign without two hexadecimal digits."),
        (_ESCAPED_CONTROL_OR_BACKSLASH.search(path), "The path holds an escaped control character or backslash."),
        (_DOT_SEGMENT.search(decoded), "The path holds a dot segment."),
    ):
        if bad:
            raise BadTarget(reason)


def has_escaped_slash(rest: bytes) -> bool:
    """Whether `%2F` stands in the path: what `forward.escaped_slash: reject` refuses (W-061)."""
    return b"%" in rest and _ESCAPED_SLASH.search(rest) is not None


def join(base_path: bytes, rest: bytes) -> bytes:
    """The path at the vendor: the base itself, or the base without its last slash plus the rest. Never empty."""
    return base_path.removesuffix(b"/") + rest if rest else base_path or b"/"


def for_matching(path: bytes) -> str:
    """The path with its escaped unreserved characters decoded, so that `/v1/%61pi` evades no route."""
    if b"%" in path:
        path = _ESCAPE.sub(_unescape, path)
    return path.decode("latin-1")


def _unescape(escape: re.Match[bytes]) -> bytes:
    return _UNESCAPED.get(escape[0].upper(), escape[0])
