"""What a person on call asks first, as JSON: `/-/status`."""

from typing import TYPE_CHECKING

from . import __version__

if TYPE_CHECKING:
    from .app import Gateway


def status_of(gateway: "Gateway") -> dict[str, object]:
    """What a person on call asks first, as JSON."""
    runtime = gateway.runtime
    vendors: dict[str, object] = {}
    for lane in runtime.lanes.values():
        busy, idle, free = lane.upstream.connections()
        vendors[lane.name] = {
            "base_url": str(lane.settings.base_url),
            "normalizer": lane.vendor.name,
            "errors": lane.settings.errors,
            "connections": {"busy": busy, "idle": idle, "free": free},
        }
    return {
        "version": __version__,
        "state": "draining" if gateway.draining else "ready",
        "requests_in_flight": runtime.in_flight,
        "warnings": list(runtime.settings.warnings),
        "vendors": vendors,
    }
