"""
The alerts and dashboards in a world of their own.

A gateway over the sandbox, a real Prometheus that scrapes it, and the chart's own rules as Helm renders them, in faster
time (`hasten`).
"""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox import BASE_PATHS, CREDENTIALS, ERRORS, EXAMPLES, JOB_EXAMPLES
from tests.e2e.harness.gateway import ProcessGateway, free_port, settings_text
from tests.e2e.harness.vendor import RogueVendor, Wire, json_reply, pause, reply
from tests.e2e.harness.wire import Request
from tests.helm.live import Ask, Prometheus, Traffic, hasten
from tests.helm.rendering import DASHBOARDS, MINIMAL, merged, objects, only

pytestmark = pytest.mark.alone

# What is about the machine that the test runs on, and not about vendors: a busy one may make them fire, rightly.
ABOUT_THE_MACHINE = {"ErrgateEventLoopLag", "ErrgateUpstreamPoolSaturated"}
# A loaded machine is given its time; nothing here is waited for that long on one that is not.
PATIENCE = 120.0
# Requests to each vendor before anything fails, at fifteen a second: some ten minutes of the rules' time.
HISTORY = 300
JSON = {"Content-Type": "application/json"}
HEALTHY: Mapping[str, Ask] = {
    "pixii": ("POST", "/pixii/v1/api/listing_builder", JSON, (EXAMPLES["pixii"].body or "").encode()),
    "pixee": ("GET", "/pixee/products", {}, None),
    "apixo": ("GET", "/apixo/apikeys/current-balance", {}, None),
    "pikzels": ("POST", "/pikzels/v2/title/text", JSON, b'{"prompt":"an island"}'),
}


@pytest.fixture(scope="module")
def groups() -> list[dict[str, Any]]:
    """The groups of the rendered PrometheusRule."""
    rule = only(objects(merged(MINIMAL, {"metrics": {"prometheusRule": {"enabled": True}}})), "PrometheusRule")
    found: list[dict[str, Any]] = rule["spec"]["groups"]
    return found


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    """The simulated vendors on a port of their own; its base URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "sandbox", "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + PATIENCE
        while not answers(url) and time.monotonic() < end:
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    """Whether something speaks HTTP there."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def simulated(sandbox: str) -> dict[str, dict[str, Any]]:
    """The four vendors as the settings have them."""
    return {
        name: {
            "base_url": sandbox + BASE_PATHS[name],
            "credential": {"header": CREDENTIALS[name][0], "value": CREDENTIALS[name][1]},
        }
        for name in BASE_PATHS
    }


def failing(vendor: str, error: str) -> Ask:
    """The healthy request of a vendor, which its simulator answers with that error."""
    method, target, headers, body = HEALTHY[vendor]
    return method, target, {**headers, "Sandbox-Error": error}, body


# --- The right alert, and no other ------------------------------------------------------------------------------------


def test_the_right_alert_fires_and_no_other(sandbox: str, groups: list[dict[str, Any]], tmp_path: Path) -> None:
    """Vendors begin to fail one after the other, each in its own way: each time the right alert fires and no other."""
    vendors = list(HEALTHY)
    troubles: dict[str, tuple[int, Ask]] = {}

    def wishes(number: int) -> Ask:
        vendor, turn = vendors[number % len(vendors)], number // len(vendors)
        every, trouble = troubles.get(vendor, (1, HEALTHY[vendor]))
        return trouble if turn % every == 0 else HEALTHY[vendor]

    # From what begins to what must fire; what fired before may go on.
    stages: list[tuple[str, int, str, str]] = [
        ("pixii", 1, "SERVICE_UNAVAILABLE", "ErrgateVendorDown"),
        ("pikzels", 3, "GENERATION_FAILED", "ErrgateVendorErrorBudgetBurnFast"),
        ("apixo", 2, "401", "ErrgateCredentialsRejected"),
    ]
    fired: set[tuple[str, str]] = set()
    expected: set[tuple[str, str]] = set()
    with (
        ProcessGateway(settings_text(simulated(sandbox)), tmp_path, traced=False) as gateway,
        Prometheus(gateway, hasten(groups), tmp_path) as prometheus,
        Traffic(gateway, 60, wishes) as traffic,
    ):
        well_for(prometheus, traffic)
        for vendor, every, error, alert in stages:
            expected.add((alert, vendor))
            troubles[vendor] = (every, failing(vendor, error))
            end = time.monotonic() + PATIENCE
            while (alert, vendor) not in fired and time.monotonic() < end:
                fired |= firing(prometheus)
                assert fired <= expected, (fired, prometheus.alerts("firing"))
                time.sleep(0.2)
            assert (alert, vendor) in fired, (prometheus.alerts("pending", "firing"), prometheus.logs())
        told = prometheus.alerts("firing")

    assert fired == expected
    for key, shown in told.items():
        if key[0] not in ABOUT_THE_MACHINE:
            assert key[1] in shown["annotations"]["summary"]
            assert shown["annotations"]["runbook_url"] == f"docs/runbooks/{key[0]}.md"
            assert not re.search(r"<no value>|<error|\{\{", json.dumps(shown["annotations"]))


def well_for(prometheus: Prometheus, traffic: Traffic) -> None:
    """Wait until Prometheus has seen enough of a healthy gateway, during which nothing fires, nor is about to."""
    seen: list[float] = []
    end = time.monotonic() + PATIENCE
    while not (seen and seen[0] > HISTORY) and time.monotonic() < end:
        # Before the first scrape there is no gateway, and an alert that says so.
        early = not prometheus.query("errgate_build_info offset 3s")
        about = set(prometheus.alerts("firing" if early else "pending", "firing"))
        assert {key for key in about if key[0] not in ABOUT_THE_MACHINE} == set()
        seen = prometheus.query("min by (job) (sum by (job, vendor) (errgate_requests_total))")
        time.sleep(0.2)
    assert seen, prometheus.logs()
    assert seen[0] > HISTORY, traffic.answered


def firing(prometheus: Prometheus) -> set[tuple[str, str]]:
    """The alerts that fire, by name and vendor, but those about the machine."""
    return {key for key in prometheus.alerts("firing") if key[0] not in ABOUT_THE_MACHINE}


# --- Every expression answers -----------------------------------------------------------------------------------------

# A range that holds several scrapes of a second; hours are the queries' own.
VARIABLES = {"$__rate_interval": "15s", "$job": "errgate", "$instance": ".+", "$code": ".+"}


def rogue(wire: Wire, request: Request) -> None:
    """A vendor that nobody would have: its code is in no table, its words are no JSON, or it takes its time."""
    if b"unmapped" in request.target:
        wire.send(json_reply(400, {"code": "BRAND_NEW", "message": "hello"}))
    elif b"unreadable" in request.target:
        wire.send(reply(502, b"<h1>Bad Gateway</h1>", [("Content-Type", "text/html")]))
    elif b"slow" in request.target:
        pause(0.5)(wire)
        wire.send(reply(200, b"late"))
    else:
        wire.send(reply(200, b"ok"))


def everything() -> list[Ask]:
    """Requests that bring everything that can be seen: each error of each vendor, jobs, limits, dead ends."""
    asks: list[Ask] = []
    for vendor, errors in ERRORS.items():
        method, target, headers, body = HEALTHY[vendor]
        asks += [(method, target, {**headers, **error.headers}, body) for error in errors if error.kind != "job"][:25]
        job = JOB_EXAMPLES[vendor]
        asks.append((job.method, f"/{vendor}{job.path}", dict(job.headers), None))
        asks += [HEALTHY[vendor]] * 3
    asks += [("GET", f"/{name}/x", {}, None) for name in ("gone", "lost", "tight", "tight")] * 3
    asks += [("GET", f"/odd/{what}", {}, None) for what in ("unmapped", "unreadable", "fine")] * 3
    return asks


def messy(sandbox: str, odd: RogueVendor) -> str:
    """Settings with everything in them that has a metric."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    breaker = {"failures": 5, "open_for": "1s"}
    limit = {"name": "day", "requests": 100_000, "per": "day"}
    vendors = simulated(sandbox) | {
        "gone": {"base_url": nowhere, "breaker": breaker},
        "lost": {"base_url": nowhere},
        "odd": {"base_url": odd.url, "normalizer": "pixii"},
        "tight": {
            "base_url": odd.url,
            "normalizer": "generic",
            "limits": [{"name": "second", "requests": 1, "per": "minute"}],
        },
        "narrow": {
            "base_url": odd.url,
            "normalizer": "generic",
            "max_connections": 1,
            "timeouts": {"connect": "50ms", "first_byte": "5s"},
        },
    }
    for name in BASE_PATHS:
        vendors[name] |= {"limits": [limit], "on_vendor_limit": "hold", "hold": {"max": "1s", "max_quota": "1s"}}
    return settings_text(vendors)


def substituted(expression: str, vendor: str) -> str:
    """A panel's expression as Grafana sends it."""
    for name, value in {**VARIABLES, "$vendor": vendor}.items():
        expression = expression.replace(name, value)
    return expression


def questions(groups: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What must have an answer: each panel's queries (for one of the vendors), each record, each metric of an alert."""
    found: dict[str, list[str]] = {}
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        vendors = [".+"] if path.stem == "overview" else [*BASE_PATHS, "odd", "gone", "tight"]
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                asked = [substituted(target["expr"], vendor) for vendor in vendors]
                found[f"{path.stem}: {panel['title']}: {target['refId']}"] = asked
    for group in groups:
        for rule in group["rules"]:
            if "record" in rule:
                found[f"record {rule['record']}"] = [rule["record"]]
            for metric, matchers in re.findall(r"\b(errgate_[a-z_]+|up)\b(\{[^}]*\})?", rule["expr"]):
                found[f"{metric}{matchers} of {rule.get('alert', rule.get('record'))}"] = [f"{metric}{matchers}"]
    return found


def test_every_expression_answers(sandbox: str, groups: list[dict[str, Any]], tmp_path: Path) -> None:
    """Every panel's query, every recorded series and every series that an alert asks for is there."""
    asks = everything()
    with RogueVendor() as odd:
        odd.answer = rogue
        with (
            ProcessGateway(messy(sandbox, odd), tmp_path, traced=False) as gateway,
            Prometheus(gateway, hasten(groups), tmp_path) as prometheus,
            Traffic(gateway, 60, lambda number: asks[number % len(asks)]),
            Traffic(gateway, 10, lambda _: ("GET", "/narrow/slow", {}, None)),
            Traffic(gateway, 10, lambda _: ("GET", "/narrow/slow", {}, None)),
        ):
            left = questions(groups)
            end = time.monotonic() + PATIENCE
            while left and time.monotonic() < end:
                left = {what: asked for what, asked in left.items() if not any(map(prometheus.query, asked))}
                threading.Event().wait(0.5)
            failed = [alert["annotations"] for alert in prometheus.alerts("firing").values()]
            unevaluated = [
                (rule["name"], rule["lastError"])
                for group in (prometheus.ask("rules") or {"groups": []})["groups"]
                for rule in group["rules"]
                if rule["health"] == "err"
            ]

    assert left == {}, prometheus.logs()
    assert unevaluated == []
    assert not re.search(r"<no value>|<error", json.dumps(failed))


def test_faster_time_changes_nothing_else(groups: list[dict[str, Any]]) -> None:
    """The transformation divides ranges, offsets and waits, and leaves every threshold, label and word as it is."""
    faster = hasten(groups)

    def without_time(text: str) -> str:
        return re.sub(r"\[\d+[a-z]+\]|(?<=offset )\d+[a-z]+|\b(86400|2880)\b", "", text)

    for slow, fast in zip(
        (rule for group in groups for rule in group["rules"]),
        (rule for group in faster for rule in group["rules"]),
        strict=True,
    ):
        assert without_time(slow["expr"]) == without_time(fast["expr"])
        assert {**slow, "expr": "", "for": ""} == {**fast, "expr": "", "for": ""}
    down = next(rule for group in faster for rule in group["rules"] if rule.get("alert") == "ErrgateVendorDown")
    assert down["for"] == "10000ms"
