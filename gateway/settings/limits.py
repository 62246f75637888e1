"""`limits`: requests in a window of time, or at once."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from .places import Method, Name, SecretUrl, StoreUrl
from .values import NUMBER, Duration, DurationOrZero, File, Many, Model

Count: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000_000), NUMBER]


class LimitSettings(Model):
    """One limit: `requests` per window, or `in_flight` at once."""

    name: Name | None = None
    """The limit's name in answers and metrics; by default its window's word or `in_flight`."""
    requests: Count | None = None
    """How many requests a window admits."""
    per: Literal["second", "minute", "hour", "day"] | None = None
    """The window's length."""
    in_flight: Count | None = None
    """How many requests may run at once."""
    routes: Many[Name] = ()
    """Only requests of these routes count; empty: all."""
    methods: Many[Method] = ()
    """Only requests with these methods count; empty: all."""
    by: Literal["caller"] | None = None
    """`caller`: each caller has the whole limit to itself."""
    cost: Count = 1
    """What one request takes of the limit."""
    wait: DurationOrZero = 0.0
    """How long a refused request may wait for its turn."""
    queue: Count = 100
    """How many requests may wait at once."""
    margin: DurationOrZero = 0.0
    """Widens the window against jitter on the way to the vendor."""
    window: Literal["rolling", "calendar"] = "rolling"
    """Whether windows roll, or follow the clock of `zone`."""
    zone: str | None = None
    """The time zone of a calendar window, such as UTC or Europe/Berlin; null: UTC."""

    @property
    def label(self) -> str:
        """The limit's name, its own or its default."""
        return self.name or self.per or "in_flight"


class Hold(Model):
    """`hold`: bounds of a pause learned from a vendor's 429."""

    max: Duration = 60.0
    """The longest hold after a rate limit of the vendor."""
    max_quota: Duration = 3600.0
    """The longest hold after a quota of the vendor."""


class LimitStore(Model):
    """`limit_store`: where limits are counted."""

    url: StoreUrl = SecretUrl("memory")
    """`memory`, or a Redis at redis://… or rediss://…."""
    ca: File | None = None
    """PEM file of the authority that signed the store's certificate; null: the system's."""
    when_away: Literal["share", "refuse"] = "share"
    """Without the store each gateway admits its share, or refuses what is limited."""
