"""What several workers remember, told as one."""

from typing import Any

from gateway.console.together import REMEMBERED_FAILURES, Together


def recent(*numbers: int, unknown: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a worker answers."""
    return {
        "epoch": "e",
        "last": max(numbers, default=0),
        "failures": [{"number": number, "request_id": f"r{number}"} for number in numbers],
        "unknown": [{"code": code} for code in unknown],
    }


def ids(told: dict[str, Any]) -> list[str]:
    """The request ids of what is told."""
    return [failure["request_id"] for failure in told["failures"]]


def test_failures_of_two_workers() -> None:
    """Failures get numbers of their own, so that a reader goes on where it was, whichever worker had them."""
    together = Together()
    together.take(1, recent(1, 2))
    together.take(2, recent(1))
    before = together.told(0)

    together.take(1, recent(3))
    after = together.told(before["last"])

    assert [failure["number"] for failure in before["failures"]] == [1, 2, 3]
    assert ids(after) == ["r3"]
    assert before["epoch"] == after["epoch"]


def test_nothing_is_told_twice() -> None:
    """Two questions that cross bring each failure once."""
    together = Together()

    together.take(1, recent(1, 2))
    together.take(1, recent(1, 2))

    assert ids(together.told(0)) == ["r1", "r2"]
    assert together.cursor(1) == 2


def test_a_worker_that_died() -> None:
    """What it told outlives it; one that comes after it with the same process id begins anew."""
    together = Together()
    together.take(1, recent(1, 2, unknown=("NEW",)))

    together.keep({2})
    together.take(1, recent(1))

    assert ids(together.told(0)) == ["r1", "r2", "r1"]
    assert together.told(0)["unknown"] == []


def test_unknown_codes() -> None:
    """The unknown codes are those that each worker told last."""
    together = Together()
    together.take(1, recent(unknown=("NEW",)))
    together.take(2, recent(unknown=("NEW", "NEWER")))
    together.take(1, recent(unknown=("OTHER",)))

    assert [code["code"] for code in together.told(0)["unknown"]] == ["OTHER", "NEW", "NEWER"]


def test_bounded() -> None:
    """However much fails, the newest are kept and the rest is forgotten."""
    together = Together()

    for number in range(1, REMEMBERED_FAILURES + 100):
        together.take(1, recent(number))

    assert len(together.told(0)["failures"]) == REMEMBERED_FAILURES
