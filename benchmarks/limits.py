"""
What a decision over three limits costs: in one process, and in memory that workers share.

    python -m benchmarks.limits

Ten thousand callers, each with a counter of its own beside two that all share. The cost of an empty call on the same
machine in the same run says how fast the machine is; the ratio to it moves little from one machine to the next.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

from gateway.admission import now
from gateway.limits import Limit, Memory, Moment, Queue, Store, of_caller, of_vendor, shared
from gateway.settings import LimitSettings

CALLERS = 10_000
ROUNDS = 7
# The goals, in microseconds.
GOALS = {"one process": 5.0, "shared memory": 12.0}


def limits(count: int) -> tuple[Limit, ...]:
    """A minute and a day that all share, and each caller's own minute."""
    day, minute = LimitSettings(requests=10**6 * count, per="day"), LimitSettings(requests=10**5 * count, per="minute")
    fair = LimitSettings(name="fair", requests=1000, per="minute", by="caller")
    return of_vendor("pixii", (minute, day, fair))


def empty(first: object, second: object, third: object) -> None:
    """Nothing."""


async def empty_too(first: object, second: object, third: object) -> None:
    """Nothing, awaited."""


def best(rounds: list[float], count: int) -> float:
    """The fastest round's microseconds of processor time a call: what else the machine did can only add."""
    return min(rounds) / count * 1e6


async def measure(take: Callable[[int, Moment], Awaitable[object]]) -> float:
    """Microseconds for each of ten thousand decisions, each for another caller."""
    rounds = []
    for _ in range(ROUNDS):
        moments = [now() for _ in range(CALLERS)]
        began = time.thread_time()
        for number in range(CALLERS):
            await take(number, moments[number])
        rounds.append(time.thread_time() - began)
    return best(rounds, CALLERS)


async def of_store(store: Store) -> dict[str, float]:
    """What the store takes to admit, to refuse, and to admit through the queue with all that follows."""
    await store.start()
    open_limits = limits(1)
    keys = [tuple(limit.key(f"caller-{number}") for limit in open_limits) for number in range(CALLERS)]
    queue = Queue(store, now)

    async def whole(number: int, _: Moment) -> None:
        decision = await queue.take(open_limits, keys[number])
        queue.release(decision)
        queue.gone(decision)

    admitted = await measure(lambda number, moment: store.take(open_limits, keys[number], moment))
    through = await measure(whole)
    full = (*open_limits, *of_caller("busy", [LimitSettings(name="full", requests=1, per="day")]))[-3:]
    full_keys = [tuple(limit.key(f"caller-{number}") for limit in full) for number in range(CALLERS)]
    await store.take(full, full_keys[0], now())
    refused = await measure(lambda number, moment: store.take(full, full_keys[number], moment))
    await store.aclose()
    return {"admitted": admitted, "refused": refused, "with queue and release": through}


async def main() -> dict[str, dict[str, float]]:
    """All of it, in microseconds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(CALLERS):
            empty(None, None, None)
        rounds.append(time.thread_time() - began)
    shelf = shared.create()
    try:
        return {
            "empty call": {
                "plain": best(rounds, CALLERS),
                "awaited": await measure(lambda a, b: empty_too(a, b, None)),
            },
            "one process": await of_store(Memory()),
            "shared memory": await of_store(shared.Shared(shelf.fd, 0)),
        }
    finally:
        shelf.close()


def report(found: dict[str, dict[str, float]]) -> str:
    """The numbers as a table, each with its ratio to an empty call."""
    unit = found["empty call"]["plain"]
    lines = [f"{CALLERS:,} callers, 3 limits, best of {ROUNDS}; an empty call takes {unit:.3f} µs"]
    for place, numbers in found.items():
        for what, microseconds in numbers.items():
            goal = f"   goal {GOALS[place]:g} µs" if place in GOALS and what == "admitted" else ""
            lines.append(f"  {place:14} {what:24} {microseconds:7.2f} µs  {microseconds / unit:6.0f} times{goal}")
    return "\n".join(lines)


if __name__ == "__main__":
    measured = asyncio.run(main())
    sys.stdout.write((json.dumps(measured) if "--json" in sys.argv[1:] else report(measured)) + "\n")
