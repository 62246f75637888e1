"""`RateLimit-Policy` and `RateLimit`, byte for byte."""

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.limits import SECOND, Decision, Limit, Memory, fields, policies, service_limits
from gateway.limits.fields import string
from gateway.limits.in_flight import Slots
from gateway.limits.window import Rolling
from normalizers import HouseCode
from tests.gateway.limits.made import at, caller_limit, keys, vendor_limit

MINUTE = vendor_limit(requests=60, per="minute")
DAY = vendor_limit(requests=10_000, per="day")
CALLS = vendor_limit(name="calls", in_flight=8)

STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
PARAMETER = re.compile(r';([a-z][a-z0-9]*)=(?:(\d{1,15})|"([ -~]*?)")')


def parse(value: str) -> list[tuple[str, dict[str, int | str]]]:
    """A list of Strings with parameters, as RFC 9651 section 4.2 reads it; nothing else is let through."""
    members = []
    position = 0
    while True:
        found = STRING.match(value, position)
        assert found, value[position:]
        position = found.end()
        parameters: dict[str, int | str] = {}
        while (parameter := PARAMETER.match(value, position)) is not None:
            number = parameter[2]
            parameters[parameter[1]] = parameter[3] if number is None else int(number)
            position = parameter.end()
        members.append((re.sub(r"\\(.)", r"\1", found[1]), parameters))
        if position == len(value):
            return members
        assert value[position : position + 2] == ", ", value[position:]
        position += 2


def test_the_bytes_of_the_draft() -> None:
    """W-086: the two values, exactly as the rule shows them."""
    limits = (MINUTE, DAY)
    decision = Decision(limits, keys(limits), at(0), ((12, 5 * SECOND), (9100, 31_000 * SECOND)), (0, 0))

    assert fields(decision) == [
        (b"ratelimit-policy", b'"minute";q=60;w=60, "day";q=10000;w=86400'),
        (b"ratelimit", b'"minute";r=12;t=5, "day";r=9100;t=31000'),
    ]


@pytest.mark.parametrize(
    ("entry", "policy"),
    [
        ({"requests": 10, "per": "second"}, '"second";q=10;w=1'),
        ({"requests": 10, "per": "hour", "margin": "500ms"}, '"hour";q=10;w=3600'),
        ({"requests": 500, "per": "day", "window": "calendar", "zone": "Europe/Berlin"}, '"day";q=500;w=86400'),
        ({"requests": 100, "per": "minute", "cost": 5, "name": "heavy"}, '"heavy";q=100;w=60'),
        ({"in_flight": 8}, '"in_flight";q=8;qu="concurrent-requests"'),
    ],
)
def test_each_kind_of_limit_has_its_policy(entry: dict[str, Any], policy: str) -> None:
    """W-087: `w` is whole seconds; what has no window is counted in requests at once."""
    assert policies((vendor_limit(**entry),)) == policy


def test_slots_have_no_time() -> None:
    """Nobody knows when a slot comes back, so `t` is left out, as the draft allows."""
    assert service_limits((CALLS,), ((3, None),)) == '"calls";r=3'


@pytest.mark.parametrize(
    ("reset", "passed", "seconds"),
    [(1, 0, 1), (SECOND, 0, 1), (SECOND + 1, 0, 2), (0, 0, 0), (5 * SECOND, 3 * SECOND, 2), (SECOND, 9 * SECOND, 0)],
)
def test_seconds_are_rounded_up(reset: int, passed: int, seconds: int) -> None:
    """W-087, W-088: `t` is never early and never negative, also where the answer takes its time."""
    assert service_limits((MINUTE,), ((1, reset),), passed) == f'"minute";r=1;t={seconds}'


def test_the_time_that_has_passed_is_taken_off() -> None:
    """The fields of an answer count from when it is sent."""
    decision = Decision((MINUTE,), keys((MINUTE,)), at(10), ((59, 60 * SECOND),), (0,))

    assert fields(decision, at(52.5).steady)[1] == (b"ratelimit", b'"minute";r=59;t=18')


def test_equal_names_are_told_apart() -> None:
    """A caller's own limit may be called as the vendor's; then both are written with their whole id."""
    limits = (caller_limit(requests=7, per="minute"), MINUTE, DAY)

    assert (
        policies(limits) == '"caller/billing/minute";q=7;w=60, "vendor/pixii/minute";q=60;w=60, "day";q=10000;w=86400'
    )


async def test_without_limits_there_are_no_fields() -> None:
    """A request that no limit covers says nothing of limits."""
    assert fields(await Memory().take((), (), at(0))) == []


@pytest.mark.parametrize("text", ["caf\u00e9", "a\nb", "\x7f"])
def test_a_string_is_printable_ascii(text: str) -> None:
    """RFC 9651 section 3.3.3: anything else cannot be said."""
    with pytest.raises(ValueError, match="not a String"):
        string(text)


NAMES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=32)
NUMBERS = st.integers(-(10**18), 10**18)


@example(name='a"b\\', count=1, left=0, reset=0, passed=0, seconds=60)
@given(
    name=NAMES,
    count=st.integers(1, 10**18),
    left=NUMBERS,
    reset=st.none() | NUMBERS,
    passed=st.integers(0, 10**18),
    seconds=st.none() | st.sampled_from([1, 60, 3600, 86_400]),
)
def test_a_parser_reads_what_was_written(
    name: str, count: int, left: int, reset: int | None, passed: int, seconds: int | None
) -> None:
    """W-086, W-087: whatever the names and numbers, valid structured fields with integers in their bounds."""
    rule = Slots(count) if seconds is None else Rolling.of(count, 1000)
    limits = (Limit("id", name, rule, HouseCode.RATE_LIMITED, seconds=seconds), DAY)

    policy = parse(policies(limits))
    service = parse(service_limits(limits, ((left, reset), (1, 1)), passed))

    assert [member for member, _ in policy] == [member for member, _ in service] == [name, "day"]
    (_, quota), (_, standing) = policy[0], service[0]
    assert quota["q"] == min(count, 10**15 - 1)
    assert quota.get("w") == seconds
    assert quota.keys() == ({"q", "qu"} if seconds is None else {"q", "w"})
    assert standing["r"] == min(max(0, left), 10**15 - 1)
    assert standing.keys() == ({"r"} if reset is None else {"r", "t"})
    assert isinstance(standing.get("t", 0), int)
