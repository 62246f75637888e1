"""
The console's data: what the metrics have counted, how each vendor stands, what failed last (contract 16).

Everything is read when somebody looks, and nothing when nobody does. However many look, and however often, the numbers
are read twice a second at most: the forwarding path pays for its metrics and no more.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Protocol

from gateway.metrics.samples import Sample
from gateway.settings import Settings

from .drift import drift
from .standing import standing, store_up
from .totals import BUCKETS, Totals, totals

__all__ = ["Console", "Looked"]

# A page asks once a second; whoever asks more often is told the same again.
KEPT_SECONDS = 0.5


class Looked(Protocol):
    """What the console looks at: one process, or the supervisor of several."""

    @property
    def settings(self) -> Settings:
        """What is in force."""

    async def status(self) -> dict[str, Any]:
        """What a person on call asks first."""

    async def samples(self) -> list[Sample]:
        """What has been counted, as far as the console shows it."""

    async def recent(self, after: int) -> dict[str, Any]:
        """The failures after that number, the number of the last, and the codes that no table knows."""


class Console:
    """
    The console of one admin port.

    Mutable state: what was read last, and when.
    """

    def __init__(self, looked: Looked) -> None:
        self._looked = looked
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")
        self._read: tuple[dict[str, Any], Mapping[str, Totals]] = ({}, {})

    async def live(self, after: int = 0) -> dict[str, Any]:
        """Everything that the console's first page shows; `after`: the last failure that the page has."""
        now, _ = await self._numbers()
        recent = await self._looked.recent(after)
        return {**now, "epoch": recent["epoch"], "last": recent["last"], "failures": recent["failures"]}

    async def drift(self) -> list[dict[str, Any]]:
        """Where the vendors' tables and the vendors have drifted apart."""
        _, counted = await self._numbers()
        recent = await self._looked.recent(0)
        return drift(self._looked.settings, counted, recent["unknown"])

    async def _numbers(self) -> tuple[dict[str, Any], Mapping[str, Totals]]:
        async with self._reading:
            if time.monotonic() - self._read_at >= KEPT_SECONDS:
                self._read = await self._look()
                self._read_at = time.monotonic()
            return self._read

    async def _look(self) -> tuple[dict[str, Any], Mapping[str, Totals]]:
        status, samples = await asyncio.gather(self._looked.status(), self._looked.samples())
        counted = await asyncio.to_thread(totals, samples)
        standings = standing(status)
        vendors = {
            name: {**counted.get(name, Totals()).row(), **standings.get(name, {})}
            for name in self._looked.settings.vendors
        }
        now = {
            "at": round(time.time(), 3),
            "version": status["version"],
            "state": status["state"],
            "limit_store_up": store_up(status),
            "warnings": status.get("warnings", []),
            "workers": len(status["workers"]) if "workers" in status else 1,
            "buckets": BUCKETS,
            "vendors": vendors,
            "nobody": counted.get("none", Totals()).row(),
        }
        return now, counted
