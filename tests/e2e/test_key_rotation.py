"""A vendor's key is rotated as Kubernetes does it, under load: in force within 10 s, and no request fails."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.harness.client import RawClient, request
from tests.e2e.harness.gateway import ProcessGateway, settings_text
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor
from tests.e2e.harness.wire import Cut, Response

# Contract 3: a change is in force within 10 s. Beyond it only what a busy machine may take away.
IN_FORCE = 10.0
SLACK = 10.0
OLD, NEW = "key-one-of-the-vendor", "key-two-of-the-vendor"
PATH = Path("vendors") / "pikzels"


def project(volume: Path, version: str, secret: str) -> None:
    """
    Write a projected volume as the kubelet does it.

    The content stands in a new folder; `..data` is a link to it that is replaced in one step; what the container opens
    is a link through `..data`. The folder of before is removed.
    """
    folder = volume / f"..{version}"
    (folder / PATH).parent.mkdir(parents=True)
    (folder / PATH).write_text(secret)
    before = (volume / "..data").readlink() if (volume / "..data").is_symlink() else None
    (volume / "..data_tmp").symlink_to(folder.name)
    (volume / "..data_tmp").rename(volume / "..data")
    if before is None:
        (volume / PATH.parts[0]).symlink_to(Path("..data") / PATH.parts[0])
        return
    (volume / before / PATH).unlink()
    (volume / before / PATH.parts[0]).rmdir()
    (volume / before).rmdir()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A mounted volume with the old key."""
    volume = tmp_path / "secrets"
    volume.mkdir()
    project(volume, "2026_01_01", OLD)
    return volume


@pytest.fixture
def process(vendor: RogueVendor, volume: Path, tmp_path: Path) -> Iterator[ProcessGateway]:
    """A gateway whose credential is in that volume."""
    vendor.forget()
    credential = {"header": "X-Api-Key", "value": f"${{file:{volume / PATH}}}"}
    with ProcessGateway(
        settings_text({"pikzels": {"base_url": vendor.url, "credential": credential}}), tmp_path
    ) as process:
        yield process


class Callers:
    """Callers that ask without a pause between, each on a connection that it keeps."""

    def __init__(self, process: ProcessGateway, count: int = 4) -> None:
        self.process = process
        self.answers: list[Response] = []
        self.lost: list[str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(30)

    def _ask(self) -> None:
        client: RawClient | None = None
        while not self.over.wait(0.005):
            try:
                client = client or self.process.connect()
                client.send(request("POST", "/pikzels/v2/title/make", body=b"{}"))
                answer = client.read("POST")
            except (Cut, OSError) as error:
                self.lost.append(repr(error))
                client = None
                continue
            self.answers.append(answer)
            if answer.header("connection") == "close":
                client.close()
                client = None
        if client is not None:
            client.close()


def test_a_rotated_key_is_in_force_and_no_request_fails(
    process: ProcessGateway, vendor: RogueVendor, volume: Path
) -> None:
    """Swapping the link of a mounted secret changes the injected key within 10 s; every request is answered 200."""

    def last() -> str | None:
        return vendor.requests[-1].header("x-api-key") if vendor.requests else None

    with Callers(process) as callers:
        assert until(lambda: last() == OLD, 20)
        began = time.monotonic()
        project(volume, "2026_01_02", NEW)
        assert until(lambda: last() == NEW, IN_FORCE + SLACK), process.logs()
        took = time.monotonic() - began
        swapped = len(vendor.requests)
        assert until(lambda: len(vendor.requests) > swapped + 50, 20)

    keys = [asked.header("x-api-key") for asked in list(vendor.requests)]
    assert callers.lost == []
    assert {answer.status for answer in callers.answers} == {200}
    assert len(callers.answers) == len(keys)
    assert set(keys) == {OLD, NEW}
    # Only those that ran at the moment of the change may come behind it: at most one of each caller.
    assert keys[keys.index(NEW) :].count(OLD) < len(callers.threads)
    assert took < IN_FORCE + SLACK
    assert process.scrape().sum("errgate_config_last_reload_successful") == 1
    assert OLD not in process.logs()
    assert NEW not in process.logs()


def test_a_key_can_be_rotated_again_and_again(process: ProcessGateway, vendor: RogueVendor, volume: Path) -> None:
    """Each of several rotations in a row comes into force, without a restart."""
    for number in range(2, 4):
        project(volume, f"2026_02_0{number}", f"key-{number}")

        def current(key: str = f"key-{number}") -> bool:
            process.ask("/pikzels/x")
            return vendor.requests[-1].header("x-api-key") == key

        assert until(current, IN_FORCE + SLACK), process.logs()
