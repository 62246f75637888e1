"""The scrubber, and the rest of what makes a vendor's words fit to be seen."""

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalizers import Asked, HouseCode, Reply, Row, Scrubber, Vendor, normalize
from normalizers._scrub import cleaned
from normalizers._vendor import Places

# Made up, with everything in it that an encoding may change.
SECRET = 'kéy/+"t0p\\s3cret=&<x>~ä!(%) b'
PLAIN = "abcdef0123456789"
SCRUB = Scrubber([SECRET, f"Bearer {PLAIN}"])


def echoes(secret: str) -> dict[str, str]:
    """A secret in every form in which a vendor may echo it."""
    raw = secret.encode()
    return {
        "plain": secret,
        "url-encoded": quote(secret, safe=""),
        "url-encoded path": quote(secret),
        "url-encoded form": quote_plus(secret),
        "url-encoded lower": re.sub("%..", lambda escape: escape[0].lower(), quote(secret, safe="")),
        "url-encoded by javascript": quote(secret, safe="!~*'()"),
        "url-encoded by hand": secret.replace("%", "%25").replace(" ", "%20").replace("&", "%26"),
        "html-escaped by number": "".join(c if c.isalnum() else f"&#{ord(c)};" for c in secret),
        "html-escaped by hex": "".join(c if c.isalnum() else f"&#x{ord(c):X};" for c in secret),
        "json-escaped wherever possible": "".join(
            c if c.isalnum() and c.isascii() else f"\\u{ord(c):04X}" for c in secret
        ),
        "json-escaped": json.dumps(secret)[1:-1],
        "json-escaped utf-8": json.dumps(secret, ensure_ascii=False)[1:-1],
        "json-escaped slash": json.dumps(secret)[1:-1].replace("/", "\\/"),
        "html-escaped": html.escape(secret),
        "base64": base64.b64encode(raw).decode(),
        "base64 url-safe": base64.urlsafe_b64encode(raw).decode(),
        "base64 unpadded": base64.b64encode(raw).decode().rstrip("="),
        "base64 of name:secret": base64.b64encode(b"name:" + raw).decode(),
        "base64 of na:secret": base64.b64encode(b"na:" + raw).decode(),
        "base64 of secret:x": base64.b64encode(raw + b":xy").decode(),
        "base64 in the middle": base64.urlsafe_b64encode(b"user:" + raw + b"@host").decode(),
    }


def pieces(secret: str) -> set[str]:
    """Anything of a secret that would help whoever reads it: eight characters in a row."""
    return {secret[start : start + 8] for start in range(len(secret) - 7)}


@pytest.mark.parametrize(
    "echo",
    [
        pytest.param(echo, id=f"{name} {form}")
        for name, secret in (("rich", SECRET), ("plain", PLAIN))
        for form, echo in echoes(secret).items()
    ],
)
def test_known_secret(echo: str) -> None:
    """The injected credential is taken out by value, in every encoding."""
    text = SCRUB(f"Key {echo!s} is not valid")

    assert "[redacted]" in text
    assert text.startswith("Key ")
    assert text.endswith(" is not valid")
    assert not any(piece in text for piece in pieces(echo))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("invalid key pk_live_a1B2c3", "invalid key [redacted]"),
        ("invalid key pk_test_a1B2-c3.", "invalid key [redacted]."),
        ("pm_live_x", "[redacted]"),
        ("pm_test_x", "[redacted]"),
        ("key=pkz_9f8e7d&x=1", "key=[redacted]&x=1"),
        ("egk_0123456789abcdef", "[redacted]"),
        ("sk-proj-0123456789", "[redacted]"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: [redacted]"),
        ("authorization: bearer abc", "authorization: [redacted]"),
        ("Bearer%20abc", "[redacted]"),
        ("q=a%20Bearer%20abc", "q=a%20[redacted]"),
        ("#/Key%20sk-0123456789", "#/Key%20[redacted]"),
        ('{"key": "no\\nsk-0123456789"}', '{"key": "no\\n[redacted]"}'),
        ("no\\u0020sk-0123456789", "no\\u0020[redacted]"),
        ('{"h": "BEARER abc", "n": 1}', '{"h": "[redacted]", "n": 1}'),
        ("Bearer abc, Bearer def", "[redacted], [redacted]"),
        ("API key does not start with pkz_", "API key does not start with pkz_"),
        ("Keys look like pk_live_", "Keys look like pk_live_"),
        ("a task-force of risk-takers", "a task-force of risk-takers"),
        ("the forebearer knows", "the forebearer knows"),
        ("nothing to see", "nothing to see"),
        ("", ""),
    ],
)
def test_key_shapes(text: str, clean: str) -> None:
    """Whatever looks like a key is taken out; what only speaks of keys stays."""
    assert Scrubber()(text) == clean


def test_short_and_empty_secrets() -> None:
    """An empty secret is none, and a short one is still taken out where it stands plain."""
    assert Scrubber(["", " "])("as it is") == "as it is"
    assert Scrubber(["abc"])("abc and YWJj") == "[redacted] and YWJj"
    assert Scrubber(["Bearer a"])("a bad Bearer a") == "a bad [redacted]"


@given(secret=st.text(min_size=1, max_size=24), data=st.data())
def test_nothing_is_overlooked(secret: str, data: st.DataObject) -> None:
    """The quick look at a text lets none pass in which a secret, however it is written, would be found."""
    scrub = Scrubber([secret, f"Bearer {secret}"])
    echo = data.draw(st.sampled_from(sorted(echoes(secret.encode(errors="replace").decode()).values())))

    assert scrub(f"Key {echo}!") == scrub._redacted(f"Key {echo}!")


def test_longer_secret_first() -> None:
    """Of two secrets one of which begins like the other no rest stays."""
    assert Scrubber(["secret", "secret-longer"])("a secret-longer b") == "a [redacted] b"


def test_bytes() -> None:
    """Header values are scrubbed as bytes, and whatever else is in them stays."""
    scrub = Scrubber(["schlüssel"])

    assert scrub.bytes(b"x schl\xfcssel \xff") == b"x [redacted] \xff"
    assert scrub.bytes("x schlüssel y".encode()) == b"x [redacted] y"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("two\nlines", "two lines"),
        ("two\r\n\t lines", "two  lines"),
        ("  around  ", "around"),
        ("bell\x07 null\x00 escape\x1b[31m", "bell\ufffd null\ufffd escape\ufffd[31m"),
        ("\x7f\x80\x9f", "\ufffd\ufffd\ufffd"),
        ("next\x85line\u2028and\u2029paragraph", "next line and paragraph"),
        ("lone \ud83d surrogate", "lone \ufffd surrogate"),
        ("over\u202eride and \u2066isolate", "over\ufffdride and \ufffdisolate"),
        ("é 漢字 😀 \u200d", "é 漢字 😀 \u200d"),
    ],
)
def test_cleaned(text: str, clean: str) -> None:
    """Controls, lone surrogates and bidirectional overrides are replaced; every language stays (W-017)."""
    assert cleaned(text, Scrubber()) == clean


def test_cut() -> None:
    """A text ends after 1,024 characters, and a secret across the cut is taken out whole."""
    text = "x" * 1_000 + f" pk_live_{'y' * 100} and more"

    clean = cleaned(text, Scrubber())

    assert clean == "x" * 1_000 + " [redacted] and more"
    assert len(cleaned("x" * 100_000, Scrubber())) == 1_024


def test_everywhere_in_a_problem() -> None:
    """No part of an envelope carries the key that the gateway injected."""
    vendor = Vendor(
        "acme",
        "Acme",
        rows=(Row("BAD", HouseCode.INVALID_REQUEST, "http", ""),),
        places=Places(code=("/code",), message=("/message",), request_id=("/id",)),
    )
    for echo in echoes(PLAIN).values():
        body = {"code": f"x{echo}", "message": f"no {echo}", "id": f"i{echo}", "details": {echo: [f"y {echo}"]}}
        reply = Reply(400, {}, json.dumps(body).encode())

        encoded = normalize(vendor, reply, Asked(scrub=SCRUB)).encode(base_uri="/", instance="i", request_id="r")

        assert not any(piece in encoded.decode() for piece in pieces(echo))
        assert encoded.count(b"[redacted]") >= 4


def test_a_key_inside_of_a_harmless_word() -> None:
    """A key is taken out of the message though the error object, where it ends a longer word, holds none."""
    vendor = Vendor("acme", "Acme", places=Places(message=("/message",)))
    body = {"message": "sk-force-of-one", "error": {"who": "task-force-of-one"}}

    problem = normalize(vendor, Reply(400, {}, json.dumps(body).encode()), Asked(scrub=Scrubber()))

    assert problem.vendor_error is not None
    assert problem.vendor_error.message == "[redacted]"
    assert problem.vendor_error.details == {"who": "task-force-of-one"}
