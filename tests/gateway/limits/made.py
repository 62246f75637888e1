"""Limits for tests, made as the settings make them."""

from typing import Any

from gateway.limits import Limit, Moment, of_caller, of_vendor
from gateway.settings.limits import LimitSettings

# A Saturday, ten in the morning in London.
WALL = 1_795_255_200_000_000


def at(seconds: float) -> Moment:
    """A moment, so many seconds after the process began; both clocks are right."""
    return Moment(round(seconds * 1_000_000), WALL + round(seconds * 1_000_000))


def vendor_limit(**entry: Any) -> Limit:  # noqa: ANN401  (whatever an entry of the settings holds)
    """A limit of the vendor pixii, such as `requests=10, per="minute"`."""
    (limit,) = of_vendor("pixii", [LimitSettings(**entry)])
    return limit


def caller_limit(**entry: Any) -> Limit:  # noqa: ANN401  (the same)
    """A limit of the caller billing."""
    (limit,) = of_caller("billing", [LimitSettings(**entry)])
    return limit


def keys(limits: tuple[Limit, ...], caller: str = "billing") -> tuple[str, ...]:
    """The counters of a request by that caller."""
    return tuple(limit.key(caller) for limit in limits)
