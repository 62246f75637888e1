"""
What every store keeps: of one process, of several workers, of several gateways (W-094).

One file, so that no store can keep less than another.
"""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from gateway.limits import SECOND, Decision, Held, Memory, Moment, Scope, Store
from normalizers import HouseCode
from tests.gateway.limits.made import at, caller_limit, keys, vendor_limit
from tests.gateway.limits.stores import STORES, Bench
from tests.gateway.limits.true_log import TrueLog

RATE = HouseCode.VENDOR_RATE_LIMITED
QUOTA = HouseCode.QUOTA_EXHAUSTED
MINUTE = vendor_limit(requests=3, per="minute")
TODAY = vendor_limit(name="today", requests=3, per="day", window="calendar")
CALLS = vendor_limit(name="calls", in_flight=2)
FAIR = vendor_limit(name="fair", requests=2, per="minute", by="caller")
MINE = vendor_limit(name="mine", in_flight=1, by="caller")
SUBMITS = Scope("hold/pixii/limits/minute", 30 * SECOND)
POLLS = Scope("hold/pixii/route/poll", 30 * SECOND)


@pytest.fixture(params=STORES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """An empty store."""
    async with STORES[request.param]() as bench:
        yield bench


async def test_it_keeps_the_protocol(bench: Bench) -> None:
    """Whoever knows a store knows this one: it is there, no hold is on, and it says of which kind it is."""
    store: Store = bench.store

    assert (await bench.ask(MINUTE)).admitted
    assert (store.up, store.errors, store.holds(at(0))) == (True, 0, [])
    assert store.about()["kind"] in {"process", "workers", "redis"}


async def test_two_hundred_at_once(bench: Bench) -> None:
    """F-85: of 200 tasks, exactly as many are admitted as the limit says."""
    limit = vendor_limit(requests=100, per="minute")
    now = await bench.at(0)

    decisions = await asyncio.gather(*(bench.store.take((limit,), keys((limit,)), now) for _ in range(200)))

    assert sum(decision.admitted for decision in decisions) == 100


async def test_a_refusal_tells_the_truth(bench: Bench) -> None:
    """W-088, W-090: all that refused are named, the one free last first; what is left, and until when, is told."""
    limits = (vendor_limit(requests=2, per="second"), MINUTE, TODAY, CALLS)
    first = await bench.ask(*limits)
    second = await bench.ask(*limits, now=0.25)

    refused = await bench.ask(*limits, now=0.5)

    assert first.standings == ((1, SECOND), (2, 60 * SECOND), (2, 14 * 3600 * SECOND), (1, None))
    assert second.standings == ((0, 750_000), (1, 59_750_000), (1, 50_399_750_000), (0, None))
    assert (refused.admitted, refused.marks, refused.charges) == (False, (), [])
    assert refused.refusing == (3, 0)
    assert (refused.free_at, refused.now) == (1_500_000, at(0.5))
    assert refused.standings == ((0, 500_000), (1, 59_500_000), (1, 50_399_500_000), (0, None))
    assert await bench.left(MINUTE, TODAY, now=0.5) == [1, 1]


async def test_each_caller_has_its_own(bench: Bench) -> None:
    """W-095: `by: caller` counts each caller by itself, a shared limit all of them."""
    admitted = [(await bench.ask(FAIR, CALLS, caller=caller)).admitted for caller in "aabb"]

    assert admitted == [True, True, False, False]
    assert (await bench.ask(FAIR, caller="b")).admitted
    assert (await bench.ask(FAIR, caller="a")).refused == FAIR
    assert await bench.left(FAIR, caller="c") == [2]


async def test_slots_come_back(bench: Bench) -> None:
    """W-097, RC-70: a slot is free when its request is over; a window keeps what it has counted."""
    decisions = [await bench.ask(MINUTE, CALLS, MINE, caller=caller) for caller in "ab"]
    assert await bench.left(MINUTE, CALLS) == [1, 0]

    for decision in decisions:
        bench.store.release(decision)

    assert await bench.left(MINUTE, CALLS) == [1, 2]
    assert (await bench.ask(CALLS, MINE, caller="a")).admitted


async def test_many_aborted_requests_leave_no_slot_taken(bench: Bench) -> None:
    """W-097: whatever becomes of a request, `release` alone brings the slots back; refused ones have none."""
    for number in range(100):
        decision = await bench.ask(CALLS, MINE, caller=str(number % 3), now=number)
        other = await bench.ask(CALLS, MINE, caller=str(number % 3), now=number)
        assert (decision.admitted, other.admitted) == (True, False)
        bench.store.release(other)
        bench.store.release(decision)

    assert await bench.left(CALLS, MINE) == [2, 1]


async def test_a_request_may_take_several_slots(bench: Bench) -> None:
    """`cost` of a limit in flight is taken and comes back at once."""
    heavy = vendor_limit(name="heavy", in_flight=5, cost=2)
    decisions = [await bench.ask(heavy) for _ in range(3)]
    assert [decision.admitted for decision in decisions] == [True, True, False]

    bench.store.release(decisions[0])

    assert await bench.left(heavy) == [3]


async def test_a_charge_comes_back(bench: Bench) -> None:
    """RC-71: a request that never got a connection gives its charge back, from every window and from no slot."""
    decision = await bench.ask(MINUTE, TODAY, FAIR, CALLS)
    assert await bench.left(MINUTE, TODAY, FAIR, CALLS) == [2, 2, 1, 1]

    bench.store.give_back(decision)
    assert await bench.left(MINUTE, TODAY, FAIR, CALLS) == [3, 3, 2, 1]

    bench.store.release(decision)
    assert await bench.left(MINUTE, TODAY, FAIR, CALLS) == [3, 3, 2, 2]


async def test_the_charge_that_comes_back_is_its_own(bench: Bench) -> None:
    """What is given back leaves the log where it stood: the others leave when they would have."""
    limit = vendor_limit(requests=4, per="minute")
    decisions = [await bench.ask(limit, now=10 * number) for number in range(4)]

    bench.store.give_back(decisions[1])

    assert await bench.left(limit, now=59) == [1]
    assert await bench.left(limit, now=60) == [2]
    assert await bench.left(limit, now=79.9) == [2]
    assert await bench.left(limit, now=80) == [3]
    bench.store.give_back(decisions[0])
    assert await bench.left(limit, now=80) == [3]


async def test_a_refused_request_has_nothing_to_give_back(bench: Bench) -> None:
    """What was not charged does not come back."""
    for _ in range(3):
        await bench.ask(MINUTE)

    refused = await bench.ask(MINUTE, CALLS)
    bench.store.give_back(refused)
    bench.store.release(refused)

    assert await bench.left(MINUTE, CALLS) == [0, 2]


async def test_a_reload_keeps_the_counts(bench: Bench) -> None:
    """Contract 3: limits that still exist keep their counts, under another count, length and margin."""
    first = await bench.ask(MINUTE, CALLS)
    await bench.ask(MINUTE, CALLS)
    wider = vendor_limit(requests=10, per="minute", margin="1s")
    narrower = vendor_limit(requests=1, per="minute")
    fewer = vendor_limit(name="calls", in_flight=1)

    assert await bench.left(wider, fewer) == [8, 0]
    assert await bench.left(narrower) == [0]
    assert (await bench.ask(narrower)).retry_after == 60
    bench.store.give_back(first)
    assert await bench.left(wider) == [9]
    bench.store.release(first)
    assert await bench.left(vendor_limit(name="calls", in_flight=9)) == [8]


async def test_a_name_that_means_something_else_counts_anew(bench: Bench) -> None:
    """A limit that becomes one of another kind starts empty; what comes back for the old one changes nothing."""
    before = await bench.ask(vendor_limit(name="x", requests=2, per="minute"))
    other = vendor_limit(name="x", requests=2, per="minute", window="calendar")
    assert (await bench.ask(other)).standings[0][0] == 1

    bench.store.give_back(before)
    bench.store.release(before)

    assert await bench.left(other) == [1]


async def test_a_reload_minds_no_request_under_way(bench: Bench) -> None:
    """Limits that a reload took away may be forgotten, those that stay are not."""
    running = await bench.ask(MINUTE, FAIR, CALLS, MINE)

    bench.store.keep((MINUTE, FAIR))
    bench.store.release(running)

    assert await bench.left(MINUTE, FAIR, CALLS, MINE) == [2, 1, 2, 1]


async def test_looking_charges_nothing(bench: Bench) -> None:
    """A gauge reads what is left, and unknown counters are full."""
    await bench.ask(MINUTE)

    standings = await bench.store.look((MINUTE, FAIR), keys((MINUTE, FAIR)), await bench.at(20))

    assert standings == ((2, 40 * SECOND), (2, 60 * SECOND))
    assert await bench.left(MINUTE, now=60) == [3]


async def test_a_hold_stops_its_scope_alone(bench: Bench) -> None:
    """Contract 11: what shares the vendor's limit is held, what does not goes on, and nothing is charged meanwhile."""
    bench.store.learn(SUBMITS, RATE, 3 * SECOND, await bench.at(1))

    held = await bench.ask(MINUTE, scope=SUBMITS, now=2)

    assert (held.code, held.retry_after, held.held) == (RATE, 2, Held(RATE, 4 * SECOND))
    assert (held.free_at, held.refusing, held.standings) == (4 * SECOND, (), ())
    assert not bench.store.calm
    assert (await bench.ask(CALLS, scope=POLLS, now=2)).admitted
    assert (await bench.ask(CALLS, now=2)).admitted
    assert await bench.left(MINUTE, now=2) == [3]


async def test_a_later_end_replaces_an_earlier_one(bench: Bench) -> None:
    """Contract 11: never the reverse, and the code is that of the later one."""
    for code, lasts in ((RATE, 5), (QUOTA, 300), (RATE, 60)):
        bench.store.learn(SUBMITS, code, lasts * SECOND, await bench.at(0))

    held = await bench.ask(scope=SUBMITS, now=100)

    assert (held.code, held.retry_after) == (QUOTA, 200)


async def test_one_goes_first_and_all_follow(bench: Bench) -> None:
    """After a hold one request goes; its answer lets the others go."""
    bench.store.learn(SUBMITS, RATE, 3 * SECOND, await bench.at(0))

    first = await bench.ask(MINUTE, scope=SUBMITS, now=3)
    second = await bench.ask(MINUTE, scope=SUBMITS, now=3)
    assert (first.admitted, second.admitted, second.retry_after) == (True, False, 1)
    assert first.token
    bench.store.answered(first, await bench.at(4))
    bench.store.gone(first)

    third = await bench.ask(MINUTE, scope=SUBMITS, now=4)
    assert (third.admitted, third.token) == (True, 0)
    assert bench.store.holds(at(4)) == []


async def test_one_that_is_gone_lets_the_next_go_first(bench: Bench) -> None:
    """A first request that comes to nothing has not told anything."""
    bench.store.learn(SUBMITS, RATE, 3 * SECOND, await bench.at(0))
    first = await bench.ask(scope=SUBMITS, now=3)

    bench.store.gone(first)

    second = await bench.ask(scope=SUBMITS, now=3.5)
    assert second.admitted
    assert second.token
    assert not (await bench.ask(scope=SUBMITS, now=3.5)).admitted


async def test_a_first_one_that_never_tells(bench: Bench) -> None:
    """A process that died with the first request does not hold the others for ever: the lease ends."""
    bench.store.learn(SUBMITS, RATE, 3 * SECOND, await bench.at(0))
    first = await bench.ask(scope=SUBMITS, now=3)

    assert first.admitted
    assert not (await bench.ask(scope=SUBMITS, now=32.9)).admitted
    assert (await bench.ask(scope=SUBMITS, now=33)).token


async def test_a_first_one_that_is_throttled_again(bench: Bench) -> None:
    """A 429 to the first request is the next hold."""
    bench.store.learn(SUBMITS, RATE, 3 * SECOND, await bench.at(0))
    first = await bench.ask(scope=SUBMITS, now=3)

    bench.store.learn(SUBMITS, RATE, 10 * SECOND, await bench.at(4))
    bench.store.answered(first, await bench.at(4))
    bench.store.gone(first)

    assert (await bench.ask(scope=SUBMITS, now=5)).retry_after == 9


async def test_who_went_as_one_of_many_ends_no_hold(bench: Bench) -> None:
    """Requests from before the hold, or without a scope, change nothing."""
    before = await bench.ask(MINUTE, scope=SUBMITS)
    free = await bench.ask(MINUTE)
    bench.store.learn(SUBMITS, RATE, 3 * SECOND, await bench.at(0))

    for decision in (before, free):
        bench.store.answered(decision, await bench.at(1))
        bench.store.gone(decision)

    assert not (await bench.ask(scope=SUBMITS, now=2)).admitted


async def test_what_was_learned_since(bench: Bench) -> None:
    """Contract 11: a request that was admitted before a 429 came is held, if it is not sent yet."""
    before = await bench.ask(MINUTE, scope=SUBMITS)
    other = await bench.ask(MINUTE, scope=POLLS)
    free = await bench.ask(MINUTE)
    assert bench.store.since(before, at(1)) is None

    bench.store.learn(SUBMITS, RATE, 3 * SECOND, await bench.at(1))

    assert bench.store.since(before, at(2)) == Held(RATE, 4 * SECOND)
    assert bench.store.since(other, at(2)) is None
    assert bench.store.since(free, at(2)) is None
    first = await bench.ask(scope=SUBMITS, now=4)
    assert first.token
    assert bench.store.since(first, at(4)) is None


async def test_the_holds_are_told(bench: Bench) -> None:
    """`/-/status` lists the holds that are on, with their ends, and whether a request has gone first."""
    bench.store.learn(SUBMITS, RATE, 3 * SECOND, await bench.at(0))
    bench.store.learn(POLLS, QUOTA, 60 * SECOND, await bench.at(0))
    await bench.ask(scope=SUBMITS, now=3)

    told = {holding.key: (holding.held.code, holding.first) for holding in bench.store.holds(at(3))}

    assert told == {SUBMITS.key: (RATE, True), POLLS.key: (QUOTA, False)}


async def test_a_refused_request_does_not_go_first(bench: Bench) -> None:
    """After a hold the one goes first that the limits admit."""
    for _ in range(3):
        await bench.ask(MINUTE, now=0)
    bench.store.learn(SUBMITS, RATE, 2 * SECOND, await bench.at(0))

    refused = await bench.ask(MINUTE, scope=SUBMITS, now=5)
    first = await bench.ask(CALLS, scope=SUBMITS, now=5)

    assert (refused.refused, refused.token) == (MINUTE, 0)
    assert first.admitted
    assert first.token


async def test_calendar_windows_end_by_the_clock(bench: Bench) -> None:
    """W-092: a calendar window is empty when the clock shows the next one, and a margin counts in both."""
    clock = vendor_limit(name="clock", requests=2, per="minute", window="calendar", margin="5s")
    # The beginning is a full minute.
    assert [(await bench.ask(clock, now=now)).admitted for now in (1, 57, 58)] == [True, True, False]

    assert (await bench.ask(clock, now=58)).free_at == 60 * SECOND
    assert await bench.left(clock, now=60) == [1]
    assert [(await bench.ask(clock, now=now)).admitted for now in (60, 61)] == [True, False]
    assert await bench.left(clock, now=120) == [2]


@pytest.mark.parametrize("seed", range(3))
async def test_many_limits_are_each_exact(bench: Bench, seed: int) -> None:
    """W-090, W-091: over all requests each limit has the sum of what was admitted, and not one more in its window."""
    limits = (
        vendor_limit(requests=8, per="second", cost=2),
        vendor_limit(requests=100, per="minute", cost=3),
        vendor_limit(requests=700, per="hour"),
    )
    truths = [TrueLog(limit.rule.count, (limit.seconds or 0) * SECOND) for limit in limits]
    random = Random(seed)
    now = 0

    for _ in range(700):
        now += random.choice((0, 1, SECOND // 9, SECOND, 20 * SECOND))
        fits = all(truth.fits(limit.cost, now) for limit, truth in zip(limits, truths, strict=True))
        decision = await bench.ask(*limits, now=now / SECOND)
        assert decision.admitted == fits
        for limit, truth in zip(limits, truths, strict=True):
            if fits:
                truth.admit(limit.cost, now)
        if fits and random.random() < 0.2:
            bench.store.give_back(decision)
            for limit, truth in zip(limits, truths, strict=True):
                truth.take_away(limit.cost, now)
        elif not fits:
            latest = max(truth.free_at(limit.cost, now) for limit, truth in zip(limits, truths, strict=True))
            assert decision.free_at == latest


KINDS = (
    vendor_limit(name="minute", requests=7, per="minute", cost=2),
    vendor_limit(name="large", requests=1_200, per="minute", cost=70, margin="1s"),
    vendor_limit(name="clock", requests=4, per="second", window="calendar", zone="Asia/Kolkata", margin="200ms"),
    vendor_limit(name="hours", requests=30, per="hour", window="calendar", zone="Europe/Berlin", margin="10s"),
    vendor_limit(name="days", requests=60, per="day", window="calendar", zone="America/New_York"),
    vendor_limit(name="slots", in_flight=3),
    vendor_limit(name="fair", requests=3, per="second", by="caller"),
    vendor_limit(name="mine", in_flight=2, by="caller"),
)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_all_stores_say_the_same(bench: Bench, seed: int, backwards: bool) -> None:
    """Whatever is asked, one after the other, a store says what that of one process says, clocks put back or not."""
    told = Bench(Memory(), clocks=bench.clocks)
    random = Random(seed)
    running: list[tuple[Decision, Decision]] = []
    # Counters of callers that have expired are forgotten; one store does so sooner than another.
    kinds = [limit for limit in KINDS if not (backwards and limit.keyed)]
    now = 10.0

    for _ in range(500):
        now += random.choice((0, 0.001, 0.1, 0.3, 1.7, 40, 700))
        if backwards and random.random() < 0.02:
            now = max(1.0, now - random.choice((0.5, 3, 70, 4000)))
        limits = tuple(random.sample(kinds, random.randrange(1, 5)))
        caller = random.choice("abc")
        one, other = [await each.ask(*limits, now=now, caller=caller) for each in (bench, told)]
        assert (one.admitted, one.refusing == other.refusing or backwards) == (other.admitted, True)
        assert [left for left, _ in one.standings] == [left for left, _ in other.standings]
        if not backwards:
            assert (one.free_at, one.standings) == (other.free_at, other.standings)
        if one.admitted:
            running.append((one, other))
        if running and random.random() < 0.6:
            unsent = random.random() < 0.5
            for each, decision in zip((bench, told), running.pop(random.randrange(len(running))), strict=True):
                each.store.release(decision)
                if unsent:
                    each.store.give_back(decision)


async def test_large_limits_lose_little(bench: Bench) -> None:
    """W-091: above a thousand units admissions share entries, and no window holds more than N."""
    limit = vendor_limit(requests=2_500, per="minute", cost=25)
    truth = TrueLog(2_500, 60 * SECOND)
    random = Random(7)
    now = admitted = 0

    for _ in range(600):
        now += random.choice((0, SECOND // 50, SECOND // 5, SECOND))
        if (await bench.ask(limit, now=now / SECOND)).admitted:
            assert truth.fits(25, now)
            truth.admit(25, now)
            admitted += 1

    assert admitted >= 0.98 * 100 * (now // (60 * SECOND))


async def test_the_wall_clock_moves_rolling_limits_not(bench: Bench) -> None:
    """F-77: an hour's jump of this machine's clock, back or forth, changes no rolling window and no hold."""
    limit = caller_limit(requests=1, per="minute")
    bench.store.learn(SUBMITS, RATE, 30 * SECOND, await bench.at(0))
    await bench.ask(limit)
    await bench.at(20)

    for hours in (-1, 1, -24, 24):
        moment = Moment(20 * SECOND, at(20).wall + hours * 3600 * SECOND)
        assert (await bench.store.take((limit,), keys((limit,)), moment)).retry_after == 40
        assert (await bench.store.take((), (), moment, SUBMITS)).retry_after == 10
