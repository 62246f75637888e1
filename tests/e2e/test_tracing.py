"""The spans of a request, as a stub of a collector gets them by OTLP over HTTP; the gateway is a process."""

import os
from collections.abc import Iterator, Sequence

import pytest

from tests.e2e.harness.client import RawClient, request
from tests.e2e.harness.collector import Collector, Span
from tests.e2e.harness.gateway import ProcessGateway, free_port, settings_text
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, fin, json_reply, reply, send, stall
from tests.e2e.harness.vendors import CREDENTIALS, SECRETS
from tests.e2e.harness.wire import Response

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLERS_SPAN = "b7ad6b7169203331"
# A query, a path and a field that must be in no span.
CANARY = "canary-3f9a"
# What OpenTelemetry's own variables may be set to on the machine that runs the test.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """The stub."""
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def process(
    vendor: RogueVendor, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProcessGateway]:
    """A gateway that sends its spans to the stub, before vendors that do and do not get a trace."""
    common = {"base_url": vendor.url, "normalizer": "pixii", "credential": CREDENTIALS["pixii"]}
    vendors = {
        "pixii": common | {"retries": {"budget": "100%"}},
        "told": common | {"forward": {"trace": True}, "retries": {"budget": "100%"}},
        "refused": common | {"base_url": f"http://127.0.0.1:{free_port()}", "retries": {"max": 0}},
    }
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }
    with ProcessGateway(settings_text(vendors), tmp_path_factory.mktemp("gateway"), environ=environ) as process:
        yield process


@pytest.fixture(autouse=True)
def _new(vendor: RogueVendor, collector: Collector) -> None:
    vendor.forget()
    collector.spans.clear()


def spans(collector: Collector, number: int) -> list[Span]:
    """The next so many spans, the request's own last."""
    assert until(lambda: len(collector.spans) >= number, 20.0), collector.spans
    assert len(collector.spans) == number
    return sorted(collector.spans, key=lambda span: span.kind == "server")


def asked(process: ProcessGateway, target: str, method: str = "GET", *headers: tuple[str, str]) -> Response:
    """One request that belongs to a caller's trace."""
    return process.ask(target, method, [("traceparent", f"00-{TRACE}-{CALLERS_SPAN}-01"), *headers])


def test_spans_of_a_success(process: ProcessGateway, vendor: RogueVendor, collector: Collector) -> None:
    """A success is a span and a try's span in the caller's trace, with the stable names and attributes (W-139)."""
    assert asked(process, f"/pixii/v1/api/jobs?{CANARY}").status == 200

    client, server = spans(collector, 2)

    assert (server.name, server.kind, server.failed) == ("GET pixii/list", "server", False)
    assert (server.trace_id, server.parent_id) == (TRACE, CALLERS_SPAN)
    assert server.attributes.pop("errgate.request_id")
    assert server.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "pixii/list",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": process.address[1],
        "errgate.vendor": "pixii",
        "errgate.caller": "none",
    }
    assert (client.name, client.kind, client.failed) == ("GET", "client", False)
    assert (client.trace_id, client.parent_id) == (TRACE, server.span_id)
    assert client.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": vendor.port,
        "errgate.vendor": "pixii",
    }
    assert 0 <= client.seconds <= server.seconds
    assert server.resource["service.name"] == "errgate"
    assert server.resource["deployment.environment.name"] == "test"
    assert collector.paths == {"/v1/traces"}


ERRORS = [
    pytest.param((400, {"code": "VALIDATION_ERROR"}), ("invalid_request", False), "400", id="the-callers"),
    pytest.param((400, {"code": "INSUFFICIENT_CREDITS"}), ("insufficient_credits", False), "400", id="the-operators"),
    pytest.param((500, {"code": "INTERNAL_ERROR"}), ("vendor_failed", True), "500", id="the-vendors"),
    pytest.param((401, {"code": "UNAUTHORIZED"}), ("vendor_account_error", True), "401", id="the-accounts"),
]


@pytest.mark.parametrize(("said", "house", "status"), ERRORS)
def test_spans_of_an_error(
    process: ProcessGateway,
    vendor: RogueVendor,
    collector: Collector,
    said: tuple[int, object],
    house: tuple[str, bool],
    status: str,
) -> None:
    """`error.type` is the house code, of a try the vendor's status; a 4xx of ours is no failure of ours (W-139)."""
    vendor.reply(json_reply(*said))
    asked(process, "/pixii/v1/api/scale", "POST", ("Content-Length", "0"))

    client, server = spans(collector, 2)

    assert (server.attributes["error.type"], server.failed) == house
    assert server.attributes["errgate.fault"] in {"caller", "operator", "vendor"}
    assert (client.attributes["error.type"], client.failed) == (status, True)


def test_spans_without_a_reply(process: ProcessGateway, collector: Collector) -> None:
    """Where no reply came the try's `error.type` is the reason's name in RFC 9209 (W-139)."""
    asked(process, "/refused/x")

    client, server = spans(collector, 2)

    assert (client.attributes["error.type"], client.failed) == ("connection_refused", True)
    assert (server.attributes["error.type"], server.failed) == ("vendor_unreachable", True)
    assert "http.response.status_code" not in client.attributes


def test_spans_of_a_retry(process: ProcessGateway, vendor: RogueVendor, collector: Collector) -> None:
    """Each try has a span of its own, and a repeated one tells its number (W-139)."""
    first = [(fin(),)]

    def answer(wire: object, _: object) -> None:
        for step in first.pop() if first else (send(reply(200)),):
            step(wire)  # type: ignore[arg-type]

    vendor.answer = answer
    assert asked(process, "/pixii/x").status == 200

    lost, answered, server = spans(collector, 3)

    assert (lost.attributes["error.type"], lost.failed) == ("connection_terminated", True)
    assert "http.request.resend_count" not in lost.attributes
    assert (answered.attributes["http.request.resend_count"], answered.failed) == (1, False)
    assert {lost.parent_id, answered.parent_id} == {server.span_id}


def test_span_of_a_refusal(process: ProcessGateway, collector: Collector) -> None:
    """What never left the gateway has one span, without a route where no vendor was found."""
    asked(process, f"/{CANARY}/x", "DELETE")

    (server,) = spans(collector, 1)

    assert (server.name, server.attributes["http.request.method"]) == ("DELETE", "DELETE")
    assert (server.attributes["error.type"], server.failed) == ("not_found", False)
    assert "http.route" not in server.attributes


def test_span_of_a_caller_that_hung_up(process: ProcessGateway, vendor: RogueVendor, collector: Collector) -> None:
    """A caller that hangs up is no error, of neither span (W-139)."""
    vendor.script(stall())
    with RawClient(process.address) as client:
        client.send(request("GET", "/pixii/x", [("Host", "localhost")]))
        assert until(lambda: bool(vendor.requests))

    found = spans(collector, 2)

    assert [span.failed for span in found] == [False, False]
    assert not any("error.type" in span.attributes for span in found)


def test_trace_stays_here(process: ProcessGateway, vendor: RogueVendor, collector: Collector) -> None:
    """Nothing of tracing reaches a vendor that nobody told the gateway to tell (W-137)."""
    asked(process, "/pixii/x", "GET", ("tracestate", "a=b"), ("baggage", "c=d"))
    spans(collector, 2)

    names = {name.lower() for name, _ in vendor.requests[0].head.fields}

    assert not names & {"traceparent", "tracestate", "baggage"}


@pytest.mark.parametrize("own", [True, False], ids=["callers", "new"])
def test_trace_goes_on(process: ProcessGateway, vendor: RogueVendor, collector: Collector, own: bool) -> None:
    """With `forward.trace` the vendor hears of the try's own span, in the caller's trace or a new one (W-137)."""
    if own:
        asked(process, "/told/x")
    else:
        process.ask("/told/x")

    client, server = spans(collector, 2)

    assert vendor.requests[0].head.get("traceparent") == f"00-{client.trace_id}-{client.span_id}-01"
    assert (client.trace_id == TRACE) is own
    assert server.parent_id == (CALLERS_SPAN if own else "")


def test_unsampled(process: ProcessGateway, collector: Collector) -> None:
    """A caller that does not sample its trace gets no spans: the standard sampler decides by the parent."""
    process.ask("/pixii/x", "GET", [("traceparent", f"00-{TRACE}-{CALLERS_SPAN}-00")])
    process.ask("/pixii/x")

    found = spans(collector, 2)

    assert TRACE not in {span.trace_id for span in found}


def test_log_and_exemplars(process: ProcessGateway, collector: Collector) -> None:
    """The log line and the histograms' exemplars name the trace that the spans are of."""
    answer = process.ask("/pixii/v1/api/listing_builder", "POST", [("Content-Length", "0")])
    _, server = spans(collector, 2)

    accept = [("Accept", "application/openmetrics-text; version=1.0.0")]
    metrics = process.ask_admin("/metrics", "GET", accept).body.decode()

    (line,) = [line for line in process.logs().splitlines() if f'"{answer.header("x-request-id")}"' in line]
    assert f'"trace_id":"{server.trace_id}"' in line
    for name in ("request", "vendor"):
        begins = f"errgate_{name}_duration_seconds_bucket{{le="
        lines = [line for line in metrics.splitlines() if line.startswith(begins) and 'route="submit"' in line]
        assert any(f'# {{trace_id="{server.trace_id}"}}' in line for line in lines), lines


def test_no_secrets(process: ProcessGateway, vendor: RogueVendor, collector: Collector) -> None:
    """No path, query, field, body or credential is in any span (contract 15)."""
    vendor.reply(json_reply(400, {"code": "VALIDATION_ERROR", "message": CANARY, "detail": CANARY}, [("X-C", CANARY)]))
    headers = [(name, CANARY) for name in ("Authorization", "Cookie", "User-Agent", "X-Api-Key", "X-Any")]
    asked(process, f"/pixii/{CANARY}?{CANARY}", "GET", *headers)
    asked(process, f"/{CANARY}")

    assert until(lambda: len(collector.spans) == 3, 20.0)

    assert collector.received
    assert not any(secret.encode() in collector.received for secret in (CANARY, SECRETS["pixii"]))


def serve(vendor: RogueVendor, folder: os.PathLike[str], environ: dict[str, str], *more: str) -> ProcessGateway:
    """A gateway with this environment alone."""
    vendors = {"pixii": {"base_url": vendor.url, "normalizer": "generic"}}
    text = settings_text(vendors, {"shutdown": {"lameduck": "0s", "grace": "1s"}})
    process = ProcessGateway(text, folder, arguments=more)  # type: ignore[arg-type]
    process.environ = CLEAN | environ
    return process


def test_last_spans(vendor: RogueVendor, collector: Collector, tmp_path: os.PathLike[str]) -> None:
    """A stop sends what was not sent yet; each of several workers sends its own."""
    environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces", "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with serve(vendor, tmp_path, environ, "--workers", "2") as process:
        for _ in range(4):
            process.ask("/pixii/x")
        assert not collector.spans
        assert process.process is not None
        process.process.terminate()
        process.process.wait(20)

    assert len(spans(collector, 8)) == 8


WITHOUT: Sequence[tuple[dict[str, str], str]] = (
    ({}, ""),
    ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, ""),
    ({"OTEL_TRACES_EXPORTER": "zipkin"}, "spans are sent by OTLP over HTTP only"),
    # Nobody listens there: it is said once, and nothing else is different.
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "10"}, "spans are not exported"),
)


@pytest.mark.parametrize(("environ", "says"), WITHOUT, ids=["unasked", "none", "other-exporter", "collector-away"])
def test_without_a_collector(
    vendor: RogueVendor, tmp_path: os.PathLike[str], environ: dict[str, str], says: str
) -> None:
    """Without spans, and without the collector, requests are answered and the process ends as ever."""
    with serve(vendor, tmp_path, environ) as process:
        assert process.ask("/pixii/x").status == 200
        assert until(lambda: says in process.logs(), 20.0), process.logs()
        assert process.ask("/pixii/x").status == 200
        assert process.process is not None
        process.process.terminate()
        assert process.process.wait(20) == 0

    assert process.logs().count("spans") == (1 if says else 0)
    assert "Traceback" not in process.logs()
