"""
What is counted, and the closed sets that labels come from (contract 14); `table` holds every name and help text.

Nothing that a caller or a vendor sends becomes a label. Children are bound per vendor and cached by their labels, so
that a request pays for an increment and not for a look-up by name.
"""

import http
from collections.abc import Callable, Iterable
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector

from gateway.recent import Recent
from normalizers import HouseCode, Problem, Source, Vendor

from .limits import LimitMetrics, StoreMetrics
from .table import TABLE

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
        self.recent = Recent()
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
        self.store = StoreMetrics(self)
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
        self.recent = metrics.recent
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
            self.limits = LimitMetrics(metrics, vendor)
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
                self.recent.unmapped(self._vendor, problem, kind)
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

    def vendor_duration(self, route: str, seconds: float, trace_id: str | None) -> None:
        """Note how long the vendor took to the head of its reply, likewise."""
        child = self._vendor_durations.get(route)
        if child is None:
            child = self._vendor_durations[route] = self._vendor_duration.labels(self._vendor, route)
        child.observe(seconds, None if trace_id is None else {"trace_id": trace_id})

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
