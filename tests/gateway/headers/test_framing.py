"""What a request's head says about itself, and what is refused because it can be read in two ways."""

import pytest

from gateway.bad_input import BadHeaders, HeadTooLarge, NotSpoken
from gateway.headers import BARE, Framing, read_framing, refuse_content
from gateway.headers.framing import FIELD_LIMIT, HEAD_LIMIT_BYTES, NAME_LIMIT_BYTES

Headers = list[tuple[bytes, bytes]]

HOST = (b"host", b"a")
CHUNKED = (b"transfer-encoding", b"chunked")


def length(value: bytes) -> tuple[bytes, bytes]:
    """A Content-Length line."""
    return b"content-length", value


@pytest.mark.parametrize(
    ("headers", "kind", "expected", "fields"),
    [
        ([], "none", None, ()),
        ([length(b"5")], "length", 5, (length(b"5"),)),
        ([length(b"0")], "length", 0, (length(b"0"),)),
        # Normalized: some readers take it for an octal number.
        ([length(b"010")], "length", 10, (length(b"10"),)),
        ([length(b"9" * 19)], "length", int("9" * 19), (length(b"9" * 19),)),
        ([CHUNKED], "chunked", None, (CHUNKED,)),
        ([(b"transfer-encoding", b" ChunKed\t")], "chunked", None, (CHUNKED,)),
        ([CHUNKED, (b"connection", b"close, Transfer-Encoding")], "chunked", None, (CHUNKED,)),
    ],
)
def test_outgoing_framing_is_ours(
    headers: Headers, kind: str, expected: int | None, fields: tuple[tuple[bytes, bytes], ...]
) -> None:
    """W-045: what goes on has exactly one framing field, or none where there was none."""
    framing = read_framing("1.1", [HOST, *headers])

    assert (framing.kind, framing.length, framing.fields) == (kind, expected, fields)
    assert framing.has_content is (kind == "chunked" or bool(expected))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"+3",
        b"-3",
        b"-0",
        b"0x3",
        b"1_0",
        b"3, 3",
        b"3,3",
        b"3 3",
        b"3.0",
        b",3",
        b"3;",
        b"\x0b5",
        b"5\x00",
        b"5\n",
        b"\xb2",
        b"\xd9\xa5",
        b"\xef\xbc\x95",
        b"18446744073709551616",
        b"0" * 4400 + b"5",
    ],
)
def test_a_length_is_one_number(value: bytes) -> None:
    """W-043: anything but 1 to 19 ASCII digits is 400, and the connection closes."""
    with pytest.raises(BadHeaders) as refused:
        read_framing("1.1", [HOST, length(value)])

    assert refused.value.close


@pytest.mark.parametrize("values", [(b"3", b"3"), (b"3", b"4"), (b"5", b""), (b"0", b"35")])
def test_a_length_comes_once(values: tuple[bytes, bytes]) -> None:
    """W-043: two lines are refused even where they agree."""
    with pytest.raises(BadHeaders):
        read_framing("1.1", [HOST, *map(length, values)])


@pytest.mark.parametrize("value", [b"5", b"0", b"x"])
def test_length_and_coding_together_are_refused(value: bytes) -> None:
    """W-042: both framings at once are 400, and the connection closes, in either order."""
    for headers in ([HOST, length(value), CHUNKED], [CHUNKED, HOST, length(value)]):
        with pytest.raises(BadHeaders) as refused:
            read_framing("1.1", headers)

        assert refused.value.close


@pytest.mark.parametrize(
    "lines",
    [
        [b""],
        [b"gzip"],
        [b"identity"],
        [b"xchunked"],
        [b"chunk"],
        [b'"chunked"'],
        [b"chunked;foo=bar"],
        [b"chunked, chunked"],
        [b"chunked", b"chunked"],
        [b"chunked, gzip"],
        [b"chunked,"],
        [b",chunked"],
        [b"identity, chunked"],
        [b"cow, chunked"],
        [b"cow", b"chunked"],
        [b"gzip, chunked, chunked"],
        [b"\x0bchunked"],
        [b"\xffchunked\xff"],
        [b"chunked cow"],
    ],
)
def test_no_coding_but_chunked(lines: list[bytes]) -> None:
    """W-044: a request's Transfer-Encoding is exactly `chunked`, or 400 and the connection closes."""
    with pytest.raises(BadHeaders) as refused:
        read_framing("1.1", [HOST, *((b"transfer-encoding", line) for line in lines)])

    assert refused.value.code == "invalid_request"
    assert refused.value.close


@pytest.mark.parametrize("lines", [[b"gzip, chunked"], [b"gzip", b"Chunked"], [b"x-gzip,deflate ,chunked"]])
def test_codings_before_chunked_are_not_spoken(lines: list[bytes]) -> None:
    """W-044: a registered coding under a final chunked is well formed, but 501 here."""
    with pytest.raises(NotSpoken) as refused:
        read_framing("1.1", [HOST, *((b"transfer-encoding", line) for line in lines)])

    assert refused.value.code == "not_implemented"
    assert refused.value.close


def test_an_old_version_has_no_codings() -> None:
    """W-044: Transfer-Encoding on HTTP/1.0 is faulty framing."""
    with pytest.raises(BadHeaders) as refused:
        read_framing("1.0", [HOST, CHUNKED])

    assert refused.value.close


@pytest.mark.parametrize("version", ["0.9", "1.2", "2", "2.0", "3", ""])
def test_other_versions_are_not_spoken(version: str) -> None:
    """W-029: a version other than 1.0 and 1.1 is 501, and the connection closes."""
    with pytest.raises(NotSpoken) as refused:
        read_framing(version, [HOST])

    assert refused.value.close


@pytest.mark.parametrize(
    "value",
    [b"a", b"a.b-c_d:80", b"A:65535", b"127.0.0.1", b"[::1]", b"[2001:db8::1]:8080", b"[::ffff:1.2.3.4]"],
)
def test_hosts_with_one_reading_pass(value: bytes) -> None:
    """W-030: a name or address, and perhaps a port."""
    assert read_framing("1.1", [(b"host", value)]) is BARE


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b"a", b"a"],
        [b"a", b"b"],
        [b""],
        [b"a b"],
        [b"a, b"],
        [b"good@evil"],
        [b"a/admin?x="],
        [b"a?x="],
        [b"x/#@"],
        [b"a:80:80"],
        [b"a:"],
        [b"a:99999"],
        [b"a:123456"],
        [b"a:\xd9\xa5"],
        [b"[::1"],
        [b"::1"],
        [b"a%00b"],
        [b"a;b"],
        [b"\xffa"],
        [b"a\n"],
        [b"http://a"],
    ],
)
def test_other_hosts_are_refused(values: list[bytes]) -> None:
    """W-030: none, several, or an invalid one (RC-26 among them) is 400."""
    with pytest.raises(BadHeaders):
        read_framing("1.1", [(b"host", value) for value in values])


def test_an_old_version_may_lack_its_host() -> None:
    """W-030: HTTP/1.0 knew no Host; one that is sent must still be one and valid."""
    assert read_framing("1.0", []) is BARE
    for values in ([b"a", b"b"], [b"a b"]):
        with pytest.raises(BadHeaders):
            read_framing("1.0", [(b"host", value) for value in values])


@pytest.mark.parametrize("content", [length(b"5"), CHUNKED])
def test_upgrade_with_content_is_refused(content: tuple[bytes, bytes]) -> None:
    """W-038: a parser that upgrades stops reading messages, so the body would be something else."""
    with pytest.raises(BadHeaders) as refused:
        read_framing("1.1", [HOST, (b"upgrade", b"h2c"), content])

    assert refused.value.close
    assert read_framing("1.1", [HOST, (b"upgrade", b"h2c"), length(b"0")]).length == 0


@pytest.mark.parametrize(
    ("lines", "nominated"),
    [
        ([b"close"], set()),
        ([b"Keep-Alive"], set()),
        ([b""], set()),
        ([b"close,, X-Foo"], {b"x-foo"}),
        ([b"", b"X-Some\t, ,close"], {b"x-some"}),
        ([b"X-One", b"keep-alive, x-two"], {b"x-one", b"x-two"}),
    ],
)
def test_every_connection_line_counts(lines: list[bytes], nominated: set[bytes]) -> None:
    """W-022: a case-insensitive list over all lines, empty elements allowed (CVE-2021-33197)."""
    framing = read_framing("1.1", [HOST, length(b"5"), *((b"connection", line) for line in lines)])

    assert framing == Framing("length", 5, frozenset(nominated))


@pytest.mark.parametrize(
    "name",
    ["host", "Content-Length", "content-type", "content-encoding", "Authorization", "cache-control", "VIA"],
)
def test_fields_for_everybody_cannot_be_nominated(name: str) -> None:
    """W-024: to nominate a field that is meant for every recipient is 400."""
    with pytest.raises(BadHeaders):
        read_framing("1.1", [HOST, (b"connection", f"close, {name}".encode())])


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-%d" % number, b"1") for number in range(FIELD_LIMIT)],
        [(b"x", b"a" * HEAD_LIMIT_BYTES)],
        [(b"x-%d" % number, b"a" * 400) for number in range(90)],
        [(b"a" * (NAME_LIMIT_BYTES + 1), b"1")],
    ],
)
def test_large_heads_are_refused(headers: Headers) -> None:
    """W-063: over 100 fields or 32 KiB is 431, and the connection closes."""
    with pytest.raises(HeadTooLarge) as refused:
        read_framing("1.1", [HOST, *headers])

    assert refused.value.code == "header_fields_too_large"
    assert refused.value.close


def test_heads_at_the_limit_pass() -> None:
    """W-063: 100 fields, 32 KiB and a name of 256 bytes are within the bounds."""
    fields = [HOST, *((b"x-%03d" % number, b"1") for number in range(FIELD_LIMIT - 1))]
    size = sum(len(name) + len(value) + 4 for name, value in [HOST, (b"x", b"")])

    assert read_framing("1.1", fields) is BARE
    assert read_framing("1.1", [HOST, (b"x", b"a" * (HEAD_LIMIT_BYTES - size))]) is BARE
    assert read_framing("1.1", [HOST, (b"a" * NAME_LIMIT_BYTES, b"1")]) is BARE


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("framing", "get_body", "passes"),
    [
        (BARE, False, True),
        (Framing("length", 0), False, True),
        (Framing("length", 5), False, False),
        (Framing("length", 5), True, True),
        (Framing("chunked"), False, False),
        (Framing("chunked"), True, False),
    ],
)
def test_reading_methods_have_no_content(method: str, framing: Framing, get_body: bool, passes: bool) -> None:
    """W-067: a GET or HEAD with content is 400; `forward.get_body` lets one of a known length through."""
    if passes:
        refuse_content(method, framing, get_body=get_body)
        return

    with pytest.raises(BadHeaders) as refused:
        refuse_content(method, framing, get_body=get_body)

    assert refused.value.close


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_other_methods_may_have_content(method: str) -> None:
    """W-067 is about GET and HEAD."""
    refuse_content(method, Framing("chunked"))
