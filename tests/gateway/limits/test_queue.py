"""
`wait`: in turn, not too long, not too many, and gone without a trace.

One file: every test is a short play in the same line, in virtual time.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from random import Random
from typing import Any

import pytest

from gateway.limits import SECOND, Decision, Draining, Limit, Memory, Moment, Queue, Scope
from normalizers import HouseCode
from tests.gateway.limits.made import at, keys, vendor_limit
from tests.gateway.limits.true_log import worst
from tests.gateway.limits.virtual import run

MINUTE = vendor_limit(requests=2, per="minute", wait="10m", queue=5)
SLOTS = vendor_limit(name="slots", in_flight=1, wait="10s", queue=3)
HOUR = vendor_limit(name="hour", requests=3, per="hour", wait="2h")
STRICT = vendor_limit(name="strict", requests=1, per="minute")
FAIR = vendor_limit(name="fair", requests=1, per="minute", by="caller", wait="90s", queue=2)
SCOPE = Scope("hold/pixii/method/POST", SECOND)

Main = Callable[[], Coroutine[Any, Any, None]]


def virtually(test: Main) -> Callable[[], None]:
    """Let time pass while everybody waits."""

    @wraps(test)
    def sync() -> None:
        run(test)

    # pytest would look at what is wrapped and find a coroutine.
    del sync.__wrapped__
    return sync


def clock() -> Moment:
    """What time it is in the loop."""
    return at(asyncio.get_running_loop().time())


def time() -> float:
    """The seconds since the loop began."""
    return asyncio.get_running_loop().time()


class Bench:
    """Those who ask, in order, and what each was told and when."""

    def __init__(self, store: Memory | None = None) -> None:
        self.store = store or Memory()
        self.queue = Queue(self.store, clock)
        self.told: list[tuple[str, float, bool]] = []
        self.decisions: dict[str, Decision] = {}
        self.tasks: dict[str, asyncio.Task[Decision]] = {}

    async def ask(self, name: str, *limits: Limit, caller: str = "a", scope: Scope | None = None) -> Decision:
        """One request."""
        decision = await self.queue.take(limits, keys(limits, caller), scope)
        self.told.append((name, round(time(), 2), decision.admitted))
        self.decisions[name] = decision
        return decision

    async def come(self, name: str, *limits: Limit, caller: str = "a", scope: Scope | None = None) -> None:
        """One request that may wait; those that come next come after it."""
        self.tasks[name] = asyncio.create_task(self.ask(name, *limits, caller=caller, scope=scope))
        await settle()

    async def all(self) -> list[tuple[str, float, bool]]:
        """What all were told, once everybody is."""
        await asyncio.gather(*self.tasks.values())
        return self.told


async def settle() -> None:
    """Let everybody act who can."""
    for _ in range(10):
        await asyncio.sleep(0)


@virtually
async def test_nobody_waits_where_there_is_room() -> None:
    """W-096: a request that the limits admit goes at once."""
    bench = Bench()

    await bench.ask("a", MINUTE, SLOTS)

    assert bench.told == [("a", 0, True)]


@virtually
async def test_nobody_waits_unless_told_to() -> None:
    """W-096: without `wait` a refused request is refused, also where another of its limits would let it wait."""
    bench = Bench()
    await bench.ask("a", STRICT, MINUTE)
    await bench.ask("b", MINUTE)

    await bench.ask("c", STRICT, MINUTE)

    assert bench.told[-1] == ("c", 0, False)


@virtually
async def test_first_come_first_served() -> None:
    """W-096: who waits is admitted in turn, at the very moment there is room."""
    bench = Bench()
    for name in "abcdefg":
        await bench.come(name, MINUTE)

    assert await bench.all() == [
        ("a", 0, True),
        ("b", 0, True),
        ("c", 60, True),
        ("d", 60, True),
        ("e", 120, True),
        ("f", 120, True),
        ("g", 180, True),
    ]
    assert bench.queue.waiting(keys((MINUTE,))[0]) == 0


@virtually
async def test_who_comes_does_not_overtake() -> None:
    """A request that comes when there is room again goes behind those who wait."""
    bench = Bench()
    for name in "abcde":
        await bench.come(name, MINUTE)
    await asyncio.sleep(59.9999)

    loop = asyncio.get_running_loop()
    late: list[asyncio.Task[None]] = []
    loop.call_at(60, lambda: late.append(asyncio.create_task(bench.come("late", MINUTE))))
    await asyncio.sleep(1)
    await late[0]

    assert [name for name, _, _ in await bench.all()] == ["a", "b", "c", "d", "e", "late"]


@virtually
async def test_no_more_than_queue_wait() -> None:
    """W-096: a line has `queue` places; who finds none is refused, told when the next is served."""
    bench = Bench()
    for name in "abcdefgh":
        await bench.come(name, MINUTE)

    await asyncio.sleep(20)
    refused = bench.decisions["h"]
    await bench.come("i", MINUTE)

    assert bench.told[2:] == [("h", 0, False), ("i", 20, False)]
    assert (refused.refused, refused.code) == (MINUTE, HouseCode.CAPACITY_EXHAUSTED)
    assert (refused.retry_after, bench.decisions["i"].retry_after) == (60, 40)
    assert refused.charges == []
    assert refused.standings == ((0, 60 * SECOND),)


@virtually
async def test_no_longer_than_wait() -> None:
    """W-096: who is not served within `wait` is refused then, with the time that is left."""
    bench = Bench()
    for name in "ab":
        await bench.come(name, SLOTS, HOUR)

    assert await bench.all() == [("a", 0, True), ("b", 10, False)]
    assert bench.decisions["b"].refused == SLOTS
    assert bench.decisions["b"].retry_after == 1


@virtually
async def test_who_stands_behind_waits_no_longer_either() -> None:
    """The second in line leaves when its time is up, and the third moves up."""
    bench = Bench()
    first = await bench.ask("a", SLOTS)
    await bench.come("b", SLOTS)
    await asyncio.sleep(1)
    await bench.come("c", SLOTS)
    await asyncio.sleep(8.5)
    bench.tasks["b"].cancel()
    await asyncio.sleep(1)
    await bench.come("d", SLOTS)
    await asyncio.sleep(0.75)

    bench.queue.release(first)
    await settle()

    assert bench.told == [("a", 0, True), ("c", 11, False), ("d", 11.25, True)]


@virtually
async def test_behind_a_patient_head() -> None:
    """One whose own `wait` is shorter leaves before its turn has come."""
    bench = Bench()
    hasty = vendor_limit(requests=2, per="minute", wait="30s")
    for name in "abc":
        await bench.come(name, MINUTE)

    await bench.come("d", hasty)
    await asyncio.sleep(31)

    assert bench.told[2:] == [("d", 30, False)]
    assert bench.decisions["d"].retry_after == 30


@virtually
async def test_who_cannot_be_served_in_time_is_refused_at_once() -> None:
    """Where the room is known to come too late, waiting helps nobody."""
    bench = Bench()
    short = vendor_limit(requests=1, per="minute", wait="59s")
    await bench.ask("a", short)

    await bench.ask("b", short)
    await asyncio.sleep(1)
    await bench.ask("c", short)

    assert bench.told[1:] == [("b", 0, False), ("c", 60, True)]
    assert bench.decisions["b"].retry_after == 60


@virtually
async def test_a_slot_that_comes_back_is_had_at_once() -> None:
    """The next in line goes when a request is over, not when it would have looked again."""
    bench = Bench()
    first = await bench.ask("a", SLOTS)
    await bench.come("b", SLOTS)
    await bench.come("c", SLOTS)
    await asyncio.sleep(0.25)

    bench.queue.release(first)
    await settle()
    await asyncio.sleep(0.25)
    bench.queue.release(bench.decisions["b"])
    await settle()

    assert bench.told == [("a", 0, True), ("b", 0.25, True), ("c", 0.5, True)]


@virtually
async def test_a_charge_that_comes_back_is_had_at_once() -> None:
    """What was given back is the next one's."""
    bench = Bench()
    first = await bench.ask("a", MINUTE)
    for name in "bc":
        await bench.come(name, MINUTE)
    await asyncio.sleep(5)

    bench.queue.give_back(first)
    bench.queue.release(first)
    await settle()

    assert bench.told == [("a", 0, True), ("b", 0, True), ("c", 5, True)]


@virtually
async def test_slots_of_another_process_are_polled() -> None:
    """A slot that another process gives back is seen within the poll."""
    store = Memory()
    bench = Bench(store)
    bench.queue = Queue(store, clock, poll=SECOND // 20)
    elsewhere = await store.take((SLOTS,), keys((SLOTS,)), clock())
    await bench.come("a", SLOTS)
    await asyncio.sleep(3.01)

    store.release(elsewhere)

    assert await bench.all() == [("a", 3.05, True)]


@virtually
async def test_who_leaves_frees_its_place() -> None:
    """RC-82: a caller that hangs up while it waits leaves no place taken, no charge, and the next moves up."""
    bench = Bench()
    first = await bench.ask("a", SLOTS, HOUR)
    for name in "bcd":
        await bench.come(name, SLOTS, HOUR)
    await bench.come("full", SLOTS, HOUR)

    for name in "bc":
        bench.tasks.pop(name).cancel()
    await settle()
    assert bench.queue.waiting(keys((SLOTS,))[0]) == 1
    await bench.come("e", SLOTS, HOUR)
    await asyncio.sleep(1)
    bench.queue.release(first)
    await settle()

    assert bench.told == [("a", 0, True), ("full", 0, False), ("d", 1, True)]
    assert (await bench.store.look((HOUR,), keys((HOUR,)), clock()))[0][0] == 1
    bench.queue.release(bench.decisions["d"])
    assert (await bench.all())[-1] == ("e", 1, True)


@virtually
async def test_each_caller_has_its_own_line() -> None:
    """W-096: FIFO for each key; one caller's line does not keep another waiting."""
    bench = Bench()
    for name in ("a1", "a2", "a3", "b1", "a4", "b2"):
        await bench.come(name, FAIR, caller=name[0])

    assert await bench.all() == [
        ("a1", 0, True),
        ("b1", 0, True),
        ("a4", 0, False),
        ("a2", 60, True),
        ("b2", 60, True),
        # The minute of a2 lasts longer than a3 may wait.
        ("a3", 60, False),
    ]


@virtually
async def test_who_waited_at_one_limit_may_have_to_wait_at_another() -> None:
    """A request that gets a slot too late for the hour waits for the hour, and keeps nobody from the slot."""
    bench = Bench()
    long = vendor_limit(name="slots", in_flight=1, wait="10m")
    first = await bench.ask("a", long)
    for _ in range(3):
        await bench.ask("h", HOUR)
    del bench.told[:]
    await bench.come("both", long, HOUR)
    await bench.come("slot", long)
    await asyncio.sleep(5)

    bench.queue.release(first)
    await settle()
    assert bench.told == [("slot", 5, True)]
    bench.queue.release(bench.decisions["slot"])

    assert (await bench.all())[1:] == [("both", 3600, True)]


@virtually
async def test_where_one_would_have_to_wait_next_there_may_be_no_place() -> None:
    """Who waits for a slot is refused when the hour is used up meanwhile, and the line for that is full."""
    bench = Bench()
    narrow = vendor_limit(name="hour", requests=1, per="hour", wait="2h", queue=1)
    await bench.ask("a", SLOTS)
    await bench.come("both", SLOTS, narrow)
    await bench.ask("b", narrow)
    await bench.come("c", narrow)

    await asyncio.sleep(1.5)

    assert bench.told == [("a", 0, True), ("b", 0, True), ("both", 1, False)]
    assert (bench.decisions["both"].refused, bench.decisions["both"].retry_after) == (narrow, 3599)
    assert (await bench.all())[-1] == ("c", 3600, True)


@virtually
async def test_who_waits_is_held_with_the_others() -> None:
    """Contract 11: a request that leaves the queue passes the hold again."""
    bench = Bench()
    for name in "abc":
        await bench.come(name, MINUTE, scope=SCOPE)
    await asyncio.sleep(50)

    bench.store.learn(SCOPE, HouseCode.VENDOR_RATE_LIMITED, 30 * SECOND, clock())

    assert await bench.all() == [("a", 0, True), ("b", 0, True), ("c", 60, False)]
    assert (bench.decisions["c"].code, bench.decisions["c"].retry_after) == (HouseCode.VENDOR_RATE_LIMITED, 20)


@virtually
async def test_a_hold_is_told_at_once_to_those_who_wait() -> None:
    """Contract 4: the hold comes before the limits, so nobody waits for a limit to be held then."""
    bench = Bench()
    for name in "abcd":
        await bench.come(name, MINUTE, scope=SCOPE)
    await asyncio.sleep(5)

    bench.queue.learn(SCOPE, HouseCode.VENDOR_RATE_LIMITED, 30 * SECOND, clock())
    await settle()

    assert bench.told[2:] == [("c", 5, False), ("d", 5, False)]
    assert bench.decisions["d"].retry_after == 30
    await asyncio.sleep(55)
    first, second = [await bench.ask(name, MINUTE, scope=SCOPE) for name in "ef"]
    assert (first.admitted, second.admitted) == (True, False)
    bench.queue.gone(first)
    third = await bench.ask("g", MINUTE, scope=SCOPE)
    bench.queue.answered(third, clock())
    assert third.admitted
    assert bench.store.holds(clock()) == []


@virtually
async def test_draining_lets_nobody_wait() -> None:
    """Contract 11: those who wait are told that the gateway stops, and so are those who would."""
    bench = Bench()
    for name in "abcd":
        await bench.come(name, MINUTE)

    bench.queue.drain()
    await settle()
    results = await asyncio.gather(*bench.tasks.values(), bench.ask("e", MINUTE), return_exceptions=True)

    assert [type(result) for result in results] == [Decision, Decision, Draining, Draining, Draining]
    assert bench.queue.waiting(keys((MINUTE,))[0]) == 0
    assert (await bench.ask("f", SLOTS)).admitted


class Broken(Memory):
    """A store that fails when it is asked again, after a pause, as one over the wire would."""

    asked = 0

    async def take(self, *asked: Any, **more: Any) -> Decision:  # noqa: ANN401  (whatever the store is asked)
        """As `Memory`, but for once."""
        await asyncio.sleep(0.01)
        self.asked += 1
        if self.asked == 3:
            raise ConnectionError("gone")
        return await super().take(*asked, **more)


@virtually
async def test_a_store_that_fails_leaves_no_line_blocked() -> None:
    """Whatever goes wrong at the head of a line, the next one asks."""
    bench = Bench(Broken())
    first = await bench.ask("a", SLOTS)
    for name in "bc":
        await bench.come(name, SLOTS)
        await asyncio.sleep(0.5)
    bench.queue.release(first)

    results = await asyncio.gather(*bench.tasks.values(), return_exceptions=True)

    assert [type(result) for result in results] == [ConnectionError, Decision]
    assert bench.told[-1][0] == "c"


@pytest.mark.parametrize("seed", range(5))
def test_a_crowd_is_served_in_order(seed: int) -> None:
    """W-096: whoever comes or hangs up, each line is served in order, within its time, and none over N."""
    random = Random(seed)
    limit = vendor_limit(requests=5, per="minute", wait="3m", queue=12)
    admitted: list[tuple[int, int]] = []
    order: list[int] = []

    async def one(bench: Bench, number: int) -> None:
        began = time()
        decision = await bench.ask(str(number), limit)
        waited = time() - began
        assert waited <= 180.01
        if decision.admitted:
            order.append(number)
            admitted.append((round(time() * SECOND), 1))
        bench.queue.release(decision)

    async def main() -> None:
        bench = Bench()
        tasks: list[asyncio.Task[None]] = []
        for number in range(400):
            tasks.append(asyncio.create_task(one(bench, number)))
            await asyncio.sleep(random.choice((0, 0, 1, 5, 30)))
            assert bench.queue.waiting(keys((limit,))[0]) <= 12
            if random.random() < 0.1:
                random.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert bench.queue.waiting(keys((limit,))[0]) == 0

    run(main)

    assert order == sorted(order)
    assert len(order) > 200
    assert worst(admitted, 60 * SECOND) <= 5
