"""Bodies without their codings, within bounds."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.codings import MEMBER_LIMIT, decode

BODY = b'{"code": "INSUFFICIENT_CREDITS", "message": "Not enough credits"}' * 20


def raw_deflate(body: bytes) -> bytes:
    """A deflate stream without the zlib wrapping."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


def gzipped(body: bytes) -> bytes:
    """A gzip member without the time of day, which would get into the tests' names."""
    return gzip.compress(body, mtime=0)


def zstd(body: bytes) -> bytes:
    """One zstd frame."""
    return zstandard.ZstdCompressor().compress(body)


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzipped,
    "x-gzip": gzipped,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd,
}
CODED = [(coding, encode(BODY)) for coding, encode in ENCODERS.items()] + [("deflate", raw_deflate(BODY))]


@pytest.mark.parametrize(("coding", "coded"), CODED)
def test_each_coding_is_undone(coding: str, coded: bytes) -> None:
    """W-101: gzip, deflate in both its forms, br and zstd, whatever the case of the name."""
    assert decode(coded, coding) == BODY
    assert decode(coded, f" {coding.upper()} ,") == BODY


@pytest.mark.parametrize(("coding", "coded"), CODED)
def test_cut_bodies_are_none(coding: str, coded: bytes) -> None:
    """W-101: a body without its end is not half an answer."""
    assert all(decode(coded[:length], coding) is None for length in range(1, len(coded)))


@pytest.mark.parametrize(("coding", "coded"), CODED)
def test_the_limit_is_exact(coding: str, coded: bytes) -> None:
    """W-102: exactly the limit passes, one byte more does not."""
    assert decode(coded, coding, limit=len(BODY)) == BODY
    assert decode(coded, coding, limit=len(BODY) - 1) is None


@pytest.mark.parametrize(
    "codings",
    ["", "identity", "Identity, identity", " , ", "identity,identity,identity"],
)
def test_identity_changes_nothing(codings: str) -> None:
    """No coding, and the one that does nothing, leave the body as it is; the limit holds all the same."""
    assert decode(BODY, codings) == BODY
    assert decode(BODY, codings, limit=len(BODY) - 1) is None


@pytest.mark.parametrize("codings", ["compress", "rot13", "gzip;q=1", "exi, gzip", "gzip gzip", "gzip, gzip, gzip"])
def test_unknown_or_many_codings_are_none(codings: str) -> None:
    """W-101, W-103: what we do not know, and a third layer, are not guessed at."""
    assert decode(gzip.compress(gzip.compress(gzip.compress(BODY), mtime=0)), codings) is None


@pytest.mark.parametrize("inner", ENCODERS)
@pytest.mark.parametrize("outer", ENCODERS)
def test_two_layers_come_off_in_reverse(inner: str, outer: str) -> None:
    """W-101: codings are undone in the reverse of their order, identity not counted."""
    coded = ENCODERS[outer](ENCODERS[inner](BODY))

    assert decode(coded, f"{inner}, identity, {outer}") == BODY


@pytest.mark.parametrize("coding", ENCODERS)
def test_mislabelled_bodies_are_none(coding: str) -> None:
    """W-103: plain text under a coding's name is unreadable, not an error of ours."""
    assert decode(BODY, coding) is None
    assert decode(b"\x00" * 100, coding) is None


@pytest.mark.parametrize("coding", ENCODERS)
def test_an_empty_body_is_empty_in_every_coding(coding: str) -> None:
    """W-103: servers label what they then do not send; two layers of nothing are nothing."""
    assert decode(b"", coding) == b""
    assert decode(ENCODERS[coding](b""), coding) == b""
    assert decode(ENCODERS[coding](b""), f"gzip, {coding}") == b""


@pytest.mark.parametrize(("coding", "encode"), [("gzip", gzipped), ("zstd", zstd)])
def test_all_members_count(coding: str, encode: Callable[[bytes], bytes]) -> None:
    """W-101: several members are one body, within one limit; an endless chain is none."""
    members = encode(BODY) + encode(b"") + encode(BODY)

    assert decode(members, coding) == BODY * 2
    assert decode(members, coding, limit=len(BODY) * 2) == BODY * 2
    assert decode(members, coding, limit=len(BODY) * 2 - 1) is None
    assert decode(members[:-1], coding) is None
    assert decode(encode(b"a") * MEMBER_LIMIT, coding) == b"a" * MEMBER_LIMIT
    assert decode(encode(b"a") * (MEMBER_LIMIT + 1), coding) is None


def test_what_follows_a_gzip_body_is_padding() -> None:
    """Zeros after the last member, as some servers leave them, take nothing away."""
    assert decode(gzip.compress(BODY, mtime=0) + b"\x00" * 8, "gzip") == BODY
    assert decode(zlib.compress(BODY) + b"\x00" * 8, "deflate") == BODY


@pytest.mark.parametrize(("coding", "encode"), [*ENCODERS.items(), ("deflate", raw_deflate)])
def test_bombs_stay_small(coding: str, encode: Callable[[bytes], bytes]) -> None:
    """W-102: 20 MB in a few kilobytes are given up at the limit, in either layer."""
    bomb = encode(b"\x00" * 20_000_000)
    nested = gzip.compress(bomb, mtime=0)
    assert len(bomb) < 64 * 1024

    tracemalloc.start()
    outcomes = decode(bomb, coding), decode(nested, f"{coding}, gzip")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert outcomes == (None, None)
    assert peak < 5_000_000


def test_a_window_beyond_the_coding_is_refused() -> None:
    """W-102: a zstd frame that asks for a window over 8 MB is not decoded (RFC 9659)."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    wide = compressor.compress(BODY) + compressor.flush()

    assert decode(wide, "zstd") is None


@given(st.binary(max_size=300), st.sampled_from([*ENCODERS, "gzip, br", "zstd, deflate"]))
def test_any_bytes_are_decoded_or_none(body: bytes, codings: str) -> None:
    """W-103: no body makes the decoder raise or exceed its limit."""
    decoded = decode(body, codings, limit=1000)

    assert decoded is None or len(decoded) <= 1000
