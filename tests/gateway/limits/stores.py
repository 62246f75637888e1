"""Every store there is, behind one interface for tests: what is asked, and what time it is."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from unittest.mock import patch

from gateway.limits import Decision, Limit, Memory, Moment, Scope, Store, shared
from gateway.limits.redis import Redis, link
from tests.gateway.limits.made import WALL, at, keys
from tests.gateway.limits.redis_server import PATIENCE_SECONDS, RedisServer


async def nothing() -> None:
    """There is nothing to wait for."""


async def no_clock(_now: Moment) -> None:
    """The store has no clock of its own."""


# How far Redis's clock is ahead, in microseconds: a day, so that windows end when they would here.
AHEAD = 86_400_000_000
# The script as it is, but for the clock.
SCRIPT_BY_TEST_CLOCK = link.SCRIPT.replace("redis.call('TIME')", "{ 0, redis.call('GET', '{errgate}:clock') }")


class Steady:
    """The clocks of one machine: whatever is done to the other one, the steady one is never put back."""

    def __init__(self) -> None:
        self._latest = 0

    def __call__(self, seconds: float) -> Moment:
        """As `at`, and never before."""
        now = at(seconds)
        self._latest = max(self._latest, now.steady)
        return Moment(self._latest, now.wall)


@dataclass
class Bench:
    """One store, and the time; `settle` waits until everything is noted, `tell` puts the store's own clock right."""

    store: Store
    settle: Callable[[], Awaitable[None]] = nothing
    tell: Callable[[Moment], Awaitable[None]] = no_clock
    clocks: Callable[[float], Moment] = at

    async def at(self, seconds: float) -> Moment:
        """A moment so many seconds after the beginning, which it is now."""
        now = self.clocks(seconds)
        await self.settle()
        await self.tell(now)
        return now

    async def ask(
        self, *limits: Limit, now: float = 0, caller: str = "billing", scope: Scope | None = None
    ) -> Decision:
        """One request."""
        return await self.store.take(limits, keys(limits, caller), await self.at(now), scope)

    async def left(self, *limits: Limit, now: float = 0, caller: str = "billing") -> list[int]:
        """What each limit has left."""
        return [number for number, _ in await self.store.look(limits, keys(limits, caller), await self.at(now))]


@asynccontextmanager
async def memory(**sizes: int) -> AsyncIterator[Bench]:
    """The store of one process."""
    yield Bench(Memory(**sizes))


@asynccontextmanager
async def workers(**sizes: int) -> AsyncIterator[Bench]:
    """The store of several workers, of which this is one."""
    shelf = shared.create()
    store = shared.Shared(shelf.fd, 0, **sizes)
    await store.start()
    yield Bench(store, clocks=Steady())
    await store.aclose()
    shelf.close()


@asynccontextmanager
async def gateways() -> AsyncIterator[Bench]:
    """The store of several gateways, of which this is one; Redis's clock is the test's, and a day ahead of ours."""
    # On a busy machine Redis may need longer than one should wait for it.
    patient = patch("gateway.limits.redis.PATIENCE_SECONDS", 5.0)
    with RedisServer() as server, patch.object(link, "SCRIPT", SCRIPT_BY_TEST_CLOCK), patient:
        client = server.client()
        moment = at(0)
        store = Redis(server.url)
        store._clock = lambda: moment

        async def tell(now: Moment) -> None:
            nonlocal moment
            # The name of a gateway that sleeps that long is not known any more, but here nobody sleeps.
            moment = now
            client.set("{errgate}:clock", now.steady + WALL + AHEAD)
            client.zadd("{errgate}:gateways", {store._name: now.steady + WALL + AHEAD})

        async def settle() -> None:
            while store._link is not None and store._link.waits_since() < math.inf:  # noqa: ASYNC110
                await asyncio.sleep(0)

        client.set("{errgate}:clock", WALL + AHEAD)
        await store.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not store.up:  # noqa: ASYNC110  (the store tells nobody)
                await asyncio.sleep(0.005)
        yield Bench(store, settle, tell)
        await store.aclose()


STORES = {"memory": memory, "workers": workers, "gateways": gateways}
