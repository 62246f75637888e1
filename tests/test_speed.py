"""What the pages say of speed is what the benchmark has measured, and nothing is claimed but ratios."""

import re
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.goals import GOALS
from benchmarks.measures.throughput import pairs
from benchmarks.peers import HELLO, PEERS
from benchmarks.results import Runs, read
from docs.generate import README
from docs.speed import PAGES, fresh


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_page_is_fresh(path: Path) -> None:
    """The tables are those of `benchmarks/results.json`; `make docs` writes them."""
    assert fresh(path) == path.read_text(encoding="utf-8"), f"{path.name} is stale: run `make docs` and commit it"


def test_readme_claims_ratios_only() -> None:
    """No absolute rate stands in README: it would be another machine's."""
    section = README.read_text(encoding="utf-8").partition("<!-- speed:start -->")[2].partition("<!-- speed:end -->")[0]

    assert not re.search(r"requests a second \||req/s", section)


def test_peer_that_is_missing_is_named() -> None:
    """Whoever is not installed stands in the report with the way to have it."""
    run = {
        "date": "2026-01-01", "machine": {"processor": "p", "cores": 2, "memory_gib": 1, "kernel": "k", "python": "3"},
        "load": 0.0, "versions": {}, "missing": {"HAProxy": "not installed: apt install haproxy"}, "measures": {},
    }  # fmt: skip

    assert "Missing: HAProxy (not installed: apt install haproxy)." in report.text([run])


def test_every_peer_is_compared() -> None:
    """Each peer meets the gateway over HTTP and TLS, with successes and errors; the floor is asked for what it has."""
    compared = {(case, peer) for case, peer, _, _ in pairs()}

    assert {(case, peer.name) for case in ("http, ok", "TLS, ok", "TLS, 4xx") for peer in PEERS} < compared
    assert ("own 429", HELLO.name) in compared


def test_runs_are_joined_by_their_medians() -> None:
    """Ratios are made inside a round, and a goal is judged by the median of all rounds of all runs."""
    rows = [
        {"case": "http, ok", "peer": HELLO.name, "ours": [{"per_second": ours}], "theirs": [{"per_second": 100.0}]}
        for ours in (40.0, 50.0, 90.0)
    ]
    runs = Runs([{"measures": {"throughput": [row]}} for row in rows])

    ratios = runs.ratios("http, ok", HELLO.name)

    assert ratios == [0.4, 0.5, 0.9]
    assert report.spread(ratios, "x") == "0.50x (0.45 to 0.70)"
    assert next(goal for goal in GOALS if goal.what.startswith("bare uvicorn")).met(0.5)


def test_results_tell_where_they_are_from() -> None:
    """Each run says its machine, its date, the load that it met, and the versions it was measured with."""
    for run in read():
        assert run["date"]
        assert run["machine"]["cores"] >= 2
        assert run["load"] >= 0
        assert run["versions"]["errgate"]
