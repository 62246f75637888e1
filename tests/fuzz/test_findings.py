"""What fuzzing found, each finding under its own name: the input, as small as it got, and the promise it broke."""

import hashlib
import json
import time
from urllib.parse import quote

import pytest
from starlette.requests import Request

from gateway import admin, settings
from gateway.addresses import Proxies
from gateway.headers import ToVendor, read_framing
from normalizers import Scrubber
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.vendor import RogueVendor, reply
from tests.fuzz.asked import GUARDED

# --- The scrubber -----------------------------------------------------------------------------------------------------

SECRET = "q7Zx!9'Kd\"w&(Vt8)*~"


@pytest.mark.parametrize(
    "spelled",
    [
        pytest.param(quote(SECRET, safe="!'()*"), id="as JavaScript's encodeURIComponent"),
        pytest.param(SECRET.replace("&", "%26"), id="only what ends a form's value"),
        pytest.param(SECRET.replace("'", "&#39;").replace('"', "&#34;").replace("&(", "&amp;("), id="as Go's html"),
        pytest.param(SECRET.replace("&", "\\u0026").replace("'", "\\u0027").replace('"', '\\"'), id="as .NET's JSON"),
    ],
)
def test_scrubber_knows_no_encoder_s_taste(spelled: str) -> None:
    """A secret is found though its encoder left, or changed, other characters than Python's does."""
    scrub = Scrubber([f"Bearer {SECRET}"])

    said = scrub(f"the key {spelled} is unknown")

    assert said == "the key [redacted] is unknown"


def test_scrubber_finds_a_tab_that_was_made_a_space() -> None:
    """A credential with a tab in it is found in text whose tabs were made spaces, and in JSON."""
    scrub = Scrubber(["abc-123\tdef-456"])

    said = [scrub("abc-123 def-456"), scrub(json.dumps("abc-123\tdef-456"))]

    assert said == ["[redacted]", '"[redacted]"']


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        pytest.param("abc" + "\\" * 60 + "d", "abc" + "\\" * 90, id="backslashes"),
        pytest.param("abc" + '\\"' * 40 + "d", "abc" + '\\\\"' * 40, id="backslashes and quotes"),
        pytest.param("abc" + "%25" * 40 + "d", "abc" + "%25" * 90, id="percent signs"),
        pytest.param("abc" + "&#38;" * 30 + "d", "abc" + "&#38;" * 90, id="entities"),
        pytest.param("abc" + " " * 60 + "d", "abc" + " + " * 90, id="blanks"),
    ],
)
def test_scrubber_is_linear(secret: str, said: str) -> None:
    """A text that nearly is a secret of escapes costs no more than another (contract 18: nothing hangs)."""
    scrub = Scrubber([secret])

    began = time.process_time()
    scrub(said * 20)

    assert time.process_time() - began < 0.5


# --- The head to the vendor -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hop", [b"1.2.3.4\r\nx-injected: 1", b"1.2.3.4\x00", b"\x0b1.2.3.4"])
def test_forwarded_hops_bring_no_control(hop: bytes) -> None:
    """What stood in a trusted proxy's X-Forwarded-For goes on clean or not at all, whichever parser it is (W-052)."""
    given = [(b"host", b"a"), (b"x-forwarded-for", hop)]
    forwarded = Proxies(["10.0.0.0/8"]).forwarded_for("10.0.0.1", given)

    sent = ToVendor(authority="vendor.example")(given, forwarded_for=forwarded)

    assert b"x-forwarded-for" not in dict(sent)


def test_nominated_accept_encoding_stays_behind() -> None:
    """What `Connection` names goes no further, though it be a field that we write anew (W-022)."""
    given = [(b"host", b"a"), (b"connection", b"Accept-Encoding"), (b"accept-encoding", b"gzip, compress")]

    sent = ToVendor(authority="vendor.example")(given, read_framing("1.1", given))

    assert b"accept-encoding" not in dict(sent)


# --- Keys -------------------------------------------------------------------------------------------------------------


def test_digest_of_nothing_is_no_key() -> None:
    """The digest of an empty key, which anybody can send, is refused in the settings (contract 12)."""
    text = f"vendors: {{}}\ncallers: {{a: {{key_sha256: {hashlib.sha256().hexdigest()}}}}}\n"

    with pytest.raises(settings.SettingsError, match="empty key"):
        settings.loads(text, environ={})


# --- The admin port ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        pytest.param(b"host", b"[", 421, id="host-open-bracket"),
        pytest.param(b"host", b"a]b", 421, id="host-closed-bracket"),
        pytest.param(b"origin", b"http://[", 403, id="origin"),
    ],
)
def test_admin_refuses_what_is_no_authority(name: bytes, value: bytes, status: int) -> None:
    """An authority that cannot be read is a stranger's: refused, never an exception (contract 18)."""
    headers = {b"host": b"localhost", name: value}
    scope = {"type": "http", "method": "POST", "path": "/-/reload", "headers": list(headers.items())}

    refusal = admin.refuse_stranger(GUARDED, Request(scope))

    assert refusal is not None
    assert refusal.status_code == status


# --- Jobs -------------------------------------------------------------------------------------------------------------


def test_job_with_both_names_taken() -> None:
    """A failed job that has both names of ours keeps every byte, and the failure is told in the head (contract 9)."""
    body = b'{"status": "failed", "error_code": "X", "problems": 1, "errgate_problems": 2}'
    with RogueVendor() as vendor, ThreadGateway(settings_text({"pixii": {"base_url": vendor.url}})) as gateway:
        vendor.reply(reply(200, body, [("Content-Type", "application/json")]))

        answer = gateway.ask("/pixii/v1/api/jobs/1")

    assert answer.body == body
    assert answer.header("errgate-job-codes") == "work_failed"
