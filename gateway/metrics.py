"""
Every metric: its name, help text, labels, and the closed sets that its labels come from (contract 14).

Nothing that a caller or a vendor sends becomes a label. Children are bound per vendor and cached by their labels, so
that a request pays for an increment and not for a look-up by name.
"""

import http
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector

from normalizers import HouseCode, Problem, Source, Vendor

# OpenTelemetry's advised buckets for HTTP, carried on to the length of a generation (W-132).
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120, 300)
# What a proxy adds is counted in fractions of a millisecond.
OVERHEAD = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
REGISTERED = frozenset(int(status) for status in http.HTTPStatus)

NO_VENDOR = "none"
OTHER_ROUTE = "other"


class Outcome(StrEnum):
    """How a request ended."""

    OK = "ok"
    CALLER_FAULT = "caller_fault"
    OPERATOR_FAULT = "operator_fault"
    VENDOR_FAULT = "vendor_fault"
    REFUSED = "refused"
    ABORTED = "aborted"
    CALLER_GONE = "caller_gone"


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
        "Waiting for a connection to the vendor.",
        (*OVERHEAD, 5.0),
    ),
    Metric(
        "errgate_caller_requests_total",
        Counter,
        ("caller", "vendor", "outcome"),
        "Requests by caller.",
    ),
    Metric(
        "errgate_retries_total",
        Counter,
        ("vendor", "result"),
        "Requests sent again: answered or failed; refused: the budget had none left.",
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


def status_label(status: int | None) -> str:
    """A status as a label: itself if it is registered, else its class; `none` if none was sent."""
    if status is None:
        return "none"
    return str(status) if status in REGISTERED else f"{status // 100}xx"


def method_label(method: str) -> str:
    """A method as a label: itself if it is known, else `_OTHER`."""
    return method if method in METHODS else "_OTHER"


class Metrics:
    """
    The registry and what is counted in it.

    Mutable state: the counters of prometheus_client; they outlive a reload of the settings.
    """

    def __init__(self, version: str) -> None:
        # A `_created` series beside each counter would double the series and tell nothing that Prometheus uses.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        self._observed: list[Callable[[], None]] = []
        for row in TABLE:
            if row.kind is Histogram:
                metric: Counter | Gauge | Histogram = Histogram(
                    row.name, row.help, row.labels, buckets=row.buckets, registry=self.registry
                )
            else:
                extra = {"multiprocess_mode": row.together} if row.kind is Gauge else {}
                metric = row.kind(row.name, row.help, row.labels, registry=self.registry, **extra)
            self._metrics[row.name] = metric
        self.loop_lag = self.histogram("errgate_event_loop_lag_seconds")
        self.reload_successful = self.gauge("errgate_config_last_reload_successful")
        self.gauge("errgate_build_info").labels(version).set(1)
        self.nobody = VendorMetrics(self, NO_VENDOR)
        self.nobody.prepare(None, own_credential=False, routes=())

    def counter(self, name: str) -> Counter:
        """The counter of that name."""
        metric = self._metrics[name]
        assert isinstance(metric, Counter)  # noqa: S101  (the table above says so)
        return metric

    def gauge(self, name: str) -> Gauge:
        """The gauge of that name."""
        metric = self._metrics[name]
        assert isinstance(metric, Gauge)  # noqa: S101  (the table above says so)
        return metric

    def histogram(self, name: str) -> Histogram:
        """The histogram of that name."""
        metric = self._metrics[name]
        assert isinstance(metric, Histogram)  # noqa: S101  (the table above says so)
        return metric

    def observe(self, read: Callable[[], None]) -> None:
        """Have `read` set its gauges whenever they are looked at."""
        self._observed.append(read)

    def refresh(self) -> None:
        """Bring the gauges up to date that tell a state and not an event."""
        for read in self._observed:
            read()


class VendorMetrics:
    """What is counted for one vendor: children bound at the start, or at their first use."""

    def __init__(self, metrics: Metrics, vendor: str) -> None:
        self._vendor = vendor
        self._requests = metrics.counter("errgate_requests_total")
        self._errors = metrics.counter("errgate_errors_total")
        self._replies = metrics.counter("errgate_vendor_replies_total")
        self._failures = metrics.counter("errgate_network_failures_total")
        self._jobs = metrics.counter("errgate_jobs_total")
        self._retries = metrics.counter("errgate_retries_total")
        self._breaker = metrics.gauge("errgate_breaker_open")
        self._callers = metrics.counter("errgate_caller_requests_total")
        self._duration = metrics.histogram("errgate_request_duration_seconds")
        self._vendor_duration = metrics.histogram("errgate_vendor_duration_seconds")
        self._connections = metrics.gauge("errgate_vendor_connections")
        self._in_flight = metrics.gauge("errgate_requests_in_flight")
        self._children: dict[tuple[object, ...], Counter] = {}
        self._durations: dict[str, Histogram] = {}
        self._vendor_durations: dict[str, Histogram] = {}
        self._unmapped = metrics.counter("errgate_unmapped_codes_total")
        self._unreadable = metrics.counter("errgate_unreadable_replies_total")
        self.overhead = metrics.histogram("errgate_overhead_seconds").labels(vendor)
        self._queue = metrics.histogram("errgate_vendor_queue_seconds")
        if vendor != NO_VENDOR:
            self._connection_states = [self._connections.labels(vendor, state) for state in ("busy", "idle", "free")]
            self.in_flight = self._in_flight.labels(vendor)
            self.queue = self._queue.labels(vendor)
            self.unmapped = self._unmapped.labels(vendor)
            self.unreadable = self._unreadable.labels(vendor)

    def prepare(self, vendor: Vendor | None, *, own_credential: bool, routes: Iterable[str]) -> None:
        """Make the children that must exist at 0, so that `increase()` sees a first failure (contract 14)."""
        for house in HouseCode:
            self._error(house, "none", Source.GATEWAY, "http")
        if vendor is None:
            return
        for route in routes:
            self._duration.labels(self._vendor, route)
            self._vendor_duration.labels(self._vendor, route)
        for result in ("ok", "failed", "partial", "uninspected"):
            self._jobs.labels(self._vendor, result)
        for result in ("answered", "failed", "refused"):
            self._retries.labels(self._vendor, result)
        self._breaker.labels(self._vendor)
        for house in (HouseCode.VENDOR_UNREACHABLE, HouseCode.VENDOR_TIMEOUT, HouseCode.VENDOR_FAILED):
            self._error(house, "none", Source.NETWORK, "http")
        self._prepare_codes(vendor, own_credential=own_credential)

    def _prepare_codes(self, vendor: Vendor, *, own_credential: bool) -> None:
        kinds = {house: ["http"] for house in HouseCode}
        for house in job_codes(vendor):
            kinds[house].append("job")
        for house, its_kinds in kinds.items():
            for kind in its_kinds:
                self._error(house, "none", Source.VENDOR, kind)
                self._error(house, "other", Source.VENDOR, kind)
        for row in vendor.rows:
            house = (row.without_credential if own_credential else None) or row.house
            label = vendor.row(row.code) or row
            self._error(house, label.code, Source.VENDOR, row.kind)

    def connections(self, busy: int, idle: int, free: int) -> None:
        """Note the state of the connections to the vendor."""
        for child, count in zip(self._connection_states, (busy, idle, free), strict=True):
            child.set(count)

    def breaker(self, *, is_open: bool) -> None:
        """Note whether the vendor's breaker refuses requests."""
        self._breaker.labels(self._vendor).set(is_open)

    def retry(self, result: str) -> None:
        """Count a request that was sent again, or would have been."""
        self._retries.labels(self._vendor, result).inc()

    def request(self, route: str, method: str, status: int | None, outcome: Outcome) -> None:
        """Count a request, once, at its end."""
        key = ("request", route, method, status, outcome)
        child = self._children.get(key)
        if child is None:
            labels = (self._vendor, route, method_label(method), status_label(status), outcome.value)
            # Whatever a hostile method is called, it shares one child, and the cache does not grow with it.
            key = ("request", route, labels[2], status, outcome)
            child = self._children[key] = self._requests.labels(*labels)
        child.inc()

    def caller(self, caller: str, outcome: Outcome) -> None:
        """Count a request for its caller."""
        key = ("caller", caller, outcome)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._callers.labels(caller, self._vendor, outcome.value)
        child.inc()

    def error(self, problem: Problem, kind: str = "http") -> None:
        """Count an error by its codes."""
        self._error(problem.code, problem.label, problem.source, kind).inc()
        if problem.source is Source.VENDOR:
            if problem.label == "other":
                self.unmapped.inc()
            if problem.unreadable:
                self.unreadable.inc()

    def reply(self, status: int) -> None:
        """Count a reply by the vendor's own status."""
        label = status_label(status)
        key = ("reply", label)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._replies.labels(self._vendor, label)
        child.inc()

    def no_reply(self, reason: str) -> None:
        """Count a request to which no reply came."""
        self._failures.labels(self._vendor, reason).inc()

    def job(self, result: str) -> None:
        """Count a job."""
        self._jobs.labels(self._vendor, result).inc()

    def duration(self, route: str, seconds: float, trace_id: str | None) -> None:
        """Note how long a request took, with its trace as an exemplar; `trace_id`: 32 hexadecimal digits (W-133)."""
        child = self._durations.get(route)
        if child is None:
            child = self._durations[route] = self._duration.labels(self._vendor, route)
        child.observe(seconds, None if trace_id is None else {"trace_id": trace_id})

    def vendor_duration(self, route: str, seconds: float) -> None:
        """Note how long the vendor took to the head of its reply."""
        child = self._vendor_durations.get(route)
        if child is None:
            child = self._vendor_durations[route] = self._vendor_duration.labels(self._vendor, route)
        child.observe(seconds)

    def _error(self, house: HouseCode, label: str, source: Source, kind: str) -> Counter:
        key = ("error", house, label, source, kind)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._errors.labels(self._vendor, house.code, label, source.value, kind)
        return child


def encoded(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """A registry as a scrape's body, and its media type."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def of_workers(folder: str) -> CollectorRegistry:
    """The metrics of all worker processes together, dead ones included (W-135)."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]  # the library leaves it unannotated
    return registry


def forget_worker(pid: int, folder: str) -> None:
    """A worker is gone: its counts stay, what it had in flight does not."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]  # the library leaves it unannotated


def job_codes(vendor: Vendor) -> frozenset[HouseCode]:
    """The house codes that a failed job of this vendor can become."""
    if not any(route.job for route in vendor.routes):
        return frozenset()
    rows = {row.house for row in vendor.rows if row.kind == "job"}
    patterns = {pattern.house for pattern in vendor.patterns if not pattern.at}
    otherwise = {failure.otherwise for route in vendor.routes for failure in route.job}
    return frozenset(rows | patterns | otherwise)
