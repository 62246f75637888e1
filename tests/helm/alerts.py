"""
For each alert, series that make it fire and series that do not, in promtool's notation, a sample a step.

They are laid over a gateway that is well: two instances, two vendors, a request a second each. A test asserts the whole
set of firing alerts, so that what fires is the right one and no other.

One file: a table, a row an alert.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Series = Mapping[str, str]

WHERE = 'job="errgate", namespace="gateways", instance="a:9090"'
OTHER = 'job="errgate", namespace="gateways", instance="b:9090"'


def series(name: str, values: str, /, **labels: str) -> dict[str, str]:
    """One series of the first instance."""
    more = "".join(f', {key}="{value}"' for key, value in labels.items())
    return {f"{name}{{{WHERE}{more}}}": values}


def requests(vendor: str, outcome: str, values: str) -> dict[str, str]:
    """Requests of a vendor that end so."""
    status = {"ok": "200", "vendor_fault": "503"}.get(outcome, "429")
    labels = {"vendor": vendor, "route": "submit", "method": "POST", "status": status, "outcome": outcome}
    return series("errgate_requests_total", values, **labels)


def errors(code: str, values: str, vendor: str = "pixii", source: str = "vendor") -> dict[str, str]:
    """Errors of a vendor with this house code."""
    labels = {"vendor": vendor, "code": code, "vendor_code": "none", "source": source, "kind": "http"}
    return series("errgate_errors_total", values, **labels)


def replies(status: str, values: str, vendor: str = "pixii") -> dict[str, str]:
    """Replies of a vendor."""
    return series("errgate_vendor_replies_total", values, vendor=vendor, status=status)


def histogram(name: str, buckets: Mapping[str, str], **labels: str) -> dict[str, str]:
    """The buckets of a histogram, the last one its count."""
    whole: dict[str, str] = {}
    for bound, values in buckets.items():
        whole |= series(f"{name}_bucket", values, **labels, le=bound)
    return whole | series(f"{name}_count", buckets["+Inf"], **labels)


def well(minutes: int) -> dict[str, str]:
    """A gateway that is well for so many minutes."""
    whole: dict[str, str] = {}
    for where in (WHERE, OTHER):
        whole[f"up{{{where}}}"] = f"1x{minutes}"
        whole[f'errgate_build_info{{{where}, version="0.1.0"}}'] = f"1x{minutes}"
    fast = {"0.01": f"0+99x{minutes}", "0.25": f"0+100x{minutes}", "+Inf": f"0+100x{minutes}"}
    short = {"5": f"0+100x{minutes}", "60": f"0+100x{minutes}", "120": f"0+100x{minutes}", "+Inf": f"0+100x{minutes}"}
    whole |= series("errgate_config_last_reload_successful", f"1x{minutes}")
    whole |= series("errgate_limit_store_up", f"1x{minutes}")
    whole |= series("errgate_limit_store_errors_total", f"0x{minutes}")
    whole |= histogram("errgate_event_loop_lag_seconds", fast)
    for vendor in ("pixii", "apixo"):
        whole |= series("errgate_breaker_open", f"0x{minutes}", vendor=vendor)
        whole |= requests(vendor, "ok", f"0+60x{minutes}")
        whole |= replies("200", f"0+60x{minutes}", vendor)
        whole |= series("errgate_unmapped_codes_total", f"0x{minutes}", vendor=vendor)
        whole |= series("errgate_unreadable_replies_total", f"0x{minutes}", vendor=vendor)
        for code in ("internal_error", "overloaded", "vendor_account_error", "insufficient_credits"):
            whole |= errors(code, f"0x{minutes}", vendor, "gateway" if code == "internal_error" else "vendor")
        whole |= series("errgate_limit_remaining", f"80x{minutes}", vendor=vendor, limit="day")
        whole |= series("errgate_limit_requests", f"100x{minutes}", vendor=vendor, limit="day")
        for state, count in {"busy": 10, "idle": 10, "free": 80}.items():
            whole |= series("errgate_vendor_connections", f"{count}x{minutes}", vendor=vendor, state=state)
        whole |= histogram("errgate_vendor_queue_seconds", fast, vendor=vendor)
        whole |= histogram("errgate_vendor_duration_seconds", short, vendor=vendor, route="submit")
    labels = {"caller": "billing", "vendor": "pixii", "outcome": "ok"}
    return whole | series("errgate_caller_requests_total", f"0+60x{minutes}", **labels)


@dataclass(frozen=True, slots=True)
class Case:
    """What is laid over the gateway that is well, and which alerts fire then: names with the labels that matter."""

    alert: str
    what: str
    over: Series = field(default_factory=dict)
    fires: tuple[Mapping[str, str], ...] = ()
    # Series of the gateway that is well and are not there.
    without: tuple[str, ...] = ()
    minutes: int = 60
    # Minutes from one sample and one evaluation to the next.
    step: int = 1


PIXII = {"vendor": "pixii"}
DOWN = requests("pixii", "ok", "0+60x30 1800x40") | requests("pixii", "vendor_fault", "0x30 0+60x40")
BOTH_UNREACHABLE: dict[str, str] = {}
for _vendor in ("pixii", "apixo"):
    BOTH_UNREACHABLE |= requests(_vendor, "ok", "0+60x30 1800x40")
    BOTH_UNREACHABLE |= requests(_vendor, "vendor_fault", "0x30 0+60x40")
    BOTH_UNREACHABLE |= errors("vendor_unreachable", "0x30 0+60x40", _vendor, "network")
SLOW_LOOP = {"0.01": "0+50x60", "0.25": "0+90x60", "1": "0+100x60", "+Inf": "0+100x60"}
SLOW_QUEUE = {"0.01": "0+50x60", "0.1": "0+80x60", "1": "0+100x60", "+Inf": "0+100x60"}
SLOW_REPLIES = {"5": "0+50x60", "60": "0+90x60", "120": "0+100x60", "+Inf": "0+100x60"}
# One sample in five minutes for more than a day; in the last half hour a code is twenty times as frequent.
DAYS = replies("200", "0+480x330") | replies("422", "0+20x330")
SPIKE = errors("content_rejected", "0+5x300 1500+100x30")
BILLING = {"caller": "billing"}

CASES = (
    Case(
        "ErrgateErrorBudgetFastBurn",
        "five in a hundred requests end in internal_error",
        errors("internal_error", "0+6x90", source="gateway"),
        ({},),
        minutes=90,
    ),
    Case(
        "ErrgateErrorBudgetFastBurn",
        "the same share of next to no traffic",
        errors("internal_error", "0+0.05x90", source="gateway")
        | requests("pixii", "ok", "0+0.5x90")
        | requests("apixo", "ok", "0+0.5x90"),
        minutes=90,
    ),
    Case(
        "ErrgateErrorBudgetSlowBurn",
        "four in a thousand requests end in overloaded",
        errors("overloaded", "0+0.5x40", source="gateway"),
        ({},),
        minutes=200,
        step=5,
    ),
    Case(
        "ErrgateErrorBudgetSlowBurn",
        "one in ten thousand does",
        errors("overloaded", "0+0.012x40", source="gateway"),
        minutes=200,
        step=5,
    ),
    Case("ErrgateOwnEgressDown", "two vendors cannot be reached", BOTH_UNREACHABLE, ({},)),
    Case(
        "ErrgateOwnEgressDown",
        "one in twenty connections to two vendors fails",
        errors("vendor_unreachable", "0+0.3x60", "pixii", "network")
        | errors("vendor_unreachable", "0+0.3x60", "apixo", "network"),
    ),
    Case(
        "ErrgateInstanceDown",
        "one of two gateways stops to answer",
        {f"up{{{OTHER}}}": "1x30 0x30", f'errgate_build_info{{{OTHER}, version="0.1.0"}}': "1x30 stale"},
        ({"instance": "b:9090"},),
    ),
    Case(
        "ErrgateInstanceDown",
        "it misses one scrape; something else in the cluster is down",
        {f"up{{{OTHER}}}": "1x54 0 1x5", 'up{job="other", instance="c:80"}': "0x60"},
    ),
    Case("ErrgateAbsent", "no gateway is there", without=("errgate_", "up"), fires=({},)),
    Case("ErrgateAbsent", "one of two is there", without=(OTHER,)),
    Case(
        "ErrgateEventLoopLag",
        "one timer in ten is late by up to a second",
        histogram("errgate_event_loop_lag_seconds", SLOW_LOOP),
        ({"instance": "a:9090"},),
    ),
    Case(
        "ErrgateEventLoopLag",
        "all are late by a tenth of a second",
        histogram("errgate_event_loop_lag_seconds", {"0.01": "0x60", "0.1": "0+100x60", "+Inf": "0+100x60"}),
    ),
    Case(
        "ErrgateConfigReloadFailed",
        "the last change was refused",
        series("errgate_config_last_reload_successful", "1x50 0x10"),
        ({"instance": "a:9090"},),
    ),
    Case(
        "ErrgateConfigReloadFailed",
        "the one before was",
        series("errgate_config_last_reload_successful", "1x40 0x10 1x10"),
    ),
    Case("ErrgateVendorDown", "nothing succeeds any more", DOWN, (PIXII,)),
    Case(
        "ErrgateVendorDown",
        "its breaker is open",
        series("errgate_breaker_open", "0x30 1x30", vendor="pixii") | requests("pixii", "ok", "0+60x30 1800x30"),
        (PIXII,),
    ),
    Case(
        "ErrgateVendorDown",
        "nobody asks, and four requests fail",
        requests("pixii", "ok", "0+60x30 1800x30") | requests("pixii", "vendor_fault", "0x50 4x10"),
    ),
    Case(
        "ErrgateVendorErrorBudgetBurnFast",
        "one in five requests fails",
        requests("pixii", "vendor_fault", "0+15x90"),
        (PIXII,),
        minutes=90,
    ),
    Case(
        "ErrgateVendorErrorBudgetBurnFast",
        "one in five of next to no traffic; mistakes of callers and refusals of ours",
        requests("pixii", "vendor_fault", "0+0.2x90")
        | requests("pixii", "ok", "0+0.8x90")
        | requests("apixo", "caller_fault", "0+60x90")
        | requests("apixo", "refused", "0+60x90"),
        minutes=90,
    ),
    Case(
        "ErrgateVendorErrorBudgetBurnSlow",
        "four in a hundred requests fail",
        requests("pixii", "vendor_fault", "0+2.5x40"),
        (PIXII,),
        minutes=200,
        step=5,
    ),
    Case(
        "ErrgateVendorErrorBudgetBurnSlow",
        "one in two hundred does",
        requests("pixii", "vendor_fault", "0+0.3x40"),
        minutes=200,
        step=5,
    ),
    Case(
        "ErrgateVendorErrorCodeSpike",
        "one in five replies becomes content_rejected, yesterday one in a hundred",
        DAYS | SPIKE,
        (PIXII | {"code": "content_rejected"},),
        minutes=1650,
        step=5,
    ),
    Case(
        "ErrgateVendorErrorCodeSpike",
        "one in five does, as yesterday",
        DAYS | errors("content_rejected", "0+100x330"),
        minutes=1650,
        step=5,
    ),
    Case(
        "ErrgateUnmappedVendorErrors",
        "one unknown code",
        series("errgate_unmapped_codes_total", "0x30 1x30", vendor="pixii"),
        (PIXII,),
    ),
    Case(
        "ErrgateUnmappedVendorErrors",
        "one, long ago",
        series("errgate_unmapped_codes_total", "0x10 1x110", vendor="pixii"),
        minutes=120,
    ),
    Case(
        "ErrgateNonConformingVendorBody",
        "five in a hundred replies are errors that nobody can read",
        series("errgate_unreadable_replies_total", "0+3x60", vendor="pixii"),
        (PIXII,),
    ),
    Case(
        "ErrgateNonConformingVendorBody",
        "one in two hundred is",
        series("errgate_unreadable_replies_total", "0+0.3x60", vendor="pixii"),
    ),
    Case(
        "ErrgateVendorRateLimited",
        "one reply in seven is a 429",
        errors("vendor_rate_limited", "0+10x60") | replies("429", "0+10x60"),
        (PIXII,),
    ),
    Case(
        "ErrgateVendorRateLimited",
        "one in a hundred is; our own holds refuse many",
        errors("vendor_rate_limited", "0+0.6x60") | errors("vendor_rate_limited", "0+60x60", source="gateway"),
    ),
    Case(
        "ErrgateCredentialsRejected",
        "a first rejection, counted from 0",
        errors("vendor_account_error", "0x55 1x5"),
        (PIXII,),
    ),
    Case("ErrgateCredentialsRejected", "one, an hour ago", errors("vendor_account_error", "0x5 1x55")),
    # Why every child exists at 0 from the start: what begins at 1 has never grown.
    Case("ErrgateCredentialsRejected", "a first one, not counted from 0", errors("vendor_account_error", "_x55 1x5")),
    Case(
        "ErrgateUpstreamPoolSaturated",
        "95 of 100 connections are busy",
        series("errgate_vendor_connections", "95x60", vendor="pixii", state="busy")
        | series("errgate_vendor_connections", "2x60", vendor="pixii", state="idle")
        | series("errgate_vendor_connections", "3x60", vendor="pixii", state="free"),
        (PIXII,),
    ),
    Case(
        "ErrgateUpstreamPoolSaturated",
        "one request in five waits longer than 100 ms",
        histogram("errgate_vendor_queue_seconds", SLOW_QUEUE, vendor="pixii"),
        (PIXII,),
    ),
    Case(
        "ErrgateUpstreamPoolSaturated",
        "80 of 100 are busy",
        series("errgate_vendor_connections", "80x60", vendor="pixii", state="busy"),
    ),
    Case(
        "ErrgateHighUpstreamLatency",
        "one reply in ten takes one to two minutes",
        histogram("errgate_vendor_duration_seconds", SLOW_REPLIES, vendor="pixii", route="submit"),
        (PIXII,),
    ),
    Case(
        "ErrgateHighUpstreamLatency",
        "half of them take up to a minute",
        histogram(
            "errgate_vendor_duration_seconds",
            {"5": "0+50x60", "60": "0+100x60", "120": "0+100x60", "+Inf": "0+100x60"},
            vendor="pixii",
            route="submit",
        ),
    ),
    Case(
        "ErrgateLocalLimitRejecting",
        "one request in three of a caller is refused",
        series("errgate_limit_refused_total", "0+30x60", vendor="pixii", limit="fair", caller="billing")
        | series("errgate_caller_requests_total", "0+30x60", caller="billing", vendor="pixii", outcome="refused"),
        (BILLING,),
    ),
    Case(
        "ErrgateLocalLimitRejecting",
        "one in twenty is",
        series("errgate_limit_refused_total", "0+3x60", vendor="pixii", limit="fair", caller="billing"),
    ),
    Case(
        "ErrgateQuotaNearExhaustion",
        "five of a hundred are left",
        series("errgate_limit_remaining", "5x60", vendor="pixii", limit="day"),
        (PIXII | {"limit": "day"},),
    ),
    Case(
        "ErrgateQuotaNearExhaustion",
        "forty are left, and ten go in an hour",
        series("errgate_limit_remaining", "100-0.833x72", vendor="pixii", limit="day"),
        (PIXII | {"limit": "day"},),
        minutes=360,
        step=5,
    ),
    Case(
        "ErrgateQuotaNearExhaustion",
        "half are left, and stay",
        series("errgate_limit_remaining", "45x72", vendor="pixii", limit="day"),
        minutes=360,
        step=5,
    ),
    Case(
        "ErrgateQuotaNearExhaustion",
        "a limit of a minute is used to its end, as it is meant to be",
        series("errgate_limit_remaining", "0x60", vendor="pixii", limit="minute")
        | series("errgate_limit_requests", "10x60", vendor="pixii", limit="minute"),
    ),
    Case(
        "ErrgateQuotaExhausted",
        "a first request without credit, counted from 0",
        errors("insufficient_credits", "0x55 1x5"),
        (PIXII | {"code": "insufficient_credits"},),
    ),
    Case("ErrgateQuotaExhausted", "one, an hour ago", errors("insufficient_credits", "0x5 1x55")),
    Case("ErrgateRateLimitStoreUnavailable", "it is away", series("errgate_limit_store_up", "1x50 0x10"), ({},)),
    Case(
        "ErrgateRateLimitStoreUnavailable",
        "it fails now and then",
        series("errgate_limit_store_errors_total", "0x50 0+1x10"),
        ({},),
    ),
    Case(
        "ErrgateRateLimitStoreUnavailable",
        "it was away for a moment",
        series("errgate_limit_store_up", "1x40 0 1x19"),
    ),
)
