"""Every store there is, behind one interface for tests: what is asked, and what time it is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.limits import Decision, Limit, Memory, Moment, Scope, Store, shared
from tests.gateway.limits.made import at, keys


async def nothing() -> None:
    """There is nothing to wait for."""


async def no_clock(_now: Moment) -> None:
    """The store has no clock of its own."""


@dataclass
class Bench:
    """One store, and the time; `settle` waits until everything is noted, `tell` puts the store's own clock right."""

    store: Store
    settle: Callable[[], Awaitable[None]] = nothing
    tell: Callable[[Moment], Awaitable[None]] = no_clock

    async def at(self, seconds: float) -> Moment:
        """A moment so many seconds after the beginning, which it is now."""
        await self.settle()
        await self.tell(at(seconds))
        return at(seconds)

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
    yield Bench(store)
    await store.aclose()
    shelf.close()


STORES = {"memory": memory, "workers": workers}
