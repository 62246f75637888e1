"""One decision over several limits: all of them or none."""

from random import Random

import pytest

from gateway.limits import SECOND, Cells, Charge, Decision, Limit, Memory, Moment, Scope, decide, hold
from normalizers import HouseCode
from tests.gateway.limits.made import WALL, at, caller_limit, keys, vendor_limit
from tests.gateway.limits.true_log import TrueLog

MINUTE = vendor_limit(requests=3, per="minute")
DAY = vendor_limit(requests=5, per="day")
TODAY = vendor_limit(name="today", requests=5, per="day", window="calendar", zone="Europe/Berlin")
CALLS = vendor_limit(name="calls", in_flight=2)
FAIR = vendor_limit(name="fair", requests=2, per="minute", by="caller")
OWN = caller_limit(requests=2, per="minute", name="own")


def states(*limits: Limit) -> tuple[list[int], ...]:
    """A fresh counter for each."""
    return tuple([0] * limit.rule.cells for limit in limits)


def ask(limits: tuple[Limit, ...], counters: tuple[list[int], ...], seconds: float) -> Decision:
    """Decide, so many seconds after the beginning."""
    return decide(limits, keys(limits), counters, at(seconds))


def test_a_refused_request_consumes_nothing() -> None:
    """W-090: with the day exhausted, the minute's counter stays as it was, and so does every other."""
    limits = (MINUTE, TODAY, CALLS, DAY)
    counters = states(*limits)
    for number in range(5):
        assert decide((DAY,), keys((DAY,)), (counters[3],), at(number)).admitted
    before = tuple(cells.copy() for cells in counters)

    decision = ask(limits, counters, 10)

    assert not decision.admitted
    assert (decision.refused, decision.code) == (DAY, HouseCode.QUOTA_EXHAUSTED)
    assert decision.charges == []
    assert counters == before


def test_an_admitted_request_is_charged_everywhere() -> None:
    """Every limit tells what is left of it, and in how long there will be more."""
    limits = (MINUTE, TODAY, CALLS)
    counters = states(*limits)

    decision = ask(limits, counters, 0)

    assert decision.admitted
    assert (decision.refused, decision.code) == (None, None)
    # Ten in London is eleven in Berlin: thirteen hours are left.
    assert decision.standings == ((2, 60 * SECOND), (4, 13 * 3600 * SECOND), (1, None))
    assert decision.charges == [
        Charge(MINUTE, "vendor/pixii/minute", 0),
        Charge(TODAY, "vendor/pixii/today", WALL),
        Charge(CALLS, "vendor/pixii/calls", 0),
    ]


# What is used up, and who speaks for it: its code and its seconds.
SPEAKERS = [
    ((MINUTE,), MINUTE, HouseCode.CAPACITY_EXHAUSTED, 60),
    ((CALLS,), CALLS, HouseCode.CAPACITY_EXHAUSTED, 1),
    ((MINUTE, CALLS), MINUTE, HouseCode.CAPACITY_EXHAUSTED, 60),
    ((CALLS, MINUTE), MINUTE, HouseCode.CAPACITY_EXHAUSTED, 60),
    ((MINUTE, DAY), DAY, HouseCode.QUOTA_EXHAUSTED, 86_400),
    ((MINUTE, TODAY), TODAY, HouseCode.QUOTA_EXHAUSTED, 13 * 3600),
    ((TODAY, DAY), DAY, HouseCode.QUOTA_EXHAUSTED, 86_400),
    ((FAIR,), FAIR, HouseCode.RATE_LIMITED, 60),
    ((OWN,), OWN, HouseCode.RATE_LIMITED, 60),
    ((FAIR, DAY), DAY, HouseCode.QUOTA_EXHAUSTED, 86_400),
    # Of two that are free at once, the first in the settings.
    ((FAIR, MINUTE), FAIR, HouseCode.RATE_LIMITED, 60),
    ((MINUTE, FAIR), MINUTE, HouseCode.CAPACITY_EXHAUSTED, 60),
]


@pytest.mark.parametrize(("used_up", "speaker", "code", "retry_after"), SPEAKERS)
def test_the_one_that_is_free_last_speaks(
    used_up: tuple[Limit, ...], speaker: Limit, code: HouseCode, retry_after: int
) -> None:
    """Contract 11: where several refuse, the one that is free last gives code, limit and `retry_after`."""
    limits = (*used_up, *(limit for limit in (OWN, MINUTE, FAIR, CALLS, TODAY, DAY) if limit not in used_up))
    counters = states(*limits)
    for limit, cells in zip(limits, counters, strict=True):
        if limit in used_up:
            limit.rule.charge(cells, limit.rule.count, *at(0))

    decision = ask(limits, counters, 0)

    assert (decision.refused, decision.code, decision.retry_after) == (speaker, code, retry_after)
    assert {limits[number] for number in decision.refusing} == set(used_up)
    assert [left for left, _ in decision.standings] == [0 if limit in used_up else limit.rule.count for limit in limits]


@pytest.mark.parametrize(
    ("seconds", "retry_after"), [(0, 60), (0.000001, 60), (0.9, 60), (1, 59), (58.9, 2), (59, 1), (59.999999, 1)]
)
def test_retry_after_is_rounded_up(seconds: float, retry_after: int) -> None:
    """W-088: whole seconds, never too few."""
    limits = (OWN,)
    counters = states(*limits)
    ask(limits, counters, 0)
    ask(limits, counters, 0)

    decision = ask(limits, counters, seconds)

    assert decision.retry_after == retry_after
    assert decision.after(at(seconds + 1).steady) == max(1, retry_after - 1)


KINDS = (MINUTE, TODAY, CALLS, vendor_limit(requests=5000, per="hour"))


def life(cells: list[Cells]) -> list[object]:
    """Five minutes on these cells, one for each limit and the last for the hold; what was told."""
    *counters, holding = cells
    scope = Scope("s", SECOND)
    hold.learn(holding, HouseCode.VENDOR_RATE_LIMITED, SECOND)
    told: list[object] = []
    for seconds in range(0, 300, 7):
        decision = decide(KINDS, keys(KINDS), tuple(counters), at(seconds), scope, holding)
        told.append((decision.code, decision.free_at, decision.standings, decision.token))
        hold.answered(holding, decision.token, at(seconds).steady)
        if decision.admitted and seconds % 2:
            CALLS.rule.give_back(counters[2], 1, 0)
            MINUTE.rule.give_back(counters[0], 1, decision.marks[0])
    return told


def test_state_may_lie_in_a_shared_segment() -> None:
    """W-094: the rules work the same on 64-bit integers of a segment, and none is too large for the Lua of Redis."""
    sizes = [*(limit.rule.cells for limit in KINDS), hold.CELLS]
    segments = [memoryview(bytearray(8 * size)).cast("q") for size in sizes]

    told = life([*segments])

    assert told == life([[0] * size for size in sizes])
    assert all(0 <= number < 2**53 for segment in segments for number in segment)


def test_nothing_stands_in_the_way_of_what_no_limit_covers() -> None:
    """A request without limits is admitted and charges nothing."""
    decision = decide((), (), (), at(0))

    assert decision.admitted
    assert decision.charges == []
    assert decision.standings == ()


def test_a_hold_comes_before_the_limits() -> None:
    """Contract 4: a held request reads no limit and charges none."""
    counters = states(MINUTE)
    holding = [0] * hold.CELLS
    hold.learn(holding, HouseCode.VENDOR_RATE_LIMITED, 2_500_000)

    decision = decide((MINUTE,), keys((MINUTE,)), counters, at(0), Scope("s", SECOND), holding)

    assert not decision.admitted
    assert (decision.code, decision.retry_after, decision.refused) == (HouseCode.VENDOR_RATE_LIMITED, 3, None)
    assert (decision.standings, decision.charges) == ((), [])
    assert not any(counters[0])


def test_a_refused_request_does_not_go_first() -> None:
    """After a hold the one goes first that the limits admit."""
    counters = states(OWN)
    OWN.rule.charge(counters[0], 2, *at(0))
    holding = [0] * hold.CELLS
    hold.learn(holding, HouseCode.VENDOR_RATE_LIMITED, 2 * SECOND)
    scope = Scope("s", 10 * SECOND)

    refused = decide((OWN,), keys((OWN,)), counters, at(5), scope, holding)
    first = decide((), (), (), at(5), scope, holding)
    second = decide((), (), (), at(5), scope, holding)

    assert (refused.admitted, refused.token) == (False, 0)
    assert (first.admitted, first.token) == (True, 15 * SECOND)
    assert (second.admitted, second.code, second.retry_after) == (False, HouseCode.VENDOR_RATE_LIMITED, 1)


RUNS = 1_000
EXACT = (
    caller_limit(requests=20, per="minute", name="own"),
    vendor_limit(requests=9, per="second", cost=2),
    vendor_limit(requests=60, per="minute", margin="500ms", name="margin"),
    vendor_limit(requests=30, per="minute", window="calendar", zone="Asia/Kolkata", name="clock", margin="200ms"),
    vendor_limit(requests=1_500, per="minute", cost=30, name="large"),
    vendor_limit(requests=200, per="hour", name="fair", by="caller", cost=3),
)


@pytest.mark.parametrize("seed", range(4))
async def test_after_retry_after_the_next_one_is_admitted(seed: int) -> None:
    """W-088: 1,000 refused requests that wait exactly `retry_after` are admitted, none of them a second later."""
    random = Random(seed)
    store = Memory()
    now = 0.0

    for _ in range(RUNS // 4):
        limits = tuple(random.sample(EXACT, random.randrange(1, 5)))
        decision = await store.take(limits, keys(limits), at(now))
        while decision.admitted:
            now += random.choice((0, 0.0001, 0.3))
            decision = await store.take(limits, keys(limits), at(now))

        now += decision.retry_after

        assert (await store.take(limits, keys(limits), at(now))).admitted


@pytest.mark.parametrize("seed", range(3))
async def test_many_limits_are_each_exact(seed: int) -> None:
    """W-090, W-091: over all requests each limit has the sum of what was admitted, and not one more in its window."""
    limits = (
        vendor_limit(requests=8, per="second", cost=2),
        vendor_limit(requests=100, per="minute", cost=3),
        vendor_limit(requests=700, per="hour"),
    )
    truths = [TrueLog(limit.rule.count, {1: 1, 60: 60, 3600: 3600}[limit.seconds or 0] * SECOND) for limit in limits]
    random = Random(seed)
    store = Memory()
    now = 0

    for _ in range(4000):
        now += random.choice((0, 1, SECOND // 9, SECOND, 20 * SECOND))
        fits = all(truth.fits(limit.cost, now) for limit, truth in zip(limits, truths, strict=True))
        decision = await store.take(limits, keys(limits), Moment(now, 0))
        assert decision.admitted == fits
        for limit, truth in zip(limits, truths, strict=True):
            if fits:
                truth.admit(limit.cost, now)
        latest = max(truth.free_at(limit.cost, now) for limit, truth in zip(limits, truths, strict=True))
        if not fits:
            assert decision.free_at == latest
