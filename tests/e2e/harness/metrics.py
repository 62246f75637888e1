"""The exposition format, read by hand: what stands in a scrape, as numbers."""

import re
from collections.abc import Mapping

SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')

Series = tuple[str, frozenset[tuple[str, str]]]


class Scrape(dict[Series, float]):
    """Every series of a scrape and its value."""

    def sum(self, name: str, **labels: str) -> float:
        """The sum over the series of that name with those labels; 0 where there is none."""
        return sum(self.matching(name, **labels).values())

    def matching(self, name: str, **labels: str) -> dict[Series, float]:
        """The series of that name with those labels."""
        wanted = labels.items()
        return {key: value for key, value in self.items() if key[0] == name and wanted <= set(key[1])}

    def grown(self, before: "Scrape", name: str) -> dict[frozenset[tuple[str, str]], float]:
        """The series of that name whose value has changed since, and by how much."""
        return {
            key[1]: value - before.get(key, 0.0)
            for key, value in self.items()
            if key[0] == name and value != before.get(key, 0.0)
        }


def parse(text: str) -> Scrape:
    """A scrape from its text; a line that is no sample is a ValueError."""
    scrape = Scrape()
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        found = SAMPLE.fullmatch(line)
        if not found:
            raise ValueError(line)
        labels = frozenset((name, value) for name, value in LABEL.findall(found["labels"] or ""))
        key = (found["name"], labels)
        if key in scrape:
            raise ValueError(f"twice: {line}")
        scrape[key] = float(found["value"])
    return scrape


def selector(series: Series) -> str:
    """The series as PromQL writes it."""
    name, labels = series
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in sorted(labels)) + "}"


def labels_of(series: Series) -> Mapping[str, str]:
    """The labels of a series."""
    return dict(series[1])
