"""Where limits are counted: one interface for a process, several workers and several gateways (W-094)."""

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

from normalizers import HouseCode

from .decision import Decision
from .hold import Held, Scope
from .limit import Limit
from .rule import Moment, Standing


class Holding(NamedTuple):
    """A hold that is on: the key of its scope, how it answers, and whether a request has gone first."""

    key: str
    held: Held
    first: bool


class Store(Protocol):
    """
    What a gateway asks of a store.

    Only `take`, `look`, `start` and `aclose` may wait. A `take` that is cancelled charges nothing in the end. The
    others return at once, so that they can stand on every exit path; each is called once for a decision, and whatever
    it cannot undo any more (the window is over, the store was flushed) is left as it is.
    """

    @property
    def up(self) -> bool:
        """Whether the store enforces the whole N; false: it is away, and `when_away` applies."""

    @property
    def errors(self) -> int:
        """How often, since the start, this process asked the store and got no answer in time."""

    @property
    def calm(self) -> bool:
        """Whether certainly no hold is on: a request that no limit covers then goes unasked."""

    async def start(self) -> None:
        """Called once, in the event loop, before the first request; one that is away then does not fail."""

    async def aclose(self) -> None:
        """Called once, after the last request."""

    async def take(
        self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment, scope: Scope | None = None
    ) -> Decision:
        """
        Decide, and charge all limits or none (W-090).

        `keys` are the limits' `key(caller)`. `scope` is what a hold would hold; None: holds are ignored. A store with a
        clock of its own may decide by that, but what the decision tells (`now`, `free_at`, `held.until`) is by the
        clock of `now`.
        """

    def since(self, decision: Decision, now: Moment) -> Held | None:
        """
        How an admitted request is held by what this process has learned since the decision; None: it may be sent.

        Asked when its connection is there: by then a 429 to another request may have come (`hold.since`).
        """

    def give_back(self, decision: Decision) -> None:
        """Undo the charges of the windows: the request never got a connection."""

    def release(self, decision: Decision) -> None:
        """Give the slots back: the request is over, however (W-097)."""

    def learn(self, scope: Scope, code: HouseCode, lasts: int, now: Moment) -> None:
        """Hold the scope for that many microseconds, after a reply of the vendor: as `hold.lasts` says (W-093)."""

    def answered(self, decision: Decision, now: Moment) -> None:
        """A reply has come; called after `learn`, if it is one that holds."""

    def gone(self, decision: Decision) -> None:
        """The request is over. Where `answered` came before, this changes nothing."""

    async def look(self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment) -> tuple[Standing, ...]:
        """What is left of each limit, charging nothing."""

    def holds(self, now: Moment) -> list[Holding]:
        """The holds that are on, as far as this process knows."""

    def keep(self, limits: Collection[Limit]) -> None:
        """A reload is in force: these are all the limits there are now; counters of others may be forgotten."""

    def about(self) -> Mapping[str, object]:
        """What `/-/status` says of it: `kind` (`process`, `workers` or `redis`), and whatever else helps; no secret."""
