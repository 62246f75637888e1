"""
How long to wait, in every form in which vendors say it: a number, "45s", a moment, an HTTP date.

Delays are whole seconds, rounded up and clamped. What is no delay is None: prose, negatives, NaN, booleans, moments in
the past. Moments are Unix seconds.
"""

import calendar
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate

# Asked only when a moment is to be compared with it.
Clock = Callable[[], float]

# Contract 7: 0 is a second, and nobody is told to wait longer than a day.
SHORTEST, LONGEST = 1, 86_400
# No delay lasts 31 years, so a larger number in a field of seconds is a moment: in Unix seconds, or milliseconds.
_EPOCH_SECONDS, _EPOCH_MILLISECONDS = 10**9, 10**12
# Far above this an integer does not even fit a float. Whether delay or moment, it is out of bounds.
_FAR = 10**15
# The longest form, an ISO moment with nanoseconds and a zone, has 35 characters.
_TEXT_LIMIT = 64

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h|)")
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MONTH, _CLOCK = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)", "[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
# RFC 9110 5.6.7: the form that is sent, then the two that a recipient must still accept.
_HTTP_DATE = re.compile(
    f"[A-Z][a-z]{{2}}, [0-3][0-9] {_MONTH} [0-9]{{4}} {_CLOCK} GMT"
    f"|[A-Z][a-z]{{5,8}}, [0-3][0-9]-{_MONTH}-[0-9]{{2}} {_CLOCK} GMT"
    f"|[A-Z][a-z]{{2}} {_MONTH} [ 0-3][0-9] {_CLOCK} [0-9]{{4}}"
)


def seconds(value: object, now: Clock) -> int | None:
    """The delay that a member of a body, or a reset header, means."""
    if isinstance(value, str):
        value = _read(value.strip().lower(), now) if len(value) <= _TEXT_LIMIT else None
    # bool is an int in Python; true is no delay.
    if not isinstance(value, int | float) or isinstance(value, bool) or value in {math.inf, -math.inf}:
        return None
    if value > _FAR:
        return LONGEST
    if value > _EPOCH_MILLISECONDS:
        value = value / 1000
    if value > _EPOCH_SECONDS:
        return _until(value, now)
    # Written so that NaN, which is on neither side of anything, fails it.
    return _clamped(value) if value >= 0 else None


def retry_after(header: str, now: Clock) -> int | None:
    """The delay of a `Retry-After` field, strictly as RFC 9110 10.2.3 has it: ASCII digits or an HTTP date (W-073)."""
    if header.isascii() and header.isdigit():
        return seconds(header, now)
    moment = http_date(header)
    return None if moment is None else _until(moment, now)


def http_date(text: str) -> float | None:
    """The moment that an HTTP date names, in any of its three forms."""
    parsed = parsedate(text) if _HTTP_DATE.fullmatch(text) else None
    # All three forms are in GMT, the one that does not say so too.
    return None if parsed is None else float(calendar.timegm(parsed[:6]))


def _read(text: str, now: Clock) -> float | None:
    """A text as a number of seconds, or as the delay until the moment that it names."""
    if found := _NUMBER.fullmatch(text):
        number, unit = found.groups()
        return float(number) * _UNITS[unit]
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    # Without a zone it is UTC: the vendor cannot mean ours.
    return _until((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), now)


def _until(moment: float, now: Clock) -> int | None:
    delay = moment - now()
    return _clamped(delay) if delay > 0 else None


def _clamped(delay: float) -> int:
    return min(max(math.ceil(delay), SHORTEST), LONGEST)
