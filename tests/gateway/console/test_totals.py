"""The console's numbers are those of the metrics, put together for each vendor."""

import pytest

from gateway import settings
from gateway.app import Gateway, create_app
from gateway.console.totals import BUCKETS, NAMES, Totals, totals
from gateway.metrics.samples import samples
from normalizers import HouseCode, Problem, Source, VendorError

PROBLEM = Problem(
    HouseCode.NOT_FOUND,
    Source.VENDOR,
    "Job not found",
    vendor="pixii",
    vendor_error=VendorError(404, "JOB_NOT_FOUND"),
    label="JOB_NOT_FOUND",
)


@pytest.fixture
def gateway() -> Gateway:
    """A gateway to two vendors."""
    text = "vendors: {pixii: {base_url: http://127.0.0.1:9}, apixo: {base_url: http://127.0.0.1:9}}"
    return create_app(settings.loads(text, environ={}))


def counted(gateway: Gateway) -> dict[str, Totals]:
    """What has been counted."""
    gateway.metrics.refresh()
    return dict(totals(samples(gateway.metrics.registry, NAMES)))


async def test_requests_and_codes(gateway: Gateway) -> None:
    """Requests are told by route and outcome, errors by house code and by the row that made them."""
    metrics, requests = gateway.runtime.lanes["pixii"].metrics, gateway.metrics.counter("errgate_requests_total")
    requests.labels("pixii", "poll", "GET", "200", "ok").inc()
    requests.labels("pixii", "poll", "GET", "404", "caller_fault").inc()
    requests.labels("pixii", "poll", "HEAD", "404", "caller_fault").inc()
    metrics.error(PROBLEM)
    metrics.error(PROBLEM, kind="job")
    gateway.metrics.refresh()

    pixii = counted(gateway)["pixii"]

    assert pixii.requests == {"poll": {"ok": 1, "caller_fault": 2}}
    assert pixii.codes == {"not_found": 2}
    assert pixii.table["http", "JOB_NOT_FOUND"] == 1
    assert pixii.table["http", "UNAUTHORIZED"] == 0
    assert counted(gateway)["apixo"].codes == {}


def test_histograms(gateway: Gateway) -> None:
    """Durations are told as counts per bucket, one more than there are ends."""
    for seconds in (0.003, 0.003, 0.06, 400):
        for name in ("errgate_request_duration_seconds", "errgate_vendor_duration_seconds"):
            gateway.metrics.histogram(name).labels("pixii", "poll").observe(seconds)
        gateway.metrics.histogram("errgate_overhead_seconds").labels("pixii").observe(seconds)

    pixii = counted(gateway)["pixii"]

    ends = BUCKETS["seconds"]
    expected = [0] * (len(ends) + 1)
    expected[0], expected[ends.index(0.075)], expected[-1] = 2, 1, 1
    assert pixii.whole["poll"] == pixii.theirs["poll"] == expected
    assert pixii.whole["submit"] == [0] * (len(ends) + 1)
    assert len(pixii.ours[""]) == len(BUCKETS["overhead"]) + 1
    assert sum(pixii.ours[""]) == 4


async def test_the_rest(gateway: Gateway) -> None:
    """Retries, requests in flight, unmapped codes and unreadable replies are told, too."""
    metrics = gateway.runtime.lanes["pixii"].metrics
    metrics.retry("answered")
    metrics.in_flight.inc()
    metrics.unmapped.inc()
    metrics.unreadable.inc(2)

    row = counted(gateway)["pixii"].row()

    assert row["retries"] == {"answered": 1, "failed": 0, "refused": 0}
    assert (row["in_flight"], row["unmapped"], row["unreadable"]) == (1, 1, 2)


def test_other_metrics_are_left_out(gateway: Gateway) -> None:
    """What the console does not show is not read."""
    read = {sample.name for sample in samples(gateway.metrics.registry, NAMES)}

    assert "errgate_build_info" not in read
    assert "errgate_requests_total" not in read
    assert {"errgate_errors_total", "errgate_overhead_seconds_bucket"} <= read
