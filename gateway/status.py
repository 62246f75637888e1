"""What a person on call asks first, as JSON: `/-/status`."""

from . import __version__
from .lanes import Runtime


def status_of(runtime: Runtime, *, draining: bool) -> dict[str, object]:
    """What a person on call asks first, as JSON."""
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
        "state": "draining" if draining else "ready",
        "requests_in_flight": runtime.gateway.in_flight,
        "warnings": list(runtime.settings.warnings),
        "vendors": vendors,
    }
