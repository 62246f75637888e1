"""Who calls, with which key, and what of a request reaches the vendor: contract 4, 10 and 12 on real sockets."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.e2e.harness.client import Headers, request
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.vendor import RogueVendor, json_reply, reply
from tests.e2e.harness.vendors import SAID, SECRETS

BILLING, STUDIO, RETIRED = "egk_billing_7Yq2", "egk_studio_3Kx9", "egk_older_5Tm1"
CLEAN = request("GET", "/open/clean", [("Errgate-Key", STUDIO)])


def sha256(key: str) -> str:
    """A key's digest, as the settings hold it."""
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway with callers: `billing` may use some, `studio` everything but errors as they came."""
    ours = {"header": "X-Api-Key", "value": SECRETS["pikzels"]}
    vendors = {
        "pixii": {
            "base_url": f"{vendor.url}/base",
            "credential": {"header": "Authorization", "value": f"Bearer {SECRETS['pixii']}"},
        },
        "pikzels": {"base_url": f"{vendor.url}/", "credential": ours},
        "apixo": {"base_url": f"{vendor.url}/v1", "credential": "passthrough"},
        "open": {"base_url": vendor.url, "credential": "none"},
        "narrow": {"base_url": vendor.url, "normalizer": "pixii", "only_routes": True},
    }
    callers = {
        "billing": {
            "key_sha256": [sha256(BILLING), sha256(RETIRED)],
            "vendors": {"pixii": ["submit", "poll"], "apixo": "all"},
        },
        "studio": {"key_sha256": [sha256(STUDIO)], "errors": "header"},
    }
    with ThreadGateway(settings_text(vendors, callers=callers)) as gateway:
        yield gateway


def key(value: str, header: str = "Errgate-Key") -> tuple[str, str]:
    """A caller's key in a header."""
    return header, f"Bearer {value}" if header == "Authorization" else value


GOOD_KEYS: dict[str, Headers] = {
    "errgate-key": [key(BILLING)],
    "bearer": [key(BILLING, "Authorization")],
    "bearer-in-lower-case": [("Authorization", f"bearer {BILLING}")],
    "x-api-key": [key(BILLING, "X-Api-Key")],
    "older-key": [key(RETIRED)],
    "errgate-key-comes-first": [("Authorization", "Bearer nonsense"), key(BILLING)],
}

BAD_KEYS: dict[str, Headers] = {
    "none": [],
    "empty": [("Errgate-Key", "")],
    "wrong": [key("egk_wrong")],
    "digest": [key(sha256(BILLING))],
    "non-ascii": [("X-Api-Key", "\xe9")],
    "wrong-comes-first": [key("egk_wrong"), key(BILLING, "Authorization")],
    "basic": [("Authorization", f"Basic {BILLING}")],
}


@pytest.mark.parametrize("headers", GOOD_KEYS.values(), ids=GOOD_KEYS)
def test_good_key(gateway: ThreadGateway, vendor: RogueVendor, headers: Headers) -> None:
    """A caller's key counts wherever it may stand, and never goes on; our credential does (W-143)."""
    answer = gateway.ask("/pixii/v1/api/jobs/1", headers=headers)

    assert answer.status == 200
    seen = vendor.requests[-1]
    assert seen.head.all("authorization") == [f"Bearer {SECRETS['pixii']}"]
    for secret in (BILLING, RETIRED, "nonsense"):
        assert secret.encode() not in seen.head.raw
    assert not seen.head.names() & {"errgate-key", "x-api-key"}


@pytest.mark.parametrize("headers", BAD_KEYS.values(), ids=BAD_KEYS)
def test_bad_key(gateway: ThreadGateway, vendor: RogueVendor, headers: Headers) -> None:
    """Without a good key: 401 with a challenge, and nothing sent on (W-069, W-144)."""
    for target in ("/pixii/x", "/nobody/x"):
        answer = gateway.ask(target, headers=headers)

        problem = check_problem(answer, "unauthenticated", source="gateway")
        assert answer.header("www-authenticate")
        assert BILLING not in str(problem)
    assert vendor.requests == []


def test_two_keys_are_no_key(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Two keys in one header are refused, whichever of them is good."""
    for keys in ([BILLING, BILLING], [BILLING, "egk_wrong"]):
        assert gateway.ask("/pixii/x", headers=[key(value) for value in keys]).status in {400, 401}
    assert vendor.requests == []


def test_own_credential_passes(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """With `passthrough` only Errgate-Key is the caller's key; the other two go on as they are."""
    own = [("Authorization", "Bearer theirs"), ("X-Api-Key", "theirs-too")]

    refused = gateway.ask("/apixo/x", headers=[key(BILLING, "Authorization")])
    answer = gateway.ask("/apixo/x", headers=[key(BILLING), *own])

    check_problem(refused, "unauthenticated")
    assert answer.status == 200
    seen = vendor.requests[-1]
    assert (seen.header("authorization"), seen.header("x-api-key")) == ("Bearer theirs", "theirs-too")
    assert "errgate-key" not in seen.head.names()


def test_no_credential_drops_the_caller_s(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """With no credential configured, the caller's Authorization and X-Api-Key are dropped all the same."""
    gateway.ask("/open/x", headers=[key(STUDIO), ("Authorization", "Bearer mine"), ("X-Api-Key", "mine")])

    assert not vendor.requests[-1].head.names() & {"authorization", "x-api-key", "errgate-key"}


def test_our_credential_replaces_every_line(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Whatever lines a caller sends under the credential's name, in any spelling, the vendor sees ours once (W-084)."""
    mine = [("x-API-key", "mine"), ("X-Api-Key", "mine"), ("x_api_key", "mine"), ("x.api.key", "mine")]

    answer = gateway.ask("/pikzels/x", headers=[key(STUDIO), *mine, ("Connection", "x-api-key")])

    assert answer.status == 200
    assert vendor.requests[-1].head.all("x-api-key") == [SECRETS["pikzels"]]
    assert b"mine" not in vendor.requests[-1].head.raw


NARROWED: dict[str, tuple[str, str, str, str]] = {
    "route-allowed": ("GET", "/pixii/v1/api/jobs/1", BILLING, ""),
    "route-forbidden": ("GET", "/pixii/v1/api/jobs", BILLING, "permission_denied"),
    "no-route": ("GET", "/pixii/other", BILLING, "permission_denied"),
    "escaped-route-allowed": ("GET", "/pixii/v1/%61pi/jobs/1", BILLING, ""),
    "vendor-allowed": ("GET", "/apixo/anything", BILLING, ""),
    "vendor-forbidden": ("GET", "/pikzels/x", BILLING, "permission_denied"),
    "not-narrowed": ("GET", "/pikzels/x", STUDIO, ""),
    "only-routes-inside": ("GET", "/narrow/v1/api/jobs/1", STUDIO, ""),
    "only-routes-head-is-get": ("HEAD", "/narrow/v1/api/jobs/1", STUDIO, ""),
    "only-routes-outside": ("GET", "/narrow/x", STUDIO, "permission_denied"),
    "only-routes-other-method": ("DELETE", "/narrow/v1/api/jobs/1", STUDIO, "method_not_allowed"),
    "unknown-vendor": ("GET", "/nobody/x", STUDIO, "not_found"),
    "no-vendor": ("GET", "/", STUDIO, "not_found"),
}


@pytest.mark.parametrize(("method", "target", "who", "code"), NARROWED.values(), ids=NARROWED)
def test_narrowed(gateway: ThreadGateway, vendor: RogueVendor, method: str, target: str, who: str, code: str) -> None:
    """A caller reaches its vendors and routes and no other, and a refused request is never sent (W-150)."""
    answer = gateway.ask(target, method, [key(who)])

    if code:
        check_problem(answer, code, source="gateway")
        assert vendor.requests == []
        assert (answer.header("allow") is not None) == (code == "method_not_allowed")
    else:
        assert answer.status == 200
        assert len(vendor.requests) == 1


def test_unknown_vendor_names_only_one_s_own(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """The 404 for an unknown vendor names the vendors that this caller may use, and no other."""
    detail = check_problem(gateway.ask("/nobody/x", headers=[key(BILLING)]), "not_found", vendor=None)["detail"]

    assert "pixii" in detail
    assert "apixo" in detail
    assert "pikzels" not in detail


# Contract 4: the first check that fails answers. Each row breaks its own rule and every later one.
ORDER: dict[str, tuple[bytes, int]] = {
    "framing-before-target": (b"POST /pixii/../x HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    "target-before-key": (b"GET /pixii/%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "key-before-vendor": (b"GET /nobody/x HTTP/1.1\r\nHost: a\r\n\r\n", 401),
    "vendor-before-method": (b"TRACE /nobody/x HTTP/1.1\r\nHost: a\r\nErrgate-Key: %b\r\n\r\n" % BILLING.encode(), 404),
    "caller-before-method": (
        b"TRACE /pikzels/x HTTP/1.1\r\nHost: a\r\nErrgate-Key: %b\r\n\r\n" % BILLING.encode(),
        403,
    ),
    "method-before-route": (b"TRACE /narrow/x HTTP/1.1\r\nHost: a\r\nErrgate-Key: %b\r\n\r\n" % STUDIO.encode(), 405),
    "route-before-size": (
        b"POST /narrow/x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\nErrgate-Key: %b\r\n\r\n"
        % STUDIO.encode(),
        403,
    ),
}


@pytest.mark.parametrize(("data", "status"), ORDER.values(), ids=ORDER)
def test_order_of_checks(gateway: ThreadGateway, vendor: RogueVendor, data: bytes, status: int) -> None:
    """The checks run in the contract's order, and the first that fails answers."""
    assert gateway.send(data).status == status
    assert vendor.requests == []


def test_errors_by_caller(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A caller's own `errors` overrides the vendor's; what has no reply is an envelope even then."""
    body = json_reply(400, {"code": "INSUFFICIENT_CREDITS", "message": SAID}, [("X-Own", "1")])
    vendor.reply(body)

    enveloped = gateway.ask("/pixii/v1/api/jobs/1", headers=[key(BILLING)])
    as_it_came = gateway.ask("/pixii/v1/api/jobs/1", headers=[key(STUDIO)])
    refused = gateway.ask("/pixii/../x", headers=[key(STUDIO)])

    check_problem(enveloped, "insufficient_credits")
    assert (as_it_came.status, as_it_came.body) == (400, body.partition(b"\r\n\r\n")[2])
    assert (as_it_came.header("x-own"), as_it_came.header("errgate-code")) == ("1", "insufficient_credits")
    check_problem(refused, "invalid_request", source="gateway")


def test_callers_are_counted(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Requests count under their caller's name; nobody's under `none`."""
    before = gateway.scrape()

    gateway.ask("/pixii/v1/api/jobs/1", headers=[key(BILLING)])
    gateway.ask("/pixii/other", headers=[key(BILLING)])
    gateway.ask("/pixii/other", headers=[key("egk_wrong")])

    grown = gateway.scrape().grown(before, "errgate_caller_requests_total")
    seen = {(dict(labels)["caller"], dict(labels)["outcome"]): count for labels, count in grown.items()}
    assert seen == {("billing", "ok"): 1, ("billing", "caller_fault"): 1, ("none", "caller_fault"): 1}


def test_keys_are_in_no_log(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """No key, path, query, body or cookie is ever logged; the caller's name is (W-140)."""
    canaries = [BILLING, "canary-query", "canary-body", "canary-cookie", "canary-bearer", "canary-path", "canary-agent"]
    gateway.send(
        request(
            "POST",
            "/pixii/v1/api/jobs/canary-path?q=canary-query",
            [
                key(BILLING),
                ("Cookie", "c=canary-cookie"),
                ("Authorization", "Bearer canary-bearer"),
                ("User-Agent", "canary-agent"),
            ],
            b"canary-body",
        )
    )
    gateway.ask("/pixii/v1/api/jobs/1", headers=[key(BILLING)])

    written = gateway.log.getvalue()
    assert [canary for canary in canaries if canary in written] == []
    assert '"caller":"billing"' in written


def test_redirects_lead_back_through_the_gateway(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A Location inside the vendor's base is the caller's path again; the rest is absolute to its origin (W-070)."""
    cases = {
        f"{vendor.url}/base/v1/x?y": "/pixii/v1/x?y",
        "/base/v1/x": "/pixii/v1/x",
        "/elsewhere": f"{vendor.url}/elsewhere",
        "https://other.example/base/x": "https://other.example/base/x",
        "relative/x": "relative/x",
    }
    for location, expected in cases.items():
        vendor.reply(reply(302, b"", [("Location", location)]))

        answer = gateway.ask("/pixii/v1/api/jobs/1", headers=[key(BILLING)])

        assert (answer.status, answer.header("location")) == (302, expected)
