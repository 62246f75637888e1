"""
The path of one request. Read this first.

    caller --1..6-> gateway --7-> vendor
    caller <-8..10- gateway <----- vendor

One file, since it is one story; each step is a few lines, and what a step does stands in the module that it names.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from normalizers import HouseCode, Route, Source

from . import identity, log, target
from .access import Access
from .admission import Admission
from .answers import Answer
from .bad_input import BadInput, LoopDetected
from .callers import Caller
from .headers import BARE, Framing, Header, max_forwards, read_framing, refuse_content
from .known import Heard
from .lanes import OTHER, Lane, Runtime, Way
from .metrics import NO_VENDOR, Outcome
from .problems import Refused, no_reply, not_allowed, refuse, too_large
from .replies import Judge
from .resilience import REPLAYED_LIMIT_BYTES
from .streams import CallerGone, Connection, Presence, Upload
from .upstream import Call, Cut, Fields, NoReply

# Methods that the gateway forwards; any other is 501 (W-037), and TRACE, which would reflect a credential, 405 (W-035).
FORWARDED: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# What a request is refused with that was fine by itself (contract 14).
NEVER_LEFT: Final = frozenset(
    {
        HouseCode.OVERLOADED,
        HouseCode.VENDOR_UNAVAILABLE,
        HouseCode.RATE_LIMITED,
        HouseCode.CAPACITY_EXHAUSTED,
        HouseCode.VENDOR_RATE_LIMITED,
        HouseCode.QUOTA_EXHAUSTED,
    }
)

ERROR_STATUS: Final = 400

_NO_EXTENSIONS: dict[str, Connection] = {}


async def forward(
    runtime: Runtime, scope: Scope, receive: Receive, send: Send, *, trace: identity.Trace | None = None
) -> Access:
    """
    Answer one request: an ASGI application but for its first argument. Returns what is known of it.

    `trace`: the trace and the span that the request belongs to, where it is not the caller's.
    """
    runtime.enter()
    try:
        passage = _Passage(runtime, scope, receive, send, trace)
        await passage.run()
        return passage.access
    finally:
        runtime.leave()


class _Passage:
    """
    One request on its way.

    1. Read the head, or refuse: invalid_request, uri_too_long, not_implemented, misdirected_request.
    2. Find the vendor and the caller, or refuse: unauthenticated, not_found, permission_denied.
    3. Check method, route and path, or refuse: method_not_allowed, permission_denied.
    4. Check size and capacity, or refuse: payload_too_large, overloaded.
    5. Make the vendor's request: its path, its header fields, its credential.
    6. Pass the breaker, the hold and the limits, or refuse: vendor_unavailable, vendor_rate_limited, quota_exhausted,
       rate_limited, capacity_exhausted.
    7. Send; without a reply: vendor_unreachable, vendor_timeout, vendor_failed, overloaded.
    8. An error is read, up to a limit, and normalized.
    9. A success that may carry a failure is kept back, up to a limit, and inspected.
    10. Any other success streams through untouched.

    Whoever must stop a request raises `Refused` (the pure modules: `BadInput`); `run` answers.
    """

    def __init__(
        self, runtime: Runtime, scope: Scope, receive: Receive, send: Send, trace: identity.Trace | None
    ) -> None:
        self.runtime = runtime
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.connection: Connection | None = scope.get("extensions", _NO_EXTENSIONS).get("errgate")
        # Other servers append the request's trailers once the body is read: they are not header fields (W-054).
        self.received: Sequence[Header] = scope["headers"] if self.connection is not None else tuple(scope["headers"])
        self.presence = Presence(receive, self.connection)
        self.upload: Upload | None = None
        # The same head, if it came before on this connection.
        self.heard = self._heard(scope["http_version"])
        # Whether the head names the request or its trace.
        self.is_named = False
        if self.heard is None:
            names = dict(self.received)
            self.is_named = b"traceparent" in names or b"x-request-id" in names
        self.trace = trace or (identity.trace(self.received) if self.is_named else None)
        self.access = Access(
            metrics=runtime.metrics.nobody,
            method=self.method,
            request_id=identity.request_id(self.received if self.is_named else ()),
            trace_id=None if self.trace is None else self.trace.trace_id,
        )
        self.answer = Answer(runtime.settings, self.access, self.presence, send, self.connection)

    async def run(self) -> None:
        """Walk the path, and answer whoever was stopped on it."""
        access = self.access
        try:
            await self._walk()
        except Refused as refused:
            await self._refuse(refused)
        except BadInput as bad:
            await self._refuse(_refusal_of(bad))
        except CallerGone:
            access.outcome = Outcome.CALLER_GONE
        except asyncio.CancelledError:
            await self._cancelled()
        except Exception as error:  # noqa: BLE001  (whatever it was: the caller gets an envelope, and the log the place)
            log.event(logging.ERROR, "internal error", error=error, request_id=access.request_id, vendor=access.vendor)
            await self._refuse(
                refuse(HouseCode.INTERNAL_ERROR, "The gateway made a mistake.", proxy_error="proxy_internal_error")
            )
        finally:
            self.presence.answered()
            if self.upload is not None:
                access.bytes_in = self.upload.size
            access.finish(logged=self.runtime.settings.log.requests)

    async def _walk(self) -> None:
        access, runtime, settings = self.access, self.runtime, self.runtime.settings

        # 1. Read the head.
        version: str = self.scope["http_version"]
        heard = self.heard
        framing = read_framing(version, self.received) if heard is None else heard.framing
        if self.method == "OPTIONS" and self.scope["raw_path"] == b"*":
            await self.answer.options(FORWARDED)
            return
        found = self._known_way() or self._aim()

        # 2. Find the vendor and the caller.
        lane = found.lane if isinstance(found, Way) else runtime.lanes.get(found[0].vendor)
        if heard is not None and heard.lane is lane:
            caller = heard.caller
        else:
            heard = None
            caller = runtime.callers.identify(self.received, passthrough=lane is not None and lane.passthrough)
        access.caller = caller.name
        if lane is None:
            raise self._no_such_vendor(caller)
        access.metrics, access.vendor = lane.metrics, lane.name

        # 3. Check method, route and path.
        if not isinstance(found, Way):
            way = self._way(lane, caller, *found)
        else:
            way = found
            if caller.routes is not None:
                self._check(lane, caller, way.route)
        route, path = way.route, way.path
        access.route = route.name
        if framing is not BARE:
            refuse_content(self.method, framing, get_body=lane.settings.forward.get_body)

        # 4. Check size and capacity.
        if framing.length is not None and framing.length > lane.max_request_body:
            raise too_large(lane.max_request_body)
        if runtime.gateway.in_flight > runtime.max_in_flight:
            raise refuse(
                HouseCode.OVERLOADED,
                "The gateway works on as many requests as it may.",
                retry_after=1,
                proxy_error="connection_limit_reached",
            )

        # 5. Make the vendor's request.
        query: bytes = self.scope["query_string"]
        has_query = query or (self.connection is not None and self.connection.has_query)
        hops = max_forwards(self.method, self.received) if self.method == "OPTIONS" else None
        if hops == 0:
            await self.answer.options(FORWARDED)
            return
        fields = heard.sent if heard is not None else self._fields(lane, version, framing, caller, hops)
        access.keyed = lane.sender.counts_key(fields.lines)
        if framing.has_content:
            self.upload = Upload(
                self.receive,
                limit=lane.max_request_body,
                idle=settings.server.timeouts.body_idle,
                on_end=self.presence.watch,
                kept_bytes=REPLAYED_LIMIT_BYTES if lane.settings.retries.max else 0,
            )
        else:
            self.presence.watch()
        gate = lane.gates.of(caller.name, route.name, self.method)
        admission = Admission(lane.gates, gate, access, self.received, self._who(caller) if gate.keys is None else "")
        call = Call(
            method=self.method.encode("ascii"),
            target=path + b"?" + query if has_query else path,
            fields=fields,
            body=self.upload,
            timeouts=lane.timeouts[route.name],
            ready=admission.ready if admission.holds else None,
        )
        judge = Judge(
            runtime,
            lane,
            route,
            access,
            self.answer,
            admission,
            errors=runtime.errors.get(caller.name) or lane.settings.errors,
            prefix=way.prefix,
            key=way.matched,
        )

        lane.metrics.in_flight.inc()
        try:
            # 6. Pass the breaker, the hold and the limits, or refuse. The breaker comes first, and once more after a
            # wait, so that only who may go probes.
            if lane.sender.breaker is not None:
                lane.sender.check()
            if admission.asks:
                await self._enter(admission)
            probe = lane.sender.admit()

            # 7. Send.
            async with lane.sender.exchange(call, access, admission, probe=probe) as exchange:
                access.vendor_status = exchange.status

                # 8. An error is read, up to a limit, and normalized.
                if exchange.status >= ERROR_STATUS:
                    await judge.error(exchange)

                # 9. A success that may carry a failure is kept back, up to a limit, and inspected.
                elif judge.may_carry_failure(exchange.status):
                    await judge.inspect(exchange)

                # 10. Any other success streams through untouched.
                else:
                    await judge.stream(exchange)
        except (NoReply, Cut) as nothing:
            access.reason = nothing.reason.rfc9209
            raise no_reply(
                lane.vendor.title, nothing.reason, repeatable=access.repeatable or not access.sent
            ) from nothing
        finally:
            last = access.call
            admission.settle(sent=last is not None and last.sent_at is not None)
            if last is not None:
                # It leads back to the notes, which hold the call: nothing waits for the collector of cycles.
                last.ready = None
            lane.metrics.in_flight.dec()

    def _who(self, caller: Caller) -> str:
        """Who has counters of its own: a caller or, where there are no callers, an address (W-095)."""
        client = self.scope.get("client")
        if self.runtime.callers.required or client is None:
            return caller.name
        return self.runtime.proxies.client(client[0], self.received)

    async def _enter(self, admission: Admission) -> None:
        """Be admitted; a caller that hangs up while it waits is gone, though its body was not read (RC-82)."""
        connection = self.connection
        if connection is None:
            await admission.enter()
            return
        watched, connection.on_gone = connection.on_gone, self.presence.leave
        try:
            await admission.enter()
        finally:
            connection.on_gone = watched

    def _aim(self) -> tuple[target.Target, bytes]:
        """Where the request wants to go, and the path by which the caller came there."""
        scope = self.scope
        raw_path: bytes = scope["raw_path"]
        mount: bytes = scope.get("root_path", "").encode("latin-1")
        vendor = self.runtime.addresses.vendor_of(self.received)
        if vendor is not None:
            return target.read_whole(raw_path.removeprefix(mount), scope["query_string"], vendor), mount
        aim = target.read(raw_path.removeprefix(mount), scope["query_string"])
        return aim, mount + b"/" + aim.vendor.encode("ascii")

    def _heard(self, version: str) -> Heard | None:
        """The same head, if it came before on this connection, under these settings."""
        heard = None if self.connection is None else self.connection.memory.last
        if not isinstance(heard, Heard) or heard.received != self.received or heard.version != version:
            return None
        return heard if self.runtime.lanes.get(heard.lane.name) is heard.lane else None

    def _known_way(self) -> Way | None:
        """The request's way, if one like it was gone before; what the query says is checked anew."""
        way = self.runtime.ways.find(self.method, self.scope["raw_path"]) if self.may_be_known else None
        if way is not None and (query := self.scope["query_string"]):
            target.check_query(self.scope["raw_path"], query)
        return way

    def _fields(self, lane: Lane, version: str, framing: Framing, caller: Caller, hops: int | None) -> Fields:
        """The vendor's header fields; remembered where nothing but the caller's head makes them what they are."""
        forward = lane.settings.forward
        lines = lane.to_vendor(
            self.received,
            framing,
            http_version=version,
            forwarded_for=self._forwarded_for(lane),
            traceparent=identity.traceparent(self.trace) if forward.trace else None,
            request_id=self.access.request_id.encode("ascii"),
            max_forwards=None if hops is None else hops - 1,
        )
        fields = Fields(lines)
        fresh = self.is_named or hops is not None or forward.trace or forward.caller_address
        if self.connection is not None and not fresh:
            self.connection.memory.last = Heard(lane, version, self.received, framing, caller, fields)
        return fields

    def _no_such_vendor(self, caller: Caller) -> Refused:
        allowed = ", ".join(caller.allowed_vendors(self.runtime.lanes)) or "none"
        return refuse(HouseCode.NOT_FOUND, f"The path must begin with a vendor's name: {allowed}.")

    def _way(self, lane: Lane, caller: Caller, aim: target.Target, prefix: bytes) -> Way:
        """Find the request's way. Raises `Refused` where this caller, or nobody, may go it."""
        if not caller.may_use(lane.name):
            raise refuse(HouseCode.PERMISSION_DENIED, "This caller may not use this vendor.")
        path = target.join(lane.base_path, aim.rest)
        matched = target.for_matching(path)
        route = lane.routes.match(self.method, matched) or OTHER
        self.access.route = route.name
        self._check(lane, caller, route)
        if self.method not in FORWARDED:
            raise _refuse_method(self.method)
        if route.refused:
            raise refuse(HouseCode.PERMISSION_DENIED, "The gateway never forwards this route of the vendor.")
        if route is OTHER and lane.settings.only_routes:
            known = lane.routes.methods_for(matched)
            if known:
                raise not_allowed(sorted(known))
            raise refuse(
                HouseCode.PERMISSION_DENIED, "Only the vendor's routes are forwarded, and this is none of them."
            )
        if lane.settings.forward.escaped_slash == "reject" and target.has_escaped_slash(path):
            raise refuse(HouseCode.INVALID_REQUEST, "The path holds an escaped slash.")
        way = Way(lane, prefix, path, matched, route)
        if self.may_be_known:
            self.runtime.ways.keep(self.method, self.scope["raw_path"], way)
        return way

    @property
    def may_be_known(self) -> bool:
        """Whether method and path alone say where a request leads: no Host names a vendor, and nothing mounts us."""
        return self.runtime.addresses.by_path and not self.scope.get("root_path")

    def _check(self, lane: Lane, caller: Caller, route: Route) -> None:
        """Raise `Refused` where this caller may not use the vendor, or this route of it."""
        if not caller.may_use(lane.name):
            raise refuse(HouseCode.PERMISSION_DENIED, "This caller may not use this vendor.")
        if not caller.may(lane.name, None if route is OTHER else route.name):
            raise refuse(HouseCode.PERMISSION_DENIED, "This caller may not use this route of the vendor.")

    def _forwarded_for(self, lane: Lane) -> bytes | None:
        client = self.scope.get("client")
        if not lane.settings.forward.caller_address or client is None:
            return None
        return self.runtime.proxies.forwarded_for(client[0], self.received)

    async def _refuse(self, refused: Refused) -> None:
        access = self.access
        problem = refused.problem
        access.problem = problem
        if problem.source is Source.GATEWAY and problem.code in NEVER_LEFT:
            access.outcome = Outcome.REFUSED
        if self.answer.begun:
            # The head is out: nothing can be rewritten, so the connection is cut (W-153).
            access.outcome = Outcome.ABORTED
            return
        unread = self.upload is not None and not self.upload.ended
        named = refused if access.vendor == NO_VENDOR else refused.of(access.vendor)
        await self.answer.refusal(named, close=unread)

    async def _cancelled(self) -> None:
        """The caller hung up, or the server stops and cannot wait for this request (W-166)."""
        task = asyncio.current_task()
        if self.presence.gone:
            self.access.outcome = Outcome.CALLER_GONE
        else:
            await self._refuse(
                refuse(
                    HouseCode.OVERLOADED, "The gateway is stopping.", retry_after=1, proxy_error="proxy_internal_error"
                )
            )
        if task is not None:
            task.uncancel()


def _refusal_of(bad: BadInput) -> Refused:
    """A pure module's objection as a refusal."""
    code = HouseCode.of(bad.code)
    headers: tuple[Header, ...] = ()
    if code is HouseCode.UNAUTHENTICATED:
        headers = ((b"www-authenticate", b'Bearer realm="errgate"'),)
    error = "proxy_loop_detected" if isinstance(bad, LoopDetected) else "http_request_error"
    return refuse(code, bad.reason, headers=headers, close=bad.close, proxy_error=error)


def _refuse_method(method: str) -> Refused:
    if method == "TRACE":
        return not_allowed(FORWARDED)
    return refuse(HouseCode.NOT_IMPLEMENTED, "The gateway does not speak this method.", close=method == "CONNECT")
