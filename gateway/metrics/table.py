"""Every metric: its name, kind, labels and help text, in the order of contract 14."""

from dataclasses import dataclass
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

# OpenTelemetry's advised buckets for HTTP, carried on to the length of a generation (W-132).
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120, 300)
# What a proxy adds is counted in fractions of a millisecond.
OVERHEAD = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1)
# A wait for a place is over soon, or long.
QUEUE = (*OVERHEAD, 5.0, 30.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of contract 14."""

    name: str
    kind: type[Counter | Gauge | Histogram]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = SECONDS
    # How the gauges of several workers become one.
    together: Literal["livesum", "livemax", "livemin"] = "livesum"


TABLE: tuple[Metric, ...] = (
    Metric(
        "errgate_requests_total",
        Counter,
        ("vendor", "route", "method", "status", "outcome"),
        "Requests, each counted once, at its end.",
    ),
    Metric(
        "errgate_errors_total",
        Counter,
        ("vendor", "code", "vendor_code", "source", "kind"),
        "Errors by house code and by the vendor's own code.",
    ),
    Metric("errgate_vendor_replies_total", Counter, ("vendor", "status"), "Replies by the vendor's own status."),
    Metric(
        "errgate_network_failures_total",
        Counter,
        ("vendor", "reason"),
        "Requests to which no reply came, by the reason's name in RFC 9209.",
    ),
    Metric("errgate_jobs_total", Counter, ("vendor", "result"), "Jobs seen to end, and jobs that were not inspected."),
    Metric(
        "errgate_request_duration_seconds",
        Histogram,
        ("vendor", "route"),
        "From a request's arrival to the end of its answer.",
    ),
    Metric(
        "errgate_vendor_duration_seconds",
        Histogram,
        ("vendor", "route"),
        "From sending a request to the head of the vendor's reply.",
    ),
    Metric("errgate_overhead_seconds", Histogram, ("vendor",), "What the gateway itself adds to a request.", OVERHEAD),
    Metric("errgate_requests_in_flight", Gauge, ("vendor",), "Requests being worked on."),
    Metric("errgate_vendor_connections", Gauge, ("vendor", "state"), "Connections to the vendor: busy, idle, free."),
    Metric(
        "errgate_vendor_queue_seconds",
        Histogram,
        ("vendor",),
        "Waiting for a limit, and for a connection to the vendor.",
        QUEUE,
    ),
    Metric(
        "errgate_limit_refused_total",
        Counter,
        ("vendor", "limit", "caller"),
        "Requests refused by a limit; of several the one that is free last.",
    ),
    Metric(
        "errgate_limit_remaining",
        Gauge,
        ("vendor", "limit"),
        "What is left of a limit that all callers share; across gateways read max, never sum.",
        together="livemax",
    ),
    Metric(
        "errgate_limit_requests",
        Gauge,
        ("vendor", "limit"),
        "What such a limit admits in its window, or at once; 0 once a reload has taken it away.",
        together="livemax",
    ),
    Metric(
        "errgate_caller_requests_total",
        Counter,
        ("caller", "vendor", "outcome"),
        "Requests by caller.",
    ),
    Metric(
        "errgate_held_until_seconds",
        Gauge,
        ("vendor",),
        "When the latest hold after a vendor's 429 ends, as Unix time; 0 where none is on.",
        together="livemax",
    ),
    Metric(
        "errgate_retries_total",
        Counter,
        ("vendor", "result"),
        "Requests sent again: answered or failed; refused: the budget, or a limit, had none left.",
    ),
    Metric(
        "errgate_breaker_open",
        Gauge,
        ("vendor",),
        "1 while the vendor's breaker refuses requests, else 0.",
        together="livemax",
    ),
    Metric("errgate_unmapped_codes_total", Counter, ("vendor",), "Vendor codes that are missing from the table."),
    Metric("errgate_unreadable_replies_total", Counter, ("vendor",), "Error replies whose body nobody can read."),
    Metric(
        "errgate_limit_store_up",
        Gauge,
        (),
        "1 while the store of the limits answers, 0 while each gateway keeps its share alone.",
        together="livemin",
    ),
    Metric(
        "errgate_limit_store_errors_total", Counter, (), "How often the store of the limits did not answer in time."
    ),
    Metric(
        "errgate_event_loop_lag_seconds",
        Histogram,
        (),
        "How late a timer of the event loop fires.",
        (*OVERHEAD, 2.5, 10.0),
    ),
    Metric(
        "errgate_config_last_reload_successful",
        Gauge,
        (),
        "1 if the settings in force are those of the file, 0 if the last reload was refused.",
        together="livemin",
    ),
    Metric("errgate_build_info", Gauge, ("version",), "The running version; always 1.", together="livemax"),
)
