"""An entry of `limits` in the settings becomes a limit."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.limits import SECOND, covering
from gateway.limits.calendar import Calendar
from gateway.limits.in_flight import Slots
from gateway.limits.limit import AnyRule
from gateway.limits.window import Rolling
from normalizers import HouseCode
from tests.gateway.limits.made import caller_limit, vendor_limit

RULES: list[tuple[dict[str, Any], AnyRule]] = [
    ({"requests": 10, "per": "second"}, Rolling.of(10, SECOND, 1000)),
    ({"requests": 10, "per": "minute", "margin": "500ms"}, Rolling.of(10, 60 * SECOND + SECOND // 2, 1000)),
    ({"requests": 1000, "per": "hour"}, Rolling.of(1000, 3600 * SECOND, 1000)),
    ({"requests": 5000, "per": "day"}, Rolling.of(5000, 86_400 * SECOND, 1000)),
    ({"requests": 5000, "per": "day", "by": "caller"}, Rolling.of(5000, 86_400 * SECOND, 100)),
    ({"requests": 500, "per": "day", "window": "calendar"}, Calendar(500, "day", ZoneInfo("UTC"))),
    (
        {"requests": 9, "per": "hour", "window": "calendar", "zone": "Europe/Berlin", "margin": "1s"},
        Calendar(9, "hour", ZoneInfo("Europe/Berlin"), SECOND),
    ),
    ({"in_flight": 8}, Slots(8)),
]


@pytest.mark.parametrize(("entry", "rule"), RULES)
def test_an_entry_has_its_rule(entry: dict[str, Any], rule: AnyRule) -> None:
    """Count, window, zone and margin are those of the settings."""
    assert vendor_limit(**entry).rule == rule


CODES: list[tuple[dict[str, Any], HouseCode, str]] = [
    ({"requests": 10, "per": "minute"}, HouseCode.CAPACITY_EXHAUSTED, "vendor"),
    ({"in_flight": 8}, HouseCode.CAPACITY_EXHAUSTED, "vendor"),
    ({"requests": 10, "per": "day"}, HouseCode.QUOTA_EXHAUSTED, "vendor"),
    ({"requests": 10, "per": "day", "window": "calendar"}, HouseCode.QUOTA_EXHAUSTED, "vendor"),
    ({"requests": 10, "per": "day", "by": "caller"}, HouseCode.RATE_LIMITED, "caller"),
    ({"in_flight": 8, "by": "caller"}, HouseCode.RATE_LIMITED, "caller"),
]


@pytest.mark.parametrize(("entry", "code", "scope"), CODES)
def test_an_entry_has_its_code(entry: dict[str, Any], code: HouseCode, scope: str) -> None:
    """Contract 11: a caller's own limit, one that all share, and one that all share for a day, have three codes."""
    limit = vendor_limit(**entry)

    assert (limit.code, limit.scope) == (code, scope)
    assert (caller_limit(**entry).code, caller_limit(**entry).scope) == (HouseCode.RATE_LIMITED, "caller")


def test_counters_have_names() -> None:
    """W-095: a counter for all, or one for each caller; a caller's own limits count over all vendors."""
    shared = vendor_limit(requests=10, per="minute")
    fair = vendor_limit(name="fair", requests=5, per="minute", by="caller")
    own = caller_limit(requests=7, per="minute", by="caller")

    assert [limit.key("billing") for limit in (shared, fair, own)] == [
        "vendor/pixii/minute",
        "vendor/pixii/fair/billing",
        "caller/billing/minute",
    ]
    assert fair.key("2001:db8::1") == "vendor/pixii/fair/2001:db8::1"


LIMITS = (
    vendor_limit(name="all", in_flight=8),
    vendor_limit(name="submits", requests=10, per="minute", routes=("submit", "import")),
    vendor_limit(name="reads", requests=10, per="minute", methods=("GET",)),
    vendor_limit(name="both", requests=10, per="minute", routes=("submit",), methods=("POST", "PUT")),
)


@pytest.mark.parametrize(
    ("route", "method", "names"),
    [
        ("submit", "POST", ["all", "submits", "both"]),
        ("submit", "DELETE", ["all", "submits"]),
        ("import", "PUT", ["all", "submits"]),
        ("poll", "GET", ["all", "reads"]),
        ("poll", "HEAD", ["all", "reads"]),
        (None, "POST", ["all"]),
        (None, "GET", ["all", "reads"]),
    ],
)
def test_a_request_is_counted_where_route_and_method_say(route: str | None, method: str, names: list[str]) -> None:
    """A limit without routes or methods counts all; GET includes HEAD."""
    assert [limit.name for limit in covering(LIMITS, route, method)] == names


def test_waiting_is_off_by_default() -> None:
    """W-096: nobody waits unless the settings say so."""
    default = vendor_limit(requests=10, per="minute")
    waiting = vendor_limit(requests=10, per="minute", wait="2500ms", queue=7)

    assert (default.wait, default.queue) == (0, 100)
    assert (waiting.wait, waiting.queue) == (2 * SECOND + SECOND // 2, 7)


def test_a_cost_that_never_fits_is_refused() -> None:
    """RC-71: a request above the whole limit would wait for ever, so such a limit cannot be made."""
    with pytest.raises(ValueError, match="a cost of 11 never fits into 10"):
        vendor_limit(requests=10, per="minute", cost=11)


@pytest.mark.parametrize(
    ("entry", "gateways", "count"),
    [
        ({"requests": 10, "per": "minute"}, 3, 3),
        ({"requests": 10, "per": "minute"}, 0, 10),
        ({"requests": 10, "per": "minute"}, 50, 1),
        ({"requests": 10, "per": "minute", "cost": 4}, 50, 4),
        ({"requests": 10, "per": "day", "window": "calendar"}, 2, 5),
        ({"in_flight": 8}, 4, 2),
    ],
)
def test_a_share_is_at_least_one_request(entry: dict[str, Any], gateways: int, count: int) -> None:
    """Contract 11: with the store away each gateway admits N divided by the gateways, at least one request."""
    limit = vendor_limit(**entry)

    assert limit.share(gateways).rule.count == count
    assert limit.share(1) == limit
