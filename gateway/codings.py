"""
A body without its content codings, within bounds. Pure.

A vendor's error is read by us, so its coding is undone here; what is damaged, cut, unknown or grows beyond the limit is
None, and the status alone decides (W-101 to W-103). No step ever holds more than the limit of output (W-102).
"""

import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from types import MappingProxyType

import brotli
import zstandard

# An error of 1 MiB is none that a person wrote; the documented ones stay below 1 KiB.
DECODED_LIMIT_BYTES = 1024 * 1024

# Nobody codes a body three times but to make somebody work.
LAYER_LIMIT = 2

# Honest bodies have one member; each costs a copy of what follows, so an endless chain is work for nothing.
MEMBER_LIMIT = 64

# RFC 9659: as a content coding, zstd keeps its window at or below 8 MB.
ZSTD_WINDOW_BYTES = 8 * 1024 * 1024

_GZIP = 16 + zlib.MAX_WBITS


def decode(body: bytes, codings: str, limit: int = DECODED_LIMIT_BYTES) -> bytes | None:
    """The body as it was before the codings of its `Content-Encoding` were applied, at most `limit` bytes, or None."""
    names = (name.strip(" \t") for name in codings.lower().split(","))
    layers = [name for name in names if name not in {"", "identity"}]
    if len(layers) > LAYER_LIMIT:
        return None
    # Codings are listed in the order in which they were applied (RFC 9110 section 8.4).
    for layer in reversed(layers):
        decoder = _DECODERS.get(layer)
        if decoder is None:
            return None
        # An empty body is empty in every coding: servers label what they then do not send.
        decoded = decoder(body, limit) if body else body
        if decoded is None:
            return None
        body = decoded
    return body if len(body) <= limit else None


def _gzip(body: bytes, limit: int) -> bytes | None:
    pieces: list[bytes] = []
    for _ in range(MEMBER_LIMIT):
        found = _inflate(body, _GZIP, limit)
        if found is None:
            return None
        piece, body = found
        pieces.append(piece)
        limit -= len(piece)
        # What follows the last member and is none itself is padding (RFC 1952 says nothing of it; gzip ignores it).
        if not body.startswith(b"\x1f\x8b"):
            return b"".join(pieces)
    return None


def _deflate(body: bytes, limit: int) -> bytes | None:
    # RFC 9110 section 8.4.1.2: some servers send the deflate stream without the zlib wrapping it should have.
    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        if found := _inflate(body, window, limit):
            return found[0]
    return None


def _inflate(body: bytes, window: int, limit: int) -> tuple[bytes, bytes] | None:
    """One whole stream and what follows it."""
    decompressor = zlib.decompressobj(window)
    try:
        # One byte more than allowed, since 0 would mean "without end".
        piece = decompressor.decompress(body, limit + 1)
    except zlib.error:
        return None
    return (piece, decompressor.unused_data) if decompressor.eof and len(piece) <= limit else None


def _brotli(body: bytes, limit: int) -> bytes | None:
    decompressor = brotli.Decompressor()
    pieces: list[bytes] = []
    try:
        while not decompressor.is_finished() and limit >= 0:
            piece = decompressor.process(body, output_buffer_limit=limit + 1)
            # Without output and with room for more input it waits for bytes that will not come.
            if not piece and decompressor.can_accept_more_data() and not decompressor.is_finished():
                return None
            pieces.append(piece)
            limit -= len(piece)
            body = b""
    except brotli.error:
        return None
    return b"".join(pieces) if limit >= 0 else None


def _zstd(body: bytes, limit: int) -> bytes | None:
    pieces: list[bytes] = []
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    try:
        # The reader is bounded but blind to a cut, the object sees the cut but is unbounded: measure, then decode.
        with decompressor.stream_reader(BytesIO(body), read_across_frames=True) as reader:
            if len(reader.read(limit + 1)) > limit:
                return None
        for _ in range(MEMBER_LIMIT):
            frame = decompressor.decompressobj()
            pieces.append(frame.decompress(body))
            if not frame.eof:
                return None
            body = frame.unused_data
            if not body:
                return b"".join(pieces)
    except zstandard.ZstdError:
        return None
    return None


_DECODERS: Mapping[str, Callable[[bytes, int], bytes | None]] = MappingProxyType(
    {"gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "br": _brotli, "zstd": _zstd}
)
