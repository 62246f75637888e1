"""Where limits are counted: one interface for a process, several workers and several gateways (W-094)."""

from typing import Protocol

from normalizers import HouseCode

from .decision import Decision
from .hold import Scope
from .limit import Limit
from .rule import Moment, Standing


class Store(Protocol):
    """
    What a gateway asks of a store.

    Only `take` and `look` may wait. A `take` that is cancelled charges nothing in the end. The others return at once,
    so that they can stand on every exit path; each is called once for a decision, and whatever it cannot undo any more
    (the window is over, the store was flushed) is left as it is.
    """

    async def take(
        self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment, scope: Scope | None = None
    ) -> Decision:
        """
        Decide, and charge all limits or none (W-090).

        `keys` are the limits' `key(caller)`. `scope` is what a hold would hold; None: holds are ignored. A store with a
        clock of its own may use that instead of `now`.
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
