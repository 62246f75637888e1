"""
Workers of one store that are killed again and again: run as a process of its own, which forks them.

    python -m tests.gateway.limits.hammer kill SECONDS FOLDER       random kills; prints what became of it as JSON
    python -m tests.gateway.limits.hammer redis URL FILE            one gateway on Redis, until it is killed
    python -m tests.gateway.limits.hammer instants STRIDE           one worker dies at each STRIDE-th line of a change

A worker writes each admission it got to a file of its own: the moment by the store's clock, and the cost (0: by its
share). One file: what is done to the workers, and how it is seen that all is right, belong together.
"""

import asyncio
import json
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from types import FrameType

from gateway.limits import SECOND, Decision, Limit, Moment, Scope, shared
from gateway.limits.ledger import Ledger
from gateway.limits.redis import Redis
from gateway.limits.segment import CELL_BYTES, SECRET
from gateway.limits.shares import Lent
from gateway.limits.table import BODY, FREE, FRESH, HIGH, LOW, NEXT, Table
from normalizers import HouseCode
from tests.gateway.limits.made import keys, vendor_limit

WORKERS = 3
ENTRY = struct.Struct("=qq")
SECONDLY = vendor_limit(name="secondly", requests=200, per="second")
MINUTE = vendor_limit(name="minute", requests=100_000, per="minute", cost=3)
FAIR = vendor_limit(name="fair", requests=60, per="second", by="caller")
CALLS = vendor_limit(name="calls", in_flight=8, cost=2)
MINE = vendor_limit(name="mine", in_flight=3, by="caller")
LIMITS = (SECONDLY, MINUTE, FAIR, CALLS, MINE)
CALLERS = "abcdefgh"
# What is done in several steps, each of which stands.
STEPWISE = {"keep", "forget"}
SCOPE = Scope("hold/pixii/route/submit", 30 * SECOND)


def now() -> Moment:
    """What time it is, for all processes of this machine."""
    return Moment(time.monotonic_ns() // 1000, time.time_ns() // 1000)


async def work(fd: int, number: int, log: int, seed: int) -> None:
    """Take, write down, hold for a moment, release; until killed."""
    random = Random(seed)
    store = shared.Shared(fd, number)
    await store.start()
    running: list[Decision] = []
    while True:
        decision = await store.take(LIMITS, keys(LIMITS, random.choice(CALLERS)), now(), SCOPE)
        if decision.admitted:
            os.write(log, ENTRY.pack(decision.now.steady, 1))
            running.append(decision)
            store.answered(decision, now())
        if running and random.random() < 0.7:
            store.release(running.pop(random.randrange(len(running))))
        if random.random() < 0.001:
            store.learn(SCOPE, HouseCode.VENDOR_RATE_LIMITED, 2000, now())
        if random.random() < 0.01:
            await store.look(LIMITS, keys(LIMITS, "a"), now())


def fork(shelf: shared.Shelf, number: int, folder: Path, seed: int) -> int:
    """A worker with that number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        log = os.open(folder / str(seed), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        asyncio.run(work(shelf.fd, number, log, seed))
    finally:
        os._exit(1)


def kill(seconds: float, folder: Path) -> None:
    """Kill workers at random instants, replace them, and see that all is right in the end."""
    random = Random(seconds)
    shelf = shared.create()
    seeds = iter(range(10**6))
    pids = [fork(shelf, number, folder, next(seeds)) for number in range(WORKERS)]
    began = time.monotonic()
    kills = 0
    most_taken = 0
    while time.monotonic() - began < seconds:
        time.sleep(random.uniform(0.0005, 0.006))
        number = random.randrange(WORKERS)
        os.kill(pids[number], signal.SIGKILL)
        _, status = os.waitpid(pids[number], 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, "a worker failed"
        kills += 1
        if random.random() < 0.5:
            # Else its successor says so.
            shelf.forget(number)
        most_taken = max(most_taken, *(taken for taken, _ in slots(shelf)))
        pids[number] = fork(shelf, number, folder, next(seeds))
    for number, pid in enumerate(pids):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        shelf.forget(number)
        shelf.forget(number)
    kills += len(pids)
    ended = now()
    store = shared.Shared(shelf.fd, 0)
    left = [each for each, _ in asyncio.run(store.look((CALLS, MINE, MINUTE), keys((CALLS, MINE, MINUTE)), ended))]
    sys.stdout.write(
        json.dumps(
            {
                "kills": kills,
                "seconds": time.monotonic() - began,
                "most_taken": most_taken,
                "slots_left": left[:2],
                "minute_used": (MINUTE.rule.count - left[2]) // 3,
                "wrong_sums": [pair for pair in slots(shelf) if pair[0] != pair[1]],
                "faults": faults(store._ledger),
            }
        )
    )


def slots(shelf: shared.Shelf) -> list[tuple[int, int]]:
    """Of each limit in flight: the slots taken, and the sum of what the workers have taken."""
    while not shelf._segment.enter(100):
        time.sleep(0.0001)
    ledger = shelf._ledger
    found = [(ledger._find(CALLS, CALLS.id))]
    pairs = [(place.body[0], sum(place.body[1:].tolist())) for place in found if place is not None]
    shelf._segment.leave()
    return pairs


def faults(ledger: Ledger) -> list[str]:
    """What is wrong with the tables."""
    found = []
    tables = [
        ledger._shared,
        ledger._holds,
        *(ledger._tables[number] for number in range(128) if ledger._in_use(number)),
    ]
    for table in tables:
        cells, base = ledger._segment.cells, table._base
        entries = table.entries()
        if len(entries) != table.used:
            found.append("the number of entries")
        if not all(table.find((cells[at + LOW], cells[at + HIGH])) == at for at in entries):
            found.append("an entry cannot be found")
        free, length = cells[base + FREE], 0
        while free:
            free, length = cells[free + NEXT], length + 1
        if length + len(entries) != cells[base + FRESH]:
            found.append("the free list")
    return found


def contents(store: shared.Shared) -> dict[object, object]:
    """All that the tables say."""
    ledger = store._ledger
    cells = ledger._segment.cells
    tables: list[Table] = [ledger._shared, ledger._holds, *ledger._tables[:3]]
    told: dict[object, object] = {
        (number, cells[at + LOW], cells[at + HIGH]): cells[at + BODY : at + BODY + 40].tolist()
        for number, table in enumerate(tables)
        for at in table.entries()
    }
    told["directory"] = [ledger._in_use(number) for number in range(3)]
    return told


Change = Callable[[], object]


def drive(coroutine: Coroutine[None, None, object]) -> None:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def changes(store: shared.Shared) -> dict[str, Change]:
    """What a worker may die in; the store is prepared for them."""
    start = Moment(10**9, 10**15)

    def take(caller: str, limits: tuple[Limit, ...] = LIMITS, at: int = 3) -> Decision:
        moment = Moment(start.steady + at * SECOND, start.wall + at * SECOND)
        return asyncio.run(store.take(limits, keys(limits, caller), moment, SCOPE))

    for caller in "abc":
        store.release(take(caller, at=0))
    store.learn(SCOPE, HouseCode.VENDOR_RATE_LIMITED, SECOND, start)
    first = take("a", at=2)
    later = Moment(start.steady + 3 * SECOND, start.wall + 3 * SECOND)
    wider = vendor_limit(name="secondly", requests=300, per="second")
    other = Scope("hold/pixii/route/poll", SECOND)

    def asked(caller: str, *limits: Limit) -> Change:
        return lambda: drive(store.take(limits, keys(limits, caller), later))

    return {
        "take as before": asked("a", *LIMITS),
        "take, and evict another caller": asked("z", *LIMITS),
        "take by a new rule": asked("a", wider, FAIR),
        "take by a new limit": asked("a", vendor_limit(name="new", requests=3, per="day", by="caller")),
        "release": lambda: store.release(first),
        "give back": lambda: store.give_back(first),
        "learn": lambda: store.learn(other, HouseCode.VENDOR_RATE_LIMITED, SECOND, later),
        "answered": lambda: store.answered(first, later),
        "keep": lambda: store.keep((SECONDLY, FAIR)),
        "forget": lambda: store._note(lambda: store._ledger.forget(0)),
    }


def fresh(name: str) -> tuple[shared.Shelf, shared.Shared, Change]:
    """A segment like all others here, a worker, and a change that it may make."""
    shelf = shared.create()
    os.pwrite(shelf.fd, bytes(range(16)), SECRET * CELL_BYTES)
    store = shared.Shared(shelf.fd, 0, keys_limit=3)
    asyncio.run(store.start())
    return shelf, store, changes(store)[name]


def instants(stride: int) -> None:
    """For each change: a worker that dies at its n-th line has made it, or has not."""
    lines = {}
    shelf, _, _ = fresh("keep")
    names = list(changes(shared.Shared(shelf.fd, 0)))
    shelf.close()
    for name in names:
        shelf, store, change = fresh(name)
        before = contents(store)
        change()
        whole = contents(store)
        shelf.close()
        number = 1
        while dies_at(name, number, before, whole):
            number += stride
        lines[name] = number
    sys.stdout.write(json.dumps(lines))


def dies_at(name: str, number: int, before: object, whole: object) -> bool:
    """Whether the change has so many lines; then a worker died there, and all was found right."""
    shelf, store, change = fresh(name)
    pid = os.fork()
    if not pid:
        # A fork shares the open file, and with it the lock; a worker has its own.
        os.dup2(os.open(f"/proc/self/fd/{shelf.fd}", os.O_RDWR), store._segment._file)
        lines = 0

        def trace(frame: FrameType, event: str, _: object) -> object:
            nonlocal lines
            if "gateway/limits" not in frame.f_code.co_filename:
                return None
            lines += event == "line"
            if lines == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)  # type: ignore[arg-type]
        change()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    survivor = shared.Shared(shelf.fd, 1, keys_limit=3)
    if not survivor._segment.enter():
        raise AssertionError(f"{name}: the lock is held after {number} lines")
    found = contents(survivor)
    wrong = faults(survivor._ledger)
    survivor._segment.leave()
    if wrong:
        raise AssertionError(f"{name}: after {number} lines {wrong}")
    if name in STEPWISE and found != whole:
        # What is done step by step is done in the end, when it is done again.
        change()
        found = contents(store)
        if found != whole:
            raise AssertionError(f"{name}: after {number} lines and again {found}")
    elif found not in (before, whole):
        raise AssertionError(f"{name}: after {number} lines {found}")
    asyncio.run(survivor.aclose())
    shelf.close()
    return os.WIFSIGNALED(status)


async def ask_redis(url: str, log: int) -> None:
    """Take as much as there is, and write down Redis's own time of each admission; until killed."""
    store = Redis(url)
    await store.start()
    limits = (SECONDLY, MINUTE, CALLS)
    while True:
        decision = await store.take(limits, keys(limits), now(), SCOPE)
        if decision.admitted:
            # A share's admissions are by another clock; Redis hears of them later.
            lent = isinstance(decision, Lent)
            os.write(log, ENTRY.pack(time.time_ns() // 1000 if lent else decision.marks[0], not lent))
            store.release(decision)
        # Leave the machine to the others, too: Redis has 50 ms for an answer.
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    if sys.argv[1] == "redis":
        asyncio.run(ask_redis(sys.argv[2], os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)))
    elif sys.argv[1] == "kill":
        kill(float(sys.argv[2]), Path(sys.argv[3]))
    else:
        instants(int(sys.argv[2]))
