"""
How a question about limits is put to the script in Redis, and what its answers mean.

A limit is a JSON array (`decide.lua`). Times in the answers are by Redis's clock, in microseconds; a decision tells
them by the clock of the gateway, counted from when the answer came: so they are a little late and never early.

Redis knows no zones. For a calendar window it is told the edges of the windows around what this gateway takes for its
time, which the last answer has shown; where that is wrong by more than a window it says so, and is asked again.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b

from gateway.limits.calendar import Calendar
from gateway.limits.decision import Decision
from gateway.limits.hold import DELAY_SECONDS, Held, Scope
from gateway.limits.limit import Limit
from gateway.limits.rule import Moment, Standing
from gateway.limits.window import Rolling

STRANGER, SKEW, ADMITTED, REFUSED, HELD = 0, -1, 1, 2, 3
CODES = tuple(DELAY_SECONDS)

# Limits that are remembered as they are written: those of the settings, and of the settings before a reload.
KNOWN_LIMIT = 4096


class Wording:
    """
    What limits are called in Redis. Mutable state: what was written before, and how far Redis's clock is ahead.

    `ahead` is in microseconds, of this machine's wall clock.
    """

    def __init__(self) -> None:
        self.ahead = 0
        self._known: dict[int, tuple[Limit, str]] = {}
        self._edges: dict[int, tuple[Calendar, list[int]]] = {}

    def limit(self, limit: Limit, wall: int, *more: object) -> str:
        """A limit, as it is to be asked about now; `more` is what the question adds."""
        rule = limit.rule
        if isinstance(rule, Calendar):
            return _written(
                2, rule.count, limit.cost, rule.cells, _signature(rule), rule.margin, self._around(rule, wall), *more
            )
        if more:
            return _written(*_timeless(limit), *more)
        known = self._known.get(id(limit))
        if known is None or known[0] is not limit:
            if len(self._known) >= KNOWN_LIMIT:
                self._known.clear()
            known = self._known[id(limit)] = (limit, _written(*_timeless(limit)))
        return known[1]

    def _around(self, rule: Calendar, wall: int) -> list[int]:
        """The edges of the windows before, at and after Redis's time: five."""
        now = wall + self.ahead
        known = self._edges.get(id(rule))
        if known is None or known[0] is not rule or not known[1][1] <= now < known[1][2]:
            if len(self._edges) >= KNOWN_LIMIT:
                self._edges.clear()
            start, end = rule.window(now)
            after = rule.window(end)[1]
            known = self._edges[id(rule)] = (
                rule,
                [rule.window(start - 1)[0], start, end, after, rule.window(after)[1]],
            )
        return known[1]


def marks(limit: Limit, mark: int) -> list[int]:
    """What finds a charge again: its time, or the starts of the windows that it was counted in."""
    rule = limit.rule
    if not isinstance(rule, Calendar):
        return [mark]
    start, end = rule.window(mark)
    return [start, end] if mark >= end - rule.margin else [start]


def decision(
    reply: Sequence[int],
    limits: tuple[Limit, ...],
    keys: tuple[str, ...],
    now: Moment,
    scope: Scope | None,
) -> Decision:
    """What became of a request, by an answer that came `now`."""
    kind, theirs, *rest = reply
    count = len(limits)
    if kind == HELD:
        until = now.steady + rest[0] - theirs
        return Decision(limits, keys, now, free_at=until, scope=scope, held=Held(CODES[rest[1]], until))
    if kind == REFUSED:
        free = [now.steady + at - theirs for at in rest[:count]]
        order = sorted((-at, number) for number, at in enumerate(free) if at > now.steady)
        refusing = tuple([number for _, number in order])
        return Decision(limits, keys, now, standings(rest[count:]), (), refusing, -order[0][0], scope)
    token, *rest = rest
    return Decision(limits, keys, now, standings(rest[: 2 * count]), tuple(rest[2 * count :]), (), 0, scope, token)


def standings(flat: Sequence[int]) -> tuple[Standing, ...]:
    """What is left of each limit, and for how long that is all."""
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return tuple([(left, None if reset < 0 else reset) for left, reset in pairs])


def _timeless(limit: Limit) -> tuple[int, ...]:
    rule = limit.rule
    if isinstance(rule, Rolling):
        return 1, rule.count, limit.cost, rule.window, rule.grain, rule.cells
    return 3, rule.count, limit.cost


def _signature(rule: Calendar) -> int:
    """What of a rule makes its windows; where another wrote the counter, that is read anew."""
    written = f"{rule.unit} {rule.zone}".encode()
    return int.from_bytes(blake2b(written, digest_size=4).digest(), "little")


def _written(*parts: object) -> str:
    return json.dumps(parts, separators=(",", ":"))
