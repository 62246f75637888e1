"""What the clock of a zone shows, on ordinary days and on those when it is put forward or back."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits.clock import SECONDS, Unit, day, span
from gateway.limits.rule import SECOND

HOUR = 3600 * SECOND
ZONES = sorted(available_timezones())
# Years of today's rules; the last day of a zone's table may not be the end of its rules.
INSTANTS = st.integers(
    int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * SECOND,
    int(datetime(2036, 1, 1, tzinfo=UTC).timestamp()) * SECOND,
)


def at(text: str) -> int:
    """An instant with its offset, in microseconds since 1970."""
    return round(datetime.fromisoformat(text).timestamp()) * SECOND


def shown(wall: int, zone: ZoneInfo) -> datetime:
    """What the clock shows."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=wall)).astimezone(zone)


DAYS = [
    # Zone, an instant of the day, its start, its hours.
    ("UTC", "2026-11-21T12:00+00:00", "2026-11-21T00:00+00:00", 24),
    ("Europe/Berlin", "2026-07-01T00:00+02:00", "2026-07-01T00:00+02:00", 24),
    ("Europe/Berlin", "2026-03-29T01:59:59+01:00", "2026-03-29T00:00+01:00", 23),
    ("Europe/Berlin", "2026-03-29T23:59:59+02:00", "2026-03-29T00:00+01:00", 23),
    ("Europe/Berlin", "2026-10-25T02:30+02:00", "2026-10-25T00:00+02:00", 25),
    ("Europe/Berlin", "2026-10-25T02:30+01:00", "2026-10-25T00:00+02:00", 25),
    ("America/New_York", "2026-03-08T12:00-04:00", "2026-03-08T00:00-05:00", 23),
    ("America/New_York", "2026-11-01T12:00-05:00", "2026-11-01T00:00-04:00", 25),
    ("Asia/Kolkata", "2026-03-08T00:10+05:30", "2026-03-08T00:00+05:30", 24),
    ("Asia/Kathmandu", "2026-03-08T23:50+05:45", "2026-03-08T00:00+05:45", 24),
    ("Australia/Lord_Howe", "2026-04-05T12:00+10:30", "2026-04-05T00:00+11:00", 24.5),
    ("Australia/Lord_Howe", "2026-10-04T12:00+11:00", "2026-10-04T00:00+10:30", 23.5),
    ("America/St_Johns", "2026-03-08T12:00-02:30", "2026-03-08T00:00-03:30", 23),
    # The clock goes from 0:00 to 1:00: the day has no midnight.
    ("Africa/Cairo", "2026-04-24T12:00+03:00", "2026-04-24T01:00+03:00", 23),
    # And from 24:00 back to 23:00: the day before has two of that hour.
    ("Africa/Cairo", "2026-10-29T23:30+03:00", "2026-10-29T00:00+03:00", 25),
    ("Africa/Cairo", "2026-10-29T23:30+02:00", "2026-10-29T00:00+03:00", 25),
    # From 1:00 back to 0:00: the day has two midnights and begins at the first.
    ("America/Havana", "2026-11-01T00:30-05:00", "2026-11-01T00:00-04:00", 25),
    # A day that never was, and the two beside it.
    ("Pacific/Apia", "2011-12-29T12:00-10:00", "2011-12-29T00:00-10:00", 24),
    ("Pacific/Apia", "2011-12-31T00:00+14:00", "2011-12-31T00:00+14:00", 24),
    # At 0:01 back to 23:01: yesterday is shown again.
    ("America/St_Johns", "2006-10-28T23:30-03:30", "2006-10-28T00:00-02:30", 25),
    ("America/St_Johns", "2006-10-29T12:00-03:30", "2006-10-29T00:00-02:30", 25),
]


@pytest.mark.parametrize(("zone", "instant", "start", "hours"), DAYS)
def test_a_day_is_from_midnight_to_midnight(zone: str, instant: str, start: str, hours: float) -> None:
    """W-092: days of 23 to 25 hours, of half-hour zones, without a midnight, with two."""
    assert day(at(instant), ZoneInfo(zone)) == (at(start), at(start) + hours * HOUR)


HOURS = [
    ("Asia/Kolkata", "2026-03-08T10:29+00:00", "2026-03-08T15:00+05:30", 60),
    ("Asia/Kathmandu", "2026-03-08T10:29+00:00", "2026-03-08T16:00+05:45", 60),
    # The hour that is shown twice is two hours.
    ("Europe/Berlin", "2026-10-25T02:30+02:00", "2026-10-25T02:00+02:00", 60),
    ("Europe/Berlin", "2026-10-25T02:30+01:00", "2026-10-25T02:00+01:00", 60),
    ("Europe/Berlin", "2026-03-29T03:30+02:00", "2026-03-29T03:00+02:00", 60),
    # Half an hour is put forward or back: a half hour stays.
    ("Australia/Lord_Howe", "2026-04-05T01:40+11:00", "2026-04-05T01:00+11:00", 60),
    ("Australia/Lord_Howe", "2026-04-05T01:40+10:30", "2026-04-05T01:30+10:30", 30),
    ("Australia/Lord_Howe", "2026-04-05T02:10+10:30", "2026-04-05T02:00+10:30", 60),
    ("Australia/Lord_Howe", "2026-10-04T01:50+10:30", "2026-10-04T01:00+10:30", 60),
    ("Australia/Lord_Howe", "2026-10-04T02:40+11:00", "2026-10-04T02:30+11:00", 30),
    # At one minute past midnight: the new day's first minute, and yesterday's last 59.
    ("America/St_Johns", "2006-10-29T00:00:30-02:30", "2006-10-29T00:00-02:30", 1),
    ("America/St_Johns", "2006-10-28T23:30-03:30", "2006-10-28T23:01-03:30", 59),
]


@pytest.mark.parametrize(("zone", "instant", "start", "minutes"), HOURS)
def test_an_hour_is_as_long_as_the_clock_shows_it(zone: str, instant: str, start: str, minutes: int) -> None:
    """W-092: hours begin when the zone's clock says so, and are cut where it is put forward or back."""
    assert span(at(instant), ZoneInfo(zone), HOUR) == (at(start), at(start) + minutes * 60 * SECOND)


@settings(deadline=None)
@given(zone=st.sampled_from(ZONES).map(ZoneInfo), wall=INSTANTS)
def test_days_follow_each_other(zone: ZoneInfo, wall: int) -> None:
    """Every instant of every zone lies in one day: the one the clock shows from its first to its last microsecond."""
    start, end = day(wall, zone)

    assert start <= wall < end
    assert day(start, zone) == day(end - 1, zone) == (start, end)
    assert day(end, zone)[0] == end
    assert shown(start, zone).date() == shown(end - 1, zone).date() == shown(wall, zone).date()


@settings(deadline=None)
@given(zone=st.sampled_from(ZONES).map(ZoneInfo), wall=INSTANTS, unit=st.sampled_from(["second", "minute", "hour"]))
def test_hours_follow_each_other(zone: ZoneInfo, wall: int, unit: Unit) -> None:
    """Every instant lies in one second, minute and hour, in which the clock and its offset show the same."""
    length = SECONDS[unit] * SECOND

    start, end = span(wall, zone, length)

    assert start <= wall < end <= start + length
    assert span(start, zone, length) == span(end - 1, zone, length) == (start, end)
    assert span(end, zone, length)[0] == end
    for instant in (start, end - 1):
        assert shown(instant, zone).utcoffset() == shown(wall, zone).utcoffset()
        assert shown(instant, zone).replace(tzinfo=None) >= shown(wall, zone).replace(tzinfo=None) - timedelta(
            microseconds=length - 1
        )
