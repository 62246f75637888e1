"""
The store of one process.

One file, as the store is one module.
"""

import asyncio
import tracemalloc

import pytest

from gateway.limits import SECOND, Decision, Limit, Memory, Moment, Scope, Store
from normalizers import HouseCode
from tests.gateway.limits.made import at, caller_limit, keys, vendor_limit

RATE = HouseCode.VENDOR_RATE_LIMITED
MINUTE = vendor_limit(requests=3, per="minute")
TODAY = vendor_limit(name="today", requests=3, per="day", window="calendar")
CALLS = vendor_limit(name="calls", in_flight=2)
FAIR = vendor_limit(name="fair", requests=2, per="minute", by="caller")
MINE = vendor_limit(name="mine", in_flight=1, by="caller")
SUBMITS = Scope("hold/pixii/limits/minute", 30 * SECOND)
POLLS = Scope("hold/pixii/route/poll", 30 * SECOND)


async def ask(
    store: Memory, *limits: Limit, now: float = 0, caller: str = "billing", scope: Scope | None = None
) -> Decision:
    """One request."""
    return await store.take(limits, keys(limits, caller), at(now), scope)


async def left(store: Memory, *limits: Limit, now: float = 0) -> list[int]:
    """What each limit has left."""
    return [number for number, _ in await store.look(limits, keys(limits), at(now))]


async def test_it_keeps_the_protocol() -> None:
    """Whoever knows a store knows this one."""
    store: Store = Memory()

    assert (await store.take((MINUTE,), keys((MINUTE,)), at(0))).admitted


async def test_two_hundred_at_once() -> None:
    """F-85: of 200 tasks, exactly as many are admitted as the limit says."""
    store = Memory()
    limit = vendor_limit(requests=100, per="minute")

    decisions = await asyncio.gather(*(ask(store, limit, now=number / 1000) for number in range(200)))

    assert sum(decision.admitted for decision in decisions) == 100


async def test_each_caller_has_its_own() -> None:
    """W-095: `by: caller` counts each caller by itself, a shared limit all of them."""
    store = Memory()

    admitted = [(await ask(store, FAIR, CALLS, caller=caller)).admitted for caller in "aabb"]

    assert admitted == [True, True, False, False]
    assert (await ask(store, FAIR, caller="b")).admitted
    assert (await ask(store, FAIR, caller="a")).refused == FAIR


async def test_slots_come_back() -> None:
    """W-097, RC-70: a slot is free when its request is over; a window keeps what it has counted."""
    store = Memory()
    decisions = [await ask(store, MINUTE, CALLS, MINE, caller=caller) for caller in "ab"]
    assert await left(store, MINUTE, CALLS) == [1, 0]

    for decision in decisions:
        store.release(decision)

    assert await left(store, MINUTE, CALLS) == [1, 2]
    assert (await ask(store, CALLS, MINE, caller="a")).admitted


async def test_a_thousand_aborted_requests_leave_no_slot_taken() -> None:
    """W-097: whatever becomes of a request, `release` alone brings the slots back; refused ones have none."""
    store = Memory()
    for number in range(1000):
        decision = await ask(store, CALLS, MINE, caller=str(number % 3), now=number)
        other = await ask(store, CALLS, MINE, caller=str(number % 3), now=number)
        assert (decision.admitted, other.admitted) == (True, False)
        store.release(other)
        store.release(decision)

    assert await left(store, CALLS, MINE) == [2, 1]
    assert not store._keyed[MINE.id]


async def test_a_charge_comes_back() -> None:
    """RC-71: a request that never got a connection gives its charge back, from every window and from no slot."""
    store = Memory()
    decision = await ask(store, MINUTE, TODAY, FAIR, CALLS)
    assert await left(store, MINUTE, TODAY, FAIR, CALLS) == [2, 2, 1, 1]

    store.give_back(decision)
    assert await left(store, MINUTE, TODAY, FAIR, CALLS) == [3, 3, 2, 1]

    store.release(decision)
    assert await left(store, MINUTE, TODAY, FAIR, CALLS) == [3, 3, 2, 2]


async def test_a_refused_request_has_nothing_to_give_back() -> None:
    """What was not charged does not come back."""
    store = Memory()
    for _ in range(3):
        await ask(store, MINUTE)

    refused = await ask(store, MINUTE, CALLS)
    store.give_back(refused)
    store.release(refused)

    assert await left(store, MINUTE, CALLS) == [0, 2]


async def test_a_hundred_thousand_callers_take_no_more_memory() -> None:
    """RC-72, F-84, W-095: the table of callers is bounded, and who came last is remembered."""
    store = Memory(keys_limit=1000)
    limit = vendor_limit(requests=2, per="day", by="caller")
    callers = 100_000

    limits, moment = (limit,), at(0)

    for number in range(callers):
        await store.take(limits, (limit.key(str(number)),), moment)
    tracemalloc.start()
    for number in range(callers, callers + 3000):
        await store.take(limits, (limit.key(str(number)),), at(1))
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert len(store._keyed[limit.id]) == 1000
    # Three generations of counters came, one stays: half a kilobyte each.
    assert size < 700 * 1000
    newest, oldest, forgotten = (limit.key(str(callers + number)) for number in (2999, 2000, 1999))
    assert [left for left, _ in await store.look((limit,) * 3, (newest, oldest, forgotten), at(1))] == [1, 1, 2]


async def test_the_one_closest_to_its_expiry_goes_first() -> None:
    """RC-72: who was charged longest ago is forgotten, not who came first."""
    store = Memory(keys_limit=2)
    for now, caller in enumerate(("a", "b", "a", "c")):
        await ask(store, FAIR, caller=caller, now=now)

    remaining = [(await ask(store, FAIR, caller=caller, now=5)).standings[0][0] for caller in ("a", "c", "b")]

    assert remaining == [0, 0, 1]


async def test_who_takes_slots_is_not_forgotten() -> None:
    """A caller with requests under way keeps its counter, however many others come."""
    store = Memory(keys_limit=2)
    running = [await ask(store, MINE, caller=str(number)) for number in range(10)]

    assert not any([(await ask(store, MINE, caller=str(number))).admitted for number in range(10)])
    for decision in running:
        store.release(decision)

    assert not store._keyed[MINE.id]


async def test_what_expired_makes_room() -> None:
    """The table shrinks as callers stay away: two that expired go for each that comes."""
    store = Memory()
    for number in range(100):
        await ask(store, FAIR, caller=str(number))

    for number in range(100, 160):
        await ask(store, FAIR, caller=str(number), now=60)

    assert len(store._keyed[FAIR.id]) == 60


async def test_refused_callers_are_not_remembered() -> None:
    """Who is refused by a limit that all share leaves no trace in the tables."""
    store = Memory()
    for number in range(100):
        await ask(store, MINUTE, FAIR, caller=str(number))

    assert len(store._keyed[FAIR.id]) == 3


async def test_a_reload_keeps_the_counts() -> None:
    """Contract 3: limits that still exist keep their counts, under another count, length and margin."""
    store = Memory()
    first = await ask(store, MINUTE, CALLS)
    await ask(store, MINUTE, CALLS)
    wider, narrower = (
        vendor_limit(requests=10, per="minute", margin="1s"),
        vendor_limit(requests=1, per="minute"),
    )
    fewer = vendor_limit(name="calls", in_flight=1)

    assert await left(store, wider, fewer) == [8, 0]
    assert await left(store, narrower) == [0]
    assert (await ask(store, narrower)).retry_after == 60
    store.give_back(first)
    assert await left(store, wider) == [9]
    store.release(first)
    assert await left(store, vendor_limit(name="calls", in_flight=9)) == [8]


async def test_a_name_that_means_something_else_counts_anew() -> None:
    """A limit that becomes one of another kind starts empty; what comes back for the old one changes nothing."""
    store = Memory()
    before = await ask(store, vendor_limit(name="x", requests=2, per="minute"))
    other = vendor_limit(name="x", requests=2, per="minute", window="calendar")
    assert (await ask(store, other)).standings[0][0] == 1

    store.give_back(before)
    store.release(before)

    assert await left(store, other) == [1]


async def test_a_reload_forgets_limits_that_are_gone() -> None:
    """Counters of limits that a reload took away do not pile up; a request under way does not mind."""
    store = Memory()
    running = await ask(store, MINUTE, FAIR, CALLS, MINE)

    store.keep((MINUTE, FAIR))

    assert (len(store._shared), len(store._keyed)) == (1, 1)
    store.release(running)
    store.give_back(running)
    assert await left(store, MINUTE, FAIR, CALLS) == [3, 2, 2]


async def test_looking_charges_nothing() -> None:
    """A gauge reads what is left, and unknown counters are full."""
    store = Memory()
    await ask(store, MINUTE)

    assert await store.look((MINUTE, FAIR), keys((MINUTE, FAIR)), at(20)) == ((2, 40 * SECOND), (2, 60 * SECOND))
    assert await left(store, MINUTE, now=60) == [3]
    assert (len(store._shared), len(store._keyed)) == (1, 0)


async def test_a_hold_stops_its_scope_alone() -> None:
    """Contract 11: what shares the vendor's limit is held, what does not goes on, and nothing is charged meanwhile."""
    store = Memory()
    store.learn(SUBMITS, RATE, 3 * SECOND, at(1))

    held = await ask(store, MINUTE, scope=SUBMITS, now=2)

    assert (held.code, held.retry_after) == (RATE, 2)
    assert (await ask(store, CALLS, scope=POLLS, now=2)).admitted
    assert (await ask(store, CALLS, now=2)).admitted
    assert await left(store, MINUTE, now=2) == [3]


async def test_one_goes_first_and_all_follow() -> None:
    """After a hold one request goes; its answer lets the others go."""
    store = Memory()
    store.learn(SUBMITS, RATE, 3 * SECOND, at(0))

    first = await ask(store, scope=SUBMITS, now=3)
    second = await ask(store, scope=SUBMITS, now=3)
    assert (first.admitted, second.admitted, second.retry_after) == (True, False, 1)
    assert [(holding.key, holding.first) for holding in store.holds(at(3))] == [(SUBMITS.key, True)]
    store.answered(first, at(4))
    store.gone(first)

    third = await ask(store, scope=SUBMITS, now=4)
    assert (third.admitted, third.token) == (True, 0)
    assert store.holds(at(4)) == []


async def test_one_that_is_gone_lets_the_next_go_first() -> None:
    """A first request that comes to nothing has not told anything."""
    store = Memory()
    store.learn(SUBMITS, RATE, 3 * SECOND, at(0))
    first = await ask(store, scope=SUBMITS, now=3)

    store.gone(first)

    second = await ask(store, scope=SUBMITS, now=3.5)
    assert second.admitted
    assert second.token
    assert not (await ask(store, scope=SUBMITS, now=3.5)).admitted


async def test_what_was_learned_since() -> None:
    """An admitted request that is not sent yet is held like any other; who goes first only by a longer hold."""
    store = Memory()
    before, free = await ask(store, scope=SUBMITS), await ask(store)
    assert (store.calm, store.since(before, at(0))) == (True, None)
    store.learn(SUBMITS, RATE, 3 * SECOND, at(0))

    held = store.since(before, at(1))
    assert held is not None
    assert held.until == 3 * SECOND
    assert (store.calm, store.since(free, at(1)), store.since(before, at(3))) == (False, None, None)
    first = await ask(store, scope=SUBMITS, now=3)
    assert store.since(first, at(3)) is None
    assert store.since(before, at(3)) is not None
    store.learn(SUBMITS, RATE, 3 * SECOND, at(4))
    assert store.since(first, at(4)) is not None
    store.answered(first, at(8))
    assert store.calm


async def test_a_process_is_always_there() -> None:
    """The store of one process is up, and says that it counts for itself."""
    store = Memory()
    await store.start()

    assert (store.up, store.errors, dict(store.about())) == (True, 0, {"kind": "process"})
    await store.aclose()


async def test_a_first_one_that_is_throttled_again() -> None:
    """A 429 to the first request is the next hold."""
    store = Memory()
    store.learn(SUBMITS, RATE, 3 * SECOND, at(0))
    first = await ask(store, scope=SUBMITS, now=3)

    store.learn(SUBMITS, RATE, 10 * SECOND, at(4))
    store.answered(first, at(4))
    store.gone(first)

    assert (await ask(store, scope=SUBMITS, now=5)).retry_after == 9
    assert [holding.first for holding in store.holds(at(5))] == [False]


async def test_who_went_as_one_of_many_ends_no_hold() -> None:
    """Requests from before the hold, without a scope, or of one that is forgotten, change nothing."""
    store = Memory(holds_limit=1)
    before = await ask(store, MINUTE, scope=SUBMITS)
    free = await ask(store, MINUTE)
    store.learn(SUBMITS, RATE, 3 * SECOND, at(0))
    for decision in (before, free):
        store.answered(decision, at(1))
        store.gone(decision)
    assert not (await ask(store, scope=SUBMITS, now=2)).admitted

    first = await ask(store, scope=SUBMITS, now=3)
    store.learn(POLLS, RATE, 3 * SECOND, at(3))
    store.answered(first, at(4))
    store.gone(first)
    assert [holding.key for holding in store.holds(at(4))] == [POLLS.key]


@pytest.mark.parametrize(("seconds", "kept"), [(5, 101), (900, 1)])
async def test_the_table_of_holds_is_bounded(seconds: int, kept: int) -> None:
    """Holds of ever new credentials: those that ended go, else those that end first."""
    store = Memory(holds_limit=120)
    for number in range(130):
        store.learn(Scope(f"s{number}", SECOND), RATE, (100 + number) * SECOND, at(0))
    assert len(store._holds) <= 120
    while len(store._holds) < 120:
        store.learn(Scope(f"t{len(store._holds)}", SECOND), RATE, 200 * SECOND, at(1))

    store.learn(SUBMITS, RATE, 1000 * SECOND, at(seconds))

    assert len(store._holds) <= 120
    assert [holding.held.until for holding in store.holds(at(seconds)) if holding.key == SUBMITS.key]
    assert (len(store._holds) == 1) == (kept == 1)


async def test_the_wall_clock_moves_rolling_limits_not() -> None:
    """F-77: an hour's jump, back or forth, changes no rolling window and no hold."""
    store = Memory()
    limit = caller_limit(requests=1, per="minute")
    store.learn(SUBMITS, RATE, 30 * SECOND, at(0))
    await ask(store, limit)

    for hours in (-1, 1, -24, 24):
        moment = Moment(20 * SECOND, at(20).wall + hours * 3600 * SECOND)
        assert (await store.take((limit,), keys((limit,)), moment)).retry_after == 40
        assert (await store.take((), (), moment, SUBMITS)).retry_after == 10
