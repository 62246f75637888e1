"""The short run of every fuzz target: its seeds, and a few hundred inputs near them. `make fuzz` is the long one."""

import importlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import targets
from tests.fuzz.inputs import inputs
from tests.fuzz.targets import SEEDS, TARGETS

SEED_LIMIT_BYTES = 8 * 1024
ALL = [
    pytest.param(target, path, id=f"{target.name}-{path.name}")
    for target in TARGETS.values()
    for path in target.seeds()
]


@pytest.mark.parametrize(("target", "path"), ALL)
def test_seed(target: targets.Target, path: Path) -> None:
    """Every promise holds on every seed."""
    data = path.read_bytes()

    target.check(data)

    assert len(data) <= SEED_LIMIT_BYTES


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_near_the_seeds(name: str, data: st.DataObject) -> None:
    """Every promise holds on whatever is made of a seed and the words of its language."""
    made = data.draw(inputs(name))

    TARGETS[name].check(made)


def test_every_check_is_a_target() -> None:
    """A check that nobody runs proves nothing; neither does a folder of seeds without one."""
    modules = [importlib.import_module(f"tests.fuzz.{name}") for name in ("asked", "answered", "configured", "spoken")]

    checks = {name.removeprefix("check_") for module in modules for name in vars(module) if name.startswith("check_")}

    assert checks == set(TARGETS) == {folder.name for folder in SEEDS.iterdir()}
