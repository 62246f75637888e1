"""What Go's `net/http/httputil/reverseproxy_test.go` promises, asked of errgate: each behaviour by its number."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness.client import chunked
from tests.e2e.harness.client import request as bytes_of
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import OK, RogueVendor, Step, fin, pause, reply, send, stall
from tests.e2e.wire.conftest import CREDENTIAL

CLEAN = bytes_of("GET", "/pixii/clean")

# The base of a vendor, the path asked for, and the target that the vendor sees.
JOINS = {
    "slash-and-slash": ("slash", "/favicon.ico", b"/favicon.ico"),
    "none-and-slash": ("bare", "/f", b"/f"),
    "none-and-nothing": ("bare", "", b"/"),
    "base-and-path": ("deep", "/c", b"/a/b/c"),
    "escaped-base": ("escaped", "/c", b"/a%2Fb/c"),
    "escaped-both": ("escaped", "/c%2Fd", b"/a%2Fb/c%2Fd"),
    "escaped-slash-end": ("escapedend", "/c", b"/a%2Fb%2F/c"),
}


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway before one vendor under several bases, and with what `forward` may let through."""
    common: dict[str, Any] = {
        "normalizer": "pixii",
        "credential": CREDENTIAL,
        "retries": {"max": 0},
        "breaker": None,
        "timeouts": {"first_byte": "2s", "idle": "2s"},
    }
    vendors = {
        "pixii": common | {"base_url": vendor.url},
        "slash": common | {"base_url": f"{vendor.url}/"},
        "bare": common | {"base_url": vendor.url},
        "deep": common | {"base_url": f"{vendor.url}/a/b"},
        "escaped": common | {"base_url": f"{vendor.url}/a%2Fb"},
        "escapedend": common | {"base_url": f"{vendor.url}/a%2Fb%2F"},
        "open": common | {"base_url": vendor.url, "forward": {"cookies": True, "caller_address": True}},
    }
    with ThreadGateway(settings_text(vendors, {"trusted_proxies": ["127.0.0.0/8"]})) as gateway:
        yield gateway


def test_reverse_proxy(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """GO-01: what is the connection's stays behind on both sides; an error is an envelope, a hang-up a 502."""
    headers = [
        ("X-Trailer", "no trailer"), ("Trailers", "not a special field"), ("X-Foo", "bar"), ("X-Multi-Value", "foo"),
        ("X-Multi-Value", "bar"), ("Set-Cookie", "flavor=chocolateChip"), ("Upgrade", "foo"), ("Keep-Alive", "x"),
    ]  # fmt: skip
    vendor.reply(reply(200, b"I am the backend", headers), reply(404, b"I am the backend", headers))
    asking = [("Connection", "close, TE"), ("Te", "trailers"), ("Proxy-Connection", "should be deleted"),
              ("Upgrade", "foo"), ("User-Agent", "explicit UA")]  # fmt: skip

    answer = gateway.ask("/open/x", headers=asking)
    error = gateway.ask("/open/x", headers=asking)

    assert answer.body == b"I am the backend"
    assert answer.head.all("x-multi-value") == ["foo", "bar"]
    assert answer.head.all("set-cookie") == ["flavor=chocolateChip"]
    assert (answer.header("x-foo"), answer.header("trailers")) == ("bar", "not a special field")
    assert not answer.head.names() & {"upgrade", "keep-alive"}
    check_problem(error, "not_found", source="vendor")
    for request in vendor.requests:
        assert not request.head.names() & {"connection", "te", "proxy-connection", "upgrade", "transfer-encoding"}
        assert request.header("x-forwarded-for") == "127.0.0.1"
    vendor.script(fin())
    check_problem(gateway.ask("/open/?mode=hangup"), "vendor_failed", source="network")


LINES = {
    "two-lines": [("Connection", "Upgrade, X-Fake-Connection-Token"), ("Connection", "X-Some-Conn-Header")],
    "first-line-empty": [("Connection", ""), ("Connection", "X-Some-Conn-Header, x-fake-connection-token,,")],
}


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
def test_nominated_fields(gateway: ThreadGateway, vendor: RogueVendor, lines: list[tuple[str, str]]) -> None:
    """GO-02, GO-03: what any Connection line names goes no further, in either direction, even behind an empty line."""
    fields = [*lines, ("X-Fake-Connection-Token", "1"), ("X-Some-Conn-Header", "2"), ("X-Kept", "3")]
    vendor.reply(reply(200, b"ok", fields))

    answer = gateway.ask("/pixii/x", headers=fields)

    for names in (answer.head.names(), vendor.requests[-1].head.names()):
        assert "x-kept" in names
        assert not names & {"x-fake-connection-token", "x-some-conn-header", "upgrade"}


def test_forwarded_for(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """GO-04, GO-05, GO-06: appended where configured and the peer is trusted; else none of the four fields."""
    asking = [("X-Forwarded-For", "10.9.8.7"), ("Forwarded", "for=x"), ("X-Forwarded-Host", "h"),
              ("X-Forwarded-Proto", "https")]  # fmt: skip

    gateway.ask("/open/x", headers=asking)
    gateway.ask("/pixii/x", headers=asking)

    first, second = vendor.requests
    assert first.header("x-forwarded-for") == "10.9.8.7, 127.0.0.1"
    assert not first.head.names() & {"forwarded", "x-forwarded-host", "x-forwarded-proto"}
    assert not second.head.names() & {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}


@pytest.mark.alone
def test_bytes_pass_as_they_come(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """GO-08, GO-09, GO-10: the head goes out before any byte of the body, and each byte when it comes."""
    vendor.script(
        send(OK + b"MyHeader: hi\r\nContent-Length: 2\r\n\r\n"), pause(0.3), send(b"h"), pause(0.3), send(b"i")
    )
    gateway.asked += 1
    with gateway.connect() as client:
        began = time.monotonic()
        client.send(bytes_of("GET", "/pixii/x"))
        head, framing, _ = client.head()
        assert time.monotonic() - began < 0.25
        assert head.get("myheader") == "hi"
        pieces = list(client.pieces(framing))

    assert pieces == [b"h", b"i"]


def test_cancellation(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """GO-11: a caller that leaves while the vendor thinks ends the vendor's connection within a second."""
    vendor.script(stall())
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(bytes_of("GET", "/pixii/x"))
        assert until(lambda: len(vendor.requests) == 1)

    assert vendor.ended(within=1.0)


def test_old_caller_without_a_body(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """GO-12, GO-17: HTTP/1.0 without a body, and a request with no field of its own, are requests like others."""
    for line in (b"GET /pixii/x HTTP/1.0\r\n\r\n", b"GET /pixii/x HTTP/1.1\r\nHost: a\r\n\r\n"):
        assert gateway.send(line).body == b"ok"
        assert vendor.requests[-1].head.names() == {"host", "via", CREDENTIAL["header"].lower()}


@pytest.mark.parametrize("agent", ["explicit UA", "", None])
def test_user_agent(gateway: ThreadGateway, vendor: RogueVendor, agent: str | None) -> None:
    """GO-13: the caller's User-Agent, even an empty one, or none; never a library's."""
    gateway.ask("/pixii/x", headers=[] if agent is None else [("User-Agent", agent)])

    assert vendor.requests[-1].head.all("user-agent") == ([] if agent is None else [agent])


@pytest.mark.parametrize("framed", [True, False], ids=["length", "chunks"])
def test_large_post(gateway: ThreadGateway, vendor: RogueVendor, framed: bool) -> None:
    """GO-14, GO-15: a body of 1 MiB arrives byte for byte, and nothing of it stays."""
    body = b"a" * (1 << 20)
    headers = [] if framed else [("Transfer-Encoding", "chunked")]

    answer = gateway.ask("/pixii/x", "POST", headers, body if framed else chunked(body))

    assert answer.body == b"ok"
    assert vendor.requests[-1].body == body


def test_no_body_stays_none(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """GO-16: a GET without a body has no framing upstream, and a hang-up is a 502."""
    vendor.script(fin())

    check_problem(gateway.ask("/pixii/x"), "vendor_failed", source="network")
    assert not vendor.requests[-1].head.names() & {"content-length", "transfer-encoding"}


def test_errors_are_rewritten(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """GO-18, GO-19, GO-23: an error becomes an envelope and its body is let go; an unusual status passes."""
    vendor.reply(reply(500, b"x" * 100_000), reply(345, b"odd"), reply(346, b"odd"))

    check_problem(gateway.ask("/pixii/x"), "vendor_failed", source="vendor")
    assert [gateway.ask("/pixii/x").status for _ in range(2)] == [345, 346]


@pytest.mark.parametrize("more", [(fin(),), (stall(),)], ids=["closes", "stalls"])
def test_short_body_is_a_cut(gateway: ThreadGateway, vendor: RogueVendor, more: tuple[Step, ...]) -> None:
    """GO-20, GO-24: half a body is never an orderly end."""
    vendor.script(send(OK + b"Content-Length: 20\r\n\r\n0123456789"), *more)

    answer = gateway.ask("/pixii/x")

    assert (answer.body, answer.complete) == (b"0123456789", False)


def test_nothing_is_changed_in_place(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """GO-21, GO-22: one request leaves no trace in the next one of the same connection."""
    with gateway.connect() as client:
        for index in range(3):
            gateway.asked += 1
            client.send(bytes_of("GET", f"/deep/{index}?q={index}", [("X-Own", str(index))]))
            assert client.read().body == b"ok"

    seen = [(request.target, request.head.all("x-own"), len(request.head.fields)) for request in vendor.requests]
    assert seen == [(b"/a/b/%d?q=%d" % (index, index), [str(index)], 4) for index in range(3)]


def test_unread_body_ends_the_connection(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """GO-25: an answer before the end of the caller's body is the connection's last (W-056)."""
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(bytes_of("POST", "/nobody/x", [("Content-Length", "1000")]) + b"x" * 10)
        answer = client.read()

        assert answer.header("connection") == "close"
        assert client.closed()
    check_problem(answer, "not_found", source="gateway")


STREAMED = {
    "events": "text/event-stream",
    "events-with-charset": "text/event-stream;charset=utf-8",
    "unknown-length": "application/octet-stream",
}


@pytest.mark.parametrize("media_type", STREAMED.values(), ids=STREAMED)
@pytest.mark.alone
def test_streams_are_flushed(gateway: ThreadGateway, vendor: RogueVendor, media_type: str) -> None:
    """GO-26: events, and bodies of unknown length, go out at once."""
    head = OK + f"Content-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    vendor.script(send(head + b"2\r\na\n\r\n"), pause(0.3), send(b"2\r\nb\n\r\n0\r\n\r\n"))
    gateway.asked += 1
    with gateway.connect() as client:
        began = time.monotonic()
        client.send(bytes_of("GET", "/pixii/x"))
        _, framing, _ = client.head()
        pieces = client.pieces(framing)

        assert next(pieces) == b"a\n"
        assert time.monotonic() - began < 0.25
        assert list(pieces) == [b"b\n"]


def test_trailers_are_dropped(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """GO-31: a trailer that nobody announced is dropped without an error."""
    vendor.reply(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Unannounced-Trailer: 1\r\n\r\n")

    assert gateway.ask("/pixii/x").body == b"ok"


@pytest.mark.parametrize(("name", "path", "target"), JOINS.values(), ids=JOINS)
def test_joined_paths(gateway: ThreadGateway, vendor: RogueVendor, name: str, path: str, target: bytes) -> None:
    """GO-32, GO-33, GO-34: one slash between base and path, escapes as they are, the vendor's own Host."""
    gateway.ask(f"/{name}{path}", headers=[("Host", "elsewhere.example")])

    assert vendor.requests[-1].target == target
    assert vendor.requests[-1].header("host") == f"127.0.0.1:{vendor.port}"


def test_interim_replies(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """GO-36, GO-37: however many interim heads come before it, the caller sees the final one, and its fields only."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n"
    processing = b"HTTP/1.1 102 Processing\r\nLink: </c>\r\n\r\n"
    vendor.reply(early + processing + OK + b"X-Final: 1\r\nContent-Length: 2\r\n\r\nok")

    answer = gateway.ask("/pixii/x")

    assert (answer.status, answer.body, answer.interim) == (200, b"ok", ())
    assert (answer.header("x-final"), answer.head.all("link")) == ("1", [])


QUERIES = ["a=1&a=2;b=3", "a=1&a=%zz&b=3", "a=%zz", "&".join(f"p{index}=1" for index in range(1000)), "a=1;b=2&&=&"]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_queries_are_never_parsed(gateway: ThreadGateway, vendor: RogueVendor, query: str) -> None:
    """GO-38, GO-39, GO-40, GO-41: whatever a query holds arrives as it was sent."""
    gateway.ask(f"/pixii/x?{query}")

    assert vendor.requests[-1].target == f"/x?{query}".encode()
