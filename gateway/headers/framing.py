"""
What a request's head says about itself, and what is refused because two readers could read it differently (wire 2b).

The parser below has checked most of this; it is checked again here, so that either parser is safe.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from gateway.bad_input import BadHeaders, HeadTooLarge, NotSpoken

from .names import NOTHING, Header, nominated

# W-063. The usual bounds of an ingress: 100 fields (Apache), 32 KiB (nginx' four buffers of 8 KiB); a name of 256
# bytes is none that anyone registered.
FIELD_LIMIT: Final = 100
HEAD_LIMIT_BYTES: Final = 32 * 1024
NAME_LIMIT_BYTES: Final = 256

# RFC 9110 section 7.2: host and port, no userinfo, nothing that could become a path.
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?")
_PORT_LIMIT: Final = 65535
# 19 digits are the most that a signed 64-bit reader takes.
_LENGTH: Final = re.compile(rb"[0-9]{1,19}")

# The registered transfer codings that somebody could honestly send before a final chunked (RFC 9112 section 7).
_KNOWN_CODINGS: Final = frozenset({b"compress", b"deflate", b"gzip", b"x-compress", b"x-gzip"})

# W-024: fields intended for every recipient; to nominate them is an attack or a mistake.
_NEVER_NOMINATED: Final = frozenset(
    {b"authorization", b"cache-control", b"content-encoding", b"content-length", b"content-type", b"host", b"via"}
)

_FRAMING: Final = frozenset({b"connection", b"content-length", b"transfer-encoding", b"upgrade"})
_SINGLE_OUT: Final = _FRAMING | {b"host"}


@dataclass(frozen=True, slots=True)
class Framing:
    """Whether a request has content and how it is framed; `length` in bytes, None unless `kind` is length."""

    kind: Literal["none", "length", "chunked"] = "none"
    length: int | None = None
    # What the request's `Connection` lines named.
    nominated: frozenset[bytes] = field(default=NOTHING)

    @property
    def has_content(self) -> bool:
        """Whether at least one byte is to be expected."""
        return self.kind == "chunked" or bool(self.length)

    @property
    def fields(self) -> tuple[Header, ...]:
        """Our own framing of the same request: exactly one field, or none where there was none (W-045)."""
        if self.kind == "length":
            return ((b"content-length", b"%d" % (self.length or 0)),)
        return _CHUNKED_FIELDS if self.kind == "chunked" else ()


BARE: Final = Framing()
_CHUNKED: Final = Framing("chunked")
_CHUNKED_FIELDS: Final = ((b"transfer-encoding", b"chunked"),)


def read_framing(http_version: str, headers: Sequence[Header]) -> Framing:
    """
    The framing of a request, from its version and the head's fields (names lower-case).

    Raises `BadHeaders` (most with `close`), `HeadTooLarge`, `NotSpoken`.
    """
    if http_version not in {"1.1", "1.0"}:
        message = "The gateway speaks HTTP/1.1 and HTTP/1.0."
        raise NotSpoken(message, close=True)
    if _is_plain(headers):
        return BARE
    found: dict[bytes, list[bytes]] = {}
    size = 4 * len(headers)
    for name, value in headers:
        size += len(name) + len(value)
        if name in _SINGLE_OUT:
            found.setdefault(name, []).append(value)
        elif len(name) > NAME_LIMIT_BYTES:
            size = HEAD_LIMIT_BYTES + 1
    if size > HEAD_LIMIT_BYTES or len(headers) > FIELD_LIMIT:
        message = f"The head holds more than {FIELD_LIMIT} fields or {HEAD_LIMIT_BYTES // 1024} KiB."
        raise HeadTooLarge(message, close=True)

    _check_host(found.get(b"host", ()), required=http_version == "1.1")
    framing = _read_content(http_version, found.get(b"content-length", ()), found.get(b"transfer-encoding", ()))
    if b"upgrade" in found and framing.has_content:
        # An upgrading parser stops reading messages here, and the body would be read as something else (W-038).
        message = "A request with Upgrade cannot have content."
        raise BadHeaders(message, close=True)
    options = nominated(found.get(b"connection", ()))
    if not options:
        return framing
    if options & _NEVER_NOMINATED:
        message = "Connection names a field that is meant for every recipient."
        raise BadHeaders(message, close=True)
    return Framing(framing.kind, framing.length, options)


def _is_plain(headers: Sequence[Header]) -> bool:
    """Whether this is the head of nearly every GET: nothing twice, nothing of framing, small, with a host."""
    fields = dict(headers)
    return (
        len(fields) == len(headers) <= FIELD_LIMIT
        and b"host" in fields
        and _FRAMING.isdisjoint(fields)
        and max(map(len, fields)) <= NAME_LIMIT_BYTES
        and sum(map(len, fields)) + sum(map(len, fields.values())) + 4 * len(fields) <= HEAD_LIMIT_BYTES
        and _is_host(fields[b"host"])
    )


def refuse_content(method: str, framing: Framing, *, get_body: bool = False) -> None:
    """
    Refuse a GET or HEAD with content, unless `forward.get_body` lets one of a known length through (W-067).

    Raises `BadHeaders`.
    """
    if method not in {"GET", "HEAD"} or not framing.has_content or (get_body and framing.kind == "length"):
        return
    message = (
        f"A {method} with content needs a Content-Length here." if get_body else f"A {method} cannot have content here."
    )
    raise BadHeaders(message, close=True)


def _check_host(hosts: Sequence[bytes], *, required: bool) -> None:
    if not hosts and not required:
        return
    if len(hosts) != 1 or not _is_host(hosts[0]):
        message = "The request needs exactly one valid Host."
        raise BadHeaders(message, close=True)


def _is_host(host: bytes) -> bool:
    return _is_short_host(host) if len(host) <= _SHORT_HOST_BYTES else _is_any_host(host)


def _is_any_host(host: bytes) -> bool:
    match = _HOST.fullmatch(host)
    return match is not None and int(match[1] or 0) <= _PORT_LIMIT


# Callers say the same few ones again and again.
_SHORT_HOST_BYTES: Final = 128
_is_short_host = lru_cache(maxsize=256)(_is_any_host)


def _read_content(http_version: str, lengths: Sequence[bytes], codings: Sequence[bytes]) -> Framing:
    if not codings:
        if not lengths:
            return BARE
        if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
            message = "Content-Length must be one number."
            raise BadHeaders(message, close=True)
        return Framing("length", int(lengths[0]))
    if lengths:
        message = "The request has both Content-Length and Transfer-Encoding."
        raise BadHeaders(message, close=True)
    if http_version == "1.0":
        message = "HTTP/1.0 has no Transfer-Encoding."
        raise BadHeaders(message, close=True)
    layers = [layer.strip(b" \t").lower() for layer in b",".join(codings).split(b",")]
    if layers == [b"chunked"]:
        return _CHUNKED
    if layers[-1] == b"chunked" and _KNOWN_CODINGS.issuperset(layers[:-1]):
        message = "The gateway speaks no transfer coding but chunked."
        raise NotSpoken(message, close=True)
    message = "Transfer-Encoding must be chunked and nothing else."
    raise BadHeaders(message, close=True)
