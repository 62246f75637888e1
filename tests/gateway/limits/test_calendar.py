"""The calendar window against a count of what the clock showed at each admission."""

from collections import Counter
from datetime import UTC, datetime, timedelta, tzinfo
from random import Random
from zoneinfo import ZoneInfo

import pytest

from gateway.limits.calendar import Calendar
from gateway.limits.clock import SECONDS, Unit
from gateway.limits.rule import SECOND
from tests.budget import LONG
from tests.gateway.limits.true_log import worst

ARRIVALS = 40_000 if LONG else 2_000

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
]
UNITS: list[Unit] = ["second", "minute", "hour", "day"]
FORMATS = {"second": "%F %T", "minute": "%F %H:%M", "hour": "%F %H", "day": "%F"}
START = round(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * SECOND
HOUR = 3600 * SECOND


def shown(wall: int, unit: Unit, zone: tzinfo) -> str:
    """What the clock shows, as far as the unit; an hour that comes twice differs by its offset."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=wall)).astimezone(zone)
    return local.strftime(FORMATS[unit]) + ("" if unit == "day" else local.strftime("%z"))


def at(text: str) -> int:
    """An instant with its offset, in microseconds since 1970."""
    return round(datetime.fromisoformat(text).timestamp() * SECOND)


def take(rule: Calendar, cells: list[int], steady: int, wall: int, cost: int = 1) -> bool:
    """Admit one, if it fits."""
    free = rule.free_at(cells, cost, steady, wall) == steady
    if free:
        rule.charge(cells, cost, steady, wall)
    return free


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("count", [1, 7, 500])
def test_each_window_of_the_clock_admits_n(unit: Unit, zone: str, count: int) -> None:
    """W-092: N in each second, minute, hour or day of the zone, no more and, where more come, no less."""
    rule = Calendar(count, unit, ZoneInfo(zone))
    cells = [0] * rule.cells
    random = Random(count)
    length = SECONDS[unit] * SECOND
    admitted: Counter[str] = Counter()
    full: set[str] = set()
    wall = START
    cost = max(1, count // 20)

    for _ in range(ARRIVALS // 4):
        wall += random.choice((0, 0, 1, length // 50, length // 9, length if random.random() < 0.1 else 0))
        steady = wall - START
        label = shown(wall, unit, rule.zone)
        fits = admitted[label] + cost <= count
        free_at = rule.free_at(cells, cost, steady, wall)
        assert (free_at == steady) == fits
        if fits:
            _, (left, reset) = rule.charge(cells, cost, steady, wall)
            admitted[label] += cost
            assert left == count - admitted[label]
        else:
            full.add(label)
            opens = wall + free_at - steady
            assert shown(opens, unit, rule.zone) != label
            assert shown(opens - 1, unit, rule.zone) == label
            left, reset = rule.standing(cells, steady, wall)
            assert reset == opens - wall
            wall = random.choice((wall, opens - 1, opens))

    assert max(admitted.values()) <= count
    assert full
    assert {admitted[label] for label in full} == {count // cost * cost}


DAYS = [
    ("Europe/Berlin", "2026-03-29T00:00+01:00", 23),
    ("Europe/Berlin", "2026-10-25T00:00+02:00", 25),
    ("America/New_York", "2026-03-08T00:00-05:00", 23),
    ("America/New_York", "2026-11-01T00:00-04:00", 25),
    ("Australia/Lord_Howe", "2026-04-05T00:00+11:00", 24.5),
    ("Asia/Kolkata", "2026-04-05T00:00+05:30", 24),
]


@pytest.mark.parametrize(("zone", "midnight", "hours"), DAYS)
def test_a_long_and_a_short_day_are_one_day(zone: str, midnight: str, hours: float) -> None:
    """W-092: on the days of 23 and 25 hours a day's limit is a day's limit, and ends at midnight."""
    rule = Calendar(10, "day", ZoneInfo(zone))
    cells = [0] * rule.cells
    start = at(midnight)

    admitted = [take(rule, cells, wall - start, wall) for wall in range(start, start + round(hours * HOUR), HOUR // 2)]

    assert admitted == [True] * 10 + [False] * (len(admitted) - 10)
    assert rule.free_at(cells, 1, 0, start) == round(hours * HOUR)
    assert take(rule, cells, 0, start + round(hours * HOUR))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("seed", range(3))
def test_steps_of_the_clock_never_admit_more(unit: Unit, seed: int) -> None:
    """F-77: set back by up to an hour (a minute, for seconds), and forth again, no window of the clock has over N."""
    count = 5
    rule = Calendar(count, unit, ZoneInfo("Europe/Berlin"))
    cells = [0] * rule.cells
    random = Random(seed)
    length = SECONDS[unit] * SECOND
    reach = SECONDS["minute" if unit == "second" else "hour"] * SECOND
    admitted: Counter[str] = Counter()
    steady, shift = 0, START

    for _ in range(ARRIVALS):
        steady += random.choice((0, 1, length // 10, length // 3))
        if random.random() < 0.02:
            # Time servers correct by less than a second, people by an hour; what is behind comes back.
            shift = random.choice((START, START - random.randrange(reach), START - SECOND, START - reach + SECOND))
        wall = steady + shift
        label = shown(wall, unit, rule.zone)
        if take(rule, cells, steady, wall):
            admitted[label] += 1
            assert admitted[label] <= count
        else:
            assert admitted[label] == count
            free_at = rule.free_at(cells, 1, steady, wall)
            opens = shown(wall + free_at - steady, unit, rule.zone)
            assert admitted[opens] < count


def test_a_clock_that_trembles_at_midnight() -> None:
    """Today's and tomorrow's counts both live on while the clock goes from one to the other and back."""
    rule = Calendar(3, "day", UTC)
    cells = [0] * rule.cells
    midnight = at("2026-11-22T00:00+00:00")

    admitted = [
        (day, take(rule, cells, number, midnight + (1 if day else -1))) for number, day in enumerate([0, 1, 0, 1] * 3)
    ]

    assert sum(taken for day, taken in admitted if day == 0) == 3
    assert sum(taken for day, taken in admitted if day == 1) == 3
    # Who asks yesterday is told of the day after tomorrow: tomorrow is full, too.
    assert rule.free_at(cells, 1, 100, midnight - 1) == 100 + 1 + 24 * HOUR


def test_a_clock_that_was_ahead_for_a_moment() -> None:
    """A year too far and back again: what today has admitted still counts."""
    rule = Calendar(2, "day", UTC)
    cells = [0] * rule.cells

    assert take(rule, cells, 0, START)
    assert take(rule, cells, 1, START + 365 * 24 * HOUR)

    assert take(rule, cells, 2, START + 2)
    assert not take(rule, cells, 3, START + 3)


@pytest.mark.parametrize("unit", UNITS)
def test_a_clock_far_behind_costs_one_window(unit: Unit) -> None:
    """Before all that is remembered nothing is admitted, until a window's length has passed; then all is forgotten."""
    count = 4
    rule = Calendar(count, unit, UTC)
    cells = [0] * rule.cells
    length = SECONDS[unit] * SECOND
    truth: list[tuple[int, int]] = []
    for steady in range(0, (rule.kept + 5) * length, length // 4):
        assert take(rule, cells, steady, START + steady)
        truth.append((steady, 1))
    last = truth[-1][0]
    back = START - 10**4 * length

    free_at = rule.free_at(cells, 1, last + 1, back + last + 1)
    assert free_at == last + length
    assert rule.standing(cells, last + 1, back + last + 1)[0] == 0
    assert not take(rule, cells, free_at - 1, back + free_at - 1)
    for steady in range(free_at, free_at + 3 * length, length // 4):
        assert take(rule, cells, steady, back + steady)
        truth.append((steady, 1))

    assert worst(truth, length) <= count


def test_a_store_whose_steady_clock_is_set_back_too() -> None:
    """A store that has the wall clock alone waits one window from when it saw the step."""
    rule = Calendar(1, "day", UTC)
    cells = [0] * rule.cells
    for number in range(5):
        assert take(rule, cells, START + number * 24 * HOUR, START + number * 24 * HOUR)
    back = START - 100 * 24 * HOUR

    assert rule.free_at(cells, 1, back, back) == back + 24 * HOUR

    assert not take(rule, cells, back + 23 * HOUR, back + 23 * HOUR)
    assert take(rule, cells, back + 24 * HOUR, back + 24 * HOUR)


def test_the_margin_counts_in_both_windows() -> None:
    """What is sent just before a window may reach the vendor inside it: no such window gets over N, either."""
    rule = Calendar(2, "minute", UTC, margin=SECOND)
    cells = [0] * rule.cells
    end = START + 60 * SECOND

    assert take(rule, cells, 0, end - SECOND)
    assert take(rule, cells, 1, end - 1)
    assert rule.standing(cells, 2, end - 1) == (0, 1)

    # The next minute is used up as well, and the margin before it with it.
    assert rule.free_at(cells, 1, 2, end - 1) == 2 + 1 + 60 * SECOND
    assert not take(rule, cells, 3, end)
    assert take(rule, cells, 4, end + 60 * SECOND)


def test_the_margin_looks_ahead() -> None:
    """A minute with room refuses in its last second when the next minute has none."""
    rule = Calendar(2, "minute", UTC, margin=SECOND)
    cells = [0] * rule.cells
    end = START + 60 * SECOND
    # The clock was ahead and is set right.
    assert take(rule, cells, 0, end + 1)
    assert take(rule, cells, 1, end + 2)

    assert take(rule, cells, 2, end - SECOND - 1)
    assert not take(rule, cells, 3, end - SECOND)


@pytest.mark.parametrize(("moment", "left"), [(59 * SECOND, 2), (10, 2)])
def test_a_charge_comes_back_from_its_windows(moment: int, left: int) -> None:
    """What is given back can be had again, in the one window or the two in which it counted, and once only."""
    rule = Calendar(2, "minute", UTC, margin=SECOND)
    cells = [0] * rule.cells
    mark, _ = rule.charge(cells, 2, 0, START + moment)

    rule.give_back(cells, 2, mark)
    rule.give_back(cells, 2, mark)

    assert rule.standing(cells, 0, START + moment)[0] == left
    assert rule.standing(cells, 0, START + 60 * SECOND)[0] == 2
    rule.give_back(cells, 1, mark - 3600 * SECOND)
    assert sum(units for _, units in rule.charges(cells)) == 0


def test_a_reload_keeps_the_counts() -> None:
    """What the minutes of an hour have admitted counts in the hour."""
    old, new = Calendar(10, "minute", UTC), Calendar(100, "hour", UTC)
    before, after = [0] * old.cells, [0] * new.cells
    for minute in range(70):
        old.charge(before, 1, 0, START + minute * 60 * SECOND)

    new.adopt(after, old.charges(before))

    # Of the first hour's, 63 minutes of memory hold 53.
    assert new.charges(after) == [(START, 53), (START + HOUR, 10)]


def test_state_expires_an_hour_after_its_window() -> None:
    """A step back may show the window again; after that an empty state says the same."""
    rule = Calendar(1, "minute", UTC)
    cells = [0] * rule.cells

    assert rule.expires_at(cells, 7, START) == 7
    rule.charge(cells, 1, 0, START)
    assert rule.expires_at(cells, 20 * SECOND, START + 20 * SECOND) == 60 * SECOND + HOUR


@pytest.mark.parametrize(("unit", "kept"), [("second", 64), ("minute", 63), ("hour", 4), ("day", 3)])
def test_the_state_is_small_and_flat(unit: Unit, kept: int) -> None:
    """As many windows as an hour can bring back, 64 at most."""
    assert Calendar(10**9, unit, UTC).cells == 2 + 2 * kept
