"""
A stub of an OpenTelemetry collector: takes spans by OTLP over HTTP, as protobuf, and keeps them.

It is no real collector: it checks nothing but that each export can be parsed.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent

KINDS = {Sent.SPAN_KIND_SERVER: "server", Sent.SPAN_KIND_CLIENT: "client"}


@dataclass(frozen=True, slots=True)
class Span:
    """A span as the collector got it; ids in hexadecimal, a missing parent is empty."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]
    seconds: float


class Collector:
    """The stub on a free loopback port. Mutable state: the spans that came, and the bytes they came in."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.received = b""
        self.paths: set[str] = set()
        collector = self

        class Taking(BaseHTTPRequestHandler):
            """One export."""

            def do_POST(self) -> None:
                """Keep it."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.keep(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def keep(self, path: str, body: bytes) -> None:
        """Note what an export brought."""
        self.paths.add(path)
        self.received += body
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _values(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_span(span, resource) for span in scope.spans]

    def of(self, trace_id: str) -> list[Span]:
        """The spans of one trace, in the order in which they ended."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True, name="collector").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _span(span: Sent, resource: dict[str, Any]) -> Span:
    return Span(
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        attributes=_values(span.attributes),
        resource=resource,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _values(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in attributes}
