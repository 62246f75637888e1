"""
Rules of the wire that no other test names: the envelope, what each side may see, what is never dialled.

One file: each test is a few lines, and they have no more in common than that nobody else keeps their rule.
"""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import SettingsError, loads
from gateway.upstream import KEEP_ALIVE_SECONDS
from normalizers import HouseCode, problem_schema
from tests.e2e.harness.client import Headers, chunked
from tests.e2e.harness.client import request as bytes_of
from tests.e2e.harness.gateway import ThreadGateway, free_port, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.vendor import OK, RogueVendor, fin, json_reply, reply, send, stall
from tests.e2e.wire.conftest import CREDENTIAL

ROOT = Path(__file__).resolve().parents[3]

CLEAN = bytes_of("GET", "/pixii/clean")

TIMEOUTS = {"connect": "300ms", "first_byte": "400ms", "idle": "400ms", "total": "700ms", "max_duration": "2s"}


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway with its own credential, one with the caller's, and vendors that cannot be reached."""
    common: dict[str, Any] = {
        "normalizer": "pixii",
        "credential": CREDENTIAL,
        "timeouts": TIMEOUTS,
        "retries": {"max": 0},
        "breaker": None,
    }
    vendors = {
        "pixii": common | {"base_url": f"{vendor.url}/base"},
        "own": common | {"base_url": f"{vendor.url}/base", "credential": "passthrough"},
        "refused": common | {"base_url": f"http://127.0.0.1:{free_port()}"},
        # Names that resolve to 169.254.169.254, the first a number and the second in base 16.
        "metadata": common | {"base_url": "http://2852039166", "plaintext": True},
        "linklocal": common | {"base_url": "http://0xa9fea9fe", "plaintext": True},
    }
    with ThreadGateway(settings_text(vendors, {"max_request_body": "1KiB"})) as gateway:
        yield gateway


# Every way in which the gateway itself says no, and one of a vendor's: the request, what the vendor does, the code.
CATALOG: dict[str, tuple[bytes, str]] = {
    "no-vendor": (bytes_of("GET", "/nobody/x"), "not_found"),
    "no-http": (b"GARBAGE\r\n\r\n", "invalid_request"),
    "two-framings": (bytes_of("POST", "/pixii/x", [("Content-Length", "2"), ("Transfer-Encoding", "chunked")]),
                     "invalid_request"),
    "dot-segment": (bytes_of("GET", "/pixii/../x"), "invalid_request"),
    "trace": (bytes_of("TRACE", "/pixii/x"), "method_not_allowed"),
    "unknown-method": (bytes_of("BREW", "/pixii/x"), "not_implemented"),
    "connect": (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "not_implemented"),
    "large-body": (bytes_of("POST", "/pixii/x", body=b"x" * 1025), "payload_too_large"),
    "long-target": (bytes_of("GET", "/pixii/" + "x" * 8200), "uri_too_long"),
    "large-head": (bytes_of("GET", "/pixii/x", [("X", "y" * 33_000)]), "header_fields_too_large"),
    "loop": (bytes_of("GET", "/pixii/x", [("Via", "1.1 errgate")]), "internal_error"),
    "refused": (bytes_of("GET", "/refused/x"), "vendor_unreachable"),
    "prohibited": (bytes_of("GET", "/metadata/x"), "vendor_unreachable"),
    "stalled": (bytes_of("GET", "/pixii/stall"), "vendor_timeout"),
    "cut": (bytes_of("GET", "/pixii/cut"), "vendor_failed"),
    "vendor-429": (bytes_of("GET", "/pixii/429"), "vendor_rate_limited"),
    "vendor-500": (bytes_of("GET", "/pixii/500"), "vendor_failed"),
}  # fmt: skip

# Marks of the inside: none of them may be said to a caller.
INSIDE = re.compile(rb"Traceback|Error\(|127\.0\.0\.1|169\.254|/base|made-up|\.py|httpcore|Errno")


def set_catalog(vendor: RogueVendor) -> None:
    """Let the vendor do what the catalog's paths say."""
    steps = {b"/base/stall": (stall(),), b"/base/cut": (send(b"HTTP/1.1 2"), fin())}
    said = {b"/base/429": reply(429, b"no"), b"/base/500": reply(500, b"no")}

    def answer(wire: Any, request: Any) -> None:  # noqa: ANN401
        for step in steps.get(request.target, (send(said.get(request.target, reply(200, b"ok"))),)):
            step(wire)

    vendor.answer = answer


@pytest.mark.parametrize(("data", "code"), CATALOG.values(), ids=CATALOG)
def test_every_error_is_an_envelope(gateway: ThreadGateway, vendor: RogueVendor, data: bytes, code: str) -> None:
    """Each error is problem+json with the status that was sent, whatever the caller accepts (W-001, W-002, W-013)."""
    set_catalog(vendor)
    for accept in ("*/*", "text/html", "application/xml;q=1, application/json;q=0"):
        answer = gateway.send(data.replace(b"\r\n\r\n", f"\r\nAccept: {accept}\r\n\r\n".encode(), 1))

        problem = check_problem(answer, code)
        assert not answer.body.startswith(b"\xef\xbb\xbf")
        assert problem["title"] == HouseCode.of(code).title
        assert problem["type"] == f"/-/problems/{code}"


@pytest.mark.parametrize(("data", "code"), CATALOG.values(), ids=CATALOG)
def test_detail_says_nothing_of_the_inside(gateway: ThreadGateway, vendor: RogueVendor, data: bytes, code: str) -> None:
    """No trace, exception, address or credential stands in an answer; a language only with our words (W-007, W-015)."""
    set_catalog(vendor)

    answer = gateway.send(data)

    assert not INSIDE.search(answer.body)
    assert not INSIDE.search(answer.head.raw)
    assert answer.header("content-language") == (None if code.startswith("vendor_") and b"vendor_error" in answer.body
                                                 else "en")  # fmt: skip


def test_exception_inside_is_an_envelope(vendor: RogueVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever raises inside, the caller gets an envelope without a word of the exception (W-007, W-021)."""
    vendors = {"pixii": {"base_url": vendor.url, "normalizer": "pixii", "credential": CREDENTIAL}}
    with ThreadGateway(settings_text(vendors)) as broken:
        lane = broken.app.runtime.lanes["pixii"]

        def boom(*_: object, **__: object) -> object:
            raise RuntimeError("the secret marker")

        for owner, name in ((type(lane.upstream), "exchange"), (type(lane.routes), "match")):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, boom)
                # Where a request of this path leads is not known yet.
                answer = broken.ask(f"/pixii/{name}")

            problem = check_problem(answer, "internal_error", source="gateway", retryable=False)
            assert "marker" not in json.dumps(problem)
        assert "the secret marker" not in broken.log.getvalue()


def test_titles_never_change(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A title is its type's, whatever the vendor says; each type has one title and one status (W-005, W-006)."""
    vendor.reply(*(json_reply(429, {"code": "X", "message": word}) for word in ("one", "two", "three")))

    titles = {check_problem(gateway.ask("/pixii/x"), "vendor_rate_limited")["title"] for _ in range(3)}

    assert titles == {HouseCode.of("vendor_rate_limited").title}
    assert len({house.code for house in HouseCode}) == len(HouseCode)
    assert all(house.title and 400 <= house.status <= 599 for house in HouseCode)


def test_unknown_body_has_a_house_type(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A body that nobody knows has the type of its status, never about:blank, nor the vendor's own (W-012, W-019)."""
    theirs = {"type": "https://vendor.example/p/1", "title": "Theirs", "status": 418, "detail": "x", "code": "Y"}
    vendor.reply(
        reply(404, b"<html>?</html>"),
        reply(404, json.dumps(theirs).encode(), [("Content-Type", "application/problem+json")]),
    )

    for _ in range(2):
        problem = check_problem(gateway.ask("/pixii/x"), "not_found", source="vendor")

        assert problem["type"] == "/-/problems/not_found"
        assert problem["status"] == 404
        assert problem["vendor_error"]["status"] == 404


def test_schema_of_the_envelope() -> None:
    """Members are named as RFC 9457 asks, and none of them goes or changes its type (W-009, W-010)."""
    schema: Any = problem_schema()

    members = {name: about.get("type", "one of a list") for name, about in schema["properties"].items()}

    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]{2,}", name) for name in members)
    assert (
        members.items()
        >= {
            "type": "string",
            "title": "string",
            "status": "integer",
            "detail": "string",
            "instance": "string",
            "code": "one of a list",
            "source": "one of a list",
            "fault": "one of a list",
            "retryable": "boolean",
            "request_id": "string",
            "vendor": "string",
            "vendor_error": "object",
            "errors": "array",
            "retry_after": "integer",
            "limit": "object",
            "job_pointer": "string",
        }.items()
    )


def test_retry_after_in_both_places(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """The header says the member's seconds where a retry is worth it, and is missing where it is not (W-016, W-074)."""
    day = {"code": "DAILY_LIMIT_EXCEEDED", "message": "Wait until tomorrow"}
    vendor.reply(
        reply(429, b"no", [("Retry-After", "7")]), json_reply(429, day, [("Retry-After", "70000")]), reply(404)
    )

    soon, later, never = (gateway.ask("/pixii/x") for _ in range(3))

    assert (soon.header("retry-after"), soon.json()["retry_after"]) == ("7", 7)
    assert later.header("retry-after") is None
    assert "retry_after" not in never.json()
    for answer in (soon, later, never):
        check_problem(answer, answer.json()["code"])


def test_who_made_the_error(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """An error says who made it: the vendor, with what it said, the network, or we (W-020)."""
    vendor.reply(json_reply(429, {"code": "RATE_LIMIT_EXCEEDED", "message": "slow"}, [("X-Request-Id", "theirs-77")]))

    theirs = check_problem(gateway.ask("/pixii/x"), "vendor_rate_limited", source="vendor")
    network = check_problem(gateway.ask("/refused/x"), "vendor_unreachable", source="network")
    ours = check_problem(gateway.ask("/pixii/../x"), "invalid_request", source="gateway")

    assert theirs["vendor_error"]["status"] == 429
    assert theirs["vendor_error"]["request_id"] == "theirs-77"
    assert "vendor_error" not in network
    assert "vendor" not in ours


@pytest.mark.parametrize("value", ["foo", "200-maybe", "100-continued"])
def test_other_expectations_are_ignored(gateway: ThreadGateway, vendor: RogueVendor, value: str) -> None:
    """An expectation that nobody knows is dropped, and the request is answered (W-040)."""
    assert gateway.ask("/pixii/x", "POST", [("Expect", value)], b"hello").body == b"ok"

    assert vendor.requests[-1].body == b"hello"
    assert "expect" not in vendor.requests[-1].head.names()


FOLDED = {
    "fold": b"X-A: one\r\n two",
    "tab-fold": b"X-A: one\r\n\ttwo",
    "space-before-colon": b"X-A : one",
    "first-line": b" X-A: one",
}


@pytest.mark.parametrize("line", FOLDED.values(), ids=FOLDED)
def test_folded_lines(gateway: ThreadGateway, vendor: RogueVendor, line: bytes) -> None:
    """A folded line or a space before a colon is 400 from a caller; from a vendor 502, or one line (W-051)."""
    vendor.script(send(OK + line + b"\r\nContent-Length: 2\r\n\r\nok"))

    from_caller = gateway.send(b"GET /pixii/x HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n")
    from_vendor = gateway.ask("/pixii/x")

    check_problem(from_caller, "invalid_request", source="gateway")
    assert len(vendor.requests) == 1
    if from_vendor.status == 200:
        assert from_vendor.header("x-a") in {"one two", None}
    else:
        check_problem(from_vendor, "vendor_failed", source="network")


@pytest.mark.parametrize("status", ["000", "099", "600", "777", "999"])
def test_status_out_of_range(gateway: ThreadGateway, vendor: RogueVendor, status: str) -> None:
    """A status beyond 100 to 599 is no reply, and never the caller's (W-053, RC-52)."""
    vendor.reply(f"HTTP/1.1 {status} Denied\r\nContent-Length: 2\r\n\r\nok".encode())

    check_problem(gateway.ask("/pixii/x"), "vendor_failed", source="network")


def test_trailers_of_a_vendor(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A vendor's trailers, announced or not, go no further, and none are ever asked for (W-055)."""
    body = chunked(b"ok", last=False) + b"0\r\nX-Trailer: 1\r\nX-Unannounced: 2\r\n\r\n"
    vendor.reply(OK + b"Trailer: X-Trailer\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    data = bytes_of("GET", "/pixii/x", [("TE", "trailers, deflate"), ("Connection", "TE")])

    with gateway.connect() as client:
        gateway.asked += 1
        client.send(data)
        # The strict reader takes a trailer for a fault.
        answer = client.read()

    assert answer.body == b"ok"
    assert not answer.head.names() & {"trailer", "x-trailer", "x-unannounced"}
    assert "te" not in vendor.requests[-1].head.names()


def test_no_server_field(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Neither the vendor's Server nor a library's is said, on a success, an error or a refusal (W-065)."""
    vendor.reply(*(reply(status, b"x", [("Server", "acme/1.2.3")]) for status in (200, 500)))

    answers = [gateway.ask("/pixii/x"), gateway.ask("/pixii/x"), gateway.send(b"GARBAGE\r\n\r\n")]

    for answer in answers:
        assert "server" not in answer.head.names()
        assert b"uvicorn" not in answer.head.raw.lower()


def test_success_stays_what_it_is(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A success or a redirect keeps its status and every byte (W-076)."""
    for status in (200, 201, 202, 203, 206, 226, 299, 300, 301, 303, 307, 308, 399):
        vendor.reply(reply(status, b"\x00\xff as it is"))

        answer = gateway.ask("/pixii/x")

        assert (answer.status, answer.body) == (status, b"\x00\xff as it is")


def test_error_stays_an_error(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """An error stays one; its status is the house code's, the vendor's own is kept beside it (W-075, W-076)."""
    for status in (400, 402, 418, 422, 451, 499, 500, 501, 520, 529, 530, 599):
        vendor.reply(reply(status, b"{}"))

        answer = gateway.ask("/pixii/x")

        problem = check_problem(answer, answer.header("errgate-code") or "", source="vendor")
        assert problem["status"] in {house.status for house in HouseCode}
        assert problem["vendor_error"]["status"] == status


def test_coded_success_passes_coded(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A coded success goes on as it came, with its coding, even one that is no coding at all (W-099)."""
    packed = gzip.compress(b"hello" * 1000)
    coded: list[tuple[bytes, Headers]] = [
        (packed, [("Content-Encoding", "gzip")]),
        (packed[:20], [("Content-Encoding", "gzip")]),
        (b"plain", [("Content-Encoding", "gzip")]),
        (b"x", [("Content-Encoding", "snappy"), ("Content-Encoding", "rot13")]),
    ]
    for body, headers in coded:
        vendor.reply(reply(200, body, headers))

        answer = gateway.ask("/pixii/x")

        assert answer.body == body
        assert answer.head.all("content-encoding") == [value for _, value in headers]


def test_nothing_is_retried_once_a_byte_is_out(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A body that breaks off is cut, and the vendor asked once (W-120)."""
    vendor.script(send(OK + b"Content-Length: 10\r\n\r\nok"), fin())

    answer = gateway.ask("/pixii/x")

    assert (answer.status, answer.body, answer.complete) == (200, b"ok", False)
    assert len(vendor.requests) == 1


def test_whether_a_retry_is_safe(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """What was not sent may be sent again, what may have been applied not: the envelope says which (W-111, W-122)."""
    vendor.script(stall())

    not_sent = gateway.ask("/refused/x", "POST", body=b"{}")
    perhaps_applied = gateway.ask("/pixii/x", "POST", body=b"{}")
    idempotent = gateway.ask("/pixii/x", "PUT", body=b"{}")

    assert check_problem(not_sent, "vendor_unreachable")["retryable"] is True
    assert check_problem(perhaps_applied, "vendor_timeout")["retryable"] is False
    assert check_problem(idempotent, "vendor_timeout")["retryable"] is True
    assert [request.method for request in vendor.requests] == ["POST", "PUT"]


HOSTILE_CODES = ["\ud83d", "\x00\x1b[31m", "é" * 5000, 'a"b\\c\nd', "x\r\nSet-Cookie: a=b"]


@pytest.mark.parametrize("code", HOSTILE_CODES, ids=range(len(HOSTILE_CODES)))
def test_no_code_breaks_a_scrape(gateway: ThreadGateway, vendor: RogueVendor, code: str) -> None:
    """No vendor code breaks the envelope, the head, the log or the next scrape (W-017, W-129, W-147)."""
    vendor.reply(json_reply(400, {"code": code, "message": f"{code}<script>"}))

    answer = gateway.ask("/pixii/x")

    check_problem(answer, "invalid_request", source="vendor")
    assert "set-cookie" not in answer.head.names()
    answer.body.decode("utf-8")
    assert gateway.scrape().sum("errgate_unmapped_codes_total", vendor="pixii") > 0
    assert gateway.log.lines()


def test_buckets_reach_to_a_generation(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Durations are counted in seconds, in buckets from milliseconds to 300 s (W-132)."""
    gateway.ask("/pixii/x")

    edges = {
        dict(labels)["le"] for name, labels in gateway.scrape() if name == "errgate_request_duration_seconds_bucket"
    }

    assert {"0.005", "10.0", "300.0", "+Inf"} <= edges


def test_no_claim_of_native_histograms() -> None:
    """No document promises a histogram that prometheus_client cannot give (W-134)."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]

    promised = [page.name for page in pages if re.search("(?i)native histogram", page.read_text(encoding="utf-8"))
                and page.name != "wire.md"]  # fmt: skip

    assert promised == []


@pytest.mark.parametrize("vendor_name", ["metadata", "linklocal"])
def test_prohibited_address_is_never_dialled(gateway: ThreadGateway, vendor: RogueVendor, vendor_name: str) -> None:
    """A link-local address, where a machine's own credentials are handed out, is never dialled (W-141)."""
    answer = gateway.ask(f"/{vendor_name}/latest/meta-data", "POST", body=b"{}")

    check_problem(answer, "vendor_unreachable", source="network", retryable=True)
    assert (answer.header("proxy-status") or "").endswith("error=destination_ip_prohibited")


def test_slash_at_the_end_is_no_redirect(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A slash more or less is another path of the vendor's, never a redirect of ours (W-152)."""
    for path in ("/pixii/x", "/pixii/x/", "/pixii", "/pixii/"):
        assert gateway.ask(path).status == 200

    assert [request.target for request in vendor.requests] == [b"/base/x", b"/base/x/", b"/base", b"/base/"]


def test_event_stream_of_an_error(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """An error that comes as an event stream is read and enveloped all the same (W-160)."""
    events = b'data: {"code":"RATE_LIMIT_EXCEEDED","message":"slow down"}\n\n'
    vendor.reply(
        b"HTTP/1.1 429 No\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(events)
    )

    answer = gateway.ask("/pixii/x", headers=[("Accept", "text/event-stream")])

    check_problem(answer, "vendor_rate_limited", source="vendor")
    assert b"data:" not in answer.body[:10]


def test_health_asks_no_vendor(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Healthy and ready say so while no vendor can be reached, on both ports, and ask none (W-162)."""
    check_problem(gateway.ask("/refused/x"), "vendor_unreachable")

    for path in ("/-/healthy", "/-/ready"):
        assert gateway.ask_admin(path).status == 200
        assert gateway.ask(path, counts=False).status == 200
    assert vendor.requests == []


def test_no_vendor_takes_our_prefix(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """`/-/` is ours: no vendor is called so, nothing below it is proxied, metrics have a port of their own (W-163)."""
    with pytest.raises(SettingsError):
        loads(settings_text({"-": {"base_url": vendor.url}}))

    for path in ("/-/x", "/-/metrics", "/-/config", "/-/status", "/metrics"):
        assert gateway.ask(path, counts=path == "/metrics").status == 404
    assert gateway.ask_admin("/metrics").status == 200
    assert vendor.requests == []


WRONG_SETTINGS = {
    "unknown-key": ("vendors: {pixii: {base_url: 'https://a.example', colour: red}}", "vendors.pixii.colour"),
    "wrong-type": ("server: {port: many}\nvendors: {pixii: {base_url: 'https://a.example'}}", "server.port"),
    "plaintext": ("vendors: {pixii: {base_url: 'http://a.example'}}", "vendors.pixii.base_url"),
    "metadata": ("vendors: {pixii: {base_url: 'https://169.254.169.254'}}", "vendors.pixii.base_url"),
}


@pytest.mark.parametrize(("text", "key"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_wrong_settings_name_their_key(text: str, key: str) -> None:
    """Settings are validated whole before they are used, and a fault names its key (W-168)."""
    with pytest.raises(SettingsError) as raised:
        loads(text)

    assert any(key in fault for fault in raised.value.faults)


def test_idle_times_fit_their_neighbours() -> None:
    """Our callers are kept longer than a balancer keeps us, our vendors shorter than they keep us (W-170, W-114)."""
    settings = loads("vendors: {pixii: {base_url: 'https://a.example'}}")

    assert settings.server.timeouts.keep_alive > 60
    assert KEEP_ALIVE_SECONDS <= 4
