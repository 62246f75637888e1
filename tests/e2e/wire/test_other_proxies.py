"""
What other proxies promise and test, asked of errgate: each behaviour by its number.

One file, in the order of the list that it answers.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness.client import Headers, chunked
from tests.e2e.harness.client import request as bytes_of
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import OK, RogueVendor, Wire, fin, pause, reply, send, stall
from tests.e2e.harness.wire import Request
from tests.e2e.wire.conftest import CREDENTIAL, echo

CLEAN = bytes_of("GET", "/pixii/clean")

LIMIT = 64 * 1024


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway before one vendor under several names."""
    common: dict[str, Any] = {
        "normalizer": "pixii",
        "credential": CREDENTIAL,
        "retries": {"max": 0},
        "breaker": None,
        "timeouts": {"first_byte": "2s", "idle": "500ms"},
    }
    vendors = {
        "pixii": common | {"base_url": f"{vendor.url}/base"},
        "twin": common | {"base_url": f"{vendor.url}/base"},
        "open": common | {"base_url": f"{vendor.url}/base", "forward": {"cookies": True}},
        "retrying": common | {"base_url": f"{vendor.url}/base", "retries": {"max": 1}},
    }
    server = {"max_request_body": LIMIT, "timeouts": {"body_idle": "400ms"}}
    with ThreadGateway(settings_text(vendors, server)) as gateway:
        yield gateway


HOP_BY_HOP = [
    "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization", "Proxy-Connection", "TE",
    "Trailer", "Upgrade", "HTTP2-Settings", "Upgrade-Insecure-Requests", "Alt-Svc",
]  # fmt: skip


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_hop_by_hop(gateway: ThreadGateway, vendor: RogueVendor, name: str) -> None:
    """RC-02, RC-03, RC-04: what is one connection's crosses in neither direction (W-023)."""
    vendor.reply(reply(200, b"ok", [(name, "1"), ("X-Kept", "1")]))

    answer = gateway.ask("/pixii/x", headers=[(name, "1"), ("X-Kept", "1")] if name != "Alt-Svc" else [("X-Kept", "1")])

    seen = vendor.requests[-1].head.names()
    assert "x-kept" in answer.head.names() & seen
    assert name.lower() not in seen
    if name != "Upgrade-Insecure-Requests":
        assert name.lower() not in answer.head.names()


def test_our_own_fields_cannot_be_spoofed(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-03: what begins with Errgate- is ours to say: neither a caller's nor a vendor's goes on."""
    spoof = [("Errgate-Code", "x"), ("Errgate-Own", "y"), ("errgate_key", "z"), ("Errgate.Key", "z")]
    vendor.reply(reply(200, b"ok", spoof[:2]))

    answer = gateway.ask("/pixii/x", headers=spoof)

    assert not any(name.startswith("errgate") for name in answer.head.names() | vendor.requests[-1].head.names())


@pytest.mark.parametrize("values", [["a", "b"], ["", ""], ["a", ""], ["", "b", "a", "b"]])
def test_many_lines_of_a_field(gateway: ThreadGateway, vendor: RogueVendor, values: list[str]) -> None:
    """RC-05, RC-07: lines of one name keep their number, order and emptiness; cookies stay lines of their own."""
    fields = [(name, value) for value in values for name in ("X-Many", "Set-Cookie")]
    vendor.reply(reply(200, b"ok", fields))

    answer = gateway.ask("/open/x", headers=[*(("X-Many", value) for value in values), ("Cookie", "a=1; b=2")])

    assert vendor.requests[-1].head.all("x-many") == values
    assert vendor.requests[-1].head.all("cookie") == ["a=1; b=2"]
    assert answer.head.all("x-many") == values
    assert answer.head.all("set-cookie") == values


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X.Api.Key", "x-api_key", "Authorization_", "X_Vendor_Key"])
def test_aliases(gateway: ThreadGateway, vendor: RogueVendor, name: str) -> None:
    """RC-06: no name that a lax reader folds to one of ours, or to a key, goes on (W-084)."""
    gateway.ask("/pixii/x", headers=[(name, "spoof")])

    folded = [key.replace("_", "-").replace(".", "-").strip("-") for key in vendor.requests[-1].head.names()]
    assert not {"x-forwarded-for", "x-api-key"} & set(folded)
    assert folded.count("x-vendor-key") == 1


MEDIA_TYPES = [
    "application/json", "application/json ; charset=utf-8", "application/JSON", "application/json\t; charset=utf-8",
    "application/octet-stream", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b",
    "text/plain", "application/custom+x", "",
]  # fmt: skip


@pytest.mark.parametrize("body", [b"", b'{"a": 1} ', b"--b\r\n\r\n\x00\xff\r\n--b--\r\n"])
def test_media_types(gateway: ThreadGateway, vendor: RogueVendor, body: bytes) -> None:
    """RC-09, RC-41: whatever its type, spelled however, a body arrives byte for byte under that spelling."""
    for media_type in MEDIA_TYPES:
        gateway.ask("/pixii/x", "POST", [("Content-Type", media_type)], body)

        assert vendor.requests[-1].body == body
        assert vendor.requests[-1].head.all("content-type") == [media_type]


def test_close_is_between_the_two(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-10: a caller's Connection: close ends its own connection, and the vendor's stays for the next."""
    for _ in range(3):
        gateway.asked += 1
        with gateway.connect() as client:
            client.send(bytes_of("GET", "/pixii/x", [("Connection", "close"), ("Keep-Alive", "1"), ("Foo", "bar")]))
            assert client.read().header("connection") == "close"
            assert client.closed()

    assert sum(bool(wire.requests) for wire in vendor.wires) == 1
    assert {request.header("foo") for request in vendor.requests} == {"bar"}


REFUSED_TARGETS = [
    "/pixii/foo/bar/../", "/pixii/foo/bar/..", "/pixii/%2e%2e/", "/pixii/%2E%2E/", "/pixii/..%2f", "/pixii/%2e%2e%2f",
    "/pixii/../private", "/pixii/./x", "/pixii/ho/%2E%2E/hi", "//10.0.0.10/hi", "/pixii/a%00b", "/pixii/%0d%0aX:1",
    "/pixii/a%5cb", "/pixii/%", "/pixii/%4", "/pixii/%zz",
]  # fmt: skip
PASSED_TARGETS = [
    "/pixii//10.0.0.10/hi", "/pixii/x/%5B...slug%5D.js", "/pixii/foo%20%2Fbar", "/pixii/b/%41%42%43//%2f/",
    "/pixii/%252E%252E", "/pixii/http://evil.example/x", "/pixii/@evil", "/pixii/a;b=c", "/pixii/...", "/pixii/.a",
    "/pixii/x?u=//a/../b%zz",
]  # fmt: skip


def test_targets_that_climb(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-20, RC-21, RC-22: a path that another reader could make climb is refused, never mended (W-059)."""
    for target in REFUSED_TARGETS:
        check_problem(gateway.ask(target), "invalid_request", source="gateway")

    assert vendor.requests == []


def test_targets_that_pass(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-20, RC-22, RC-27: all else stays under the vendor's base, byte for byte (W-057)."""
    for target in PASSED_TARGETS:
        assert gateway.ask(target).body == b"ok", target

        assert vendor.requests[-1].target == b"/base" + target.removeprefix("/pixii").encode()


FORMS = {
    "options-star": (b"OPTIONS * HTTP/1.1", 204),
    "options-star-path": (b"OPTIONS */test HTTP/1.1", 400),
    "get-star": (b"GET * HTTP/1.1", 400),
    "connect": (b"CONNECT host HTTP/1.1", 501),
    "connect-port-0": (b"CONNECT host:0 HTTP/1.1", 501),
    "connect-port": (b"CONNECT host:443 HTTP/1.1", 501),
    "word": (b"GET admin HTTP/1.1", 400),
    "at": (b"GET @evil/ HTTP/1.1", 400),
    "scheme": (b"GET blah://a/pixii/x HTTP/1.1", 400),
    "urn": (b"GET urn:foo:bar HTTP/1.1", 400),
}


@pytest.mark.parametrize(("line", "status"), FORMS.values(), ids=FORMS)
def test_forms_of_a_target(gateway: ThreadGateway, vendor: RogueVendor, line: bytes, status: int) -> None:
    """RC-24, RC-25: only a path is a target; `*` is for OPTIONS, an authority for no one (W-033, W-034)."""
    assert gateway.send(line + b"\r\nHost: a\r\n\r\n").status in {status, 400 if status == 501 else status}

    assert vendor.requests == []


def test_absolute_form(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-25, RC-27: an absolute target never leads anywhere but to the vendor of its path (W-032)."""
    for authority in (b"evil.example", b"127.0.0.1:1", b"A:80"):
        answer = gateway.send(b"GET http://" + authority + b"/pixii/x HTTP/1.1\r\nHost: a\r\n\r\n")

        assert answer.body == b"ok"
        assert vendor.requests[-1].target == b"/base/x"
        assert vendor.requests[-1].header("host") == f"127.0.0.1:{vendor.port}"


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH"])
def test_no_framing_is_invented(gateway: ThreadGateway, vendor: RogueVendor, method: str) -> None:
    """RC-30, RC-35: without a body no framing upstream; a caller's own zero, its length or its chunks stay (W-045)."""
    vendor.answer = echo
    framings: list[tuple[Headers, bytes, set[str]]] = [([], b"", set())]
    if method not in {"GET", "HEAD"}:
        framings += [
            ([("Content-Length", "0")], b"", {"content-length"}),
            ([("Content-Length", "5")], b"hello", {"content-length"}),
            ([("Transfer-Encoding", "chunked")], chunked(b"hello"), {"transfer-encoding"}),
        ]

    for headers, body, expected in framings:
        assert gateway.ask("/pixii/x", method, headers, body or None).status == 200
        assert vendor.requests[-1].head.names() & {"content-length", "transfer-encoding"} == expected


def test_chunks_behind_a_delete(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-35: the chunks of a DELETE end where they end; what follows is a request of its own, with its own answer."""
    vendor.answer = echo
    gateway.asked += 2
    with gateway.connect() as client:
        client.send(
            bytes_of("DELETE", "/pixii/x", [("Transfer-Encoding", "chunked")])
            + chunked()
            + bytes_of("GET", "/pixii/next")
        )

        assert [client.read().body.split()[0] for _ in range(2)] == [b"DELETE", b"GET"]


def test_wrong_length_of_a_caller(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-31: fewer bytes than announced never look whole; more are never part of the body."""
    vendor.answer = echo
    gateway.uncounted = True
    with gateway.connect() as client:
        client.send(bytes_of("POST", "/pixii/short", [("Content-Length", "10")]) + b"12345")
        client.half_close()
        client.converse("POST")
    with gateway.connect() as client:
        client.send(bytes_of("POST", "/pixii/long", [("Content-Length", "5")]) + b"1234567890")
        client.converse("POST")

    assert until(lambda: all(wire.over for wire in vendor.wires if wire.requests and not wire.requests[-1].complete))
    whole = [(request.target, request.body) for request in vendor.requests if request.complete]
    assert whole == [(b"/base/long", b"12345")]


def test_expectation_refused_early(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-32: a caller that expects 100-continue and is refused by its head sends no body, and none is read (W-039)."""
    headers = [("Expect", "100-continue"), ("Content-Length", str(LIMIT + 1))]

    answer = gateway.send(bytes_of("POST", "/pixii/x", headers), "POST")

    check_problem(answer, "payload_too_large", source="gateway")
    assert (answer.interim, answer.header("connection")) == ((), "close")
    assert vendor.requests == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("framing", [("Content-Length", "5"), ("Transfer-Encoding", "chunked")])
def test_body_of_a_get(gateway: ThreadGateway, vendor: RogueVendor, method: str, framing: tuple[str, str]) -> None:
    """RC-34: a GET or HEAD with a body is refused and closes: no byte of it is hidden in the next request (W-067)."""
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(bytes_of(method, "/pixii/x", [framing]) + (b"hello" if "Len" in framing[0] else chunked(b"hello")))

        assert client.read(method).status == 400
        assert client.closed()
    assert vendor.requests == []


def test_early_answer_closes(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-33: an answer before the end of the body closes; a request read to its end leaves the connection usable."""
    gateway.asked += 3
    vendor.read_bodies = False
    vendor.answer = lambda wire, request: wire.send(reply(200, b"early"))
    with gateway.connect() as client:
        client.send(bytes_of("POST", "/pixii/x", [("Content-Length", "1000")]) + b"1")
        answer = client.read()

        assert (answer.body, answer.header("connection")) == (b"early", "close")
        assert client.closed()
    vendor.read_bodies = True
    with gateway.connect() as client:
        for _ in range(2):
            client.send(bytes_of("POST", "/pixii/x", body=b"whole"))
            assert client.read().body == b"early"


SURPLUS = {
    "more": reply(200, b"ok") + b"surplus",
    "behind-204": b"HTTP/1.1 204 No\r\n\r\nsurplus",
    "behind-304": b"HTTP/1.1 304 No\r\n\r\nsurplus",
    "second-answer": reply(200, b"ok") + reply(200, b"poison"),
}


@pytest.mark.parametrize("data", SURPLUS.values(), ids=SURPLUS)
def test_surplus_of_a_vendor(gateway: ThreadGateway, vendor: RogueVendor, data: bytes) -> None:
    """RC-36, RC-37: bytes behind a whole reply are cut off, and that connection carries no other request (W-171)."""
    vendor.answer = lambda wire, request: wire.send(data if request.target == b"/base/rogue" else reply(200, b"mine"))

    for _ in range(3):
        assert b"surplus" not in gateway.ask("/pixii/rogue").body
        assert gateway.ask("/pixii/innocent").body == b"mine"


def test_every_byte_before_a_cut(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-38: a vendor announces 100,000 bytes and sends 40,010: the caller gets each of them, and then a cut."""
    vendor.script(send(OK + b"Content-Length: 100000\r\n\r\n" + b"x" * 40_010), fin())

    answer = gateway.ask("/pixii/x")

    assert (len(answer.body), answer.complete) == (40_010, False)


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1])
@pytest.mark.parametrize("framed", [True, False], ids=["length", "chunks"])
def test_limit_is_exact(gateway: ThreadGateway, vendor: RogueVendor, size: int, framed: bool) -> None:
    """RC-40: exactly the limit passes, one byte more is 413, with or without a length (W-149)."""
    headers = [] if framed else [("Transfer-Encoding", "chunked")]
    body = b"x" * size

    answer = gateway.ask("/pixii/x", "POST", headers, body if framed else chunked(body))

    assert answer.status == (200 if size <= LIMIT else 413)
    assert any(request.complete for request in vendor.requests) == (size <= LIMIT)


def test_caller_that_leaves_is_no_failure(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-54, RC-56, RC-91: counted once, as the caller's leaving; no vendor's failure, and no error in the log."""
    vendor.script(stall(1.0), send(reply(200, b"late")))
    before = gateway.scrape()
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(bytes_of("GET", "/pixii/x"))
        assert until(lambda: len(vendor.requests) == 1)

    def counted() -> dict[str, float]:
        grown = gateway.scrape().grown(before, "errgate_requests_total")
        return {dict(labels)["outcome"]: value for labels, value in grown.items()}

    assert until(lambda: counted() == {"caller_gone": 1.0})
    assert not gateway.scrape().grown(before, "errgate_network_failures_total")
    assert not any(line["level"] == "error" for line in gateway.log.lines())


def test_cookies_of_one_caller(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-60: a cookie that a vendor sets for one caller is never sent for another (W-142)."""
    vendor.reply(reply(200, b"ok", [("Set-Cookie", "session=first; Path=/")]))

    gateway.ask("/open/x")
    gateway.ask("/open/x")

    assert all("cookie" not in request.head.names() for request in vendor.requests)


@pytest.mark.parametrize("location", ["http://169.254.169.254/", "https://evil.example/x", "//evil.example/x", "/x"])
def test_redirects_are_not_followed(gateway: ThreadGateway, vendor: RogueVendor, location: str) -> None:
    """RC-61: a redirect is the caller's to follow, wherever it leads (W-070)."""
    vendor.reply(reply(302, b"", [("Location", location)]))

    answer = gateway.ask("/pixii/x")

    assert answer.status == 302
    assert len(vendor.requests) == 1


def test_import_touches_nothing() -> None:
    """RC-62: importing the package configures no logging and asks no environment for a proxy."""
    script = (
        "import logging, os; before = (list(logging.root.handlers), logging.root.level, dict(os.environ));"
        "import gateway.app, gateway.server, gateway.cli;"
        "assert before == (list(logging.root.handlers), logging.root.level, dict(os.environ))"
    )

    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)

    assert done.returncode == 0, done.stderr


def test_environment_proxies_are_ignored(
    gateway: ThreadGateway, vendor: RogueVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-62: no proxy of the environment gets a vendor's request (W-142)."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:9")

    assert gateway.ask("/pixii/x").body == b"ok"


def test_connections_are_one_vendor_s(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-63: two vendors of one address share no connection."""
    for name in ("pixii", "twin", "pixii", "twin"):
        gateway.ask(f"/{name}/{name}")

    carried = [{request.target for request in wire.requests} for wire in vendor.wires if wire.requests]
    assert all(len(targets) == 1 for targets in carried)


def test_connection_closed_while_idle(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-83: a pooled connection that its vendor has closed costs nobody an answer."""
    vendor.answer = answer_and_leave

    for method in ("GET", "POST", "GET", "POST"):
        answer = gateway.ask("/retrying/x", method, body=b"{}" if method == "POST" else None)
        assert answer.body == b"ok"
        time.sleep(0.02)

    assert len(vendor.requests) == 4


def answer_and_leave(wire: Wire, request: Request) -> None:
    """Answer well, say nothing of it, and close."""
    wire.send(reply(200, b"ok"))
    wire.fin()


def test_counters_are_sums(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-90, RC-91: each request is one count, under the status that was sent; bytes and durations add up."""
    before = gateway.scrape()
    vendor.reply(reply(200, b"x" * 1000), reply(404, b""), reply(200, b"x" * 1000))

    for _ in range(3):
        gateway.ask("/pixii/x", "POST", body=b"y" * 10)

    after = gateway.scrape()
    grown = after.grown(before, "errgate_requests_total")
    assert sorted(dict(labels)["status"] for labels in grown) == ["200", "404"]
    assert sum(grown.values()) == 3
    durations = after.grown(before, "errgate_request_duration_seconds_count")
    assert sum(durations.values()) == 3
    assert until(lambda: gateway.scrape().sum("errgate_requests_in_flight") == 0)


def test_pause_is_no_failure(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-50: the first read that fails after a head of a success is a cut; before a head it is 502, in time 504."""
    vendor.script(send(OK + b"Content-Length: 5\r\n\r\n"), pause(0.01), fin())
    assert not gateway.ask("/pixii/x").complete

    vendor.script(fin())
    check_problem(gateway.ask("/pixii/x"), "vendor_failed", source="network")

    vendor.script(stall())
    check_problem(gateway.ask("/pixii/x"), "vendor_timeout", source="network")
