"""
A plugin of pytest for a run over the compiled form, `pytest -p tests.compiled`; `make test-compiled` is that.

The header says what is compiled; a run in which one of these modules is plain Python does not begin.
"""

import ast
import importlib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Tests that only the plain form can keep: the function, and why. A compiled class has no attributes but its own, nobody
# who is interpreted derives from it, and what it calls of its own set is not looked up by name.
INTERPRETED = {
    "tests/gateway/limits/test_queue.py::test_a_store_that_fails_leaves_no_line_blocked": "derives from Memory",
    "tests/gateway/limits/test_shared.py::test_a_rule_that_fails_changes_nothing": "replaces a method of a rule",
    "tests/gateway/limits/test_shared.py::test_whoever_dies_at_any_line_leaves_no_half_change": "dies at each line",
    "tests/gateway/test_admission.py::test_shares_are_told": "derives from Memory",
    "tests/gateway/test_lanes.py::test_aclose": "counts by replacing a method of the engine",
    "tests/gateway/test_lanes.py::test_retired_at_once": "counts by replacing a method of the engine",
    "tests/gateway/test_lanes.py::test_retired_behind_the_last_request": "counts by replacing a method of the engine",
    "tests/gateway/upstream/http1/test_connections.py::test_vendor_that_leaves_before_it_is_asked": (
        "replaces a method of the pool"
    ),
    "tests/e2e/test_retries.py::test_post_is_sent_again_where_it_was_not_sent": "replaces the pause between tries",
    "tests/e2e/wire/test_rules.py::test_exception_inside_is_an_envelope": "replaces methods of the engine and routes",
}


def compiled() -> tuple[str, ...]:
    """The paths of the modules that setup.py compiles."""
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="COMPILED")], value=value):
                paths: tuple[str, ...] = ast.literal_eval(value)
                return paths
    raise LookupError("setup.py assigns no COMPILED")


def is_extension(path: str) -> bool:
    """Whether the module at this path is loaded from an extension module."""
    module = importlib.import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    return str(module.__file__).endswith(tuple(EXTENSION_SUFFIXES))


def pytest_configure() -> None:
    """Refuse a run that would show nothing."""
    plain = [path for path in compiled() if not is_extension(path)]
    if plain:
        raise pytest.UsageError(f"not compiled: {' '.join(plain)} (make test-compiled)")


def pytest_report_header() -> str:
    """What runs here."""
    proxy = importlib.import_module("gateway.proxy")
    return f"compiled: {len(compiled())} modules, gateway.proxy from {proxy.__file__}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what only the plain form can keep."""
    for item in items:
        why = INTERPRETED.get(item.nodeid.partition("[")[0])
        if why:
            item.add_marker(pytest.mark.skip(f"interpreted: {why}"))
