"""
A caller's request on its way: its target, fields and body, and what is refused before anything is sent.

One file: the order is that of a request's parts, and the tables of each stand beside their test.
"""

import hashlib
import json
import random
import time
from collections.abc import Iterator

import pytest

from tests.e2e.harness.client import Headers, chunked, request
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import OK, RogueVendor, json_reply, reply, send
from tests.e2e.harness.vendors import SAID
from tests.e2e.harness.wire import STATUS_LINE, Response

LIMIT = 100_000


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway that knows its own names and keeps callers to small bodies and short silences."""
    common = {"base_url": f"{vendor.url}/base", "normalizer": "pixii"}
    vendors = {
        "pixii": common,
        "body": {**common, "forward": {"get_body": True}},
        "strict": {**common, "forward": {"escaped_slash": "reject"}},
        "generous": {**common, "max_request_body": "1MiB"},
        "cookies": {**common, "forward": {"cookies": True, "trace": True, "caller_address": True}},
        "by_host": {**common, "hosts": ["pixii.errgate.svc"]},
        "header": {**common, "errors": "header"},
        "off": {**common, "errors": "off"},
        "never": {**common, "base_url": f"http://127.0.0.1:{vendor.port}"},
    }
    server = {
        "hosts": ["gateway", "errgate.example:8080"],
        "max_request_body": LIMIT,
        "timeouts": {"body_idle": "400ms"},
    }
    with ThreadGateway(settings_text(vendors, server)) as gateway:
        yield gateway


VERBATIM = (
    "/v1/a%2Fb//c%20?q=%2F+'[]|&x=",
    "/v1/%61pi/x;y=1,2/@:!$&()*~",
    "/v1/?",
    "?",
    "/v1/x??",
    "/",
    "",
    "//double",
    "/v1/x?a=1&a=2;b=%zz",
    "/v1/x?y=/../z",
    "/v1/...",
    "/v1/.well-known/..x",
)


@pytest.mark.parametrize("rest", VERBATIM)
def test_target_goes_on_byte_for_byte(gateway: ThreadGateway, vendor: RogueVendor, rest: str) -> None:
    """Path and query reach the vendor as they were sent (W-057, W-060, W-061)."""
    assert gateway.ask(f"/pixii{rest}").status == 200

    assert vendor.requests[-1].target == f"/base{rest}".encode()


HOSTILE = (
    "/pixii/../x", "/pixii/./x", "/pixii/x/..", "/pixii/.", "/pixii/%2e%2e/x", "/pixii/%2E./x", "/pixii/.%2e",
    "/pixii/..;/x", "/pixii/a%2F..%2Fb", "/pixii/a%2f%2e%2e%2fb", "/pixii/a%5c..%5cb", "/pixii/a\\b", "/pixii/a%5Cb",
    "/pixii/%00", "/pixii/a%0ab", "/pixii/a%1fb", "/pixii/a%7fb", "/pixii/%", "/pixii/%2", "/pixii/%zz",
    "//pixii/x", "//evil.example/x", "/pixii%2F..%2Fpikzels/x", "/%70ixii/../x",
)  # fmt: skip


@pytest.mark.parametrize("target", HOSTILE)
def test_hostile_target(gateway: ThreadGateway, vendor: RogueVendor, target: str) -> None:
    """A path that two readers could read differently is refused, and nothing is sent on (W-058, W-059, W-060)."""
    answer = gateway.ask(target)

    check_problem(answer, "invalid_request", source="gateway")
    assert vendor.requests == []


@pytest.mark.parametrize("byte", [0x01, 0x0B, 0x7F, 0x80, 0xE9, 0xFF], ids=hex)
def test_raw_byte_in_target(gateway: ThreadGateway, vendor: RogueVendor, byte: int) -> None:
    """A control or a byte beyond ASCII in the target, in the path or the query, is 400 (contract 18)."""
    for before in (b"/pixii/x", b"/pixii/x?y="):
        assert gateway.send(request("GET", before + bytes([byte])), counts=False).status == 400
    assert vendor.requests == []
    gateway.uncounted = True  # whether it counts depends on who sees it first, the parser or the gateway


def test_escaped_slash_can_be_refused(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """`forward.escaped_slash: reject` refuses what else passes unchanged (W-061)."""
    check_problem(gateway.ask("/strict/a%2Fb"), "invalid_request", source="gateway", vendor="strict")
    assert gateway.ask("/pixii/a%2Fb").status == 200


def test_target_length(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A target of 8,192 bytes passes, one byte more is 414 (W-062)."""
    fits = "/pixii/" + "a" * (8192 - len("/pixii/"))

    assert gateway.ask(fits).status == 200
    check_problem(gateway.ask(fits + "a"), "uri_too_long", source="gateway")


def test_head_size(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A head within 32 KiB and 100 fields passes, a larger one is 431 (W-063)."""
    assert gateway.ask("/pixii/x", headers=[("X-Large", "a" * 31_000)]).status == 200
    for headers in ([("X-Large", "a" * 33_000)], [(f"X-{index}", "1") for index in range(101)], [("X" * 300, "1")]):
        check_problem(gateway.ask("/pixii/x", headers=headers), "header_fields_too_large", source="gateway")
    assert len(vendor.requests) == 1


AUTHORITIES: dict[str, tuple[list[str], int]] = {
    "ours": (["gateway"], 200),
    "ours-with-port": (["errgate.example:8080"], 200),
    "a-vendor-s": (["pixii.errgate.svc"], 200),
    "foreign": (["evil.example"], 421),
    "none": ([], 400),
    "twice": (["gateway", "gateway"], 400),
    "with-a-path": (["gateway/x"], 400),
    "with-userinfo": (["a@gateway"], 400),
    "bad-port": (["gateway:99999"], 400),
    "empty": ([""], 400),
}


@pytest.mark.parametrize(("hosts", "status"), AUTHORITIES.values(), ids=AUTHORITIES)
def test_authority(gateway: ThreadGateway, vendor: RogueVendor, hosts: list[str], status: int) -> None:
    """Exactly one valid Host, and it must be ours: else 400 or 421, and nothing is sent (W-030, W-032)."""
    answer = gateway.send(request("GET", "/pixii/x", [("Host", host) for host in hosts], host=None))

    assert answer.status == status
    if status != 200:
        check_problem(answer, "misdirected_request" if status == 421 else "invalid_request", source="gateway")
        assert vendor.requests == []


def test_type_is_never_built_from_the_request(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Neither Host nor X-Forwarded-Host changes the problem's type (W-003)."""
    answer = gateway.ask("/none/x", headers=[("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "gopher")])

    assert check_problem(answer, "not_found", source="gateway")["type"] == "/-/problems/not_found"


def test_vendor_by_its_own_host(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """With a vendor's own Host the whole path goes on (contract 4)."""
    assert gateway.ask("/v1/x?y", headers=[("Host", "pixii.errgate.svc")]).status == 200

    assert vendor.requests[-1].target == b"/base/v1/x?y"
    assert vendor.requests[-1].header("host") == f"127.0.0.1:{vendor.port}"


METHODS: dict[str, tuple[str, int, str]] = {
    "trace": ("TRACE", 405, "method_not_allowed"),
    "unknown": ("PROPFIND", 501, "not_implemented"),
}


@pytest.mark.parametrize(("method", "status", "code"), METHODS.values(), ids=METHODS)
def test_method_that_is_not_forwarded(
    gateway: ThreadGateway, vendor: RogueVendor, method: str, status: int, code: str
) -> None:
    """TRACE is 405 with Allow, a method we do not speak 501; neither is sent on (W-035, W-037)."""
    answer = gateway.ask("/pixii/x", method)

    check_problem(answer, code, source="gateway", status=status)
    assert bool(answer.header("allow")) == (status == 405)
    assert vendor.requests == []


def test_connect_never_tunnels(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """CONNECT never gets a 2xx, and ends the connection (W-034)."""
    with gateway.connect() as client:
        client.send(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n")
        answer = client.read("CONNECT")

        assert answer.status in {400, 421, 501}
        assert client.closed()
    assert vendor.requests == []
    gateway.uncounted = True  # whether it counts depends on who sees it first, the parser or the gateway


def test_fields_to_the_vendor(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """The vendor sees the caller's own fields, our Host and Via, and nothing of the way here (W-022, W-025, W-031)."""
    sent: Headers = [
        ("X-First", "1"),
        ("User-Agent", "explicit UA"),
        ("Accept", "a/b"),
        ("Connection", "close,, X-Named"),
        ("X-Named", "gone"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "Basic x"),
        ("Forwarded", "for=1.1.1.1"),
        ("X-Forwarded-For", "1.1.1.1"),
        ("X-Forwarded-Proto", "https"),
        ("X_Forwarded_For", "1.1.1.1"),
        ("X-Real-IP", "1.1.1.1"),
        ("Via", "1.0 fred"),
        ("Cookie", "a=b"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=b"),
        ("baggage", "a=b"),
        ("X-Request-Id", "caller-1234"),
        ("Errgate-Anything", "gone"),
        ("Accept-Encoding", "gzip;q=0.5, compress, br, *;q=0"),
        ("X-Own_Thing", "kept"),
        ("X-Last", "1"),
        ("X-Last", "2"),
    ]

    answer = gateway.ask("/pixii/x", headers=sent)

    assert answer.status == 200
    seen = vendor.requests[-1].head
    assert {name: seen.all(name) for name in seen.names()} == {
        "host": [f"127.0.0.1:{vendor.port}"],
        "x-first": ["1"],
        "user-agent": ["explicit UA"],
        "accept": ["a/b"],
        "via": ["1.0 fred, 1.1 errgate"] if len(seen.all("via")) == 1 else ["1.0 fred", "1.1 errgate"],
        "accept-encoding": seen.all("accept-encoding"),
        "x-own_thing": ["kept"],
        "x-last": ["1", "2"],
    }
    codings = [coding.strip() for coding in (seen.get("accept-encoding") or "").split(",")]
    assert codings[:2] == ["gzip;q=0.5", "br"]
    assert "compress" not in str(codings)


def test_nothing_is_added_for_the_caller(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A bare GET reaches the vendor bare: no framing, no agent, no Accept of a library's (W-045, W-100)."""
    gateway.ask("/pixii/x")

    assert vendor.requests[-1].head.names() == {"host", "via"}


def test_what_forward_lets_through(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Cookies, a trace and the caller's address go on only where `forward` says so (W-083, W-137, W-145)."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    vendor.reply(
        reply(200, b"ok", [("Set-Cookie", "a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT"), ("Set-Cookie", "b=2")])
    )

    answer = gateway.ask(
        "/cookies/x", headers=[("Cookie", "a=b"), ("traceparent", trace), ("X-Forwarded-For", "1.1.1.1")]
    )

    seen = vendor.requests[-1]
    assert seen.header("cookie") == "a=b"
    parent = (seen.header("traceparent") or "").split("-")
    assert parent[1] == "0af7651916cd43dd8448eb211c80319c"
    assert parent[2] != "b7ad6b7169203331"
    assert seen.header("x-forwarded-for") == "127.0.0.1"
    assert answer.head.all("set-cookie") == ["a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "b=2"]


def test_fields_to_the_caller(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A success keeps the vendor's fields but those of the connection and those that act on our origin (W-146)."""
    kept = [
        ("Content-Type", "text/plain; x=Y"),
        ("ETag", '"1"'),
        ("Cache-Control", "max-age=5"),
        ("X-Foo", "a"),
        ("X-Foo", "b"),
        ("Link", "</a>; rel=next"),
        ("RateLimit", '"default";r=5;t=9'),
        ("Digest", "sha-256=x"),
        ("Accept-Ranges", "bytes"),
        ("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("Vary", "Origin"),
    ]
    dropped = [
        ("Connection", "X-Named"),
        ("X-Named", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Trailer", "X-T"),
        ("Server", "nginx/1"),
        ("Upgrade", "foo"),
        ("Alt-Svc", "h3"),
        ("Strict-Transport-Security", "max-age=1"),
        ("NEL", "{}"),
        ("Report-To", "{}"),
        ("Refresh", "0"),
        ("X-Accel-Redirect", "/secret"),
        ("X-Sendfile", "/etc/passwd"),
        ("Access-Control-Allow-Origin", "*"),
        ("X-Powered-By", "PHP"),
        ("Set-Cookie", "a=b"),
        ("Clear-Site-Data", "*"),
        ("Public-Key-Pins", "x"),
        ("Errgate-Code", "not_found"),
        ("Errgate-Job-Codes", "x"),
        ("Proxy-Authenticate", "x"),
    ]
    ids = [("X-Request-Id", "theirs-1234"), ("Date", "Sat, 21 Nov 2026 09:00:00 GMT")]
    vendor.reply(reply(200, b"ok", [*kept, *dropped, *ids]))

    answer = gateway.ask("/pixii/x", headers=[("X-Request-Id", "caller-1234")])

    head = answer.head
    for name, _ in kept:
        assert head.all(name) == [value for key, value in kept if key == name], name
    assert not head.names() & {name.lower() for name, _ in dropped}
    assert head.get("x-request-id") == "caller-1234"
    assert head.get("errgate-vendor-request-id") == "theirs-1234"
    assert head.get("date") == "Sat, 21 Nov 2026 09:00:00 GMT"


KEPT_ON_ERRORS: dict[str, tuple[int, str, list[tuple[str, str]]]] = {
    "405": (405, "method_not_allowed", [("Allow", "GET, HEAD")]),
    "416": (416, "range_not_satisfiable", [("Content-Range", "bytes */5")]),
    "415": (415, "unsupported_media_type", [("Accept", "a/b"), ("Accept-Encoding", "gzip"), ("Accept-Post", "c/d")]),
    "429": (429, "vendor_rate_limited", [("RateLimit", '"d";r=0;t=9'), ("X-RateLimit-Limit", "5")]),
    "410": (410, "not_found", [("Link", "</a>"), ("Sunset", "Sat, 21 Nov 2026 09:00:00 GMT"), ("Vary", "Origin")]),
}

DESCRIBE_THE_OLD_BODY = [
    ("Content-Encoding", "identity"),
    ("Content-MD5", "x"),
    ("Digest", "x"),
    ("Content-Digest", "x"),
    ("Repr-Digest", "x"),
    ("Signature", "x"),
    ("Signature-Input", "x"),
    ("ETag", '"1"'),
    ("Last-Modified", "x"),
    ("Content-Location", "/x"),
    ("Content-Disposition", "attachment"),
    ("Accept-Ranges", "bytes"),
    ("Expires", "0"),
    ("Age", "1"),
    ("Cache-Control", "max-age=600, no-transform"),
    ("Set-Cookie", "a=b"),
    ("Server", "x"),
    ("WWW-Authenticate", "Basic"),
    ("Access-Control-Allow-Origin", "*"),
    ("X-Unknown", "x"),
]


@pytest.mark.parametrize(("status", "code", "kept"), KEPT_ON_ERRORS.values(), ids=KEPT_ON_ERRORS)
def test_fields_on_a_rewritten_error(
    gateway: ThreadGateway, vendor: RogueVendor, status: int, code: str, kept: list[tuple[str, str]]
) -> None:
    """A rewritten error keeps what carries its meaning and drops what described the old body (W-068, W-105, W-109)."""
    ids = [("X-Request-Id", "theirs-1234")]
    vendor.reply(reply(status, b"gone", [*kept, *DESCRIBE_THE_OLD_BODY, *ids]))

    answer = gateway.ask("/pixii/x")

    problem = check_problem(answer, code, source="vendor")
    assert problem["vendor_error"]["request_id"] == "theirs-1234"
    assert answer.header("errgate-vendor-request-id") == "theirs-1234"
    for name, value in kept:
        assert answer.header(name) == value
    assert not answer.head.names() & {"x-unknown", "www-authenticate"}


REQUEST_IDS: dict[str, tuple[list[str], bool]] = {
    "good": (["Abc-123._x"], True),
    "longest": (["a" * 128], True),
    "short": (["abc"], False),
    "too-long": (["a" * 129], False),
    "odd": (["abc def ghi"], False),
    "twice": (["abcdefgh", "abcdefgh"], False),
    "none": ([], False),
}


@pytest.mark.parametrize(("ids", "kept"), REQUEST_IDS.values(), ids=REQUEST_IDS)
def test_request_id(gateway: ThreadGateway, vendor: RogueVendor, ids: list[str], kept: bool) -> None:
    """A well-formed id of the caller's is kept, any other replaced; it is on successes and errors (W-138)."""
    headers = [("X-Request-Id", value) for value in ids]
    vendor.reply(reply(200, b"ok"), reply(500, b""))

    for answer in (gateway.ask("/pixii/x", headers=headers), gateway.ask("/pixii/x", headers=headers)):
        given = answer.header("x-request-id")
        assert given
        assert (given in ids) == kept


BODIES: dict[str, tuple[Headers, bytes, bytes, set[str]]] = {
    "none": ([], b"", b"", set()),
    "empty": ([("Content-Length", "0")], b"", b"", {"content-length"}),
    "length": ([("Content-Length", "5")], b"hello", b"hello", {"content-length"}),
    "chunks": ([("Transfer-Encoding", "chunked")], chunked(b"he", b"llo"), b"hello", {"transfer-encoding"}),
    "no-chunk": ([("Transfer-Encoding", "chunked")], chunked(), b"", {"transfer-encoding"}),
    "single-bytes": (
        [("Transfer-Encoding", "chunked")],
        chunked(*(b"x" for _ in range(5000))),
        b"x" * 5000,
        {"transfer-encoding"},
    ),
    "trailers": (
        [("Transfer-Encoding", "chunked"), ("Trailer", "Authorization")],
        chunked(b"hello", last=False) + b"0\r\nAuthorization: evil\r\nX-Api-Key: evil\r\n\r\n",
        b"hello",
        {"transfer-encoding"},
    ),
}


@pytest.mark.parametrize(("headers", "sent", "body", "framing"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("way", ["at-once", "byte-by-byte", "split-at-crlf"])
def test_body_and_its_framing(
    gateway: ThreadGateway,
    vendor: RogueVendor,
    headers: Headers,
    sent: bytes,
    body: bytes,
    framing: set[str],
    way: str,
) -> None:
    """A body arrives as it was sent, framed by us alone; trailers never become fields (W-045, W-054)."""
    data = request("POST", "/pixii/x", headers) + sent
    if way == "byte-by-byte" and len(data) > 2000:
        data = request("POST", "/pixii/x", headers) + chunked(b"x" * 5000)
    gateway.asked += 1
    with gateway.connect() as client:
        {"at-once": client.send, "byte-by-byte": client.send_bytewise, "split-at-crlf": client.send_split}[way](data)
        answer = client.read()

    assert answer.status == 200
    seen = vendor.requests[-1]
    assert (seen.body, seen.complete) == (body, True)
    assert seen.head.names() & {"content-length", "transfer-encoding"} == framing
    assert b"evil" not in vendor.wires[-1].stream.received


def refused(gateway: ThreadGateway, vendor: RogueVendor, data: bytes, code: str) -> None:
    """These bytes are refused with that code, the connection closes, and nothing is sent on."""
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(data)
        answer = client.read()
        assert client.closed()

    check_problem(answer, code, source="gateway")
    assert vendor.requests == []


FRAMINGS = {
    "transfer-1.0": (
        b"POST /pixii/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "invalid_request",
    ),
    "coded-transfer": (
        b"POST /pixii/x HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "not_implemented",
    ),
    "long-length": (
        b"POST /pixii/x HTTP/1.1\r\nHost: gateway\r\nContent-Length: " + b"0" * 4400 + b"5\r\n\r\nhello",
        "invalid_request",
    ),
}


@pytest.mark.parametrize(("data", "code"), FRAMINGS.values(), ids=FRAMINGS)
def test_framing_that_could_be_read_two_ways(
    gateway: ThreadGateway, vendor: RogueVendor, data: bytes, code: str
) -> None:
    """Doubtful framing is refused and the connection closes; nothing is sent on (W-043, W-044)."""
    refused(gateway, vendor, data, code)


@pytest.mark.parametrize("field", ["host", "authorization"])
def test_nomination_of_what_everybody_reads(gateway: ThreadGateway, vendor: RogueVendor, field: str) -> None:
    """A field that every recipient reads cannot be nominated away (W-024)."""
    refused(
        gateway,
        vendor,
        f"GET /pixii/x HTTP/1.1\r\nHost: gateway\r\nConnection: {field}\r\n\r\n".encode(),
        "invalid_request",
    )


@pytest.mark.parametrize("start", ["GET", "POST"])
def test_content_where_none_is_read(gateway: ThreadGateway, vendor: RogueVendor, start: str) -> None:
    """A GET with content, and content that would follow an upgrade, are refused (W-038, W-067)."""
    upgrade = "Connection: Upgrade\r\nUpgrade: x\r\n" if start == "POST" else ""

    refused(
        gateway,
        vendor,
        f"{start} /pixii/x HTTP/1.1\r\nHost: gateway\r\n{upgrade}Content-Length: 2\r\n\r\nok".encode(),
        "invalid_request",
    )


@pytest.mark.parametrize("headers", [[("Upgrade", "websocket"), ("Connection", "Upgrade")], [("Upgrade", "h2c")]])
def test_upgrade_is_ignored(gateway: ThreadGateway, vendor: RogueVendor, headers: Headers) -> None:
    """Without a body, Upgrade is ignored and never forwarded (W-038)."""
    assert gateway.ask("/pixii/x", headers=headers).status == 200

    assert vendor.requests[-1].head.names() == {"host", "via"}


def test_get_body_where_it_is_let_through(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """With `forward.get_body` a GET's body goes on, with its length (W-067)."""
    assert gateway.ask("/body/x", body=b"ok").status == 200

    assert (vendor.requests[-1].body, vendor.requests[-1].header("content-length")) == (b"ok", "2")


def test_old_caller(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """An HTTP/1.0 caller gets no transfer coding, and the vendor is spoken to in HTTP/1.1 (W-026, W-028, W-029)."""
    vendor.reply(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(b"GET /pixii/x HTTP/1.0\r\nHost: gateway\r\n\r\n")
        answer = client.read()

    assert (answer.status, answer.body) == (200, b"ok")
    assert "transfer-encoding" not in answer.head.names()
    assert vendor.requests[-1].head.start[2] == "1"
    assert vendor.requests[-1].header("via") == "1.0 errgate"


TOO_LARGE: dict[str, tuple[Headers, bytes, bool]] = {
    "by-its-length": ([("Content-Length", str(LIMIT + 1))], b"", False),
    "expecting": ([("Content-Length", str(LIMIT + 1)), ("Expect", "100-continue")], b"", False),
    "while-it-comes": ([("Transfer-Encoding", "chunked")], chunked(b"x" * (LIMIT + 1)), True),
}


@pytest.mark.parametrize(("headers", "body", "sent"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_body_over_the_limit(
    gateway: ThreadGateway, vendor: RogueVendor, headers: Headers, body: bytes, sent: bool
) -> None:
    """A body over the limit is 413 and closes; no 100, nothing sent on, or nothing whole (W-039, W-078, W-149)."""
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(request("POST", "/pixii/x", headers) + body)
        answer = client.read()
        assert client.closed()

    check_problem(answer, "payload_too_large", source="gateway")
    assert answer.interim == ()
    assert vendor.ended()
    assert not any(seen.complete for seen in vendor.requests)
    assert sent or vendor.requests == []


def test_body_limit_of_a_vendor(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A vendor's own limit replaces the server's."""
    assert gateway.ask("/generous/x", "POST", body=b"x" * (LIMIT + 1)).status == 200
    check_problem(gateway.ask("/generous/x", "POST", body=b"x" * ((1 << 20) + 1)), "payload_too_large")


def test_expected_body(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A caller that expects 100-continue gets it once its head is good; Expect does not go on (W-039)."""
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(request("POST", "/pixii/x", [("Content-Length", "2"), ("Expect", "100-continue")]))
        interim = client.stream.head(STATUS_LINE)
        client.send(b"ok")
        answer = client.read()

    assert interim.start[1] == "100"
    assert (answer.status, vendor.requests[-1].body) == (200, b"ok")
    assert "expect" not in vendor.requests[-1].head.names()


@pytest.mark.parametrize(
    "framing", [("Content-Length", "10"), ("Transfer-Encoding", "chunked")], ids=["length", "chunks"]
)
@pytest.mark.alone
def test_body_that_stops(gateway: ThreadGateway, vendor: RogueVendor, framing: tuple[str, str]) -> None:
    """A body that stops coming is 408 and closes; what the vendor got is not whole (W-078, W-148)."""
    gateway.asked += 1
    began = time.monotonic()
    with gateway.connect() as client:
        client.send(request("POST", "/pixii/x", [framing]) + (b"half" if "Length" in framing[0] else b"4\r\nhalf\r\n"))
        answer = client.read()
        assert client.closed()

    check_problem(answer, "request_timeout", source="gateway", retryable=True)
    assert 0.3 < time.monotonic() - began < 3
    assert vendor.ended()
    assert [seen.complete for seen in vendor.requests] in ([], [False])


def test_pipelined_requests(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Fifty requests in one write are answered in order (F-58)."""
    vendor.answer = lambda wire, request: wire.send(reply(200, request.target))
    gateway.asked += 50

    with gateway.connect() as client:
        client.send(b"".join(request("GET", f"/pixii/{index}") for index in range(50)))
        seen = [client.read().body for _ in range(50)]

    assert seen == [b"/base/%d" % index for index in range(50)]


def test_half_closed_caller(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A caller that has closed its sending side is gone, or gets its whole answer; nothing in between (F-57)."""
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(request("GET", "/pixii/x"))
        client.half_close()
        seen = client.converse("GET")

    assert seen.clean_end
    assert [answer.body for answer in seen.responses] in ([b"ok"], [])


def test_success_is_byte_identical(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """5 MB of a success arrive byte for byte (W-071)."""
    data = random.Random(3).randbytes(5_000_000)
    vendor.reply(reply(200, data, [("Content-Encoding", "gzip"), ("Content-Type", "image/png")]))

    answer = gateway.ask("/pixii/x")

    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(data).digest()
    assert (answer.header("content-encoding"), answer.header("content-type")) == ("gzip", "image/png")


@pytest.mark.parametrize("body", [b'{"code":"INSUFFICIENT_CREDITS","message":"No"}', b"<html>", b"", b"x" * 600_000])
@pytest.mark.parametrize("mode", ["header", "off"])
def test_errors_as_they_came(gateway: ThreadGateway, vendor: RogueVendor, mode: str, body: bytes) -> None:
    """With `errors: header` or `off` an error goes on byte for byte; `header` adds what it means (contract 5)."""
    headers = [("Content-Type", "text/x"), ("ETag", '"1"'), ("X-Own", "1"), ("Retry-After", "7"), ("Errgate-Code", "x")]
    vendor.reply(reply(400, body, headers))
    before = gateway.scrape()

    answer = gateway.ask(f"/{mode}/x")

    code = "insufficient_credits" if b"INSUFFICIENT" in body else "invalid_request"
    assert (answer.status, answer.body, answer.complete) == (400, body, True)
    for name, value in headers[:4]:
        assert answer.header(name) == value
    added = {name for name in answer.head.names() if name.startswith(("errgate-", "x-should-retry"))}
    if mode == "off":
        assert added == set()
    else:
        assert added == {"errgate-code", "errgate-fault", "errgate-source", "errgate-instance", "x-should-retry"}
        assert answer.header("errgate-code") == code
        assert answer.header("errgate-source") == "vendor"
        assert answer.header("x-should-retry") == "false"
    grown = gateway.scrape().grown(before, "errgate_errors_total")
    assert [dict(labels)["code"] for labels in grown] == [code]


def test_uninterpreted_error_without_reply_is_an_envelope(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """What has no reply is an envelope, whatever `errors` says."""
    vendor.script(send(b"garbage\r\n\r\n"))

    for mode in ("header", "off"):
        check_problem(gateway.ask(f"/{mode}/x"), "vendor_failed", source="network")


def test_loop_is_noticed(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Our own name in Via is a loop: 500, and nothing is sent (W-027)."""
    answer = gateway.ask("/pixii/x", headers=[("Via", "1.1 fred, 1.1 errgate")])

    check_problem(answer, "internal_error", source="gateway")
    assert "error=proxy_loop_detected" in (answer.header("proxy-status") or "")
    assert vendor.requests == []


FORWARDS: dict[str, tuple[str, str | None]] = {
    "zero": ("0", None),
    "one": ("1", "0"),
    "many": ("70", "69"),
}


@pytest.mark.parametrize(("given", "seen"), FORWARDS.values(), ids=FORWARDS)
def test_max_forwards(gateway: ThreadGateway, vendor: RogueVendor, given: str, seen: str | None) -> None:
    """OPTIONS with Max-Forwards is answered here at 0, else sent on with one less; on GET it means nothing (W-036)."""
    answer = gateway.ask("/pixii/x", "OPTIONS", [("Max-Forwards", given)])
    gateway.ask("/pixii/x", "GET", [("Max-Forwards", given)])

    assert answer.status < 300
    assert [request.header("max-forwards") for request in vendor.requests if request.method == "OPTIONS"] == (
        [seen] if seen else []
    )


def test_options_of_the_server(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """`OPTIONS *` is answered here with Allow; `*` with another method is 400 (W-033)."""
    answer = gateway.send(b"OPTIONS * HTTP/1.1\r\nHost: gateway\r\n\r\n", counts=False)
    other = gateway.send(b"GET * HTTP/1.1\r\nHost: gateway\r\n\r\n", counts=False)
    gateway.uncounted = True  # whether it counts depends on who sees it first, the parser or the gateway

    assert answer.status == 204
    assert answer.header("allow")
    assert other.status == 400
    assert vendor.requests == []


def test_problem_pages(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Each problem's type can be looked up, as a page and as JSON, and asked for by HEAD (W-004)."""
    program = [("Accept", "application/json")]
    index = gateway.ask("/-/problems", headers=program, counts=False).json()["problems"]

    for entry in index:
        page = gateway.ask(entry["type"], counts=False)
        head = gateway.ask(entry["type"], "HEAD", counts=False)
        facts = gateway.ask(entry["type"], headers=program, counts=False).json()
        assert (page.status, page.header("content-type")) == (200, "text/html; charset=utf-8")
        assert (head.status, head.header("content-type"), head.body) == (200, "text/html; charset=utf-8", b"")
        assert facts["code"] == entry["code"]
    assert len(index) == 32
    assert gateway.ask("/-/problems/nothing", counts=False).status == 404


def test_instance_stands_in_one_log_line(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Every error has an instance of its own, found in exactly one line of the log (W-008)."""
    vendor.reply(json_reply(400, {"code": "VALIDATION_ERROR", "message": SAID}))
    answers: list[Response] = [gateway.ask("/pixii/x") for _ in range(20)]

    instances = {answer.json()["instance"] for answer in answers}
    assert len(instances) == 20
    assert until(lambda: all(instance in gateway.log.getvalue() for instance in instances))
    lines = gateway.log.getvalue().splitlines()
    assert all(sum(instance in line for line in lines) == 1 for instance in instances)
    assert all(isinstance(json.loads(line), dict) for line in lines)
