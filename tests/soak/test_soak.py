"""The short form of the long runs."""

import asyncio
from pathlib import Path

import pytest

from tests.soak import chaos, slow

pytestmark = pytest.mark.alone


def test_chaos(tmp_path: Path) -> None:
    """Under faults, hang-ups, reloads and a killed worker every answer is right and every request is counted once."""
    seen = asyncio.run(chaos.run(6, tmp_path))

    assert seen["sent"]


def test_slow_callers(tmp_path: Path) -> None:
    """Half-sent heads, slow bodies and idle connections keep nobody else from being answered (W-148)."""
    seen = asyncio.run(slow.run(2, tmp_path, scale=0.05))

    assert seen["answered"]
