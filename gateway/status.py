"""What a person on call asks first, as JSON: `/-/status`."""

import time
from collections.abc import Mapping

from . import __version__
from .admission import now
from .lanes import Lane, Runtime
from .limits import SECOND, Holding, Limit, Standing

# Of the digest of a caller's own credential, enough to tell one from another.
SHOWN_DIGITS = 8
DIGEST_DIGITS = 64


async def status_of(runtime: Runtime, *, draining: bool) -> dict[str, object]:
    """What a person on call asks first, as JSON."""
    standings, holds = await runtime.look(), runtime.allowance.holds()
    store = runtime.allowance.store
    return {
        "version": __version__,
        "state": "draining" if draining else "ready",
        "requests_in_flight": runtime.gateway.in_flight,
        "warnings": list(runtime.settings.warnings),
        "limit_store": {**store.about(), "up": store.up, "errors": store.errors},
        "vendors": {name: _vendor(lane, standings[name], holds[name]) for name, lane in runtime.lanes.items()},
    }


def _vendor(lane: Lane, standings: Mapping[str, Standing], holds: list[Holding]) -> dict[str, object]:
    busy, idle, free = lane.upstream.connections()
    moment = now()
    return {
        "base_url": str(lane.settings.base_url),
        "normalizer": lane.vendor.name,
        "errors": lane.settings.errors,
        "connections": {"busy": busy, "idle": idle, "free": free},
        "limits": [_limit(limit, standings.get(limit.name)) for limit in lane.gates.limits],
        "holds": [
            {
                "scope": _scope(lane.name, holding.key),
                "code": holding.held.code.code,
                "seconds": max(0, _seconds(holding.held.until - moment.steady)),
                "first": holding.first,
            }
            for holding in holds
        ],
        "breaker": _breaker(lane),
    }


def _limit(limit: Limit, standing: Standing | None) -> dict[str, object]:
    """One limit; nothing is left to say of one that each caller has to itself."""
    left, resets = standing or (None, None)
    return {
        "name": limit.name,
        "requests": limit.rule.count,
        "seconds": limit.seconds,
        "by": "caller" if limit.keyed else None,
        "remaining": left,
        "resets_in": None if resets is None else _seconds(resets),
    }


def _scope(vendor: str, key: str) -> str:
    """What a hold holds: `limits/day,minute`, `route/poll` or `method/GET`, and whose credential."""
    scope = key.removeprefix(f"hold/{vendor}/")
    rest, _, digest = scope.rpartition("/")
    return f"{rest}/{digest[:SHOWN_DIGITS]}" if len(digest) == DIGEST_DIGITS else scope


def _breaker(lane: Lane) -> dict[str, object] | None:
    breaker = lane.sender.breaker
    if breaker is None:
        return None
    return {"open": breaker.is_open, "retry_in": breaker.wait(time.monotonic())}


def _seconds(microseconds: int) -> int:
    return -(-microseconds // SECOND)
