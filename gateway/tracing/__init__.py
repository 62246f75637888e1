"""
Spans for OpenTelemetry: whether somebody wants them, and what the gateway asks of what makes them.

The standard variables turn them on: `OTEL_EXPORTER_OTLP_ENDPOINT`, its sibling for traces, or
`OTEL_TRACES_EXPORTER=otlp`. Where none is set nothing of OpenTelemetry is imported and nothing of it stands on a
request's path.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from starlette.types import Receive, Scope, Send

from gateway import log
from gateway.access import Access
from gateway.identity import Trace
from gateway.upstream import Upstream

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"


class Forward(Protocol[R_contra]):
    """Answers one request, and tells what is known of it."""

    async def __call__(
        self, runtime: R_contra, scope: Scope, receive: Receive, send: Send, *, trace: Trace | None = None
    ) -> Access:
        """Answer; `trace`: the trace and the span that the request belongs to, where it is not the caller's."""


class Tracing(Protocol):
    """What makes spans."""

    def around(self, forward: Forward[R]) -> Callable[[R, Scope, Receive, Send], Awaitable[Access]]:
        """A span for every request that `forward` answers."""

    def upstream(self, upstream: Upstream, *, vendor: str, host: str, port: int) -> Upstream:
        """A span for every try to get a reply from a vendor."""

    async def aclose(self) -> None:
        """Send what is still to be sent, within a few seconds."""


def from_environment(environ: Mapping[str, str], version: str) -> Tracing | None:
    """
    What makes spans, as the environment asks for it; None: nobody asked.

    What cannot be done is said in the log and left: a gateway without spans is better than none.
    """
    if not _wanted(environ):
        return None
    exporter = environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower()
    protocol = next((environ[name].strip() for name in PROTOCOLS if environ.get(name)), PROTOCOL)
    if exporter != "otlp" or protocol != PROTOCOL:
        log.event(
            logging.WARNING,
            "tracing stays off: spans are sent by OTLP over HTTP only; "
            f"set OTEL_TRACES_EXPORTER=otlp and OTEL_EXPORTER_OTLP_PROTOCOL={PROTOCOL}",
        )
        return None
    try:
        from .spans import Spans  # noqa: PLC0415  (only who asks for spans has, and pays for, OpenTelemetry)
    except ImportError:
        log.event(
            logging.WARNING, "tracing stays off: OpenTelemetry is not installed; pip install 'errgate[otel]' brings it"
        )
        return None
    return Spans.over_otlp(version)


def _wanted(environ: Mapping[str, str]) -> bool:
    """Whether the variables of OpenTelemetry ask for spans."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    return exporter != "none" if exporter else any(environ.get(name) for name in ENDPOINTS)
