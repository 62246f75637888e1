"""A forwarded request costs no more instructions than is written down; `tests/cost.py` counts them."""

import json
import os
import subprocess
import sys

import pytest

from tests.cost import CASES, COSTS, TOLERANCE, garbage

WRITTEN = json.loads(COSTS.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def counted() -> dict[str, int]:
    """What is counted in a process of its own, without coverage, which counts by the same means."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.cost"],
        check=True,
        capture_output=True,
        text=True,
        env=environ | {"PYTHONHASHSEED": "0"},
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(
    WRITTEN["python"] != f"{sys.version_info.major}.{sys.version_info.minor}",
    reason="other versions of Python have other instructions",
)
@pytest.mark.parametrize("case", CASES)
def test_cost(counted: dict[str, int], case: str) -> None:
    """At most a tenth more than is written down; `python -m tests.cost --write` does that, for a good reason."""
    limit = WRITTEN["instructions"][case] * TOLERANCE

    assert counted[case] <= limit


@pytest.mark.parametrize("case", CASES)
def test_nothing_waits_for_the_collector(case: str) -> None:
    """A request is gone with its answer: to look for cycles took a tenth of the time, and kept bodies meanwhile."""
    assert garbage(case) == 0
