"""
What a scrape sees: closed label sets, children that exist before their first count, and tools that agree.

One file, since every test reads the same page.
"""

import itertools
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.documented import DOCUMENTED, HOUSE, HTTP
from tests.e2e.harness.client import RawClient, request
from tests.e2e.harness.gateway import ProcessGateway, ThreadGateway, free_port, settings_text
from tests.e2e.harness.metrics import Scrape, labels_of, selector
from tests.e2e.harness.tools import tool
from tests.e2e.harness.vendor import RogueVendor, Wire, json_reply, reply
from tests.e2e.harness.vendors import both_ways
from tests.e2e.harness.wire import Cut, Request

# Contract 14: what there is, with its labels.
NAMES = {
    "errgate_requests_total": {"vendor", "route", "method", "status", "outcome"},
    "errgate_errors_total": {"vendor", "code", "vendor_code", "source", "kind"},
    "errgate_vendor_replies_total": {"vendor", "status"},
    "errgate_network_failures_total": {"vendor", "reason"},
    "errgate_jobs_total": {"vendor", "result"},
    "errgate_request_duration_seconds_count": {"vendor", "route"},
    "errgate_vendor_duration_seconds_count": {"vendor", "route"},
    "errgate_overhead_seconds_count": {"vendor"},
    "errgate_requests_in_flight": {"vendor"},
    "errgate_vendor_connections": {"vendor", "state"},
    "errgate_vendor_queue_seconds_count": {"vendor"},
    "errgate_caller_requests_total": {"caller", "vendor", "outcome"},
    "errgate_unmapped_codes_total": {"vendor"},
    "errgate_unreadable_replies_total": {"vendor"},
    "errgate_event_loop_lag_seconds_count": set(),
    "errgate_config_last_reload_successful": set(),
}
OUTCOMES = {"ok", "caller_fault", "operator_fault", "vendor_fault", "refused", "aborted", "caller_gone"}
# Contract 8: what fails without a reply, and where.
WITHOUT_A_REPLY = {
    ("vendor_unreachable", "network"),
    ("vendor_timeout", "network"),
    ("vendor_failed", "network"),
    ("overloaded", "gateway"),
    ("vendor_unavailable", "gateway"),
    ("internal_error", "gateway"),
}
REQUESTS = 10_000


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway before the four vendors, with callers that have names."""
    with ThreadGateway(settings_text(both_ways(vendor.url))) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def first(gateway: ThreadGateway) -> Scrape:
    """The first scrape, before any request."""
    return gateway.scrape()


def test_children_exist_before_their_first_count(first: Scrape) -> None:
    """Every pair of codes that the tables know exists at 0, so that increase() sees the first (contract 14)."""
    series = {tuple(sorted(key[1])): value for key, value in first.items() if key[0] == "errgate_errors_total"}
    expected = set()
    job_codes: dict[str, set[str]] = {}
    for row in DOCUMENTED:
        for name, house in ((row.vendor, row.house), (f"{row.vendor}_own", row.own)):
            expected.add((name, house, row.code.upper(), "vendor", row.kind))
            if row.kind == "job":
                job_codes.setdefault(name, set()).add(house)
    for name, house in itertools.product(both_ways(""), HOUSE):
        for kind in ("http", "job") if house in job_codes.get(name, ()) else ("http",):
            expected |= {(name, house, "NONE", "vendor", kind), (name, house, "OTHER", "vendor", kind)}
        expected.add((name, house, "NONE", "gateway", "http"))
    for name, (house, source) in itertools.product(both_ways(""), WITHOUT_A_REPLY):
        expected.add((name, house, "NONE", source, "http"))

    there = set()
    for key, value in series.items():
        labels = dict(key)
        assert value == 0
        there.add((labels["vendor"], labels["code"], labels["vendor_code"].upper(), labels["source"], labels["kind"]))
    assert expected - there == set()


def test_names_and_labels(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Every metric of this release is there, with its labels, and nothing under another name."""
    gateway.ask("/pixii/x")
    gateway.ask("/pixii/../x")

    scrape = gateway.scrape()

    for name, labels in NAMES.items():
        found = [set(labels_of(key)) for key in scrape if key[0] == name]
        if name == "errgate_network_failures_total":
            assert all(those == labels for those in found)
        else:
            assert found, name
            assert all(those == labels for those in found), name
    assert not [key for key in scrape if key[0].endswith("_created")]


def test_open_metrics_when_asked_for(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """OpenMetrics is answered when it is asked for, and the text format else."""
    text = gateway.ask_admin("/metrics")
    opened = gateway.ask_admin("/metrics", headers=[("Accept", "application/openmetrics-text; version=1.0.0")])

    assert (text.header("content-type") or "").startswith("text/plain; version=")
    assert (opened.header("content-type") or "").startswith("application/openmetrics-text")
    assert opened.body.endswith(b"# EOF\n")


def test_labels_of_a_request(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A request counts under its vendor, route, method, status and outcome; what has none says so."""
    gateway.ask("/pixii/warm")
    vendor.answer = lambda wire, request: wire.send(
        {
            b"/pixii/ok": reply(200),
            b"/pixii/odd": reply(299),
            b"/pixii/v1/api/jobs/1": json_reply(404, {"code": "JOB_NOT_FOUND"}),
            b"/pixii/v1/api/scale": json_reply(400, {"code": "INSUFFICIENT_CREDITS"}),
            b"/pixii/down": reply(503),
        }[request.target]
    )
    before = gateway.scrape()

    gateway.ask("/pixii/ok", "OPTIONS")
    gateway.ask("/pixii/odd", "DELETE")
    gateway.ask("/pixii/v1/api/jobs/1", "HEAD")
    gateway.ask("/pixii/v1/api/scale", "POST", body=b"{}")
    gateway.ask("/pixii/down")
    gateway.ask("/nobody/x", "PUT", body=b"")
    gateway.ask("/pixii/a/../b")

    grown = gateway.scrape().grown(before, "errgate_requests_total")
    seen = {
        tuple(dict(labels)[name] for name in ("vendor", "route", "method", "status", "outcome")) for labels in grown
    }
    assert seen == {
        ("pixii", "other", "OPTIONS", "200", "ok"),
        ("pixii", "other", "DELETE", "2xx", "ok"),
        ("pixii", "poll", "HEAD", "404", "caller_fault"),
        ("pixii", "submit", "POST", "402", "operator_fault"),
        ("pixii", "other", "GET", "503", "vendor_fault"),
        ("none", "other", "PUT", "404", "caller_fault"),
        ("none", "other", "GET", "400", "caller_fault"),
    }


def test_gateway_s_own_pages_are_not_counted(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """Health, problem pages and the admin port never count (W-098)."""
    before = gateway.scrape()

    for target in ("/-/healthy", "/-/ready", "/-/problems", "/-/problems/not_found", "/-/nothing"):
        gateway.ask(target, counts=False)
    for target in ("/metrics", "/-/healthy", "/-/ready", "/-/status", "/nothing"):
        gateway.ask_admin(target)

    assert gateway.scrape().grown(before, "errgate_requests_total") == {}


def test_promtool_finds_nothing(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """`promtool check metrics` is clean (W-126)."""
    promtool = tool("promtool", "prometheus")
    gateway.ask("/pixii/x")

    done = subprocess.run(
        [promtool, "check", "metrics"], input=gateway.ask_admin("/metrics").body, capture_output=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_first_failure_of_each_code_is_seen(gateway: ThreadGateway, vendor: RogueVendor, tmp_path: Path) -> None:
    """The first failure of each code is seen by increase() > 0 between two real scrapes."""
    promtool = tool("promtool", "prometheus")
    before = gateway.scrape()
    for row in HTTP:
        body = {
            "pixii": {"code": row.code},
            "pixee": {"error_code": row.code},
            "pikzels": {"error": {"code": row.code}},
        }[row.vendor]
        vendor.reply(json_reply(row.status, body))
        gateway.ask(f"/{row.vendor}/x")
    after = gateway.scrape()

    grown = [key for key in after if key[0] == "errgate_errors_total" and after[key] > before.get(key, 0)]
    series = [
        {"series": selector(key), "values": f"{before[key]:.0f} {after[key]:.0f}"}
        for key in after
        if key[0] == "errgate_errors_total" and key in before
    ]
    expected = [{"labels": selector(key).removeprefix("errgate_errors_total"), "value": 0} for key in grown]
    rules = {
        "groups": [{"name": "errors", "rules": [{"record": "seen", "expr": "increase(errgate_errors_total[2m]) > 0"}]}]
    }
    test: dict[str, Any] = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [
                    {"expr": "seen > bool 0", "eval_time": "1m", "exp_samples": []},
                ],
            }
        ],
    }
    test["tests"][0]["promql_expr_test"][0]["exp_samples"] = [
        {"labels": sample["labels"], "value": 1} for sample in expected
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    codes = {(row.vendor, row.code.upper()) for row in HTTP}
    assert {(labels_of(key)["vendor"], labels_of(key)["vendor_code"].upper()) for key in grown} == codes
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_scrapes_it(gateway: ThreadGateway, vendor: RogueVendor, tmp_path: Path) -> None:
    """A real Prometheus scrapes the admin port and answers from what it read."""
    prometheus = tool("prometheus", "prometheus")
    gateway.ask("/pixii/x")
    port = free_port()
    target = f"{gateway.admin[0]}:{gateway.admin[1]}"
    (tmp_path / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                "scrape_configs": [{"job_name": "errgate", "static_configs": [{"targets": [target]}]}],
            }
        )
    )
    with (tmp_path / "log").open("wb") as output:
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        query = "/api/v1/query?query=sum(errgate_requests_total)%20and%20on()%20(up%20==%201)"
        end, value = time.monotonic() + 20, None
        while value is None and time.monotonic() < end:
            time.sleep(0.1)
            value = answered(port, query)
    finally:
        process.terminate()
        process.wait(10)

    assert value == gateway.scrape().sum("errgate_requests_total"), (tmp_path / "log").read_text()[-2000:]


def answered(port: int, query: str) -> float | None:
    """What Prometheus answers to an instant query; None as long as it has nothing."""
    try:
        with RawClient(("127.0.0.1", port)) as client:
            client.send(request("GET", query))
            found = client.read().json()["data"]["result"]
    except (OSError, Cut, ValueError, KeyError):
        return None
    return float(found[0]["value"][1]) if found else None


# What a hostile caller and a hostile vendor can vary; each value of the first row of labels appears in the warm-up.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get")
TARGETS = ("/pixii/x", "/pixii/v1/api/jobs/1", "/pixii/v1/api/scale", "/nobody/x", "/pixii/%2e%2e/x")
STATUSES = (200, 202, 204, 299, 302, 304, 345, 400, 401, 404, 418, 422, 429, 444, 499, 500, 503, 520, 599)
CODES = ("VALIDATION_ERROR", "NEW", "", 400, None)


Wish = tuple[str, str, int, object]


def warm_up() -> Iterator[Wish]:
    """Every combination that can show in a label, once."""
    return itertools.product(METHODS, TARGETS, STATUSES, ("VALIDATION_ERROR", "NEW"))


def wishes(count: int) -> Iterator[Wish]:
    """So many at random."""
    mood = random.Random(2)
    return (
        (mood.choice(METHODS), mood.choice(TARGETS), mood.choice(STATUSES), mood.choice(CODES)) for _ in range(count)
    )


def hostile(seed: int, wish: Wish) -> bytes:
    """A request whose path, query, headers and code nobody has sent before."""
    method, target, status, code = wish
    wild = random.Random(seed).randbytes(6).hex()
    plan = json.dumps([status, f"CODE_{wild}" if code == "NEW" else code]).encode().hex()
    headers = [("X-Plan", plan), ("Host", f"{wild}.example"), ("X-Request-Id", wild * 2), ("User-Agent", wild)]
    body = wild.encode() if method in {"POST", "PUT", "PATCH"} else None
    return request(method if method != "BREW" else f"BREW{wild.upper()}", f"{target}{wild}?{wild}", headers, body)


def as_planned(wire: Wire, request: Request) -> None:
    """Answer what the request asks for in `X-Plan`."""
    status, code = json.loads(bytes.fromhex(request.header("x-plan") or ""))
    answer = json_reply(status, {"code": code, "message": os.urandom(4).hex()})
    wire.send(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.method == "HEAD" else answer)


def ask_all(gateway: ProcessGateway, requests: list[bytes], at_once: int = 4) -> int:
    """Ask them all, a few at a time, on connections that last as long as the gateway lets them; how many answered."""
    with ThreadPoolExecutor(at_once) as pool:
        return sum(pool.map(ask_in_turn, [gateway] * at_once, [requests[index::at_once] for index in range(at_once)]))


def ask_in_turn(gateway: ProcessGateway, requests: list[bytes]) -> int:
    """Ask one after the other; how many answered."""
    answered = 0
    client: RawClient | None = None
    for data in requests:
        if client is None:
            client = gateway.connect()
        client.send(data)
        answer = client.read(data.split(b" ", 1)[0].decode())
        answered += 1
        if answer.header("connection") == "close":
            client.close()
            client = None
    if client is not None:
        client.close()
    return answered


def test_hostile_requests_add_no_series(vendor: RogueVendor, tmp_path: Path) -> None:
    """After a warm-up, 10,000 hostile requests leave the number of series as it was, and each counts (W-127, W-131)."""
    vendor.forget()
    vendor.answer = as_planned
    vendor.keep_bodies = False
    with ProcessGateway(settings_text({"pixii": {"base_url": vendor.url}}), tmp_path, traced=False) as gateway:
        ask_all(gateway, list(itertools.starmap(hostile, enumerate(warm_up()))))
        before = gateway.scrape()
        sent = [hostile(seed, wish) for seed, wish in enumerate(wishes(REQUESTS), 100_000)]
        began = time.monotonic()

        answered = ask_all(gateway, sent)

        took, after = time.monotonic() - began, gateway.scrape()
    print(f"{answered} requests in {took:.1f} s, {len(after)} series")  # noqa: T201 - measured
    assert set(after) - set(before) == set()
    assert answered == REQUESTS
    assert after.sum("errgate_requests_total") - before.sum("errgate_requests_total") == REQUESTS
    assert {labels_of(key)["outcome"] for key in after if key[0] == "errgate_requests_total"} <= OUTCOMES
