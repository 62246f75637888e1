"""What the metrics have counted, put together for each vendor: the numbers behind the console."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from gateway.metrics.samples import Sample
from gateway.metrics.table import OVERHEAD, SECONDS

# What the console reads of all that is counted.
NAMES = (
    "errgate_requests_total",
    "errgate_errors_total",
    "errgate_request_duration_seconds",
    "errgate_vendor_duration_seconds",
    "errgate_overhead_seconds",
    "errgate_requests_in_flight",
    "errgate_retries_total",
    "errgate_unmapped_codes_total",
    "errgate_unreadable_replies_total",
)

# The upper ends of the buckets, in seconds; the last one, which has none, is left out.
BUCKETS = {"seconds": SECONDS, "overhead": OVERHEAD}


@dataclass(slots=True)
class Totals:
    """
    One vendor's numbers since the start. Mutable state: filled once, sample by sample.

    `requests` by route and outcome; `codes` by house code, jobs included; `table` by the vendor's code and kind, those
    of value 0 too. Histograms are counts per bucket, not cumulated.
    """

    requests: dict[str, Counter[str]] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)
    table: Counter[tuple[str, str]] = field(default_factory=Counter)
    whole: dict[str, list[int]] = field(default_factory=dict)
    theirs: dict[str, list[int]] = field(default_factory=dict)
    ours: dict[str, list[int]] = field(default_factory=dict)
    retries: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    unmapped: int = 0
    unreadable: int = 0

    def row(self) -> dict[str, object]:
        """It as JSON has it, for the console's script."""
        return {
            "requests": self.requests,
            "codes": self.codes,
            "whole": self.whole,
            "theirs": self.theirs,
            "ours": self.ours.get("", []),
            "retries": self.retries,
            "in_flight": self.in_flight,
            "unmapped": self.unmapped,
            "unreadable": self.unreadable,
        }


def totals(samples: Iterable[Sample]) -> Mapping[str, Totals]:
    """Every vendor's numbers, by its name."""
    vendors: dict[str, Totals] = {}
    for sample in samples:
        vendor = vendors.setdefault(sample.labels.get("vendor", ""), Totals())
        add = _ADDING.get(sample.name)
        if add is not None:
            add(vendor, sample.labels, int(sample.value))
    for vendor in vendors.values():
        for histograms in (vendor.whole, vendor.theirs, vendor.ours):
            for name, cumulated in histograms.items():
                histograms[name] = [after - before for before, after in pairwise([0, *cumulated])]
    return vendors


Labels = Mapping[str, str]


def _requests(to: Totals, labels: Labels, value: int) -> None:
    to.requests.setdefault(labels["route"], Counter())[labels["outcome"]] += value


def _errors(to: Totals, labels: Labels, value: int) -> None:
    if value:
        to.codes[labels["code"]] += value
    if labels["source"] == "vendor":
        to.table[labels["kind"], labels["vendor_code"]] += value


def _whole(to: Totals, labels: Labels, value: int) -> None:
    to.whole.setdefault(labels["route"], []).append(value)


def _theirs(to: Totals, labels: Labels, value: int) -> None:
    to.theirs.setdefault(labels["route"], []).append(value)


def _ours(to: Totals, labels: Labels, value: int) -> None:
    del labels
    to.ours.setdefault("", []).append(value)


def _retries(to: Totals, labels: Labels, value: int) -> None:
    to.retries[labels["result"]] += value


def _in_flight(to: Totals, labels: Labels, value: int) -> None:
    del labels
    to.in_flight += value


def _unmapped(to: Totals, labels: Labels, value: int) -> None:
    del labels
    to.unmapped += value


def _unreadable(to: Totals, labels: Labels, value: int) -> None:
    del labels
    to.unreadable += value


# The buckets of a histogram come in the order of their ends.
_ADDING = {
    "errgate_requests_total": _requests,
    "errgate_errors_total": _errors,
    "errgate_request_duration_seconds_bucket": _whole,
    "errgate_vendor_duration_seconds_bucket": _theirs,
    "errgate_overhead_seconds_bucket": _ours,
    "errgate_retries_total": _retries,
    "errgate_requests_in_flight": _in_flight,
    "errgate_unmapped_codes_total": _unmapped,
    "errgate_unreadable_replies_total": _unreadable,
}
