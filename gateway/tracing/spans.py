"""
The spans of a request: one for the request itself (SERVER), one for each try to get the vendor's reply (CLIENT).

Names and attributes are the stable HTTP conventions of OpenTelemetry (W-139), without what contract 15 keeps out of
every log: no path, no query, no field of a head. `error.type` is the house code; a try's is the vendor's status, or the
name in RFC 9209 of why no reply came. Nothing of it reaches a vendor unless `forward.trace` says so.

One file: both kinds of span share the trace that they are in, and the words for how it ended.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from starlette.types import Receive, Scope, Send

from gateway import identity, log
from gateway.access import Access
from gateway.identity import Trace
from gateway.metrics import NO_VENDOR, Outcome, method_label
from gateway.upstream import Call, Cut, Exchange, Fields, NoReply, Upstream

from . import Forward

R = TypeVar("R")

# A collector that is away must not hold up a stop for longer.
CLOSING_SECONDS = 5.0

# A collector that is away is worth a line a minute, not one a batch.
COMPLAINT_SECONDS = 60.0

SERVER_ERROR = 500
ERROR = 400


@dataclass(slots=True)
class _Request:
    """The request that a try belongs to. Mutable state: how many tries there were."""

    context: Context
    tries: int = 0


_REQUEST: ContextVar[_Request | None] = ContextVar("errgate_request", default=None)


class Spans:
    """
    Makes the spans, with a provider of its own: the process may be somebody else's.

    Mutable state: the SDK's bounded queue of ended spans; a full one drops.

    Args:
        processor: where ended spans go.
        version: the gateway's own.
    """

    def __init__(self, processor: SpanProcessor, version: str) -> None:
        # What the environment says of the service wins; without a word it is called what the command is called.
        named = SERVICE_NAME in OTELResourceDetector().detect().attributes
        own = {SERVICE_VERSION: version} | ({} if named else {SERVICE_NAME: "errgate"})
        self._provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("errgate", version)

    @classmethod
    def over_otlp(cls, version: str) -> "Spans":
        """Send the spans by OTLP over HTTP, as the variables of OpenTelemetry say."""
        library = logging.getLogger("opentelemetry")
        if not any(isinstance(handler, Complaints) for handler in library.handlers):
            library.addHandler(Complaints())
            library.propagate = False
        return cls(BatchSpanProcessor(OTLPSpanExporter()), version)

    def around(self, forward: Forward[R]) -> Callable[[R, Scope, Receive, Send], Awaitable[Access]]:
        """A span for every request that `forward` answers."""

        async def traced(runtime: R, scope: Scope, receive: Receive, send: Send) -> Access:
            method = method_label(scope["method"])
            span = self._tracer.start_span(
                _name(method),
                context=_context(identity.trace(scope["headers"])),
                kind=SpanKind.SERVER,
                attributes={
                    "http.request.method": method,
                    "url.scheme": scope["scheme"],
                    "network.protocol.version": scope["http_version"],
                },
            )
            if scope.get("server"):
                host, port = scope["server"]
                span.set_attributes({"server.address": host} | ({} if port is None else {"server.port": port}))
            token = _REQUEST.set(_Request(set_span_in_context(span, Context())))
            try:
                access = await forward(runtime, scope, receive, send, trace=_trace(span))
                _tell(span, method, access)
                return access
            finally:
                _REQUEST.reset(token)
                span.end()

        return traced

    def upstream(self, upstream: Upstream, *, vendor: str, host: str, port: int) -> Upstream:
        """A span for every try to get a reply from a vendor."""
        return TracedUpstream(self._tracer, upstream, vendor=vendor, host=host, port=port)

    async def aclose(self) -> None:
        """Send what is still to be sent, within a few seconds."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop did not wait for it
                loop.call_soon_threadsafe(done.set)

        # A daemon: a collector that takes its time does not keep the process.
        threading.Thread(target=shut, name="spans", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), CLOSING_SECONDS)


class TracedUpstream:
    """A vendor's connections, each try of a request under a span of its own."""

    def __init__(self, tracer: Tracer, upstream: Upstream, *, vendor: str, host: str, port: int) -> None:
        self._tracer = tracer
        self._upstream = upstream
        self._attributes: dict[str, str | int] = {
            "server.address": host,
            "server.port": port,
            "errgate.vendor": vendor,
        }

    @asynccontextmanager
    async def exchange(self, call: Call) -> AsyncIterator[Exchange]:
        """Send the call as the engine does; the span ends with the reply's last byte."""
        request = _REQUEST.get()
        tries = 0 if request is None else request.tries
        method = method_label(call.method.decode("latin-1"))
        span = self._tracer.start_span(
            _name(method),
            context=Context() if request is None else request.context,
            kind=SpanKind.CLIENT,
            attributes={
                **self._attributes,
                "http.request.method": method,
                **({"http.request.resend_count": tries} if tries else {}),
            },
        )
        if request is not None:
            request.tries += 1
        # The field is there with `forward.trace` only.
        lines = [(name, _traceparent(span) if name == b"traceparent" else value) for name, value in call.headers]
        call.fields = Fields(lines)
        try:
            async with self._upstream.exchange(call) as exchange:
                span.set_attribute("http.response.status_code", exchange.status)
                if exchange.status >= ERROR:
                    _fail(span, str(exchange.status))
                yield exchange
        except (NoReply, Cut) as nothing:
            _fail(span, nothing.reason.rfc9209)
            raise
        finally:
            span.end()

    def connections(self) -> tuple[int, int, int]:
        """How many connections are busy, idle, and still free to be opened."""
        return self._upstream.connections()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._upstream.aclose()


class Complaints(logging.Handler):
    """
    Says that spans are lost, as a line of our log; without the library's words, which may quote an address.

    Mutable state: when it was said last.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Say it, unless it was said a moment ago."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + COMPLAINT_SECONDS
            log.event(logging.WARNING, "spans are not exported; look at the collector", place=record.name)


def _name(method: str, route: str | None = None) -> str:
    """A span's name: the method and, where it is known, the route."""
    method = "HTTP" if method == "_OTHER" else method
    return method if route is None else f"{method} {route}"


def _context(parent: Trace | None) -> Context:
    """The caller's span as the parent; an empty context begins a trace."""
    if parent is None:
        return Context()
    remote = SpanContext(
        int(parent.trace_id, 16), int(parent.parent_id, 16), is_remote=True, trace_flags=TraceFlags(parent.sampled)
    )
    return set_span_in_context(NonRecordingSpan(remote), Context())


def _trace(span: Span) -> Trace:
    """A span as what it begins is told of it."""
    context = span.get_span_context()
    return Trace(format_trace_id(context.trace_id), format_span_id(context.span_id), context.trace_flags.sampled)


def _traceparent(span: Span) -> bytes:
    trace = _trace(span)
    return f"00-{trace.trace_id}-{trace.parent_id}-{trace.sampled:02x}".encode()


def _tell(span: Span, method: str, access: Access) -> None:
    """Write what became of the request into its span."""
    if access.vendor != NO_VENDOR:
        route = f"{access.vendor}/{access.route}"
        span.update_name(_name(method, route))
        span.set_attributes({"http.route": route, "errgate.vendor": access.vendor})
    span.set_attributes({"errgate.caller": access.caller, "errgate.request_id": access.request_id})
    if access.status is not None:
        span.set_attribute("http.response.status_code", access.status)
    problem, aborted = access.problem, access.outcome is Outcome.ABORTED
    if problem is not None:
        span.set_attributes({"errgate.fault": problem.code.fault.value, "errgate.source": problem.source.value})
    # What the caller did wrong, and that it hung up, is no failure of ours (W-139).
    failed = aborted or (access.status or 0) >= SERVER_ERROR
    if problem is not None or failed:
        kind = problem.code.code if problem is not None else "aborted" if aborted else str(access.status)
        span.set_attribute("error.type", kind)
    if failed:
        span.set_status(StatusCode.ERROR)


def _fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)
