"""The references for operators are fresh and whole, and what they say of labels is what is counted."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from docs.generate import settings_keys
from docs.references import LABELS, OF_METRIC, PAGES, QUERIES, change, fresh, kind, unit
from gateway.lanes import Runtime
from gateway.metrics import Metrics, encoded
from gateway.metrics.table import TABLE
from gateway.reload import FIXED
from gateway.settings import loads
from tests.e2e.harness.tools import tool

SETTINGS = """
callers: {billing: {key_sha256: [%s], limits: [{requests: 9, per: minute}]}}
vendors:
  pixii: {base_url: 'http://127.0.0.1:9', limits: [{in_flight: 3}], breaker: {failures: 2, open_for: 1s}}
  apixo: {base_url: 'http://127.0.0.1:9'}
""" % ("5f" * 32)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_page_is_fresh(page: Path) -> None:
    """The page says what the code says; `make docs` makes it so."""
    assert fresh(page) == page.read_text(encoding="utf-8"), f"{page.name} is stale: run `make docs` and commit it"


@pytest.mark.parametrize("key", settings_keys(), ids=lambda key: key.path)
def test_key_is_described(key: object) -> None:
    """Every key has its row, with a type in words, a unit where it is a number or has one, and what changes it."""
    path: str = getattr(key, "path")  # noqa: B009  (a parameter's type is lost on the way)
    text = next(page for page in PAGES if page.stem == "settings").read_text(encoding="utf-8")

    (row,) = [line for line in text.splitlines() if line.startswith(f"| `{path}` | ")]

    cells = [part.strip() for part in re.split(r"(?<!\\)\|", row)[1:-1]]
    assert cells[1]
    assert cells[3] or "text" in cells[1] or not re.search(r"(?<!`)\b(number|duration|size|share)\b", cells[1])
    assert cells[4] in {"reload", "restart", "each key"}
    assert cells[5]


def test_fixed_keys_are_keys() -> None:
    """What a reload refuses is in the reference under its own name."""
    paths = {key.path for key in settings_keys()}

    assert set(FIXED) <= paths
    assert {change(path) for path in FIXED} == {"restart"}
    assert change("server.tls.key") == "restart"
    assert change("server.admin") == "each key"
    assert change("server.tls_of_another_name") == "reload"


def test_kinds_of_values() -> None:
    """A few keys whose types are known by heart."""
    keys = {key.path: key for key in settings_keys()}
    found = {path: (kind(keys[path].node), unit(keys[path])) for path in KNOWN}

    assert found == KNOWN


KNOWN = {
    "server.port": ("number, 0 to 65,535", "TCP port"),
    "server.timeouts.head": ("duration", "time"),
    "server.max_request_body": ("size or number", "bytes"),
    "server.admin.token": ("secret or null", ""),
    "vendors.<name>.plaintext": ("flag", ""),
    "vendors.<name>.errors": ("`envelope` `header` `off`", ""),
    "vendors.<name>.retries.budget": ("share", "percent"),
    "vendors.<name>.retries.statuses": ("list: number, 400 to 599", "HTTP status"),
    "vendors.<name>.credential": ("`none` `passthrough` or mapping", ""),
    "vendors.<name>.breaker": ("mapping or null", ""),
}


def test_queries_are_all_there() -> None:
    """Every metric has one query, which asks for it, and no query asks for what there is not."""
    names = {metric.name for metric in TABLE}
    asked = {name: set(re.findall(r"errgate_[a-z_]+", query)) for name, (_, query) in QUERIES.items()}

    assert asked.keys() == names
    assert [name for name, found in asked.items() if not any(each.startswith(name) for each in found)] == []
    known = {f"{name}{suffix}" for name in names for suffix in ("", "_bucket", "_sum", "_count")}
    assert set.union(*asked.values()) <= known


def test_queries_can_be_asked(tmp_path: Path) -> None:
    """Promtool can read every query."""
    rules = [{"record": f"query:{name}:example", "expr": query} for name, (_, query) in QUERIES.items()]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))

    done = subprocess.run(
        [tool("promtool", "prometheus"), "check", "rules", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    assert f"{len(QUERIES)} rules found" in done.stdout


def listed(metric: str, label: str) -> Iterable[str] | None:
    """The values of a label where the reference lists them; None where it says them in words."""
    values = OF_METRIC.get((metric, label)) or LABELS[label]
    return None if isinstance(values, str) else values


async def test_labels_are_those_that_are_counted() -> None:
    """Whatever exists from the start has labels that the reference names, with values that it lists."""
    metrics = Metrics("1")
    runtime = Runtime(loads(SETTINGS, environ={}), metrics)
    runtime.observe()
    text = encoded(metrics.registry, "text/plain")[0].decode()
    tables = {metric.name: metric for metric in TABLE}

    wrong = []
    for name, labels in re.findall(r"^(errgate_\w+)\{(.*)\} ", text, re.MULTILINE):
        metric = tables.get(name) or tables[re.sub("_(bucket|sum|count)$", "", name)]
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            if label != "le" and (label not in metric.labels or value not in (listed(metric.name, label) or [value])):
                wrong.append((name, label, value))
    await runtime.aclose()

    assert wrong == []
    assert text.count('source="vendor"') > 100
