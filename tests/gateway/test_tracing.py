"""Spans: who gets them, and that nobody else pays for them."""

import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.types import Message, Receive, Scope, Send

from gateway import log, tracing
from gateway.access import Access
from gateway.app import create_app
from gateway.identity import Trace
from gateway.metrics import Metrics, Outcome
from gateway.proxy import forward
from gateway.settings import Timeouts, loads
from gateway.tracing import spans
from gateway.tracing.spans import Complaints, Spans
from gateway.upstream import Call, Fields
from tests.gateway.asgi import ask

SETTINGS = loads("vendors: {pixii: {base_url: 'http://127.0.0.1:9', retries: {max: 0}}}", environ={})
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}

UNASKED: list[Mapping[str, str]] = [
    {},
    {"OTEL_SERVICE_NAME": "errgate"},
    ENDPOINT | {"OTEL_TRACES_EXPORTER": "None"},
    ENDPOINT | {"OTEL_SDK_DISABLED": "true"},
]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What our log says."""
    monkeypatch.setattr(log.LOGGER, "propagate", True)
    caplog.set_level("INFO", log.LOGGER.name)
    return caplog


@pytest.mark.parametrize("environ", UNASKED, ids=["nothing", "a-name", "none", "disabled"])
def test_nobody_asked(environ: Mapping[str, str], said: pytest.LogCaptureFixture) -> None:
    """Without a word, or with a no, there are no spans, and nothing is said of it."""
    made = tracing.from_environment(environ, "1")

    assert made is None
    assert said.messages == []


CANNOT: list[Mapping[str, str]] = [
    {"OTEL_TRACES_EXPORTER": "console"},
    ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
]


@pytest.mark.parametrize("environ", CANNOT, ids=["exporter", "protocol", "protocol-of-traces"])
def test_what_cannot_be_done(environ: Mapping[str, str], said: pytest.LogCaptureFixture) -> None:
    """An exporter that is not there is said, with what is; the gateway starts without spans."""
    made = tracing.from_environment(environ, "1")

    assert made is None
    assert [line for line in said.messages if "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in line]


def test_extra_is_not_installed(said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for spans without the extra is told how to install it, and gets a gateway."""
    monkeypatch.setitem(sys.modules, "gateway.tracing.spans", None)

    made = tracing.from_environment(ENDPOINT, "1")

    assert made is None
    assert [line for line in said.messages if "pip install 'errgate[otel]'" in line]


async def test_asked() -> None:
    """An endpoint is enough; what could not be sent does not hold up the end."""
    made = tracing.from_environment(ENDPOINT, "1")

    assert isinstance(made, Spans)
    await made.aclose()


def test_off_costs_nothing() -> None:
    """Off, nothing of OpenTelemetry is imported, and requests take the very function that knows nothing of it."""
    program = """if True:
        import sys
        import gateway.cli.serve
        from gateway import app, proxy, tracing
        from gateway.settings import loads
        made = app.create_app(loads("vendors: {a: {base_url: 'http://127.0.0.1:9'}}"),
                              tracing=tracing.from_environment({}, "1"))
        print(made._forward is proxy.forward, type(made.runtime.lanes["a"].upstream).__module__,
              [name for name in sys.modules if "opentelemetry" in name])
    """

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert printed.stdout.startswith("True gateway.upstream."), printed
    assert printed.stdout.rstrip().endswith(" []")


class Finished:
    """A path that is walked already, with what is known of the request."""

    def __init__(self, **known: object) -> None:
        self.known = known
        self.trace: Trace | None = None

    async def __call__(
        self, runtime: None, scope: Scope, receive: Receive, send: Send, *, trace: Trace | None = None
    ) -> Access:
        """Answer at once."""
        self.trace = trace
        access = Access(metrics=Metrics("1").nobody, method=scope["method"], request_id="r-1-of-the-tests")
        for name, value in self.known.items():
            setattr(access, name, value)
        return access


async def _receive() -> Message:
    return {"type": "http.disconnect"}


async def _send(message: Message) -> None:
    pass


async def span_of(known: Mapping[str, object], server: tuple[str, int | None] | None = None) -> ReadableSpan:
    """The span of a request of which that is known."""
    exporter = InMemorySpanExporter()
    walk = Spans(SimpleSpanProcessor(exporter), "1").around(Finished(**known))
    scope: Scope = {"method": "GET", "scheme": "https", "http_version": "1.1", "headers": [], "server": server}
    await walk(None, scope, _receive, _send)
    (span,) = exporter.get_finished_spans()
    return span


ENDS = [
    ({"outcome": Outcome.ABORTED, "status": 200}, "aborted", False),
    ({"outcome": Outcome.CALLER_GONE}, None, True),
    ({"status": 502}, "502", False),
    ({"status": 404}, None, True),
    ({"status": 200}, None, True),
]


@pytest.mark.parametrize(("known", "kind", "well"), ENDS, ids=["aborted", "gone", "vendors-502", "vendors-404", "ok"])
async def test_ends_without_a_problem(known: dict[str, object], kind: str | None, well: bool) -> None:
    """Without a problem of ours a cut answer and a 5xx that went through are failures, a hang-up is none (W-139)."""
    span = await span_of(known)

    assert (span.attributes or {}).get("error.type") == kind
    assert span.status.is_unset is well


SERVERS: list[tuple[tuple[str, int | None] | None, dict[str, object]]] = [
    (None, {}),
    (("/run/errgate.sock", None), {"server.address": "/run/errgate.sock"}),
    (("127.0.0.1", 8080), {"server.address": "127.0.0.1", "server.port": 8080}),
]


@pytest.mark.parametrize(("server", "expected"), SERVERS, ids=["unknown", "path", "port"])
async def test_server(server: tuple[str, int | None] | None, expected: dict[str, object]) -> None:
    """The server's address is the one that the request came in by, never what the request says of it."""
    span = await span_of({}, server)

    found = {name: value for name, value in (span.attributes or {}).items() if name.startswith("server.")}
    assert found == expected


async def test_app_makes_spans() -> None:
    """An application that is given spans makes them, and closes what makes them at its end."""
    exporter = InMemorySpanExporter()
    app = create_app(SETTINGS, tracing=Spans(SimpleSpanProcessor(exporter), "1"))

    answer = await ask(app, "/pixii/x")
    after = app.runtime.following(SETTINGS)
    await app.aclose()

    assert answer.status == 502
    assert [span.name for span in exporter.get_finished_spans()] == ["GET", "GET pixii/other"]
    assert after.lanes["pixii"].upstream is app.runtime.lanes["pixii"].upstream
    assert after.lanes["pixii"].upstream.connections()[0] == 0
    assert app._forward is not forward


async def test_a_try_of_nobodys() -> None:
    """A try that belongs to no request begins a trace of its own, and asks for nothing."""
    exporter = InMemorySpanExporter()
    made = Spans(SimpleSpanProcessor(exporter), "1")
    upstream = made.upstream(Answering(), vendor="a", host="a.example", port=443)

    call = Call(b"GET", b"/", Fields([(b"traceparent", b"theirs"), (b"x", b"y")]), None, Timeouts())
    async with upstream.exchange(call) as exchange:
        status = exchange.status
    await upstream.aclose()

    (span,) = exporter.get_finished_spans()
    assert status == 204
    assert span.parent is None
    assert span.attributes == {
        "server.address": "a.example",
        "server.port": 443,
        "errgate.vendor": "a",
        "http.request.method": "GET",
        "http.response.status_code": 204,
    }
    assert call.headers[1] == (b"x", b"y")
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-01", call.headers[0][1])


class Answered:
    """A reply without a body."""

    status = 204
    whole = None
    headers: ClassVar[list[tuple[bytes, bytes]]] = []

    async def chunks(self) -> AsyncIterator[bytes]:
        """Nothing."""
        return
        yield b""


class Answering:
    """An upstream whose vendor says 204 to everything."""

    @asynccontextmanager
    async def exchange(self, call: Call) -> AsyncIterator[Answered]:
        """Answer."""
        yield Answered()

    def connections(self) -> tuple[int, int, int]:
        """None."""
        return 0, 0, 0

    async def aclose(self) -> None:
        """Nothing to close."""


class Deaf(SpanExporter):
    """A collector that takes the connection and then nothing."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Wait."""
        self.released.wait(20)
        return SpanExportResult.FAILURE


async def test_deaf_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector that does not answer holds up neither a request nor, for longer than that, the end."""
    monkeypatch.setattr(spans, "CLOSING_SECONDS", 0.05)
    exporter = Deaf()
    app = create_app(SETTINGS, tracing=Spans(BatchSpanProcessor(exporter, schedule_delay_millis=1), "1"))

    began = time.monotonic()
    for _ in range(5):
        await ask(app, "/pixii/x")
    await app.aclose()
    took = time.monotonic() - began
    exporter.released.set()

    assert took < 15


def test_complaints(said: pytest.LogCaptureFixture) -> None:
    """The library's complaints become one line a minute, without its words, which may quote an address."""
    complaints = Complaints()
    record = logging.LogRecord("opentelemetry.x", logging.ERROR, "", 0, "http://u:secret@collector", (), None)

    for _ in range(3):
        complaints.handle(record)

    assert said.messages == ["spans are not exported; look at the collector"]


def test_one_complainer(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often spans are made, the library complains to one handler."""
    library = logging.getLogger("opentelemetry")
    monkeypatch.setattr(library, "handlers", [])
    monkeypatch.setattr(library, "propagate", True)

    Spans.over_otlp("1")
    Spans.over_otlp("1")

    assert len(library.handlers) == 1
