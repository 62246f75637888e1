"""
The store of several workers: one count, whoever dies, and whoever is stopped.

One file: every test starts workers over one segment, and asks what is left when one of them is gone.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.limits import SECOND, Decision, Limit, Moment, Scope, shared
from gateway.limits.ledger import KEYED, KEYED_STRIDE, SHARED, Full
from gateway.limits.segment import CELL_BYTES, END, HOLDER, JOURNAL_END, Segment
from gateway.limits.shares import Lent
from normalizers import HouseCode
from tests.gateway.limits.hammer import ENTRY, SECONDLY, faults
from tests.gateway.limits.made import at, keys, vendor_limit
from tests.gateway.limits.true_log import worst

ROOT = Path(__file__).parents[3]
RATE = HouseCode.VENDOR_RATE_LIMITED
MINUTE = vendor_limit(requests=6, per="minute")
TODAY = vendor_limit(name="today", requests=6, per="day", window="calendar")
CALLS = vendor_limit(name="calls", in_flight=4)
FAIR = vendor_limit(name="fair", requests=2, per="minute", by="caller")
MINE = vendor_limit(name="mine", in_flight=1, by="caller")
SCOPE = Scope("hold/pixii/limits/minute", 30 * SECOND)

Start = Callable[..., Awaitable[shared.Shared]]


@pytest.fixture
def shelf() -> Iterator[shared.Shelf]:
    """What the supervisor has."""
    shelf = shared.create()
    yield shelf
    shelf.close()


@pytest.fixture
async def worker(shelf: shared.Shelf) -> AsyncIterator[Start]:
    """Start a worker with a number."""
    started = []

    async def start(number: int, **sizes: int) -> shared.Shared:
        store = shared.Shared(shelf.fd, number, **sizes)
        await store.start()
        started.append(store)
        return store

    yield start
    for store in started:
        await store.aclose()


async def ask(
    store: shared.Shared, *limits: Limit, now: float = 0, caller: str = "billing", scope: Scope | None = None
) -> Decision:
    """One request."""
    return await store.take(limits, keys(limits, caller), at(now), scope)


async def left(store: shared.Shared, *limits: Limit, now: float = 0, caller: str = "billing") -> list[int]:
    """What each limit has left."""
    return [number for number, _ in await store.look(limits, keys(limits, caller), at(now))]


def hammer(*arguments: str) -> dict[str, Any]:
    """What a run of the hammer found."""
    command = [sys.executable, "-m", "tests.gateway.limits.hammer", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


# One count.


async def test_two_workers_count_together(worker: Start) -> None:
    """W-094: what one worker takes the other has not, and what one gives back the other has; so with holds."""
    one, other = await worker(0), await worker(1)
    decisions = [await ask(store, MINUTE, CALLS, FAIR) for store in (one, other)]

    assert not (await ask(one, FAIR)).admitted
    assert await left(other, MINUTE, CALLS) == [4, 2]
    one.release(decisions[0])
    one.give_back(decisions[0])
    assert await left(other, MINUTE, CALLS, FAIR) == [5, 3, 1]

    one.learn(SCOPE, RATE, 3 * SECOND, at(0))
    assert (await ask(other, scope=SCOPE, now=1)).retry_after == 2
    decisions[1].scope = SCOPE
    assert other.since(decisions[1], at(1)) is not None
    first = await ask(other, scope=SCOPE, now=3)
    assert not (await ask(one, scope=SCOPE, now=3)).admitted
    other.answered(first, at(4))
    assert (await ask(one, scope=SCOPE, now=4)).admitted
    assert (one.calm, other.calm, one.about()) == (True, True, {"kind": "workers", "workers": 2})


async def test_workers_meet_new_settings_one_after_the_other(worker: Start) -> None:
    """Contract 3: during a reload one worker goes by the new limit, one by the old, and neither loses a count."""
    one, other = await worker(0), await worker(1)
    wider = vendor_limit(requests=200, per="minute", margin="1s")
    decisions = [await ask(one, MINUTE, CALLS), await ask(other, wider, CALLS), await ask(one, MINUTE, CALLS)]
    assert await left(other, wider, vendor_limit(name="calls", in_flight=9)) == [197, 6]
    one.keep((MINUTE, CALLS))
    other.keep((wider, CALLS))

    for store, decision in zip((one, other, one), decisions, strict=True):
        store.release(decision)
        store.give_back(decision)

    assert await left(one, CALLS) == [4]
    assert await left(other, wider) >= [197]


async def test_limits_that_are_gone_make_room(worker: Start, shelf: shared.Shelf) -> None:
    """Counters of limits that a reload took away are forgotten, and their memory is given back."""
    store = await worker(0)
    running = await ask(store, MINUTE, FAIR, CALLS, MINE)
    for number in range(200):
        await ask(store, MINE, caller=str(number))
    size = os.fstat(shelf.fd).st_blocks

    store.keep((MINUTE, FAIR))
    store.release(running)

    assert os.fstat(shelf.fd).st_blocks < size
    assert await left(store, MINUTE, FAIR, CALLS, MINE) == [5, 1, 4, 1]
    assert (await ask(store, MINE, vendor_limit(name="other", in_flight=1, by="caller"))).admitted
    assert faults(store._ledger) == []


async def test_decisions_are_in_order(worker: Start) -> None:
    """Who looks at the clock first may have the lock last: its decision is no older than the one before it (W-091)."""
    first, second = await worker(0), await worker(1)
    once = vendor_limit(name="once", requests=1, per="minute")
    rarely = vendor_limit(name="rarely", requests=1, per="hour", by="caller")
    before = await ask(first, once, rarely)
    # Refused, and sees that the window of `once` is over.
    refused = await ask(first, once, rarely, now=60)

    late = await ask(second, once, rarely, now=59.999_997, caller="shop")

    assert (before.admitted, refused.admitted, late.admitted) == (True, False, True)
    assert late.now.steady - before.now.steady == 60 * SECOND


# Bounds.


async def test_the_table_of_callers_is_bounded(worker: Start) -> None:
    """RC-72, F-84, W-095: a limit remembers so many callers; who was charged longest ago makes room."""
    store = await worker(0, keys_limit=100)
    for number in range(1000):
        await ask(store, FAIR, caller=str(number), now=number / 1000)

    assert [await left(store, FAIR, caller=str(number), now=1) for number in (999, 900, 899)] == [[1], [1], [2]]
    assert store._ledger._tables[0].used == 100
    assert faults(store._ledger) == []


async def test_what_expired_makes_room_first(worker: Start) -> None:
    """Two that expired go for each that comes, so the table shrinks; who is active stays."""
    store = await worker(0, keys_limit=100)
    for number in range(60):
        await ask(store, FAIR, caller=str(number))
    await ask(store, FAIR, caller="active", now=59)

    for number in range(100, 140):
        await ask(store, FAIR, caller=str(number), now=60.5)

    assert store._ledger._tables[0].used == 41
    assert await left(store, FAIR, caller="active", now=60.5) == [1]


async def test_who_takes_slots_is_not_forgotten(worker: Start) -> None:
    """A caller with requests under way keeps its counter; where all have, one more is lent a share and its slot."""
    store = await worker(0, keys_limit=3)
    running = [await ask(store, MINE, caller=str(number)) for number in range(3)]

    assert not any([(await ask(store, MINE, caller=str(number))).admitted for number in range(3)])
    more = await ask(store, MINE, caller="more")
    assert (more.admitted, isinstance(more, Lent), store.errors) == (True, True, 1)
    assert not (await ask(store, MINE, caller="more")).admitted
    for decision in (*running, more):
        store.release(decision)

    assert store._ledger._tables[0].used == 0
    assert (await ask(store, MINE, caller="more")).admitted


async def test_the_table_of_holds_is_bounded(worker: Start) -> None:
    """Holds of ever new credentials: those that ended go, else those that end first; a long key is told in part."""
    store = await worker(0, holds_limit=20)
    for number in range(30):
        store.learn(Scope(f"s{number}", SECOND), RATE, (100 + number) * SECOND, at(0))
    assert {holding.key for holding in store.holds(at(1))} == {f"s{number}" for number in range(10, 30)}

    store.learn(Scope("hold/pixii/" + "é" * 300, SECOND), RATE, SECOND, at(200))

    (holding,) = store.holds(at(200.5))
    assert holding.key.startswith("hold/pixii/éé")
    assert len(holding.key) > 150


async def test_more_limits_than_there_is_room_for(worker: Start) -> None:
    """A limit for which no table is left is kept by each worker's share, and nothing half done stays."""
    store, _ = await worker(0), await worker(1)
    limits = [vendor_limit(name=f"limit{number}", requests=2, per="minute", by="caller") for number in range(130)]

    decisions = [await ask(store, MINUTE, limit, now=60 * number) for number, limit in enumerate(limits)]

    assert [isinstance(decision, Lent) for decision in decisions] == [False] * 128 + [True] * 2
    assert not (await ask(store, limits[129], now=60 * 129)).admitted
    assert (store.errors, store.up) == (3, True)
    assert await left(store, MINUTE, now=60 * 129) == [6]


async def test_places_are_found_again(worker: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker remembers where so many counters lie; those it has forgotten are found, and count on."""
    monkeypatch.setattr("gateway.limits.ledger.PLACES_LIMIT", 3)
    store = await worker(0)
    decisions = [await ask(store, FAIR, MINE, caller=str(number)) for number in range(10)]

    for decision in decisions:
        store.release(decision)
        store.give_back(decision)

    assert [await left(store, FAIR, MINE, caller=str(number)) for number in range(10)] == [[2, 1]] * 10
    assert len(store._ledger._places) <= 3


def test_a_change_larger_than_the_journal(shelf: shared.Shelf) -> None:
    """What cannot be undone is not begun."""
    segment = Segment(shelf.fd)
    assert segment.enter()

    with pytest.raises(MemoryError):
        segment.save(0, segment.cells[: JOURNAL_END + 1])

    assert segment.cells[END] == 0
    segment.leave()
    segment.close()


async def test_a_rule_that_fails_changes_nothing(worker: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in the middle of a decision neither keeps the lock nor half a charge."""
    store = await worker(0)
    await ask(store, MINUTE, TODAY)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(TODAY.rule), "charge", fail)
    with pytest.raises(ZeroDivisionError):
        await ask(store, MINUTE, TODAY)

    assert await left(store, MINUTE, TODAY) == [5, 5]


def test_a_window_that_is_told_too_late() -> None:
    """What another process counted in a window older than all that are kept changes nothing."""
    rule = TODAY.rule
    cells = [0] * rule.cells
    for day in range(1, 5):
        rule.charge(cells, 1, 0, day * 86_400 * SECOND)
    before = cells.copy()

    rule.adopt(cells, [(0, 1)])

    assert cells == before


# Who dies.


async def test_slots_of_a_dead_worker_come_back_once(worker: Start, shelf: shared.Shelf) -> None:
    """A worker that was killed holds no slot and no first request, however often that is said; the others' stay."""
    dead, other = await worker(0), await worker(1)
    dead.learn(SCOPE, RATE, SECOND, at(0))
    assert (await ask(dead, CALLS, MINE, caller="a", scope=SCOPE, now=1)).token
    await ask(dead, CALLS, MINE, caller="b")
    running = await ask(other, CALLS, MINE, caller="c")
    assert await left(other, CALLS) == [1]

    shelf.forget(0)
    shelf.forget(0)
    successor = await worker(0)

    assert await left(successor, CALLS) == [3]
    assert (await ask(successor, MINE, caller="a", scope=SCOPE, now=2)).token
    other.release(running)
    assert await left(other, CALLS) == [4]
    assert other.about() == {"kind": "workers", "workers": 2}


async def test_a_successor_brings_the_slots_back(worker: Start) -> None:
    """Where the supervisor could not say so, the worker with the dead one's number does, before its first request."""
    await ask(await worker(0), CALLS)

    assert await left(await worker(0), CALLS) == [4]


def test_whoever_dies_at_any_line_leaves_no_half_change() -> None:
    """A worker killed at any line of a decision, a release, a reload: done or not done, no lock held, tables whole."""
    lines = hammer("instants", "11")

    assert min(lines.values()) > 50


@pytest.mark.alone
def test_workers_are_killed_again_and_again(tmp_path: Path) -> None:
    """Three workers, killed many times at random instants: never over N, the slots come back, none counts twice."""
    found = hammer("kill", "2.5", str(tmp_path))
    log = [entry for file in tmp_path.iterdir() for entry in whole_entries(file.read_bytes())]

    assert found["kills"] > 10
    assert found["faults"] == found["wrong_sums"] == []
    assert found["slots_left"] == [8, 3]
    assert found["most_taken"] <= 8
    assert worst(log, SECOND) <= SECONDLY.rule.count
    assert len(log) >= 0.98 * SECONDLY.rule.count * int(found["seconds"] - 0.5)
    # One that dies between a charge and its line in the log is charged all the same.
    assert len(log) <= found["minute_used"] <= len(log) + found["kills"]


def whole_entries(log: bytes) -> list[tuple[int, int]]:
    """The admissions that a worker wrote down."""
    return list(ENTRY.iter_unpack(log[: len(log) // ENTRY.size * ENTRY.size]))


# Who is stopped.


STOPPED = """
import os, signal, sys
from gateway.limits.segment import Segment
segment = Segment(int(sys.argv[1]))
while not segment.enter(): pass
segment.save(0, segment.cells[0:1])
os.kill(os.getpid(), signal.SIGSTOP)
segment.leave()
sys.stdin.read()
"""


@pytest.fixture
def stopped(shelf: shared.Shelf) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a process that is stopped while it holds the lock."""
    started = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", STOPPED, str(shelf.fd)]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=(shelf.fd,), stdin=subprocess.PIPE)
        started.append(process)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def now() -> Moment:
    """What time it is."""
    return Moment(time.monotonic_ns() // 1000, time.time_ns() // 1000)


async def test_a_stopped_worker_stops_nobody(
    worker: Start, stopped: Callable[[], subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    """While the one that holds the lock is stopped, each worker admits its share, and all of it counts afterwards."""
    store, _ = await worker(0), await worker(1)
    limits = (MINUTE, CALLS, TODAY)
    before = await store.take(limits, keys(limits), now())
    process = stopped()

    # Away: half of six, of which none was noted; half of four slots, of which one is taken.
    lent = [await store.take(limits, keys(limits), now()) for _ in range(2)]
    assert [(decision.admitted, isinstance(decision, Lent)) for decision in lent] == [(True, True), (False, True)]
    assert (lent[1].refused or MINUTE).name == "calls"
    assert not store.up
    assert store.errors == 2
    store.release(before)
    lent.append(await store.take(limits, keys(limits), now()))
    assert lent[2].admitted
    store.give_back(lent[2])
    store.release(lent[2])
    assert [number for number, _ in await store.look(limits, keys(limits), now())] == [2, 1, 2]
    store.answered(lent[2], now())
    store.gone(lent[2])
    store.learn(SCOPE, RATE, 60 * SECOND, now())
    assert (await store.take((), (), now(), SCOPE)).held is not None
    assert [holding.key for holding in store.holds(now())] == [SCOPE.key]
    before.scope = SCOPE
    assert store.since(before, now()) is not None

    # Back.
    process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(20):
        while not store.up:
            await store.look(limits, keys(limits), now())
            await asyncio.sleep(0.005)

    assert [number for number, _ in await store.look(limits, keys(limits), now())] == [4, 3, 4]
    assert not (await store.take((), (), now(), SCOPE)).admitted
    store.give_back(lent[0])
    store.release(lent[0])
    assert [number for number, _ in await store.look(limits, keys(limits), now())] == [5, 4, 5]


async def test_what_could_not_be_noted_is_noted_later(
    worker: Start, stopped: Callable[[], subprocess.Popen[bytes]]
) -> None:
    """A slot that comes back while the lock cannot be had is back once it can, without anybody asking."""
    store = await worker(0)
    first, second = await ask(store, CALLS), await ask(store, CALLS)
    process = stopped()

    store.release(first)
    store.release(second)
    await asyncio.sleep(0.01)
    process.kill()
    async with asyncio.timeout(20):
        while store._late:  # noqa: ASYNC110  (the store tells nobody)
            await asyncio.sleep(0.005)

    assert await left(store, CALLS) == [4]


async def test_after_the_end_nothing_is_touched(shelf: shared.Shelf) -> None:
    """What a request that was cut off gives back after the end touches no descriptor that may be another's by then."""
    store = shared.Shared(shelf.fd, 0)
    await store.start()
    running = await ask(store, CALLS)
    await store.aclose()

    store.release(running)

    assert not store._late
    shelf.forget(0)


async def test_a_slow_worker_is_waited_for(worker: Start, shelf: shared.Shelf) -> None:
    """One that holds the lock and runs, on a machine too busy for it, is no reason to count apart."""
    store = await worker(0)
    busy = Segment(shelf.fd)
    assert busy.enter()
    asyncio.get_running_loop().call_later(0.15, busy.leave)

    decision = await ask(store, MINUTE)

    assert (decision.admitted, isinstance(decision, Lent), store.up) == (True, False, True)
    # It is charged when it was decided, not when it was asked.
    assert decision.now.steady >= 0.1 * SECOND
    busy.close()


def test_the_supervisor_waits_for_nobody(shelf: shared.Shelf) -> None:
    """A lock that cannot be had keeps the supervisor only for a moment; the dead worker's successor will see to it."""
    busy = Segment(shelf.fd)
    assert busy.enter()

    shelf.forget(0)

    busy.leave()
    busy.close()


async def test_two_deaths_at_once(worker: Start, shelf: shared.Shelf) -> None:
    """The supervisor may say of several workers at once, in threads of its own, that they are dead."""
    stores = [await worker(number) for number in range(8)]
    several = vendor_limit(name="several", in_flight=1000, by="caller")
    for number in range(200):
        await ask(stores[number % 8], several, caller=str(number % 20))

    await asyncio.gather(*(asyncio.to_thread(shelf.forget, number) for number in range(8)))

    assert [await left(stores[0], several, caller=str(number)) for number in range(20)] == [[1000]] * 20
    assert faults(stores[0]._ledger) == []


def test_a_process_that_is_gone_is_not_stopped(shelf: shared.Shelf) -> None:
    """A holder of which the system knows nothing has left the lock."""
    segment = Segment(shelf.fd)
    segment.cells[HOLDER] = 2**22 + 1

    assert not segment.is_stopped()
    segment.close()


def test_the_segment_costs_what_is_used(shelf: shared.Shelf) -> None:
    """The segment is large from the start, and takes memory only where it was written to."""
    assert os.fstat(shelf.fd).st_size == (KEYED + 128 * KEYED_STRIDE) * CELL_BYTES
    assert os.fstat(shelf.fd).st_blocks * 512 < 128 * 1024
    assert SHARED * CELL_BYTES % 4096 == KEYED_STRIDE * CELL_BYTES % 4096 == 0
    assert issubclass(Full, Exception)
