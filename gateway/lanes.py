"""
Everything that the requests to one vendor need, made once when the settings come into force.

A `Runtime` is one generation of the settings: requests that run keep theirs when a reload brings the next one.

One file: what is made for a vendor is made in one place, and a reload replaces all of it or nothing.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from normalizers import HouseCode, Route, Routes, Scrubber, Vendor

from .addresses import Proxies
from .allowance import Allowance
from .callers import Callers
from .gates import Gates
from .headers import Header, ToCaller, ToVendor
from .headers.location import Base
from .jobs import RecentJobs
from .limits import Standing, Store
from .metrics import OTHER_ROUTE, Metrics, VendorMetrics
from .problems import refuse
from .sending import Sender
from .settings import Credential, Settings, Timeouts, VendorSettings
from .tracing import Tracing
from .upstream import Upstream
from .upstream.http1 import Http1Upstream

# What no route matches; it is no route of any vendor's.
OTHER: Final = Route(name=OTHER_ROUTE, methods=frozenset(), paths=())

# A path that is longer, or the first one over so many, is found anew each time: memory does not grow with callers.
WAYS_LIMIT = 1024
PATH_LIMIT_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Lane:
    """One vendor, ready for its requests."""

    name: str
    settings: VendorSettings
    vendor: Vendor
    routes: Routes
    timeouts: Mapping[str, Timeouts]
    base_path: bytes
    upstream: Upstream
    sender: Sender
    gates: Gates
    dialling: tuple[object, ...] = field(repr=False)
    to_vendor: ToVendor
    to_caller: ToCaller
    metrics: VendorMetrics
    scrub: Scrubber
    passthrough: bool
    max_request_body: int
    checked_routes: frozenset[str]


class Way(NamedTuple):
    """
    Where a method and a path lead: a lane, the path by which the caller came, the vendor's own, and its route.

    `matched` is the vendor's path as routes are matched with it.
    """

    lane: Lane
    prefix: bytes
    path: bytes
    matched: str
    route: Route

    def __repr__(self) -> str:
        return f"Way(lane={self.lane.name!r}, route={self.route.name!r})"


class Ways:
    """
    The ways that requests have gone, by method and raw path: callers repeat themselves.

    Mutable state: the ways, within bounds. Only one on which nothing but the caller can be refused is kept.
    """

    __slots__ = ("_ways",)

    def __init__(self) -> None:
        self._ways: dict[tuple[str, bytes], Way] = {}

    def find(self, method: str, raw_path: bytes) -> Way | None:
        """The way of such a request, if one was gone before."""
        return self._ways.get((method, raw_path))

    def keep(self, method: str, raw_path: bytes, way: Way) -> None:
        """Remember a way."""
        if len(raw_path) <= PATH_LIMIT_BYTES:
            if len(self._ways) >= WAYS_LIMIT:
                self._ways.clear()
            self._ways[method, raw_path] = way


@dataclass(slots=True)
class Occupancy:
    """How many requests run, on whichever generation of the settings. Mutable state: the count."""

    in_flight: int = 0


class Runtime:
    """
    One generation of the settings.

    Mutable state: `in_flight`, the requests that run on it; when the last one of a retired generation ends, the
    connections that the next generation did not take over are closed.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        *,
        before: "Runtime | None" = None,
        tracing: Tracing | None = None,
        store: Store | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self._tracing = tracing
        self.callers = Callers(settings.callers)
        self.proxies = Proxies(map(str, settings.server.trusted_proxies))
        self.jobs: RecentJobs = before.jobs if before is not None else RecentJobs()
        self.in_flight = 0
        self.gateway: Occupancy = before.gateway if before is not None else Occupancy()
        # What the settings allow a gateway, its workers share.
        self.max_in_flight = -(-settings.server.max_in_flight // settings.server.workers)
        self.allowance: Allowance = Allowance(
            settings, store=store, before=None if before is None else before.allowance
        )
        self._retired: list[Upstream] | None = None
        contexts: dict[tuple[object, ...], ssl.SSLContext] = {}
        old = before.lanes if before is not None else {}
        self.lanes: Mapping[str, Lane] = MappingProxyType(
            {
                name: _lane(name, vendor, settings, metrics, old.get(name), contexts, tracing, self.allowance)
                for name, vendor in settings.vendors.items()
            }
        )
        self.addresses = Addresses(settings)
        self.ways = Ways()
        self.errors: Mapping[str, str] = {
            name: caller.errors
            for name, caller in (settings.callers.items() if isinstance(settings.callers, Mapping) else ())
            if caller.errors is not None
        }

    def following(self, settings: Settings) -> "Runtime":
        """The next generation; it takes over the connections to vendors whose dialling did not change."""
        return Runtime(settings, self.metrics, before=self, tracing=self._tracing)

    def observe(self) -> None:
        """Note what was added up, and the state of connections, breakers and holds, in the metrics."""
        self.metrics.books.tell()
        for lane in self.lanes.values():
            lane.metrics.connections(*lane.upstream.connections())
            if lane.sender.breaker is not None:
                lane.metrics.breaker(is_open=lane.sender.breaker.is_open)
        self.allowance.note(self.metrics.limits)

    async def look(self) -> dict[str, dict[str, Standing]]:
        """What is left of the limits that all share, by vendor and name; noted in the metrics, too."""
        standings = await self.allowance.look()
        self.allowance.note_standings(standings, self.metrics.limits)
        return standings

    def enter(self) -> None:
        """One more request runs on this generation."""
        self.in_flight += 1
        self.gateway.in_flight += 1

    def leave(self) -> None:
        """A request of this generation has ended."""
        self.in_flight -= 1
        self.gateway.in_flight -= 1
        if self._retired and self.in_flight == 0:
            self._close_retired()

    def retire(self, following: "Runtime") -> None:
        """Another generation is in force: close what it did not take over, once nobody needs it."""
        kept = {id(lane.upstream) for lane in following.lanes.values()}
        self._retired = [lane.upstream for lane in self.lanes.values() if id(lane.upstream) not in kept]
        if self.in_flight == 0:
            self._close_retired()

    def _close_retired(self) -> None:
        for upstream in self._retired or ():
            closing = asyncio.ensure_future(upstream.aclose())
            # The loop holds tasks weakly: this one must live until it is done.
            CLOSING.add(closing)
            closing.add_done_callback(CLOSING.discard)
        self._retired = None

    async def aclose(self) -> None:
        """Close every connection to every vendor."""
        for lane in self.lanes.values():
            await lane.upstream.aclose()


class Addresses:
    """Whose request it is, by its `Host`: one of ours, a vendor's own, or nobody's."""

    __slots__ = ("_ours", "_vendors", "by_path")

    def __init__(self, settings: Settings) -> None:
        self._ours = frozenset(host.lower().encode() for host in settings.server.hosts)
        self._vendors = {
            host.lower().encode(): name for name, vendor in settings.vendors.items() for host in vendor.hosts
        }
        # Whether no Host says anything.
        self.by_path = not self._ours and not self._vendors

    def vendor_of(self, headers: Sequence[Header]) -> str | None:
        """The vendor whose own Host this is; None where the path names one. Raises `Refused`: 421, nobody's."""
        if self.by_path:
            return None
        host = next((value.lower() for name, value in headers if name == b"host"), b"")
        # An authority that is configured without a port stands for every port.
        bare = host.rpartition(b":")[0] if host.rpartition(b":")[2].isdigit() else host
        vendor = self._vendors.get(host) or self._vendors.get(bare)
        if vendor is None and self._ours and host not in self._ours and bare not in self._ours:
            raise refuse(HouseCode.MISDIRECTED_REQUEST, "The request names an authority that is not this gateway's.")
        return vendor


CLOSING: set["asyncio.Future[None]"] = set()


def _lane(
    name: str,
    settings: VendorSettings,
    whole: Settings,
    metrics: Metrics,
    old: Lane | None,
    contexts: dict[tuple[object, ...], ssl.SSLContext],
    tracing: Tracing | None,
    allowance: Allowance,
) -> Lane:
    """A vendor's lane. One function: a list of its parts, each made once and from the same settings."""
    # Its name in paths, envelopes and labels is the one it has in the settings.
    vendor = replace(settings.vendor, name=name)
    chosen = settings.credential
    secret = chosen.value.get_secret_value() if isinstance(chosen, Credential) else ""
    passthrough = chosen == "passthrough"
    dialling = _dialling(settings)
    if old is not None and old.dialling == dialling:
        upstream = old.upstream
    else:
        upstream = _upstream(settings, whole.server.workers, contexts)
        if tracing is not None:
            upstream = tracing.upstream(upstream, vendor=name, host=settings.host, port=settings.port)
    names = [*dict.fromkeys(route.name for route in vendor.routes), OTHER_ROUTE]
    counted = VendorMetrics(metrics, name)
    counted.prepare(vendor, own_credential=passthrough, routes=names)
    counted.limits.prepare(allowance.refusing(name))
    timeouts = {route: settings.timeouts_for(route) for route in names}
    return Lane(
        name=name,
        settings=settings,
        vendor=vendor,
        routes=Routes(vendor.routes),
        timeouts=timeouts,
        base_path=urlsplit(settings.base_url).path.encode("ascii"),
        upstream=upstream,
        sender=Sender(upstream, settings.retries, settings.breaker, before=None if old is None else old.sender),
        gates=allowance.gates(name, vendor.title, timeouts),
        dialling=dialling,
        to_vendor=ToVendor(
            authority=settings.authority,
            name=whole.server.name,
            credential=(chosen.header, secret) if isinstance(chosen, Credential) else chosen,
            cookies=settings.forward.cookies,
            trace=settings.forward.trace,
        ),
        to_caller=ToCaller(
            Base(scheme=settings.scheme, authority=settings.authority, path=settings.base_path),
            cookies=settings.forward.cookies,
            request_id_headers=vendor.places.request_id_headers,
        ),
        metrics=counted,
        scrub=Scrubber([secret] if secret else []),
        passthrough=passthrough,
        max_request_body=settings.max_request_body or whole.server.max_request_body,
        checked_routes=frozenset(rule.route for rule in vendor.errors_in_success),
    )


def _dialling(settings: VendorSettings) -> tuple[object, ...]:
    """What makes a connection to this vendor what it is; with the same, one may be used on."""
    tls = settings.tls
    return (
        settings.engine,
        settings.base_url,
        settings.max_connections,
        settings.proxy and settings.proxy.get_secret_value(),
        settings.http2,
        tls.server_name,
        *_tls_key(settings),
    )


def _tls_key(settings: VendorSettings) -> tuple[object, ...]:
    """The TLS material by content, so that a renewed certificate is a new one."""
    tls = settings.tls
    files = (tls.ca, tls.certificate, tls.key)
    return (settings.http2, *(None if file is None else Path(file).read_bytes() for file in files))


def _upstream(settings: VendorSettings, workers: int, contexts: dict[tuple[object, ...], ssl.SSLContext]) -> Upstream:
    key = _tls_key(settings)
    if key not in contexts:
        contexts[key] = _context(settings)
    places = -(-settings.max_connections // workers)
    if settings.engine == "http1":
        return Http1Upstream(
            settings.base_url, max_connections=places, tls=contexts[key], server_name=settings.tls.server_name
        )
    from .upstream.httpx import HttpxUpstream  # noqa: PLC0415  (its library is 4 MiB and 60 ms that few vendors need)

    return HttpxUpstream(
        settings.base_url,
        max_connections=places,
        tls=contexts[key],
        server_name=settings.tls.server_name,
        proxy=None if settings.proxy is None else settings.proxy.get_secret_value(),
        http2=settings.http2,
    )


def _context(settings: VendorSettings) -> ssl.SSLContext:
    """A verifying client context; the environment's key log is not obeyed."""
    tls = settings.tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(tls.ca)
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context
