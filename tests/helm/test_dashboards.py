"""The dashboards by the rules of grafana/dashboard-linter, and by what they are for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.metrics.table import TABLE
from tests.helm.rendering import DASHBOARDS, RULES

BOARDS = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}
COUNTERS = {row.name for row in TABLE if row.name.endswith("_total")}
NAMES = {f"{row.name}{suffix}" for row in TABLE for suffix in ("", "_bucket", "_count")}
FUNCTIONS = r"(?:rate|irate|increase)"

EVERY_BOARD = pytest.mark.parametrize("name", BOARDS)


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel that shows something."""
    return (panel for panel in board["panels"] if panel["type"] != "row")


def expressions(board: dict[str, Any]) -> list[str]:
    """Every query of a dashboard."""
    return [target["expr"] for panel in panels(board) for target in panel["targets"]]


def variables(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The dashboard's variables by name."""
    return {variable["name"]: variable for variable in board["templating"]["list"]}


@EVERY_BOARD
def test_any_grafana_from_10_on_loads_it(name: str) -> None:
    """Classic JSON with a fixed uid and no id, not editable, in the browser's time zone."""
    board = BOARDS[name]

    assert board["id"] is None
    assert re.fullmatch("[a-z-]{1,40}", board["uid"])
    assert 39 <= board["schemaVersion"] <= 41
    assert board["editable"] is False
    assert board["timezone"] == "browser"
    assert board["tags"] == ["errgate"]
    assert not {"__inputs", "__requires"} & set(board)
    assert board["refresh"]
    assert board["links"]


@pytest.mark.parametrize("board", BOARDS)
def test_variables(board: str) -> None:
    """One data source called `Data source`; job and instance in any number, asked for anew when the time changes."""
    found = variables(BOARDS[board])

    sources = [variable for variable in found.values() if variable["type"] == "datasource"]
    assert [(one["name"], one["label"], one["query"]) for one in sources] == [
        ("datasource", "Data source", "prometheus")
    ]
    assert {"job", "instance", "vendor", "code"} <= set(found)
    for variable in found.values():
        if variable["type"] == "query":
            assert variable["refresh"] == 2
            assert variable["datasource"]["uid"] == "${datasource}"
    for name in ("job", "instance", "code"):
        assert (found[name]["multi"], found[name]["includeAll"], found[name]["allValue"]) == (True, True, ".+")


@EVERY_BOARD
def test_panels(name: str) -> None:
    """Every panel has a title, a description, a unit and a query, asks the chosen source, and covers no other."""
    board = BOARDS[name]
    places = set()
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
        assert all(target["legendFormat"] for target in panel["targets"])
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        places |= {(x, place["y"]) for x in range(place["x"], place["x"] + place["w"])}
    assert len(places) == sum(panel["gridPos"]["w"] for panel in panels(board))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


@EVERY_BOARD
def test_queries(name: str) -> None:
    """Every selector is narrowed to job and instance; counters stand in rate or increase; names are the contract's."""
    for expression in expressions(BOARDS[name]):
        selectors = re.findall(r"\b((?:errgate_|process_)[a-z_]+|up)\b(\{[^}]*\})?", expression)
        assert selectors
        for metric, matchers in selectors:
            assert metric in NAMES | {"up"}, metric
            # The second operand of `and on (job, instance)` is narrowed by the first.
            if metric != "errgate_build_info":
                assert 'job=~"$job"' in matchers, expression
                assert 'instance=~"$instance"' in matchers, expression
            if metric in COUNTERS or metric.endswith(("_bucket", "_count")):
                assert re.search(rf"{FUNCTIONS}\({metric}\{{[^}}]*\}}\[", expression), expression
        for window in re.findall(r"rate\([^\[]*\[([^\]]*)\]", expression):
            assert window == "$__rate_interval", expression


@pytest.mark.parametrize(
    "topic",
    [
        "errgate_errors_total",
        'outcome=~"caller_fault|operator_fault|vendor_fault"',
        "errgate_limit_remaining",
        "errgate_held_until_seconds",
        "errgate_overhead_seconds_bucket",
        "errgate_vendor_duration_seconds_bucket",
        "errgate_jobs_total",
        "errgate_unmapped_codes_total",
    ],
)
def test_what_they_answer(topic: str) -> None:
    """Codes over time, who is at fault, limits left, holds, latency by us and by the vendor, jobs, unmapped codes."""
    for name, board in BOARDS.items():
        # The fault of one vendor is its outcome.
        assert any(topic in expression for expression in expressions(board)) or (name, topic[:7]) == (
            "vendor",
            "outcome",
        )


def test_every_metric_is_shown() -> None:
    """No metric of ours is on neither dashboard."""
    shown = {
        name for board in BOARDS.values() for text in expressions(board) for name in re.findall("errgate_[a-z_]+", text)
    }

    missing = [row.name for row in TABLE if not shown & {row.name, f"{row.name}_bucket"}]
    assert missing == []


def test_alerts_lead_to_a_dashboard() -> None:
    """Every `dashboard_url` names a dashboard that is there."""
    uids = set(re.findall(r"/d/([a-z-]+)", RULES.read_text()))

    assert uids == {board["uid"] for board in BOARDS.values()}


def test_files_are_small() -> None:
    """A dashboard fits a ConfigMap many times over."""
    assert all(Path(path).stat().st_size < 100_000 for path in DASHBOARDS)
