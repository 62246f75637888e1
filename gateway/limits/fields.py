"""
`RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers-11 writes them (W-086, W-087).

    RateLimit-Policy: "minute";q=60;w=60, "day";q=10000;w=86400
    RateLimit: "minute";r=12;t=5, "day";r=9100;t=31000

Both are lists of strings with parameters (RFC 9651). Where a vendor sends such fields, ours come as further lines of
them, which are members of the same list (W-089).
"""

from collections.abc import Sequence
from typing import Final

from .decision import Decision
from .limit import Limit
from .rule import SECOND, Standing

Header = tuple[bytes, bytes]

# RFC 9651 section 3.3.1: an Integer has at most fifteen digits.
INTEGER_LIMIT: Final = 999_999_999_999_999


def fields(decision: Decision, steady: int | None = None) -> list[Header]:
    """
    The fields that tell the limits that applied; none where none did.

    `steady` is when they are sent, by the steady clock, where that is later than the decision.
    """
    if not decision.standings:
        return []
    passed = 0 if steady is None else steady - decision.now.steady
    return [
        (b"ratelimit-policy", policies(decision.limits).encode("ascii")),
        (b"ratelimit", service_limits(decision.limits, decision.standings, passed).encode("ascii")),
    ]


def policies(limits: Sequence[Limit]) -> str:
    """The value of `RateLimit-Policy`: how much there is, and in how many seconds or at once."""
    return ", ".join(
        [
            f"{name};q={_integer(limit.rule.count)}"
            + (';qu="concurrent-requests"' if limit.seconds is None else f";w={limit.seconds}")
            for name, limit in zip(names_of(limits), limits, strict=True)
        ]
    )


def service_limits(
    limits: Sequence[Limit], standings: Sequence[Standing], passed: int = 0, names: Sequence[str] = ()
) -> str:
    """
    The value of `RateLimit`: how much is left, and for how many seconds that is all.

    `passed` is how many microseconds ago the standings were true; `names` what `names_of` made of the limits, where it
    was asked before. Seconds are rounded up (W-088).
    """
    names = names or names_of(limits)
    members = []
    for number, (left, reset) in enumerate(standings):
        if reset is None:
            members.append(f"{names[number]};r={_integer(left)}")
        else:
            seconds = -(-(reset - passed) // SECOND)
            members.append(f"{names[number]};r={_integer(left)};t={_integer(seconds)}")
    return ", ".join(members)


def string(text: str) -> str:
    """A String of RFC 9651. Raises `ValueError` for what is not printable ASCII."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"not a String of a structured field: {text!r}")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def names_of(limits: Sequence[Limit]) -> tuple[str, ...]:
    """The names; whole ids where a caller's own limit is called as one of the vendor's."""
    names = [limit.name for limit in limits]
    return tuple([string(limit.name if names.count(limit.name) == 1 else limit.id) for limit in limits])


def _integer(number: int) -> int:
    # The look first: nearly every number is in its bounds, and the two builtins cost plain Python more than it does.
    return number if 0 <= number <= INTEGER_LIMIT else min(max(0, number), INTEGER_LIMIT)
