"""Rehearsals of a retry rule: an error that goes away, and how long a caller is told to wait."""

import pytest
from starlette.testclient import TestClient

from gateway.sandbox import rehearsal

PATH = "/pixii/v1/api/jobs?asin=B000000001"
KEY = {"Authorization": "Bearer pk_live_x"}
DOWN = KEY | {"Sandbox-Error": "SERVICE_UNAVAILABLE"}


def test_once(caller: TestClient) -> None:
    """The first request with a word fails, the second does not, and another word is another story."""
    first = caller.get(PATH, headers=DOWN | {"Sandbox-Once": "monday"})
    second = caller.get(PATH, headers=DOWN | {"Sandbox-Once": "monday"})
    other = caller.get(PATH, headers=DOWN | {"Sandbox-Once": "tuesday"})

    assert (first.status_code, second.status_code, other.status_code) == (503, 200, 503)


def test_once_for_a_fault(caller: TestClient) -> None:
    """A fault goes away like an error."""
    headers = KEY | {"Sandbox-Fault": "html", "Sandbox-Once": "monday"}

    tries = [caller.get(PATH, headers=headers).status_code for _ in range(2)]

    assert tries == [502, 200]


def test_words_are_bounded(caller: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest word is forgotten, so that nobody makes the sandbox grow."""
    monkeypatch.setattr(rehearsal, "MOST_WORDS", 1)

    tries = [caller.get(PATH, headers=DOWN | {"Sandbox-Once": word}).status_code for word in ("a", "b", "b", "a")]

    assert tries == [503, 503, 200, 503]


@pytest.mark.parametrize("value", ["1", "Sat, 21 Nov 2026 12:00:00 GMT", "soon"])
def test_retry_after(caller: TestClient, value: str) -> None:
    """An error says what it is told to say, a success nothing."""
    failed = caller.get(PATH, headers=DOWN | {"Sandbox-Retry-After": value})
    well = caller.get(PATH, headers=KEY | {"Sandbox-Retry-After": value})

    assert (failed.status_code, failed.headers["Retry-After"]) == (503, value)
    assert (well.status_code, "Retry-After" in well.headers) == (200, False)
