"""A reload changes what the guards below ASGI keep: deadlines and connections, in one process and in each worker."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness.client import request
from tests.e2e.harness.gateway import ProcessGateway, settings_text
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(params=["1", "2"], ids=["one-process", "two-workers"])
def process(request: pytest.FixtureRequest, vendor: RogueVendor, tmp_path: Path) -> Iterator[ProcessGateway]:
    """A gateway with the usual bounds."""
    vendors = {"acme": {"base_url": vendor.url}}
    text = settings_text(vendors, {"shutdown": {"lameduck": "0s", "grace": "1s"}})
    with ProcessGateway(text, tmp_path, arguments=["--workers", request.param]) as process:
        if request.param == "2":
            assert until(lambda: all(one["ready"] for one in status(process)["workers"]), 20.0)
            assert until(lambda: len(status(process)["workers"]) == 2, 20.0)
        yield process


def status(process: ProcessGateway) -> dict[str, Any]:
    """What `/-/status` says."""
    found: dict[str, Any] = process.ask_admin("/-/status").json()
    return found


def reload(process: ProcessGateway, change: Change) -> None:
    """Change the settings, and have them in force."""
    document = yaml.safe_load(process.config.read_text())
    change(document)
    process.config.write_text(yaml.safe_dump(document))
    answer = process.ask_admin("/-/reload", "POST", body=b"")
    assert answer.status == 200, answer.body


def test_deadline_of_a_head(process: ProcessGateway) -> None:
    """A head that comes too slowly for the new deadline is refused by it."""
    reload(process, lambda document: document["server"].update(timeouts={"head": "200ms"}))

    with process.connect(timeout=8.0) as client:
        client.send(b"GET /acme/x HTTP/1.1\r\nHost: localhost\r\n")
        answer = client.read()

    assert answer.status == 408
    assert b"within 0.2 s" in answer.body


def test_connections(process: ProcessGateway) -> None:
    """No more connections than the new bound are served, and as many as before once it is taken back."""
    reload(process, lambda document: document["server"].update(max_connections=2))

    def statuses(number: int) -> list[int]:
        with ExitStack() as stack:
            clients = [stack.enter_context(process.connect()) for _ in range(number)]
            for client in clients:
                client.send(request("GET", "/acme/x"))
            return [client.read().status for client in clients]

    assert until(lambda: 503 in statuses(12), 20.0)
    reload(process, lambda document: document["server"].update(max_connections=100))

    assert until(lambda: statuses(12) == [200] * 12, 20.0)


def test_idle_connections(process: ProcessGateway) -> None:
    """A connection that is made after the reload is kept idle for as long as the new settings say."""
    reload(process, lambda document: document["server"].update(timeouts={"keep_alive": "300ms"}))

    with process.connect(timeout=8.0) as client:
        client.send(request("GET", "/acme/x"))
        first = client.read()
        ended = client.sock.recv(1)

    assert first.status == 200
    assert ended == b""
