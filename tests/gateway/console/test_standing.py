"""How a vendor stands, told alike by one process and by several workers."""

from typing import Any

import pytest

from gateway.console.standing import standing, store_up

LIMIT = {"name": "minute", "requests": 10, "remaining": 4, "resets_in": 20}
HOLD = {"scope": "route/poll", "code": "vendor_rate_limited", "seconds": 12, "first": False}


def vendor(**more: object) -> dict[str, Any]:
    """What one process says of a vendor."""
    return {"base_url": "http://127.0.0.1:9", "connections": {"busy": 1, "idle": 2, "free": 97}, **more}


def workers(*vendors: dict[str, Any]) -> dict[str, Any]:
    """What a supervisor says of workers that each say this of one vendor."""
    return {"version": "1", "workers": [{"pid": n, "vendors": {"pixii": one}} for n, one in enumerate(vendors)]}


def test_one_process() -> None:
    """Of one process it is what that says."""
    found = standing({"vendors": {"pixii": vendor(limits=[LIMIT], holds=[HOLD], breaker={"open": False})}})

    assert found == {
        "pixii": {
            "connections": {"busy": 1, "idle": 2, "free": 97},
            "limits": [LIMIT],
            "holds": [HOLD],
            "breaker": {"open": False},
        }
    }


def test_nothing_said() -> None:
    """What is not said is none."""
    assert standing({"vendors": {"pixii": {}}})["pixii"] == {
        "connections": {},
        "limits": [],
        "holds": [],
        "breaker": None,
    }


def test_connections_are_added() -> None:
    """Each worker has connections of its own."""
    found = standing(workers(vendor(), vendor()))

    assert found["pixii"]["connections"] == {"busy": 2, "idle": 4, "free": 194}


def test_limits_are_shared() -> None:
    """Of a limit that two workers see, the less hopeful view counts; it is never summed."""
    other = {**LIMIT, "remaining": 3, "resets_in": 25}
    each = {"name": "fair", "requests": 5, "remaining": None, "resets_in": None}

    found = standing(workers(vendor(limits=[LIMIT, each]), vendor(limits=[other, each])))

    assert found["pixii"]["limits"] == [{**LIMIT, "remaining": 3, "resets_in": 25}, each]


def test_holds_are_shared() -> None:
    """A hold that several workers know is one, with the longest time that one of them knows."""
    longer, other = {**HOLD, "seconds": 13}, {**HOLD, "scope": "route/submit"}

    found = standing(workers(vendor(holds=[HOLD]), vendor(holds=[longer]), vendor(holds=[HOLD, other])))

    assert found["pixii"]["holds"] == [longer, other]


@pytest.mark.parametrize(
    ("breakers", "worst"),
    [
        ([None, None], None),
        ([{"open": False, "retry_in": None}, None], {"open": False, "retry_in": None}),
        ([{"open": False, "retry_in": None}, {"open": True, "retry_in": 3}], {"open": True, "retry_in": 3}),
        ([{"open": True, "retry_in": 9}, {"open": True, "retry_in": 3}], {"open": True, "retry_in": 9}),
    ],
)
def test_worst_breaker(breakers: list[dict[str, Any] | None], worst: dict[str, Any] | None) -> None:
    """Of several breakers the one that stays open longest is told."""
    found = standing(workers(*(vendor(breaker=breaker) for breaker in breakers)))

    assert found["pixii"]["breaker"] == worst


@pytest.mark.parametrize(
    ("status", "up"),
    [
        ({}, True),
        ({"limit_store": {"up": True}}, True),
        ({"limit_store": {"up": False}}, False),
        ({"workers": [{"limit_store": {"up": True}}, {"state": "silent"}]}, True),
        ({"workers": [{"limit_store": {"up": True}}, {"limit_store": {"up": False}}]}, False),
    ],
)
def test_store(status: dict[str, Any], up: bool) -> None:
    """The store of the limits is up where everybody can reach it."""
    assert store_up(status) is up
