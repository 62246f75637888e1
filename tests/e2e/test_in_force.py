"""What the settings say is what happens: vendors described in them, the words of problems, capacity, the admin port."""

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.harness.client import request
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, hold, json_reply, reply, send
from tests.e2e.harness.vendors import SAID

# A vendor new to errgate, in twelve lines.
ACME = """
code: [/error/code, /code]
message: [/error/message]
retry_after: [/error/retry_in]
request_id: [/meta/request_id]
errors: {list: /error/fields, pointer: /path, detail: /why}
codes: {OUT_OF_STOCK: conflict, THROTTLED: vendor_rate_limited}
patterns: {"(?i)blocked": content_rejected}
statuses: {423: conflict}
routes:
  - {name: poll, methods: [GET], path: "/v1/jobs/*", job: {failed: {at: /state, equals: failed}, id: /id, code: [/failure/code], message: [/failure/text]}}
  - {name: submit, methods: [POST], path: /v1/jobs}
errors_in_success: [{route: submit, at: /ok, equals: false}]
"""  # noqa: E501 - the contract's own example, line for line
TOKEN = "a-token-of-32-characters-at-least"
CLEAN = request("GET", "/acme/clean")


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway with vendors by settings, its own words, one request at once and a guarded admin port."""
    credential = {"header": "Authorization", "value": "Bearer s3cret-of-acme"}
    acme = {"base_url": vendor.url, "credential": credential, "normalizer": yaml.safe_load(ACME)}
    extended = {"extends": "pixii", "codes": {"NEW_CODE": "conflict", "JOB_NOT_FOUND": "cancelled"}}
    vendors = {
        "acme": acme,
        "pixii_eu": {"base_url": vendor.url, "normalizer": extended},
        "bare": {"base_url": vendor.url},
    }
    text = settings_text(
        vendors,
        {"name": "edge", "max_in_flight": 1, "admin": {"token": TOKEN}},
        problems={"base_uri": "https://docs.example/problems/", "vendor_messages": "caller_faults"},
    )
    with ThreadGateway(text) as gateway:
        yield gateway


ACME_ERRORS: dict[str, tuple[int, dict[str, object], str, dict[str, object]]] = {
    "code": (400, {"error": {"code": "OUT_OF_STOCK", "message": SAID}}, "conflict", {"detail": SAID}),
    "second-place": (500, {"code": "out_of_stock"}, "conflict", {}),
    "delay": (429, {"error": {"code": "THROTTLED", "retry_in": "12s"}}, "vendor_rate_limited", {"retry_after": 12}),
    "pattern": (400, {"error": {"code": "USER_BLOCKED"}}, "content_rejected", {}),
    "status": (423, {}, "conflict", {}),
    "general-status": (404, {}, "not_found", {}),
    "fields": (
        400,
        {"error": {"fields": [{"path": "a.0.b", "why": "too long"}]}},
        "invalid_request",
        {"errors": [{"detail": "too long", "pointer": "#/a/0/b"}]},
    ),
}


@pytest.mark.parametrize(("status", "body", "code", "members"), ACME_ERRORS.values(), ids=ACME_ERRORS)
def test_described_vendor(
    gateway: ThreadGateway,
    vendor: RogueVendor,
    status: int,
    body: dict[str, object],
    code: str,
    members: dict[str, object],
) -> None:
    """A vendor new to errgate works from twelve lines of settings: codes, messages, delays, fields."""
    vendor.reply(json_reply(status, {**body, "meta": {"request_id": "theirs-1"}}))

    problem = own_problem(gateway, "/acme/v1/x", code)

    assert problem["vendor_error"]["request_id"] == "theirs-1"
    assert {name: problem[name] for name in members} == members


def own_problem(gateway: ThreadGateway, target: str, code: str) -> dict[str, Any]:
    """The problem that a request brings, in this gateway's own words."""
    answer = gateway.ask(target)
    problem = answer.json()
    assert problem["code"] == code
    assert problem["type"] == f"https://docs.example/problems/{code}"
    assert (answer.header("proxy-status") or "").startswith("edge; ")
    return problem


def test_described_job(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A described vendor's failed job carries its problem, with the right pointer."""
    body = {"id": "job-1", "state": "failed", "failure": {"code": "OUT_OF_STOCK", "text": SAID}}
    vendor.reply(json_reply(200, body))

    problems = gateway.ask("/acme/v1/jobs/1").json()["problems"]

    assert [(problem["code"], problem["job_pointer"]) for problem in problems] == [("conflict", "/failure/code")]
    assert problems[0]["vendor_error"]["request_id"] == "job-1"


def test_described_error_in_a_success(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A described vendor's 200 that says no is an error; one that says yes passes."""
    vendor.reply(json_reply(200, {"ok": False, "code": "OUT_OF_STOCK"}), json_reply(200, {"ok": True}))

    no = gateway.ask("/acme/v1/jobs", "POST", body=b"{}")
    yes = gateway.ask("/acme/v1/jobs", "POST", body=b"{}")

    assert (no.status, no.header("errgate-code")) == (409, "conflict")
    assert (yes.status, yes.json()) == (200, {"ok": True})


@pytest.mark.parametrize(
    ("sent", "code"),
    [("NEW_CODE", "conflict"), ("JOB_NOT_FOUND", "cancelled"), ("INSUFFICIENT_CREDITS", "insufficient_credits")],
)
def test_extended_vendor(gateway: ThreadGateway, vendor: RogueVendor, sent: str, code: str) -> None:
    """`extends` adds codes to a built-in vendor and overrides its rows; the others stay."""
    vendor.reply(json_reply(400, {"code": sent, "message": SAID}))

    own_problem(gateway, "/pixii_eu/v1/x", code)


def test_generic_vendor(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A vendor without a normalizer is understood by its statuses alone."""
    vendor.reply(json_reply(402, {"code": "VALIDATION_ERROR"}))

    own_problem(gateway, "/bare/x", "insufficient_credits")


def test_vendor_s_words_only_for_callers(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """With `vendor_messages: caller_faults` the vendor's words reach a caller only when the fault is the caller's."""
    vendor.reply(
        json_reply(400, {"error": {"code": "OUT_OF_STOCK", "message": SAID}}),
        json_reply(500, {"error": {"code": "?", "message": SAID}}),
    )

    caller_s = gateway.ask("/acme/x")
    vendor_s = gateway.ask("/acme/x")

    assert SAID in caller_s.body.decode()
    assert SAID not in vendor_s.body.decode()
    assert "details" not in caller_s.json()["vendor_error"]


def test_via_says_our_name(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """`server.name` is the name in Via."""
    gateway.ask("/acme/x")

    assert vendor.requests[-1].header("via") == "1.1 edge"


def test_full_gateway_is_overloaded(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """One request more than `max_in_flight` is 503 `overloaded`, counted as refused, and never sent on."""
    refused = threading.Event()
    vendor.script(hold(refused), send(reply(200, b"ok")))
    before = gateway.scrape()
    gateway.asked += 1
    with gateway.connect() as first:
        first.send(request("GET", "/acme/slow"))
        assert until(lambda: len(vendor.requests) == 1)

        answer = gateway.ask("/acme/x")

        assert answer.json()["code"] == "overloaded"
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        refused.set()
        assert first.read().body == b"ok"
    grown = gateway.scrape().grown(before, "errgate_requests_total")
    assert sorted(dict(labels)["outcome"] for labels in grown) == ["ok", "refused"]
    assert len(vendor.requests) == 1


BASIC = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
GUARDED: dict[str, tuple[str, str, list[tuple[str, str]], int]] = {
    "metrics-are-open": ("GET", "/metrics", [], 200),
    "health-is-open": ("GET", "/-/healthy", [], 200),
    "readiness-is-open": ("GET", "/-/ready", [], 200),
    "no-token": ("GET", "/-/status", [], 401),
    "wrong-token": ("GET", "/-/status", [("Authorization", "Bearer nonsense")], 401),
    "non-ascii-token": ("GET", "/-/status", [("Authorization", "Bearer \xe9")], 401),
    "bearer": ("GET", "/-/status", [("Authorization", f"Bearer {TOKEN}")], 200),
    "basic": ("GET", "/-/status", [("Authorization", f"Basic {BASIC}")], 200),
    "config": ("GET", "/-/config", [("Authorization", f"Bearer {TOKEN}")], 200),
    "reload-without-token": ("POST", "/-/reload", [], 401),
    "foreign-origin": (
        "POST",
        "/-/reload",
        [("Authorization", f"Bearer {TOKEN}"), ("Origin", "https://evil.example")],
        403,
    ),
    "mangled-origin": ("POST", "/-/reload", [("Authorization", f"Bearer {TOKEN}"), ("Origin", "http://[")], 403),
    "nothing-there": ("GET", "/nothing", [("Authorization", f"Bearer {TOKEN}")], 404),
    "no-vendors-here": ("GET", "/acme/x", [("Authorization", f"Bearer {TOKEN}")], 404),
}


@pytest.mark.parametrize(("method", "target", "headers", "status"), GUARDED.values(), ids=GUARDED)
def test_admin_port(
    gateway: ThreadGateway,
    vendor: RogueVendor,
    method: str,
    target: str,
    headers: list[tuple[str, str]],
    status: int,
) -> None:
    """The admin port gives metrics and probes to all, the rest to the token, and nothing to another origin."""
    answer = gateway.ask_admin(target, method, headers, b"" if method == "POST" else None)

    assert answer.status == status
    if status >= 400:
        assert answer.header("content-type") == "application/problem+json"
        assert bool(answer.header("www-authenticate")) == (status == 401)
    assert vendor.requests == []
    assert b"s3cret" not in answer.body
    assert TOKEN.encode() not in answer.body


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9090", "127.0.0.1.evil.example", "[", ""])
def test_admin_port_by_another_name(gateway: ThreadGateway, vendor: RogueVendor, host: str) -> None:
    """A name that DNS could be made to point here is none of ours: no page that a browser is lured to gets in."""
    answer = gateway.ask_admin("/-/status", headers=[("Authorization", f"Bearer {TOKEN}")], host=host)

    assert 400 <= answer.status < 500
    assert b"acme" not in answer.body


def test_status_page(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """`/-/status` is JSON that tells the state and every vendor."""
    found = gateway.ask_admin("/-/status", headers=[("Authorization", f"Bearer {TOKEN}")])

    assert json.loads(found.body)["vendors"].keys() == {"acme", "pixii_eu", "bare"}


def test_problem_of_the_path(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A refusal of the gateway's own speaks with the same words."""
    answer = gateway.ask("/nobody/x")

    assert answer.json()["type"] == "https://docs.example/problems/not_found"
    assert answer.json()["source"] == "gateway"
