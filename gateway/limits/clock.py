"""For how long the clock of a zone shows the same second, minute, hour or day. Instants in, instants out; no clock."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal

Unit = Literal["second", "minute", "hour", "day"]
SECONDS: dict[Unit, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)


def day(wall: int, zone: tzinfo) -> tuple[int, int]:
    """
    From midnight to midnight, in microseconds since 1970 UTC, as all instants here.

    A day whose midnight the clock leaves out begins when the clock goes on.
    """
    today = _local(wall, zone).date()
    start, end = _midnight(today, zone), _midnight(today + _DAY, zone)
    # A clock that is put back over midnight shows yesterday again, until the second midnight.
    return start, end if wall < end else _midnight(today + _DAY, zone, fold=1)


def span(wall: int, zone: tzinfo, length: int) -> tuple[int, int]:
    """As long as the clock shows the same stretch of `length`; cut where the clock is put forward or back."""
    offset = _offset(wall, zone)
    start = (wall + offset) // length * length - offset
    end = start + length
    if _offset(start, zone) != offset:
        start = _change(start, wall, zone)
    if _offset(end - 1, zone) != offset:
        end = _change(wall, end - 1, zone)
    return start, end


def _change(before: int, after: int, zone: tzinfo) -> int:
    """The instant between the two from which the later one's offset holds."""
    then = _offset(after, zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == then:
            after = middle
        else:
            before = middle
    return after


def _local(wall: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=wall)).astimezone(zone)


def _offset(wall: int, zone: tzinfo) -> int:
    return (_local(wall, zone).utcoffset() or timedelta()) // _MICROSECOND


def _midnight(of: date, zone: tzinfo, fold: int = 0) -> int:
    return (datetime(of.year, of.month, of.day, tzinfo=zone, fold=fold) - _EPOCH) // _MICROSECOND
