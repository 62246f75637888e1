"""
What a caller sends: the rules for targets, request heads, keys, addresses and ids, each with a second opinion.

One file: a target is a page at most, and the second opinions lean on each other.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import product
from urllib.parse import unquote_to_bytes

import h11
import pytest
from starlette.requests import Request

from gateway import admin, identity, settings, target
from gateway.addresses import Proxies
from gateway.bad_input import BadHeaders, BadInput, BadTarget, NoKey
from gateway.callers import Callers
from gateway.headers import Framing, ToVendor, max_forwards, read_framing
from normalizers import VENDORS, HouseCode, Routes
from tests.fuzz.message import TOKEN, Header, has_control, read

# --- The target -------------------------------------------------------------------------------------------------------

BASES = (b"", b"/", b"/v1", b"/deep/base/")
ROUTES = [(Routes(vendor.routes), vendor) for vendor in VENDORS.values()]


def check_target(data: bytes) -> None:
    """The first line is a path, the second a query: what passes has one reading, and goes on byte for byte."""
    path, _, query = data.partition(b"\n")
    try:
        found = target.read(path, query)
    except BadTarget as bad:
        _is_fit(bad)
        _is_refused_everywhere(path, query)
        return
    assert b"/" + found.vendor.encode("ascii") + found.rest == path
    assert target.read_whole(path, query, "pixii").rest == path
    assert found.query == query
    assert len(path) + len(query) <= target.TARGET_LIMIT_BYTES
    assert not path.startswith(b"//")
    # A request line of three words, and no fragment.
    assert all(0x21 <= byte <= 0x7E and byte != 0x23 for byte in path + query)
    assert b"?" not in path
    assert not re.search(rb"%(?![0-9A-Fa-f]{2})", path)
    # However often a server decodes once, it finds no climbing segment, no second separator and no control.
    for reading in (path, unquote_to_bytes(path)):
        assert not has_control(reading)
        assert b"\\" not in reading
        assert not {segment.partition(b";")[0] for segment in reading.split(b"/")} & {b".", b".."}
    for base in BASES:
        joined = target.join(base, found.rest)
        assert joined.startswith((base.removesuffix(b"/") + b"/", base)) if found.rest else joined == (base or b"/")
    matched = target.for_matching(path)
    assert target.for_matching(matched.encode("latin-1")).count("%") <= matched.count("%")
    for routes, vendor in ROUTES:
        route = routes.match("GET", path)
        assert route == routes.match("GET", matched)
        assert route is None or route in vendor.routes
        assert route is None or not route.methods or "GET" in routes.methods_for(path)


def _is_refused_everywhere(path: bytes, query: bytes) -> None:
    """What is refused below a vendor is refused by the vendor's own Host, too."""
    with pytest.raises(BadTarget):
        target.read_whole(path, query, "pixii")


def _is_fit(bad: BadInput) -> None:
    """A refusal has a house code and a sentence that is ours."""
    HouseCode.of(bad.code)
    assert bad.reason.isascii()
    assert bad.reason.endswith(".")
    assert len(bad.reason) < 120


# --- The head ---------------------------------------------------------------------------------------------------------

AUTHORITY = "vendor.example:8443"
CREDENTIALS: dict[str, tuple[str, str]] = {
    "bearer": ("Authorization", "Bearer the-vendor-key"),
    "api-key": ("X-Api-Key", "the-vendor-key"),
    "own-header": ("Acme-Token", "the-vendor-key"),
}
MODES = ("none", "passthrough", *CREDENTIALS)
TO_VENDOR = {
    (mode, cookies, trace): ToVendor(
        authority=AUTHORITY,
        credential=CREDENTIALS.get(mode) or ("passthrough" if mode == "passthrough" else "none"),
        cookies=cookies,
        trace=trace,
    )
    for mode, cookies, trace in product(MODES, (False, True), (False, True))
}
TRACEPARENT = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-00"

# Written down a second time, from wire.md and contract 10: never from the code that keeps them.
BETWEEN_US = frozenset(
    b"connection expect forwarded http2-settings keep-alive proxy te trailer upgrade x-real-ip".split()
)
FAMILIES = (b"errgate-", b"proxy-")
TRACES = frozenset(b"baggage traceparent tracestate x-request-id b3 sentry-trace".split())
TRUSTED = frozenset(
    b"""authorization x-api-key cookie host content-length transfer-encoding connection via content-type
    content-encoding forwarded te upgrade expect""".split()
)
DECODABLE = frozenset(b"br deflate gzip identity zstd".split())


def check_request_head(data: bytes) -> None:
    """Options and fields: a head with one reading goes on with one reading, ours last, nobody's alias of it."""
    said = read(data)
    version = "1.0" if "1.0" in said.options else "1.1"
    mode = next((mode for mode in MODES if mode in said.options), "none")
    cookies, trace, address = ("cookies" in said.options, "trace" in said.options, "address" in said.options)
    try:
        framing = read_framing(version, said.headers)
        _has_one_framing(version, said.headers, framing)
        sent = TO_VENDOR[mode, cookies, trace](
            said.headers,
            framing,
            http_version=version,
            forwarded_for=Proxies(["10.0.0.0/8"]).forwarded_for("10.1.2.3", said.headers) if address else None,
            traceparent=TRACEPARENT,
            request_id=b"0123456789",
            max_forwards=max_forwards("OPTIONS", said.headers),
        )
    except BadInput as bad:
        _is_fit(bad)
        return
    _has_only_what_may_go(said.headers, sent, cookies=cookies, trace=trace, address=address)
    _has_the_credential(sent, mode)
    _is_read_alike(sent, framing)


def _values(headers: Iterable[Header], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _has_one_framing(version: str, headers: Iterable[Header], framing: Framing) -> None:
    """What `read_framing` let pass, by the letter of RFC 9112 section 6."""
    headers = list(headers)
    lengths, codings = _values(headers, b"content-length"), _values(headers, b"transfer-encoding")
    hosts = _values(headers, b"host")
    assert len(hosts) == 1 or (version == "1.0" and not hosts)
    assert not re.search(rb"[^A-Za-z0-9._:\[\]-]", b"".join(hosts))
    if codings:
        assert not lengths
        assert version == "1.1"
        assert b",".join(codings).strip(b" \t").lower() == b"chunked"
        assert framing.kind == "chunked"
    elif lengths:
        assert len(lengths) == 1
        assert re.fullmatch(rb"\d{1,19}", lengths[0])
        assert (framing.kind, framing.length) == ("length", int(lengths[0]))
    else:
        assert framing.kind == "none"
    assert not (_values(headers, b"upgrade") and framing.has_content)
    named = {option.strip(b" \t").lower() for line in _values(headers, b"connection") for option in line.split(b",")}
    assert framing.nominated == named - {b"", b"close", b"keep-alive"}
    assert not framing.nominated & {b"host", b"authorization", b"content-length", b"content-type"}


def _has_only_what_may_go(
    given: Iterable[Header], sent: list[Header], *, cookies: bool, trace: bool, address: bool
) -> None:
    given = list(given)
    names = [name for name, _ in sent]
    assert sent[0] == (b"host", AUTHORITY.encode())
    assert names.count(b"host") == 1
    assert sum(names.count(name) for name in (b"content-length", b"transfer-encoding")) <= 1
    assert _values(sent, b"via")[-1].endswith(b" errgate")
    assert not BETWEEN_US & set(names)
    assert address or not any(name.startswith(b"x-forwarded-") for name in names)
    hops = b"".join(value for name, value in given if name == b"x-forwarded-for")
    assert names.count(b"x-forwarded-for") == (address and not has_control(hops))
    assert trace or not TRACES & set(names)
    assert names.count(b"traceparent") == names.count(b"x-request-id") == trace
    assert cookies or not {b"cookie", b"cookie2"} & set(names)
    ours = {b"host", b"content-length", b"transfer-encoding", b"via", b"x-forwarded-for", b"traceparent"}
    nominated = {part.strip(b" \t").lower() for line in _values(given, b"connection") for part in line.split(b",")}
    for name, value in sent:
        assert set(name) <= TOKEN
        assert name == name.lower()
        assert not has_control(value), (name, value)
        assert not name.startswith(FAMILIES)
        folded = name.replace(b"_", b"-").replace(b".", b"-")
        assert folded == name or folded not in TRUSTED
        credential = value in {b"Bearer the-vendor-key", b"the-vendor-key"}
        if name not in ours | {b"x-request-id"} and not credential:
            assert name not in nominated or name in {b"close", b"keep-alive", b"max-forwards"}
            assert (name, value) in given or name in {b"accept-encoding", b"max-forwards"}
    for line in _values(sent, b"accept-encoding"):
        assert {part.partition(b";")[0].strip(b" \t").lower() for part in line.split(b",")} <= DECODABLE | {b""}


def _has_the_credential(sent: list[Header], mode: str) -> None:
    """The configured credential comes last and alone; the caller's own goes on with `passthrough` only."""
    if mode in CREDENTIALS:
        header, value = (part.encode() for part in CREDENTIALS[mode])
        assert sent[-1] == (header.lower(), value)
        assert _values(sent, header.lower()) == [value]
    if mode != "passthrough":
        own = {CREDENTIALS[mode][0].lower().encode()} if mode in CREDENTIALS else set()
        assert {name for name, _ in sent} & {b"authorization", b"x-api-key"} <= own


def _is_read_alike(sent: list[Header], framing: Framing) -> None:
    """Another parser reads one request in what we send, with our framing and our fields."""
    head = b"POST /x HTTP/1.1\r\n" + b"".join(b"%b: %b\r\n" % header for header in sent) + b"\r\n"
    if len(head) > 64 * 1024:
        return
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=128 * 1024)
    reader.receive_data(head)
    event = reader.next_event()
    assert isinstance(event, h11.Request), event
    assert event.target == b"/x"
    assert [(name, value) for name, value in event.headers] == [(name, value.strip(b" \t")) for name, value in sent]
    following = reader.next_event()
    if framing.has_content:
        assert following is h11.NEED_DATA
    else:
        assert isinstance(following, h11.EndOfMessage)
        assert reader.trailing_data == (b"", False)


# --- Who asks ---------------------------------------------------------------------------------------------------------

KEYS = {"alice": (b"egk_alice", b"egk_alice_next"), "bob": (b"\xff\x00bob's",), "last": (b"x",)}


@dataclass(frozen=True, slots=True)
class Known:
    """A caller of the settings."""

    key_sha256: tuple[str, ...]
    vendors: None = None


CALLERS = Callers({name: Known(tuple(hashlib.sha256(key).hexdigest() for key in keys)) for name, keys in KEYS.items()})


def check_callers(data: bytes) -> None:
    """Fields in, a caller out: only whose key stands in a field that counts."""
    said = read(data)
    passthrough = "passthrough" in said.options
    counting = (b"errgate-key",) if passthrough else (b"errgate-key", b"authorization", b"x-api-key")
    presented = {name: _values(said.headers, name) for name in counting}
    try:
        caller = CALLERS.identify(said.headers, passthrough=passthrough)
    except (NoKey, BadHeaders) as bad:
        _is_fit(bad)
        _is_nobody(presented, no_key=isinstance(bad, NoKey))
        return
    keys = KEYS[caller.name]
    tokens = [re.sub(rb"(?i)^bearer +", b"", value).strip(b" \t") for values in presented.values() for value in values]
    assert any(key in tokens for key in keys)


def _is_nobody(presented: Mapping[bytes, Sequence[bytes]], *, no_key: bool) -> None:
    """Refused for a key that nobody has, or for several; never with one good `Errgate-Key`."""
    assert no_key or any(len(values) > 1 for values in presented.values())
    own = presented[b"errgate-key"]
    assert len(own) != 1 or not any(own[0] in keys for keys in KEYS.values())


PEER = re.compile("[0-9a-f.:]+(?:%[a-z]+[0-9]+)?")
NETWORKS = ("10.0.0.0/8", "fd00::/8")


def check_addresses(data: bytes) -> None:
    """The peer and `X-Forwarded-For`: nobody untrusted chooses the address, and what goes on is a field value."""
    said = read(data)
    # A peer is the socket's to tell, so it is an address.
    peer = said.option(0)
    peer = peer if PEER.fullmatch(peer) else "203.0.113.9"
    proxies = Proxies(NETWORKS if "alone" not in said.options else ())
    try:
        client = proxies.client(peer, said.headers)
        forwarded = proxies.forwarded_for(peer, said.headers)
    except BadHeaders as bad:
        _is_fit(bad)
        return
    trusted = "alone" not in said.options and _is_trusted(peer)
    if not trusted:
        assert client == peer or ip_address(client) == _address(peer)
        assert b"," not in forwarded
    else:
        assert _address(client) is not None
        hops = [hop.strip(b" \t") for hop in b",".join(_values(said.headers, b"x-forwarded-for")).split(b",")]
        last = [hop.decode("ascii", "replace") for hop in hops if hop][-1:]
        # The right-most hop is the one that our own proxy wrote: an untrusted one there ends the search.
        if last and _address(last[0]) is not None and not _is_trusted(last[0]):
            assert ip_address(client) == _address(last[0])
    # A control that a hop brought is dropped with the field, by `ToVendor`.
    assert forwarded.isascii()


def _address(text: str) -> object:
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    bare = bare.partition(":")[0] if bare.count(":") == 1 and not text.startswith("[") else bare
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_trusted(text: str) -> bool:
    address = _address(text)
    return address is not None and any(address in ip_network(network) for network in NETWORKS)


def check_identity(data: bytes) -> None:
    """Ids and traces: what we repeat is well formed, whatever was sent."""
    said = read(data)
    assert re.fullmatch("[A-Za-z0-9._-]{8,128}", identity.request_id(said.headers))
    found = identity.trace(said.headers)
    given = _values(said.headers, b"traceparent")
    if found is not None:
        assert len(given) == 1
        assert given[0].startswith(f"-{found.trace_id}-{found.parent_id}-".encode(), 2)
        assert set(found.trace_id) != {"0"}
        assert set(found.parent_id) != {"0"}
    ours = identity.traceparent(found)
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", ours)
    assert found is None or ours[3:35] == found.trace_id.encode()
    for value in (said.body, said.body.decode("utf-8", "surrogateescape")):
        vendors = identity.vendor_request_id(value)
        assert vendors is None or re.fullmatch(rb"[!-~]{1,128}", vendors)


# --- Who operates -----------------------------------------------------------------------------------------------------

TOKEN_OF_ADMIN = "admin-token-of-the-fuzz-target"
GUARDED = settings.loads(
    f"server: {{hosts: [gateway.example], admin: {{token: {TOKEN_OF_ADMIN}}}}}\nvendors: {{}}\n", environ={}
)


def check_admin(data: bytes) -> None:
    """Method and fields: the admin port refuses or passes, and passes nobody without the token."""
    said = read(data)
    scope = {
        "type": "http",
        "method": said.option(0, "GET"),
        "path": "/-/config",
        "raw_path": b"/-/config",
        "query_string": b"",
        "headers": list(said.headers),
    }

    refusal = admin.refuse_stranger(GUARDED, Request(scope))

    given = b" ".join(_values(said.headers, b"authorization"))
    if refusal is None:
        assert _values(said.headers, b"host")
        assert TOKEN_OF_ADMIN.encode() in given or b"basic" in given.lower()
    else:
        assert refusal.status_code in {401, 403, 421}
        assert TOKEN_OF_ADMIN.encode() not in refusal.body
