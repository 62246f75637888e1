"""A vendor that echoes our credential: it reaches no caller and no log, in whatever form and place it comes back."""

import base64
import json
import re
import urllib.parse
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.vendor import RogueVendor, json_reply, reply

# Made up, of no known shape, and different in every coding: only its value can give it away.
SECRET = 'q7Zx+9/Kd="w&%Vt8~Lm2'
ESCAPED = json.dumps(SECRET)[1:-1]

FORMS: dict[str, str] = {
    "plain": SECRET,
    "in-a-sentence": f"The key {SECRET}, is unknown",
    "with-its-scheme": f"Bearer {SECRET}",
    "url-encoded": urllib.parse.quote(SECRET, safe=""),
    "url-encoded-lower": re.sub("%..", lambda found: found[0].lower(), urllib.parse.quote(SECRET, safe="")),
    "form-encoded": urllib.parse.quote_plus(SECRET),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64-url": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "base64-unpadded": base64.b64encode(SECRET.encode()).decode().rstrip("="),
    "json-escaped": ESCAPED,
}

PLACES: dict[str, Callable[[str], bytes]] = {
    "message": lambda said: json_reply(401, {"code": "UNAUTHORIZED", "message": said}),
    "message-of-the-caller-s-fault": lambda said: json_reply(400, {"code": "VALIDATION_ERROR", "message": said}),
    "detail": lambda said: json_reply(400, {"code": "VALIDATION_ERROR", "message": "no", "detail": said}),
    "details": lambda said: json_reply(400, {"error": {"code": "X", "message": "no", "context": {said: [said]}}}),
    "fields": lambda said: json_reply(
        400, {"code": "VALIDATION_ERROR", "message": "no", "detail": [{"loc": ["body", said], "msg": said}]}
    ),
    "code": lambda said: json_reply(400, {"code": said, "message": "no"}),
    "header": lambda said: json_reply(401, {"code": "UNAUTHORIZED"}, [("X-Echo", said), ("Link", f"<{said}>")]),
    "kept-headers": lambda said: json_reply(
        405, {}, [(name, said) for name in ("Allow", "RateLimit", "Vary", "Proxy-Status", "Sunset", "Deprecation")]
    ),
    "request-id": lambda said: json_reply(401, {"code": "UNAUTHORIZED"}, [("X-Request-Id", said)]),
    "html": lambda said: reply(401, f"<h1>Bad key {said}</h1>".encode(), [("Content-Type", "text/html")]),
    "reason": lambda said: reply(401, b"", reason=said),
}


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway that holds the secret, before a vendor whose words always show."""
    credential = {"header": "Authorization", "value": f"Bearer {SECRET}"}
    vendors = {"pixii": {"base_url": vendor.url, "credential": credential}}
    with ThreadGateway(settings_text(vendors, log={"level": "debug"})) as gateway:
        yield gateway


def forms_in(data: bytes) -> list[str]:
    """In which forms the secret stands in these bytes, as they are and as JSON reads them."""
    texts = [data.decode("latin-1")]
    if b"\r\n\r\n" in data:
        texts.append(json.dumps(json.loads(data.partition(b"\r\n\r\n")[2] or b"{}"), ensure_ascii=False))
    return [name for name, form in FORMS.items() for text in texts if form in text]


def test_credential_in_unicode_escapes(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A credential that JSON spells letter by letter is the same credential."""
    spelled = "".join(f"\\u{ord(letter):04x}" for letter in SECRET)
    vendor.reply(reply(400, f'{{"code":"{spelled}","message":"{spelled}"}}'.encode()))

    answer = gateway.ask("/pixii/x")

    check_problem(answer, "invalid_request")
    assert forms_in(answer.head.raw + answer.body) == []
    assert spelled.encode() not in answer.body


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", FORMS)
def test_echoed_credential(gateway: ThreadGateway, vendor: RogueVendor, place: str, form: str) -> None:
    """Wherever and however a vendor says our credential, no caller and no log gets it (contract 5)."""
    vendor.reply(PLACES[place](FORMS[form]))

    answer = gateway.ask("/pixii/x")

    assert answer.status >= 400
    assert forms_in(answer.head.raw + answer.body) == []
    assert forms_in(gateway.log.getvalue().encode()) == []


SHAPES = (
    "pk_live_9ZrT4uQx7Lm2Vb8N",
    "pk_test_9ZrT4uQx7Lm2Vb8N",
    "pkz_3Gv6Re1Uj8Yc5Fa0",
    "pm_live_5HdY1kWc3Sf6Jp0R",
    "egk_AbCdEfGhIjKlMnOpQrStUvWx",
    "sk-proj-Ab12Cd34Ef56Gh78",
    "Bearer eyJhbGciOi.J9.abc-_~+/=",
)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("place", ["message-of-the-caller-s-fault", "details", "fields", "kept-headers"])
def test_anything_shaped_like_a_key(gateway: ThreadGateway, vendor: RogueVendor, place: str, shape: str) -> None:
    """Somebody else's key in a vendor's words does not go on either."""
    vendor.reply(PLACES[place](f"Key {shape}, is bad"))

    answer = gateway.ask("/pixii/x")

    secret = shape.removeprefix("Bearer ").encode()
    assert secret not in answer.head.raw + answer.body
    if place.startswith("message"):
        detail = check_problem(answer, "invalid_request")["detail"]
        assert detail.startswith("Key [redacted]")
        assert detail.endswith("is bad")


def test_credential_in_a_job(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A failed job's words are scrubbed where we repeat them; the vendor's own bytes stay as they are."""
    body = json.dumps({"job_id": SECRET, "status": "failed", "error_code": SECRET}).encode()
    vendor.reply(reply(200, body, [("Content-Type", "application/json")]))

    answer = gateway.ask("/pixii/v1/api/jobs/1")

    assert answer.body.startswith(body[:-1])
    assert forms_in(answer.head.raw + b"{}") == []
    assert forms_in(json.dumps(json.loads(answer.body)["problems"], ensure_ascii=False).encode()) == []
    assert forms_in(gateway.log.getvalue().encode()) == []


def test_credential_without_a_reply(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Garbage that holds the credential is not quoted by anything that explains it."""
    vendor.reply(f"HTTP/9.9 {SECRET}\r\nX: {SECRET}\r\n\r\n".encode())

    answer = gateway.ask("/pixii/x")

    check_problem(answer, "vendor_failed", source="network")
    assert forms_in(answer.head.raw + answer.body) == []
    assert forms_in(gateway.log.getvalue().encode()) == []


def test_configuration_pages_mask_it(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """No page of the admin port shows the credential, in any form (W-151)."""
    gateway.ask("/pixii/x")

    for page in ("/-/config", "/-/status", "/metrics"):
        answer = gateway.ask_admin(page)

        assert answer.status == 200
        assert forms_in(answer.head.raw) == []
        assert forms_in(answer.body) == []
    assert SECRET not in repr(gateway.settings)
