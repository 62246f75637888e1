"""
What a head was found to say, remembered on the connection on which it came: callers repeat themselves.

Only there, so that one caller's fields never meet another's. What depends on anything but the head and the settings is
asked anew for every request: who may use what, sizes, limits, holds.
"""

from typing import NamedTuple

from .callers import Caller
from .headers import Framing, Header
from .lanes import Lane


class Heard(NamedTuple):
    """A head, and what it was found to say at one vendor: its framing, whose it is, and the vendor's head it became."""

    lane: Lane
    version: str
    received: tuple[Header, ...]
    framing: Framing
    caller: Caller
    sent: list[Header]

    def __repr__(self) -> str:
        return f"Heard(lane={self.lane.name!r}, caller={self.caller.name!r})"
