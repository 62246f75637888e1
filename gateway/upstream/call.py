"""One request to a vendor, as the engines take it."""

from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from typing import Protocol

Header = tuple[bytes, bytes]


class Timeouts(Protocol):
    """The deadlines of one route, in seconds: `vendors.<name>.timeouts` of the settings."""

    @property
    def connect(self) -> float:
        """Bounds the wait for a free connection, then the dialling."""

    @property
    def first_byte(self) -> float:
        """From the request's last byte to the first byte of the reply."""

    @property
    def idle(self) -> float:
        """The longest pause of a read or a write."""

    @property
    def total(self) -> float:
        """From the request to the reply's head."""

    @property
    def max_duration(self) -> float:
        """The whole exchange, the reply's body included; kept by whoever uses the exchange."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """What is left of a route's deadlines, in seconds."""

    connect: float
    first_byte: float
    idle: float
    total: float
    max_duration: float


class Fields:
    """
    The header fields of a request.

    Mutable state: `encoded`, an engine's own form of them, made at their first use: whoever sends the same fields again
    keeps them.
    """

    __slots__ = ("encoded", "lines")

    def __init__(self, lines: list[Header]) -> None:
        self.lines = lines
        self.encoded: bytes | None = None


class Call:
    """
    One request to a vendor, and the marks that an engine leaves on it.

    Times are of `time.perf_counter`, in seconds. `sent_at` is set just before the first byte of the request is
    written: without it the vendor certainly saw nothing.

    Args:
        method: as it goes out.
        target: path and query.
        fields: the header fields, host first.
        body: absent, all here, or still coming; its framing is in the headers.
        timeouts: the route's, or what is left of them.
        ready: called when a connection is there, just before `sent_at`: what it raises goes through, and nothing is
            sent.
    """

    __slots__ = (
        "began_at", "body", "connected_at", "fields", "head_at", "method", "ready", "sent_at", "target", "timeouts",
    )  # fmt: skip

    def __init__(
        self,
        method: bytes,
        target: bytes,
        fields: Fields,
        body: AsyncIterable[bytes] | bytes | None,
        timeouts: Timeouts,
        ready: Callable[[], None] | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body
        self.timeouts = timeouts
        self.ready = ready
        self.began_at = 0.0
        self.connected_at: float | None = None
        self.sent_at: float | None = None
        self.head_at: float | None = None

    def __repr__(self) -> str:
        """Without path, query and credential, which are no text for a log (W-151)."""
        return f"Call({self.method!r}, began_at={self.began_at}, sent_at={self.sent_at}, head_at={self.head_at})"

    @property
    def headers(self) -> list[Header]:
        """The header fields, line by line."""
        return self.fields.lines

    def again(self, *, total: float) -> "Call":
        """The same request for another try, which has `total` seconds left."""
        left = Deadlines(
            connect=self.timeouts.connect,
            first_byte=self.timeouts.first_byte,
            idle=self.timeouts.idle,
            total=total,
            max_duration=self.timeouts.max_duration,
        )
        return Call(self.method, self.target, self.fields, self.body, left, self.ready)
