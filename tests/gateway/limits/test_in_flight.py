"""Requests at once."""

import pytest

from gateway.limits.in_flight import Slots
from gateway.limits.rule import SECOND


def test_as_many_as_there_are_slots() -> None:
    """RC-70, W-097: N at once, the next is refused with a hint of a second, and one that ends makes room."""
    rule, cells = Slots(3), [0]
    for number in range(3):
        assert rule.free_at(cells, 1, 5, 0) == 5
        assert rule.charge(cells, 1, 5, 0) == (5, (2 - number, None))

    assert rule.free_at(cells, 1, 5, 0) == 5 + SECOND
    rule.give_back(cells, 1, 5)

    assert rule.free_at(cells, 1, 6, 0) == 6
    assert rule.free_at(cells, 2, 6, 0) == 6 + SECOND
    assert rule.standing(cells, 6, 0) == (1, None)


def test_slots_never_go_below_none() -> None:
    """What comes back twice does not make room for more."""
    rule, cells = Slots(2), [0]
    rule.charge(cells, 2, 0, 0)

    rule.give_back(cells, 2, 0)
    rule.give_back(cells, 2, 0)

    assert cells == [0]
    assert rule.standing(cells, 0, 0) == (2, None)


@pytest.mark.parametrize(("count", "free"), [(2, 5 + SECOND), (3, 5 + SECOND), (4, 5)])
def test_a_reload_keeps_the_slots(count: int, free: int) -> None:
    """Requests under way count under a new number; where they are too many, the next ones wait for them to end."""
    old, new = Slots(3), Slots(count)
    before, after = [0], [0]
    old.charge(before, 3, 0, 0)

    new.adopt(after, old.charges(before))

    assert new.free_at(after, 1, 5, 0) == free
    assert new.standing(after, 5, 0) == (max(0, count - 3), None)


def test_slots_that_are_taken_do_not_expire() -> None:
    """A request may run for hours; only without any is the state as good as none."""
    rule, cells = Slots(3), [0]

    assert rule.expires_at(cells, 7, 0) == 7
    assert rule.charges(cells) == []
    rule.charge(cells, 1, 7, 0)
    assert rule.expires_at(cells, 10**12, 0) > 10**12
