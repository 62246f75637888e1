"""
What a head was found to say, remembered on the connection on which it came: callers repeat themselves.

Only there, so that one caller's fields never meet another's. What depends on anything but the head and the settings is
asked anew for every request: who may use what, sizes, limits, holds.
"""

from collections.abc import Sequence

from .callers import Caller
from .headers import Framing, Header
from .lanes import Lane
from .upstream import Fields


class Heard:
    """
    A head, and what it was found to say at one vendor: its framing, whose it is, and the vendor's fields it became.

    One that names its request or its trace is not kept: it does not come again.
    """

    __slots__ = ("caller", "framing", "lane", "received", "sent", "version")

    def __init__(
        self,
        lane: Lane,
        version: str,
        received: Sequence[Header],
        framing: Framing,
        caller: Caller,
        sent: Fields,
    ) -> None:
        self.lane = lane
        self.version = version
        self.received = received
        self.framing = framing
        self.caller = caller
        self.sent = sent

    def __repr__(self) -> str:
        return f"Heard(lane={self.lane.name!r}, caller={self.caller.name!r})"
