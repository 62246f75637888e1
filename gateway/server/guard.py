"""What a port's connections keep to: read by them, set by who serves the port, changed by a reload."""

from collections.abc import Callable
from dataclasses import dataclass

from normalizers import HouseCode


@dataclass(slots=True)
class Guard:
    """
    What the protocol keeps, and whom it asks for an answer. Times in seconds.

    Mutable state: the numbers, which a reload of the settings changes.
    """

    head_seconds: float
    write_seconds: float
    max_connections: int
    # Gives the whole answer to a request that never became one: the house code, a sentence for the caller.
    refuse: Callable[[HouseCode, str], bytes]
    is_draining: Callable[[], bool]
    # How long a connection may wait for its next request.
    keep_alive_seconds: float = 75.0
