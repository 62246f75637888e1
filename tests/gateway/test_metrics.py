"""Names, labels and children of the metrics; nothing that anyone sends becomes a label."""

import re
from collections.abc import Iterator

import pytest
from prometheus_client import Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import (
    METHODS,
    Metrics,
    Outcome,
    VendorMetrics,
    encoded,
    job_codes,
    method_label,
    status_label,
)
from gateway.metrics.table import TABLE
from normalizers import VENDORS, HouseCode, Problem, Source

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def metrics() -> Metrics:
    """Fresh metrics."""
    return Metrics("1.2.3")


def samples(metrics: Metrics, name: str) -> Iterator[dict[str, str]]:
    """The label sets of a sample's name."""
    for family in text_string_to_metric_families(encoded(metrics.registry, "")[0].decode()):
        for sample in family.samples:
            if sample.name == name:
                yield sample.labels


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_names_follow_prometheus(row) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  (a row of the table)
    """One prefix, base units, `_total` on counters and nowhere else (W-126)."""
    assert re.fullmatch(r"errgate_[a-z]+(_[a-z]+)*", row.name)
    assert row.name.endswith("_total") == (row.kind is Counter)
    assert row.kind is not Histogram or row.name.endswith("_seconds")
    assert row.help.endswith(".")


@pytest.mark.parametrize(
    ("status", "label"), [(200, "200"), (422, "422"), (499, "4xx"), (520, "5xx"), (299, "2xx"), (None, "none")]
)
def test_a_status_is_itself_or_its_class(status: int | None, label: str) -> None:
    """An unregistered status counts as its class, and none sent as `none` (W-127)."""
    assert status_label(status) == label


@pytest.mark.parametrize("method", ["get", "FOO", "PROPFIND", "\u00e9", ""])
def test_an_unknown_method_is_other(method: str) -> None:
    """Whatever a method is called, the label is from a closed set (W-127)."""
    assert method_label(method) == "_OTHER"
    assert all(method_label(known) == known for known in METHODS)


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
def test_every_row_exists_at_zero(metrics: Metrics, vendor) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """`increase()` sees the first failure of each documented code, and of each code without one (W-130)."""
    VendorMetrics(metrics, vendor.name).prepare(vendor, own_credential=False, routes=["other"])
    seen = list(samples(metrics, "errgate_errors_total"))

    for row in vendor.rows:
        spelled = vendor.row(row.code).code
        assert {
            "vendor": vendor.name,
            "code": row.house.code,
            "vendor_code": spelled,
            "source": "vendor",
            "kind": row.kind,
        } in seen
    for house in HouseCode:
        for source, label in (("vendor", "none"), ("vendor", "other"), ("gateway", "none")):
            kinds = ["http", "job"] if source == "vendor" and house in job_codes(vendor) else ["http"]
            for kind in kinds:
                assert {
                    "vendor": vendor.name,
                    "code": house.code,
                    "vendor_code": label,
                    "source": source,
                    "kind": kind,
                } in seen


def test_hostile_methods_share_one_child(metrics: Metrics) -> None:
    """A thousand methods are one series, and nothing kept grows with them (W-127)."""
    counted = VendorMetrics(metrics, "acme")

    tallies = {
        id(counted.tally("other", f"M{number}", 501, Outcome.CALLER_FAULT, "none", None)) for number in range(1000)
    }

    assert len(tallies) == 1
    assert len(list(samples(metrics, "errgate_requests_total"))) == 1


async def test_an_unmapped_code_is_other(metrics: Metrics) -> None:
    """A vendor code that the table lacks counts as `other`, and in a counter of its own (W-128)."""
    counted = VendorMetrics(metrics, "acme")

    counted.error(Problem(HouseCode.VENDOR_FAILED, Source.VENDOR, "?", label="other", unreadable=True))

    text = encoded(metrics.registry, "")[0].decode()
    assert 'errgate_unmapped_codes_total{vendor="acme"} 1.0' in text
    assert 'errgate_unreadable_replies_total{vendor="acme"} 1.0' in text


def test_a_trace_is_an_exemplar_in_openmetrics(metrics: Metrics) -> None:
    """A request's trace id rides on its duration, in OpenMetrics only (W-133)."""
    counted = VendorMetrics(metrics, "acme")

    counted.traced("submit", 0.2, 0.1, TRACE)

    accept = "application/openmetrics-text; version=1.0.0"
    body, content_type = encoded(metrics.registry, accept)
    assert f'# {{trace_id="{TRACE}"}}' in body.decode()
    assert content_type.startswith("application/openmetrics-text")
    assert TRACE not in encoded(metrics.registry, "text/plain")[0].decode()


def test_there_are_no_created_series(metrics: Metrics) -> None:
    """A `_created` sample would double the series (contract 14)."""
    VendorMetrics(metrics, "acme").prepare(None, own_credential=False, routes=())

    assert "_created" not in encoded(metrics.registry, "")[0].decode()
