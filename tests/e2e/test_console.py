"""The console of a whole process: what its polls cost, and one console for several workers."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.budget import LONG
from tests.e2e.harness.client import PATIENCE
from tests.e2e.harness.gateway import ProcessGateway, settings_text
from tests.e2e.harness.vendor import RogueVendor, json_reply

pytestmark = pytest.mark.alone

MIB = 1 << 20
# Issue 7: 36,000 polls grow resident memory by at most 2 MiB; a tenth of them in the short run.
POLLS = 36_000 if LONG else 3_600
GROWTH = 2 * MIB
WORKERS = 2


def settings(vendor: RogueVendor, **server: object) -> str:
    """Settings of a gateway to a vendor that does what it is told."""
    return settings_text({"pixii": {"base_url": vendor.url, "retries": {"max": 0}}}, server=server)


class Watcher:
    """An open page: polls on one connection, and goes on where it was."""

    def __init__(self, gateway: ProcessGateway) -> None:
        self._connection = http.client.HTTPConnection(*gateway.admin, timeout=PATIENCE)
        self._after = 0
        self.failures: list[dict[str, Any]] = []

    def poll(self) -> dict[str, Any]:
        """What the gateway tells now; new failures are added to those that are known."""
        self._connection.request("GET", f"/-/console?after={self._after}")
        answer = self._connection.getresponse()
        assert answer.status == 200
        told: dict[str, Any] = json.loads(answer.read())
        self._after = told["last"]
        self.failures += told["failures"]
        return told

    def wait(self, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Poll until that is so."""
        end = time.monotonic() + PATIENCE
        while not until(told := self.poll()):
            assert time.monotonic() < end, told
            time.sleep(0.1)
        return told

    def close(self) -> None:
        """Leave the page."""
        self._connection.close()


@pytest.fixture
def watched(request: pytest.FixtureRequest) -> Iterator[Callable[[ProcessGateway], Watcher]]:
    """Opens pages, and closes them after the test."""
    opened: list[Watcher] = []

    def watch(gateway: ProcessGateway) -> Watcher:
        opened.append(Watcher(gateway))
        return opened[-1]

    yield watch
    for watcher in opened:
        watcher.close()


def counted(told: dict[str, Any]) -> int:
    """The requests to the vendor, by what the console tells."""
    return sum(sum(outcomes.values()) for outcomes in told["vendors"]["pixii"]["requests"].values())


def test_polls_leave_nothing_behind(
    vendor: RogueVendor, tmp_path: Path, watched: Callable[[ProcessGateway], Watcher]
) -> None:
    """However often a page asks, the gateway's memory stays what it was."""
    with ProcessGateway(settings(vendor), tmp_path, traced=False) as gateway:
        vendor.reply(json_reply(404, {"code": "JOB_NOT_FOUND", "message": "x" * 500}))
        for _ in range(250):
            gateway.ask("/pixii/v1/api/jobs/1")
        for path in ("/", "/drift", "/explain", "/-/problems", "/-/problems/not_found"):
            assert gateway.ask_admin(path).status == 200
        page = watched(gateway)
        for _ in range(500):
            page.poll()
        before, began = gateway.memory(), time.monotonic()

        for number in range(POLLS):
            page.poll()
            if number % 100 == 0:
                gateway.ask("/pixii/v1/api/jobs/1")

        grown, took = gateway.memory() - before, time.monotonic() - began
    print(f"{POLLS} polls in {took:.1f} s: resident {before / MIB:.1f} MiB + {grown / MIB:.2f} MiB")  # noqa: T201
    assert grown <= GROWTH


def test_several_workers(vendor: RogueVendor, tmp_path: Path, watched: Callable[[ProcessGateway], Watcher]) -> None:
    """With several workers one console tells of them all: every request, every failure once, every unknown code."""
    with ProcessGateway(settings(vendor, workers=WORKERS), tmp_path) as gateway:
        vendor.reply(json_reply(400, {"code": "BRAND_NEW", "message": "no"}))
        page = watched(gateway)
        page.wait(lambda told: told["state"] == "ready" and told["workers"] == WORKERS)
        names = [f"request-{number:04d}" for number in range(40)]
        for name in names:
            gateway.ask("/pixii/x", headers=[("X-Request-Id", name)])

        told = page.wait(lambda told: counted(told) == len(names))

        page.wait(lambda _: len(page.failures) >= len(names))
        assert sorted(failure["request_id"] for failure in page.failures) == names
        assert told["vendors"]["pixii"]["codes"] == {"invalid_request": len(names)}
        assert told["vendors"]["pixii"]["unmapped"] == len(names)
        drift = gateway.ask_admin("/drift", headers=[("Accept", "application/json")]).json()
        (code,) = drift["vendors"][0]["unknown"]
        assert (code["code"], code["count"], code["house_code"]) == ("BRAND_NEW", len(names), "invalid_request")
        assert gateway.ask_admin("/").status == 200
        assert "Internal Server Error" not in gateway.logs()
