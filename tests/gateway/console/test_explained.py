"""The explain page's facts: a pasted reply, judged as the settings in force would have it judged."""

import json

import pytest

from gateway import settings
from gateway.console.explained import NOTHING, Asked, explain

SETTINGS = settings.loads(
    """
problems: {base_uri: "https://docs.example/p/"}
vendors:
  pixii:
    base_url: http://127.0.0.1:9
    credential: {header: Authorization, value: Bearer hush-hush-hush}
  own: {base_url: http://127.0.0.1:9, normalizer: pixii, credential: passthrough}
""",
    environ={},
)
UNAUTHORIZED = json.dumps({"code": "UNAUTHORIZED", "message": "Key hush-hush-hush is unknown"})


def test_an_empty_form() -> None:
    """Before anything is asked there is nothing wrong, and no verdict."""
    found = explain(SETTINGS, NOTHING)

    assert (found["wrong"], found["verdict"]) == ({}, None)
    assert found["vendors"] == {"pixii": "Pixii", "own": "Pixii"}


@pytest.mark.parametrize(("vendor", "code"), [("pixii", "vendor_account_error"), ("own", "unauthenticated")])
def test_an_error(vendor: str, code: str) -> None:
    """An error is answered as the vendor's settings say, scrubbed, with the fields that tell it in the head."""
    verdict = explain(SETTINGS, Asked(vendor=vendor, status="401", body=UNAUTHORIZED))["verdict"]

    assert verdict["kind"] == "error"
    assert verdict["envelopes"][0]["code"] == code
    assert verdict["envelopes"][0]["type"] == f"https://docs.example/p/{code}"
    assert ["Errgate-Code", code] in verdict["headers"]
    assert verdict["why"] == [f"reply: {code} by the row of UNAUTHORIZED"]
    assert vendor == "own" or "hush" not in json.dumps(verdict)


def test_headers_count() -> None:
    """The header fields are read, each on its line."""
    asked = Asked(vendor="pixii", status="503", headers="Retry-After: 30\r\n\r\n  X-Other: 1  \r\n", body="<html>")

    verdict = explain(SETTINGS, asked)["verdict"]

    assert (verdict["status"], verdict["phrase"]) == (503, "Service Unavailable")
    assert verdict["envelopes"][0]["retry_after"] == 30


@pytest.mark.parametrize(
    ("path", "kind", "count"), [("/v1/api/jobs/1?x=1", "job", 1), ("/elsewhere", "untouched", 0), ("", "untouched", 0)]
)
def test_a_success(path: str, kind: str, count: int) -> None:
    """A success goes on untouched, unless its route can carry a failure and it does."""
    body = '{"status": "failed", "error_code": "CONTENT_MODERATION_ERROR"}'

    verdict = explain(SETTINGS, Asked(vendor="pixii", status="200", path=path, body=body))["verdict"]

    assert (verdict["kind"], verdict["status"], len(verdict["envelopes"])) == (kind, 200, count)
    assert verdict["headers"] == ([["Errgate-Job-Codes", "content_rejected"]] if count else [])


def test_an_unregistered_status() -> None:
    """A status that no registry knows has no phrase, and is judged like any other."""
    verdict = explain(SETTINGS, Asked(vendor="pixii", status="299"))["verdict"]

    assert (verdict["status"], verdict["phrase"]) == (299, "")


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        (Asked(vendor="nobody", status="400"), {"vendor"}),
        (Asked(vendor="pixii", status=""), {"status"}),
        (Asked(vendor="pixii", status="199"), {"status"}),
        (Asked(vendor="pixii", status="600"), {"status"}),
        (Asked(vendor="pixii", status="4000000000000000000000000000"), {"status"}),
        (Asked(vendor="pixii", status="\u00b2"), {"status"}),
        (Asked(vendor="pixii", status="400", headers="no field"), {"headers"}),
        (Asked(wrong="too long"), {"body", "vendor", "status"}),
    ],
)
def test_wrong(asked: Asked, wrong: set[str]) -> None:
    """What cannot be judged is said by its field, and no verdict is given."""
    found = explain(SETTINGS, asked)

    assert set(found["wrong"]) == wrong
    assert found["verdict"] is None


def test_a_form() -> None:
    """Fields that the page does not have are nobody's."""
    asked = Asked.of({"vendor": "pixii", "status": "400", "wrong": "x", "other": "y"})

    assert asked == Asked(vendor="pixii", status="400")
