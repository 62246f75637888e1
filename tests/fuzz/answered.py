"""
What a vendor sends: the rules for reply heads and codings, the normalizers, jobs and the scrubber.

One file: a target is a page at most, and what an envelope must be is asked by several.
"""

import base64
import gzip
import html
import json
import re
import tracemalloc
import zlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

import brotli
import jsonschema
import zstandard

from gateway import codings
from gateway.headers import Base, ToCaller, to_annotated, to_problem
from gateway.jobs import annotate, codes_of, free_member
from normalizers import (
    GENERIC,
    VENDORS,
    Asked,
    HouseCode,
    Reply,
    Scrubber,
    Vendor,
    describe,
    error_in_success,
    inspect_job,
    normalize,
    problem_schema,
)
from tests.fuzz.message import Header, Message, has_control, read

# --- The head ---------------------------------------------------------------------------------------------------------

DATE = b"Sat, 21 Nov 2026 12:00:00 GMT"
A_DATE = re.compile(rb"[A-Z][a-z]{2,8},? [-A-Za-z0-9: ]{16,22}(?: GMT)?")
BASE = Base(scheme="https", authority="vendor.example", path=b"/base")
TO_CALLER = {
    cookies: ToCaller(BASE, cookies=cookies, request_id_headers=("x-request-id", "x-trace"))
    for cookies in (False, True)
}
# Written down a second time, from wire.md (W-023, W-146) and contract 5.
NEVER = frozenset(
    b"""alt-svc clear-site-data connection keep-alive nel proxy-authenticate proxy-connection refresh report-to
    reporting-endpoints server strict-transport-security te trailer transfer-encoding upgrade x-powered-by
    x-sendfile""".split()
)
NEVER_FAMILIES = (b"access-control-", b"public-key-pins", b"errgate-")
KEPT = frozenset(
    b"""accept accept-encoding accept-patch accept-post allow content-range date deprecation
    errgate-vendor-request-id link proxy-status sunset vary www-authenticate""".split()
)


def check_reply_head(data: bytes) -> None:
    """Status, options and fields: what goes back is ours to say or harmless, once where it may stand once."""
    said = read(data, lower=False)
    status = int(said.option(0)) if said.option(0) in {"200", "204", "206", "302", "304", "500"} else 200
    prefix = b"" if "host" in said.options else b"/pixii"
    head = TO_CALLER["cookies" in said.options](
        said.headers,
        method="HEAD" if "HEAD" in said.options else "GET",
        status=status,
        prefix=prefix,
        request_id=b"0123456789",
        date=DATE,
        extra=[(b"errgate-code", b"not_found")],
    )
    names = [name for name, _ in head]
    assert not NEVER & set(names)
    assert not [
        name
        for name in names
        if name.startswith(NEVER_FAMILIES) and name not in {b"errgate-code", b"errgate-vendor-request-id"}
    ]
    assert {value for name, value in head if name.startswith(b"x-accel-")} <= {b"no"}
    assert [value for name, value in head if name == b"x-request-id"] == [b"0123456789"]
    assert names.count(b"date") == names.count(b"errgate-code") == 1
    assert names.count(b"content-length") <= (status not in {204, 304})
    assert "cookies" in said.options or b"set-cookie" not in names
    _is_well_formed(head)
    _leads_home(said, head, prefix)
    annotated = to_annotated(head, length=7)
    assert [value for name, value in annotated if name == b"content-length"] == [b"7"]
    assert not {b"etag", b"content-digest", b"content-encoding"} & {name for name, _ in annotated}
    for code in HouseCode:
        kept = to_problem(said.headers, code=code.code, date=DATE, request_id=said.option(1), own_credential=True)
        _is_well_formed(kept)
        extra = {name for name, _ in kept} - KEPT
        assert all(name.startswith((b"ratelimit", b"x-ratelimit")) for name in extra)


def _is_well_formed(head: list[Header]) -> None:
    for name, value in head:
        assert name == name.lower()
        assert not has_control(value), (name, value)
        if name == b"content-length":
            assert value.isdigit()
        if name == b"date":
            assert A_DATE.fullmatch(value)
        if name == b"errgate-vendor-request-id":
            assert re.fullmatch(rb"[!-~]{1,128}", value)


def _leads_home(said: Message, head: list[Header], prefix: bytes) -> None:
    """A Location that names no other host never sends the caller to one (W-070)."""
    given = [value for name, value in said.headers if name.lower() == b"location"]
    for value in (value for name, value in head if name == b"location"):
        if value in given:
            continue
        inside = value.startswith((prefix + b"/", prefix + b"?", prefix + b"#")) or value == prefix
        assert inside or value.startswith(b"https://vendor.example/"), value
        assert prefix or not value.startswith(b"//")


# --- The coding -------------------------------------------------------------------------------------------------------

LIMIT = 64 * 1024
# The output held twice where it is joined, and what a decoder holds itself. A window of zstd is its own (RFC 9659).
MOST_TRACED = 4 * LIMIT + 256 * 1024


def _raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: gzip.compress(body, 1, mtime=0),
    "x-gzip": lambda body: gzip.compress(body[:5], mtime=0) + gzip.compress(body[5:], mtime=0),
    "deflate": zlib.compress,
    "br": lambda body: brotli.compress(body, quality=1),
    "zstd": zstandard.ZstdCompressor(level=1).compress,
    "raw": _raw_deflate,
}


def check_codings(data: bytes) -> None:
    """The first line is a Content-Encoding, the rest a body: undone within the bound, or None; and back again."""
    line, _, body = data.partition(b"\n")
    tracemalloc.start()
    try:
        decoded = codings.decode(body, line.decode("latin-1"), LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decoded is None or len(decoded) <= LIMIT
    assert peak <= MOST_TRACED + 2 * len(body), peak
    for name, encode in ENCODERS.items():
        label = "deflate" if name == "raw" else name
        encoded = encode(body)
        assert codings.decode(encoded, label.upper(), LIMIT) == (body if len(body) <= LIMIT else None), name
        # What was cut is never taken for the whole. (Padding after the last member is nobody's loss.)
        cut = codings.decode(encoded[: len(encoded) * 2 // 3 or 1], label, LIMIT)
        assert cut is None or len(cut) < len(body) or not body or name == "x-gzip", name
    twice = ENCODERS["gzip"](ENCODERS["br"](body))
    assert codings.decode(twice, "br, gzip", LIMIT) in {body, None}


# --- The words --------------------------------------------------------------------------------------------------------

SECRET = "pk_live_0123456789abcdef"
INSTANCE = "urn:uuid:1b8e0f9c-0d3c-4c86-8f5c-0123456789ab"
VALIDATOR = jsonschema.Draft202012Validator(problem_schema())
ACME = describe(
    "acme",
    {
        "code": ["/error/code", "/code"],
        "message": "/message",
        "patterns": {"(?i)denied": "permission_denied"},
        "errors": {"list": ["/errors", "/details"]},
        "errors_in_success": [{"route": "poll", "at": "/success", "equals": False}],
        "statuses": {"423": "conflict"},
        "routes": [{"name": "poll", "path": "/*", "job": {"items": ["/ads", "/data"], "code": "/error/code"}}],
    },
)
KNOWN = {**VENDORS, "generic": GENERIC("generic"), "acme": ACME}
SCRUB = Scrubber([SECRET])


def check_normalize(data: bytes) -> None:
    """`vendor status method own|never|caller_faults`, fields, a body: always an envelope by its schema."""
    said = read(data)
    vendor = KNOWN.get(said.option(0), ACME)
    _is_an_envelope(vendor, said, said.options[1:])


def _is_an_envelope(vendor: Vendor, said: Message, options: tuple[str, ...]) -> None:
    statuses = (int(option) for option in options if re.fullmatch("[1-5][0-9]{2}", option))
    status = next(statuses, 400)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in said.headers}
    reply = Reply(status, headers, said.body, 1_795_000_000.0, unreadable="unreadable" in options)
    asked = Asked(
        method="POST" if "POST" in options else "GET",
        own_credential="own" in options,
        idempotency_key="idempotent" in options,
        vendor_messages="never" if "never" in options else "caller_faults" if "caller_faults" in options else "always",
        scrub=SCRUB,
    )
    for route in {entry.route for entry in vendor.errors_in_success}:
        meant = error_in_success(vendor, route, reply)
        assert meant is None or 400 <= meant <= 599
    problem = normalize(vendor, reply, asked, status=max(status, 400))
    assert problem.label in {row.code for row in vendor.rows} | {"other", "none"}
    _is_valid(problem.encode(base_uri="/-/problems/", instance=INSTANCE, request_id="0123456789"))


def _is_valid(encoded: bytes) -> dict[str, Any]:
    """Strict JSON, by the schema, without the secret."""
    assert SECRET.encode() not in encoded
    members: dict[str, Any] = json.loads(encoded.decode("utf-8", "strict"), parse_constant=_refuse)
    VALIDATOR.validate(members)
    return members


def _refuse(constant: str) -> None:
    raise AssertionError(constant)


def check_described(data: bytes) -> None:
    """The first line is a described vendor in JSON, the rest a reply: the mapping is refused, or decides."""
    first, _, rest = data.partition(b"\n")
    try:
        mapping = json.loads(first)
    except (ValueError, RecursionError):
        return
    if not isinstance(mapping, dict) or not _is_linear(mapping):
        return
    try:
        vendor = describe("acme", mapping, VENDORS.get(str(mapping.pop("extends", None))))
    except ValueError as error:
        fault = str(error)
        _names_a_key(fault)
        return
    said = read(rest)
    _is_an_envelope(vendor, said, said.options)
    _reports(vendor, said.body)


def _names_a_key(fault: str) -> None:
    assert ": " in fault


def _is_linear(mapping: Mapping[str, object]) -> bool:
    """Whether no pattern repeats: an operator can write a regex that takes for ever, and that is no finding."""
    patterns = mapping.get("patterns")
    return not isinstance(patterns, dict) or not any(set("*+{") & set(regex) for regex in patterns)


def check_jobs(data: bytes) -> None:
    """`vendor`, a blank line, a body: failures found are spliced in, and every byte of the vendor's stays."""
    said = read(data)
    _reports(KNOWN.get(said.option(0), ACME), said.body)


def _reports(vendor: Vendor, body: bytes) -> None:
    for route in vendor.routes:
        if not route.job:
            continue
        report = inspect_job(vendor, route, Reply(200, {}, body), Asked(scrub=SCRUB))
        assert all(problem.job_pointer for problem in report.problems)
        encoded = [
            problem.encode(base_uri="/", instance=INSTANCE, request_id="012345678") for problem in report.problems
        ]
        for one in encoded[:2]:
            _is_valid(one)
        if encoded:
            assert re.fullmatch(rb"[a-z_]+(?:, [a-z_]+)*", codes_of(report.problems))
            _is_spliced(body, encoded)


def _is_spliced(body: bytes, encoded: list[bytes]) -> None:
    members = Reply(200, {}, body).json()
    assert isinstance(members, dict)
    member = free_member(members)
    if member is None:
        return
    name = member.decode()
    spliced = annotate(body, encoded, member)
    # One run of bytes was added, and nothing else happened.
    added = len(spliced) - len(body)
    at = next(
        index
        for index in range(len(body), -1, -1)
        if spliced[index + added :] == body[index:] and spliced[:index] == body[:index]
    )
    run = spliced[at : at + added]
    assert re.fullmatch(rb'\s*,?"%b":\[.*\]\s*' % name.encode(), run, re.DOTALL), run
    after = Reply(200, {}, spliced).json()
    # A bomb may be too large to be read again with what was added.
    if after is not None:
        assert isinstance(after, dict)
        assert len(after.pop(name)) == len(encoded)
        assert repr(after) == repr({key: value for key, value in members.items() if key != name})
        assert name not in members, "a member of the vendor's is hidden by ours"


# --- The secret -------------------------------------------------------------------------------------------------------

JAVASCRIPT_LEAVES = "!'()*"
FORMS: Mapping[str, Callable[[str], str]] = {
    "plain": str,
    "url": lambda secret: quote(secret, safe=""),
    "url-lower": lambda secret: re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
    "url-path": quote,
    "url-javascript": lambda secret: quote(secret, safe=JAVASCRIPT_LEAVES),
    "form": quote_plus,
    "json": lambda secret: json.dumps(secret)[1:-1],
    "json-slashes": lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
    "html": html.escape,
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64-url": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
    "basic": lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
}
SHORTEST = 12


def check_scrub(data: bytes) -> None:
    """A secret, what stands before and after it, a line each: in no known form does it stay in the text."""
    first, _, rest = data.partition(b"\n")
    before, _, after = rest.decode("utf-8", "replace").partition("\n")
    # What the settings let be a credential.
    secret = "".join(chr(byte) for byte in first if 0x20 <= byte <= 0x7E).strip()
    if len(secret) < SHORTEST or "redacted" in secret or len(set(secret)) < SHORTEST // 2:
        return
    scrub = Scrubber([secret])
    for name, form in FORMS.items():
        hidden = form(secret)
        said = scrub(f"{before}{hidden}{after}")
        assert hidden not in said or hidden in before + after, name
        assert secret not in unquote(said) or secret in unquote(before + "\n" + after), name
        assert hidden.encode() not in scrub.bytes(hidden.encode()), name
