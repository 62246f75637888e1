"""Alerts and recording rules: right in form, each seen to fire and to stay quiet, each with a page for the night."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.metrics.table import TABLE
from tests.e2e.harness.tools import tool
from tests.helm import alerts
from tests.helm.alerts import Case
from tests.helm.rendering import CASES, ROOT, RULES, case, case_id, of_kind

FILE = yaml.safe_load(RULES.read_text())
EVERY_RULE = [rule for group in FILE["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in EVERY_RULE if "alert" in rule}
RECORDS = {rule["record"] for rule in EVERY_RULE if "record" in rule}
RUNBOOKS = ROOT / "docs" / "runbooks"
FULL = next(path for path in CASES if case_id(path) == "full")

# What the metrics of a histogram or counter are called in a query.
METRICS = {f"{row.name}{suffix}" for row in TABLE for suffix in ("", "_bucket", "_count", "_sum")}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`promtool` with these arguments."""
    path = tool("promtool", "prometheus")
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=120)


def test_promtool_has_nothing_against_them() -> None:
    """`promtool check rules --lint=all --lint-fatal` is clean."""
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [path for path in CASES if "prometheusRule:" in path.read_text()], ids=case_id)
def test_promtool_has_nothing_against_what_is_rendered(path: Path, tmp_path: Path) -> None:
    """The PrometheusRule goes through promtool again as it is rendered."""
    for index, one in enumerate(of_kind(case(path), "PrometheusRule")):
        rendered = tmp_path / f"{index}.yml"
        rendered.write_text(yaml.safe_dump(one["spec"]))
        done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rendered))
        assert done.returncode == 0, done.stdout + done.stderr


def rendered_rules() -> Iterator[dict[str, Any]]:
    """The rules of the case in which everything is on."""
    (one,) = of_kind(case(FULL), "PrometheusRule")
    for group in one["spec"]["groups"]:
        yield from group["rules"]


def test_values_change_what_they_should() -> None:
    """Objectives, thresholds, addresses, labels, left-out alerts and own groups come from the values, and no more."""
    rules = list(rendered_rules())
    objectives = [
        (rule["record"], rule["expr"]) for rule in rules if rule.get("record", "").endswith("objective:ratio")
    ]
    rendered = {rule["alert"]: rule for rule in rules if "alert" in rule}

    breaker = "max by (namespace, job, vendor) (errgate_breaker_open"
    assert objectives == [
        ("gateway:slo_objective:ratio", "max by (namespace, job) (errgate_build_info) * 0 + 0.9995"),
        (
            "vendor:slo_objective:ratio",
            f'{breaker}{{vendor!~"pikzels"}}) * 0 + 0.98\nor\n{breaker}{{vendor="pikzels"}}) * 0 + 0.95',
        ),
    ]
    assert set(ALERTS) - set(rendered) == {"ErrgateAbsent"}
    assert "errgate:requests:rate5m" in {rule.get("record") for rule in rules}
    for name, rule in rendered.items():
        assert rule["expr"] == ALERTS[name]["expr"]
        assert rule["labels"] == {**ALERTS[name]["labels"], "team": "platform"}
        assert rule["annotations"]["runbook_url"] == f"https://docs.example.com/errgate/docs/runbooks/{name}.md"
        assert rule["annotations"]["dashboard_url"].startswith("https://grafana.example.com/d/errgate-")


def test_metrics_of_the_rules_are_told() -> None:
    """Every metric that a rule asks for is one that a gateway tells."""
    asked = {name for rule in EVERY_RULE for name in re.findall(r"\berrgate_[a-z_]+", rule["expr"])}

    assert asked - METRICS == set()


def test_records_are_there() -> None:
    """Every recorded name that a rule asks for is recorded, once."""
    recorded = [rule["record"] for rule in EVERY_RULE if "record" in rule]
    asked = {name for rule in EVERY_RULE for name in re.findall(r"\b[a-z]+:[a-z_]+:[a-z0-9_]+", rule["expr"])}

    assert len(recorded) == len(set(recorded))
    assert asked <= set(recorded)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_whole(name: str) -> None:
    """Every alert has a severity, words, a dashboard, and a runbook of its own."""
    rule = ALERTS[name]

    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert all(rule["annotations"].values())
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    assert (ROOT / rule["annotations"]["runbook_url"]).is_file()


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_is_written_for_the_night(name: str, tmp_path: Path) -> None:
    """A runbook says what it means, what to look at and what to do; its queries are PromQL over metrics that exist."""
    page = (RUNBOOKS / f"{name}.md").read_text()
    queries = re.findall("```promql\n(.*?)```", page, re.DOTALL)

    assert page.startswith(f"# {name}\n")
    assert re.findall("^## (.*)$", page, re.MULTILINE)[:3] == ["What it means", "What to look at", "What to do"]
    assert queries
    for query in queries:
        asked = set(re.findall(r"\berrgate_[a-z_]+", query))
        assert asked - METRICS == set()
        assert set(re.findall(r"\b[a-z]+:[a-z_]+:[a-z0-9_]+", query)) <= RECORDS
    groups = [{"name": "page", "rules": [{"record": f"q{n}", "expr": query} for n, query in enumerate(queries)]}]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": groups}))
    done = promtool("check", "rules", str(tmp_path / "queries.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_runbook_has_its_alert() -> None:
    """No page is about an alert that is gone, and the index names each."""
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    index = (RUNBOOKS / "README.md").read_text()

    assert pages == set(ALERTS)
    assert {name for name in ALERTS if f"[{name}]({name}.md)" in index} == set(ALERTS)


def test_every_alert_is_tried_both_ways() -> None:
    """Each alert has a case in which it fires and one in which it stays quiet."""
    assert {one.alert for one in alerts.CASES if one.fires} == set(ALERTS)
    assert {one.alert for one in alerts.CASES if not one.fires} == set(ALERTS)


@pytest.mark.parametrize("one", alerts.CASES, ids=lambda one: f"{one.alert}-{'fires' if one.fires else 'quiet'}")
def test_an_alert_fires_or_stays_quiet(one: Case, tmp_path: Path) -> None:
    """Exactly the alerts fire that should in this case, and no other."""
    there = alerts.well(one.minutes // one.step) | dict(one.over)
    kept = {key: values for key, values in there.items() if not any(gone in key for gone in one.without)}
    expected = [
        {
            "labels": '{__name__="firing", '
            + ", ".join(f'{key}="{value}"' for key, value in {"alertname": one.alert, **labels}.items() if value)
            + "}",
            "value": 1,
        }
        for labels in one.fires
    ]
    record = {
        "record": "firing",
        "expr": 'max by (alertname, vendor, code, caller, limit, instance) (ALERTS{alertstate="firing"})',
    }
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [*FILE["groups"], {"name": "z", "rules": [record]}]}))
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump(
            {
                "rule_files": ["rules.yml"],
                "evaluation_interval": f"{one.step}m",
                "group_eval_order": [group["name"] for group in FILE["groups"]] + ["z"],
                "tests": [
                    {
                        "interval": f"{one.step}m",
                        "input_series": [{"series": key, "values": values} for key, values in kept.items()],
                        "promql_expr_test": [
                            # Off the steps, so that Prometheus 2 and 3 agree on what a range holds.
                            {"expr": "firing", "eval_time": f"{one.minutes * 60 - 30}s", "exp_samples": expected}
                        ],
                    }
                ],
            }
        )
    )

    done = promtool("test", "rules", str(tmp_path / "test.yml"))

    assert done.returncode == 0, f"{one.what}\n{done.stdout}{done.stderr}"
