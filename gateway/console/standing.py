"""
How each vendor stands: connections, limits, holds, breaker, as `/-/status` says it, of one process or of several.

Several workers of a gateway share limits and holds, and have breakers and connections of their own.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Standing = dict[str, Any]


def standing(status: Mapping[str, Any]) -> dict[str, Standing]:
    """Each vendor's standing, out of what one process or a supervisor with its workers says of itself."""
    if "workers" not in status:
        return {name: _of(vendor) for name, vendor in status.get("vendors", {}).items()}
    together: dict[str, list[Standing]] = {}
    for worker in status["workers"]:
        for name, vendor in worker.get("vendors", {}).items():
            together.setdefault(name, []).append(_of(vendor))
    return {name: _merged(vendors) for name, vendors in together.items()}


def store_up(status: Mapping[str, Any]) -> bool:
    """Whether the store of the limits can be reached, by all that use it."""
    several = status.get("workers", [status])
    return all(one.get("limit_store", {}).get("up", True) for one in several)


def _of(vendor: Mapping[str, Any]) -> Standing:
    return {
        "connections": vendor.get("connections") or {},
        "limits": vendor.get("limits") or [],
        "holds": vendor.get("holds") or [],
        "breaker": vendor.get("breaker"),
    }


def _merged(vendors: list[Standing]) -> Standing:
    connections: dict[str, int] = {}
    limits: dict[str, dict[str, Any]] = {}
    holds: dict[tuple[str, str], dict[str, Any]] = {}
    for vendor in vendors:
        for state, count in vendor["connections"].items():
            connections[state] = connections.get(state, 0) + count
        for limit in vendor["limits"]:
            before = limits.get(limit["name"])
            limits[limit["name"]] = limit if before is None else _tighter(before, limit)
        for hold in vendor["holds"]:
            key = (str(hold.get("scope")), str(hold.get("code")))
            if key not in holds or (hold.get("seconds") or 0) > (holds[key].get("seconds") or 0):
                holds[key] = hold
    return {
        "connections": connections,
        "limits": list(limits.values()),
        "holds": list(holds.values()),
        "breaker": _worst(vendor["breaker"] for vendor in vendors),
    }


def _tighter(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Of what two workers say of one limit, the less hopeful."""
    resets = [limit["resets_in"] for limit in (one, other) if limit.get("resets_in") is not None]
    left = [limit["remaining"] for limit in (one, other) if limit.get("remaining") is not None]
    return {**one, "remaining": min(left, default=None), "resets_in": max(resets, default=None)}


def _worst(breakers: Iterable[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """The breaker that stays open longest; one that is closed, where none is; None where there is none."""
    known = [dict(breaker) for breaker in breakers if breaker is not None]
    return max(known, key=lambda breaker: (bool(breaker.get("open")), breaker.get("retry_in") or 0), default=None)
