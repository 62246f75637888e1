"""Delays in every form in which vendors say them, and the many things that are none."""

import math

import pytest

from normalizers._delay import http_date, retry_after, seconds

# 2026-11-21T12:00:00Z.
NOW = 1795262400.0
TOMORROW = NOW + 86_400


def clock() -> float:
    """The moment of the reply."""
    return NOW


@pytest.mark.parametrize(
    ("value", "delay"),
    [
        (47, 47),
        (0, 1),
        (0.0, 1),
        (0.2, 1),
        (1.2, 2),
        (86_400, 86_400),
        (86_401, 86_400),
        (500_000, 86_400),
        ("47", 47),
        (" 47 ", 47),
        ("1.2", 2),
        ("0", 1),
        ("45s", 45),
        ("45 s", 45),
        ("45S", 45),
        ("1500ms", 2),
        ("2m", 120),
        ("1.5h", 5_400),
        ("48h", 86_400),
        ("2026-11-21T12:00:30Z", 30),
        ("2026-11-21t12:00:30z", 30),
        ("2026-11-21T13:00:30+01:00", 30),
        ("2026-11-21T12:00:30", 30),
        ("2026-11-21 12:00:30.5", 31),
        ("2026-11-21T12:00:30.123456789Z", 31),
        ("2026-11-22", 43_200),
        (NOW + 30, 30),
        (int(NOW) + 30, 30),
        (str(int(NOW) + 30), 30),
        ((int(NOW) + 30) * 1000, 30),
        (str((int(NOW) + 30) * 1000), 30),
        (int(NOW) + 500_000, 86_400),
        (10**18, 86_400),
        (10**4000, 86_400),
        ("9" * 60, 86_400),
    ],
    ids=repr,
)
def test_delay(value: object, delay: int) -> None:
    """Each form becomes whole seconds, rounded up, from 1 to a day."""
    assert seconds(value, clock) == delay


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        -1,
        -0.5,
        math.nan,
        math.inf,
        -math.inf,
        "-5",
        "+5",
        "1e3",
        "1_0",
        "١٢",
        "",
        "soon",
        "nan",
        "inf",
        "Please wait 60 seconds before retrying",
        "5 apples",
        "2026-11-21T11:59:59Z",
        "2026-11-21T12:00:00Z",
        "2026-13-45",
        int(NOW) - 1,
        int(NOW),
        (int(NOW) - 1) * 1000,
        str(int(NOW) - 1),
        "9" * 65,
        "9" * 5_000,
        "\ud800",
        [5],
        {"seconds": 5},
    ],
    ids=lambda value: repr(value)[:40],
)
def test_no_delay(value: object) -> None:
    """Prose, negatives, NaN, booleans and the past are absent."""
    assert seconds(value, clock) is None


@pytest.mark.parametrize(
    ("header", "delay"),
    [
        ("120", 120),
        ("0", 1),
        ("007", 7),
        ("99999999999999999999", 86_400),
        (str(int(NOW) + 30), 30),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Saturday, 21-Nov-26 12:00:30 GMT", 30),
        ("Sat Nov 21 12:00:30 2026", 30),
        ("Sat, 21 Nov 2026 12:00:60 GMT", 60),
        ("Sun, 22 Nov 2026 12:00:01 GMT", 86_400),
        ("Sat, 21 Nov 2026 11:59:59 GMT", None),
        ("Sat Nov 21 11:59:59 2026", None),
        ("Sat, 21 Nov 2026 12:00:30 CET", None),
        ("Sat, 21 Nov 2026 12:00:30", None),
        ("sat, 21 nov 2026 12:00:30 gmt", None),
        ("Sat, 21 Nov 2026 99:00:30 GMT", None),
        ("21 Nov 2026 12:00:30 GMT", None),
        ("2026-11-21T12:00:30Z", None),
        ("1.5", None),
        ("45s", None),
        ("-5", None),
        ("+5", None),
        (" 5", None),
        ("5, 10", None),
        ("1_0", None),
        ("١٢", None),
        ("²", None),
        ("soon", None),
        ("", None),
        ("9" * 5_000, None),
    ],
)
def test_retry_after(header: str, delay: int | None) -> None:
    """The header is read strictly: ASCII digits or one of the three forms of an HTTP date (W-073)."""
    assert retry_after(header, clock) == delay


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777.0),
        ("Sun Nov  6 08:49:37 1994", 784111777.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Sun, 06 Foo 1994 08:49:37 GMT", None),
        ("yesterday", None),
    ],
)
def test_http_date(text: str, moment: float | None) -> None:
    """The three forms of RFC 9110 5.6.7 name the same moment, in UTC all of them."""
    assert http_date(text) == moment
