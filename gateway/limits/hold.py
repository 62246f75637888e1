"""
The hold: a pause learned from a vendor's 429 (contract 11, W-093).

It holds what the refused request shared with others, as long as the vendor said, within bounds. Then one request goes
first, and the others are refused until it is answered or gone. Answered: the hold is over, unless a 429 has made it
longer meanwhile. Gone without an answer: the next one goes first. A later end replaces an earlier one, never the
reverse, so that the 429s of requests that were under way are one hold.

State: when it ends (0: none), which code it answers with, until when the first request may take (0: none is under way).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from normalizers import HouseCode

from .limit import Limit
from .rule import SECOND, Cells

UNTIL: Final = 0
CODE: Final = 1
FIRST: Final = 2
CELLS: Final = 3

# The codes that hold, each with how long it does when the vendor names no delay (contract 11).
DELAY_SECONDS: Final = {HouseCode.VENDOR_RATE_LIMITED: 5, HouseCode.QUOTA_EXHAUSTED: 300}
_CODES: Final = tuple(DELAY_SECONDS)

# While the first request is under way, the others come again in a second (contract 11).
AGAIN: Final = SECOND


@dataclass(frozen=True, slots=True)
class Bounds:
    """The longest hold after a rate limit of the vendor and after a quota of it, in seconds."""

    rate: float = 60.0
    quota: float = 3600.0


class Scope(NamedTuple):
    """
    What one hold holds.

    `key` names it in the store. `lease` is how long the first request may stay unanswered, in microseconds: a process
    that died with it must not hold the others for ever.
    """

    key: str
    lease: int


class Held(NamedTuple):
    """A request that is held: with which code, and until when by the steady clock."""

    code: HouseCode
    until: int


def scope_key(
    vendor: str, limits: Iterable[Limit], route: str | None, method: str, credential: bytes | None = None
) -> str:
    """
    What a request shares with others: exactly these limits of the vendor, else its route, else its method.

    Args:
        vendor: the vendor's name.
        limits: those of the vendor's own limits that cover the request; not the caller's.
        route: the route that matches, if one does.
        method: the request's.
        credential: the caller's own for the vendor, where credentials pass through: each is held by itself.
    """
    names = ",".join(sorted(limit.name for limit in limits))
    shared = f"limits/{names}" if names else f"method/{method}" if route is None else f"route/{route}"
    key = f"hold/{vendor}/{shared}"
    return key if credential is None else with_credential(key, credential)


def with_credential(key: str, credential: bytes) -> str:
    """The scope of one caller's own credential."""
    return f"{key}/{sha256(credential).hexdigest()}"


def lasts(code: HouseCode, delay: int | None, bounds: Bounds) -> int | None:
    """
    For how many microseconds a reply with this code holds; None: it holds nothing.

    `delay` is the vendor's, in seconds; None: it named none.
    """
    if code not in DELAY_SECONDS:
        return None
    longest = bounds.quota if code is HouseCode.QUOTA_EXHAUSTED else bounds.rate
    return round(min(DELAY_SECONDS[code] if delay is None else delay, longest) * SECOND)


def learn(cells: Cells, code: HouseCode, until: int) -> None:
    """Hold until then, unless a hold ends later already."""
    if until > cells[UNTIL]:
        cells[UNTIL] = until
        cells[CODE] = _CODES.index(code)


def held(cells: Cells, steady: int) -> Held | None:
    """How the request is held; None: it may go, and where a hold is on, it goes first."""
    until = cells[UNTIL]
    if not until or (steady >= until and steady >= cells[FIRST]):
        return None
    return Held(_CODES[cells[CODE]], until if steady < until else steady + AGAIN)


def since(cells: Cells, token: int, steady: int) -> Held | None:
    """How a request is held that was let go before, by what was learned since; `token`: it goes first."""
    until = cells[UNTIL]
    if steady < until:
        return Held(_CODES[cells[CODE]], until)
    return None if token and cells[FIRST] == token else held(cells, steady)


def go(cells: Cells, steady: int, lease: int) -> int:
    """Let a request go that is not held. If it goes first: a token for `answered` or `gone`; else 0."""
    if not cells[UNTIL]:
        return 0
    cells[FIRST] = steady + lease
    return cells[FIRST]


def answered(cells: Cells, token: int, steady: int) -> None:
    """The request that went first has its answer; if that was a 429, after `learn`."""
    if token and cells[FIRST] == token:
        cells[FIRST] = 0
        if steady >= cells[UNTIL]:
            cells[UNTIL] = 0


def gone(cells: Cells, token: int) -> None:
    """The request that went first has come to nothing."""
    if token and cells[FIRST] == token:
        cells[FIRST] = 0
