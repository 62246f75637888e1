"""What has been counted, read back as plain values: for the console, which shows it to a person."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry


class Sample(NamedTuple):
    """One series: its name in the exposition, its labels, its value."""

    name: str
    labels: dict[str, str]
    value: float


def samples(registry: CollectorRegistry, names: Collection[str]) -> Iterator[Sample]:
    """The series of the metrics of these names, as `table` spells them."""
    wanted = frozenset(name.removesuffix("_total") for name in names)
    for metric in registry.collect():
        if metric.name in wanted:
            for sample in metric.samples:
                yield Sample(sample.name, sample.labels, sample.value)
