"""
What is counted, and the closed sets that labels come from (contract 14); `table` holds every name and help text.

Nothing that a caller or a vendor sends becomes a label. Children are bound per vendor and cached by their labels, so
that a request pays for an increment and not for a look-up by name.

One file, since every series is made here and nowhere else.
"""

import http
import os
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector

from gateway.recent import Recent
from normalizers import HouseCode, Problem, Source, Vendor

from .limits import LimitGauges, LimitMetrics
from .table import OVERHEAD, QUEUE, SECONDS, TABLE
from .tally import Books, Level, Seconds, Tally

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
REGISTERED: Final = frozenset(int(status) for status in http.HTTPStatus)

# Where prometheus_client finds the folder that all workers write their metrics to; set in workers alone.
FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

NO_VENDOR: Final = "none"
OTHER_ROUTE: Final = "other"


class Outcome(StrEnum):
    """How a request ended."""

    # Each request looks one up; an Enum's own hash is a function of Python.
    __hash__ = str.__hash__

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
        self.books = Books(each_turn=FOLDER_VARIABLE in os.environ)
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
        self.limits = LimitGauges(self)
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
        """Bring everything up to date: what was added up, and the gauges that tell a state and not an event."""
        self.books.tell()
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
        self._error_counts: dict[tuple[HouseCode, str, Source, str], Level] = {}
        self._books = metrics.books
        self._tallies: dict[tuple[object, ...], Tally] = {}
        self._durations: dict[str, tuple[Seconds, Seconds | None]] = {}
        self._unmapped = metrics.counter("errgate_unmapped_codes_total")
        self._unreadable = metrics.counter("errgate_unreadable_replies_total")
        self._overheads = Seconds(metrics.histogram("errgate_overhead_seconds").labels(vendor), OVERHEAD)
        self._queue = metrics.histogram("errgate_vendor_queue_seconds")
        self._waits: Seconds | None = None
        if vendor != NO_VENDOR:
            self._connection_states = [self._connections.labels(vendor, state) for state in ("busy", "idle", "free")]
            self.in_flight = Level(self._books, self._in_flight.labels(vendor))
            self._waits = Seconds(self._queue.labels(vendor), QUEUE)
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

    def tally(
        self,
        route: str,
        method: str,
        status: int | None,
        outcome: Outcome,
        caller: str,
        vendor_status: int | None,
    ) -> Tally:
        """Where requests with these labels are counted, each once, at its end; `vendor_status`: of a reply."""
        key = (route, method, status, outcome, caller, vendor_status)
        tally = self._tallies.get(key)
        if tally is None:
            # Whatever a hostile method is called, it shares one, and the table does not grow with it.
            key = (route, method_label(method), status, outcome, caller, vendor_status)
            tally = self._tallies.get(key) or self._tallies.setdefault(key, self._tally(*key))
        return tally

    def _tally(
        self,
        route: str,
        method: str,
        status: int | None,
        outcome: Outcome,
        caller: str,
        vendor_status: int | None,
    ) -> Tally:
        counters = [
            self._requests.labels(self._vendor, route, method, status_label(status), outcome.value),
            self._callers.labels(caller, self._vendor, outcome.value),
        ]
        if vendor_status is not None:
            counters.append(self._replies.labels(self._vendor, status_label(vendor_status)))
        if route not in self._durations:
            known = self._vendor != NO_VENDOR
            self._durations[route] = (
                Seconds(self._duration.labels(self._vendor, route), SECONDS),
                Seconds(self._vendor_duration.labels(self._vendor, route), SECONDS) if known else None,
            )
        duration, vendor = self._durations[route]
        return Tally(self._books, counters, (duration, vendor, self._waits, self._overheads))

    def error(self, problem: Problem, kind: str = "http") -> None:
        """Count an error by its codes."""
        key = (problem.code, problem.label, problem.source, kind)
        (self._error_counts.get(key) or self._error(*key)).inc()
        if problem.source is Source.VENDOR:
            if problem.label == "other":
                self.unmapped.inc()
                self.recent.unmapped(self._vendor, problem, kind)
            if problem.unreadable:
                self.unreadable.inc()

    def no_reply(self, reason: str) -> None:
        """Count a request to which no reply came."""
        self._failures.labels(self._vendor, reason).inc()

    def job(self, result: str) -> None:
        """Count a job."""
        self._jobs.labels(self._vendor, result).inc()

    def traced(self, route: str, seconds: float, vendor_seconds: float | None, trace_id: str) -> None:
        """
        Note how long a request took, and its vendor to the head of the reply, with its trace as an exemplar (W-133).

        Args:
            route: the request's.
            seconds: all of it.
            vendor_seconds: None where no vendor was asked.
            trace_id: 32 hexadecimal digits.
        """
        exemplar = {"trace_id": trace_id}
        self._duration.labels(self._vendor, route).observe(seconds, exemplar)
        if vendor_seconds is not None:
            self._vendor_duration.labels(self._vendor, route).observe(vendor_seconds, exemplar)

    def _error(self, house: HouseCode, label: str, source: Source, kind: str) -> Level:
        """Make the count of an error, at 0."""
        child = self._errors.labels(self._vendor, house.code, label, source.value, kind)
        return self._error_counts.setdefault((house, label, source, kind), Level(self._books, child))


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
