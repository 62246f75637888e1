"""
Several workers of one gateway: each may die, be stopped or replaced, and callers and operators see one gateway.

One file: nearly every test does something to the same workers, which are well again before the next.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.e2e.harness.client import RawClient, request
from tests.e2e.harness.gateway import ProcessGateway, settings_text
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, stall
from tests.e2e.harness.wire import Cut

pytestmark = pytest.mark.alone

WORKERS = ["--workers", "2"]
# What a vendor's connections are bounded by, in all workers together.
CONNECTIONS = 100
# How long a worker may take to start on a busy machine.
STARTING = 20.0


def text(vendor: RogueVendor, **more: object) -> str:
    """Settings with one vendor and what else is given."""
    server = {"shutdown": {"lameduck": "0s", "grace": "1s"}}
    return settings_text({"pixii": {"base_url": vendor.url, "normalizer": "generic"}}, server, **more)


@pytest.fixture(scope="module")
def process(vendor: RogueVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessGateway]:
    """A gateway with two workers, both ready."""
    with ProcessGateway(text(vendor), tmp_path_factory.mktemp("gateway"), arguments=WORKERS) as process:
        assert until(lambda: len(ready(process)) == 2, STARTING)
        yield process


@pytest.fixture(autouse=True)
def _well(request: pytest.FixtureRequest, vendor: RogueVendor) -> Iterator[None]:
    """After each test that leaves the gateway running it is healthy, has two workers and answers."""
    vendor.forget()
    yield
    vendor.forget()
    if "process" in request.fixturenames:
        process = request.getfixturevalue("process")
        assert until(lambda: len(ready(process)) == 2, STARTING), process.logs()
        assert process.ask("/pixii/clean").body == b"ok"
        assert process.ask_admin("/-/healthy").status == 200


def workers(process: ProcessGateway) -> list[dict[str, Any]]:
    """What `/-/status` says of each worker."""
    found = process.ask_admin("/-/status").json()["workers"]
    assert isinstance(found, list)
    return found


def ready(process: ProcessGateway) -> dict[int, dict[str, Any]]:
    """The workers that take requests and say so, by process id."""
    return {one["pid"]: one for one in workers(process) if one["ready"] and one["state"] == "ready"}


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def counted(process: ProcessGateway) -> float:
    """How many requests all workers have counted."""
    return process.scrape().sum("errgate_requests_total")


def settled(process: ProcessGateway) -> float:
    """The same once it stands still: the supervisor may be asked before a worker has counted what it answered."""
    counts = [counted(process)]

    def still() -> bool:
        time.sleep(0.1)
        counts.append(counted(process))
        return counts[-1] == counts[-2]

    assert until(still)
    return counts[-1]


def test_status_lists_the_workers(process: ProcessGateway) -> None:
    """`/-/status` says of each worker what it says of a single process, and the supervisor is none of them."""
    status = process.ask_admin("/-/status").json()

    assert status["state"] == "ready"
    assert len({one["pid"] for one in status["workers"]} - {process.pid}) == 2
    for one in status["workers"]:
        assert (one["state"], one["ready"], list(one["vendors"])) == ("ready", True, ["pixii"])


def test_probes(process: ProcessGateway) -> None:
    """Both ports answer both probes, whichever worker takes them (W-162)."""
    asked = [(ask, probe) for ask in (process.ask, process.ask_admin) for probe in ("/-/healthy", "/-/ready")]

    assert [ask(probe).status for ask, probe in asked for _ in range(4)] == [200] * 16


class Load:
    """Callers that each ask one thing after the other, now and then on a new connection."""

    def __init__(self, process: ProcessGateway, callers: int, each: int) -> None:
        self.process = process
        self.each = each
        self.statuses: list[int] = []
        self.cut = 0
        self.threads = [threading.Thread(target=self._run) for _ in range(callers)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self.threads:
            thread.join(20)

    @property
    def done(self) -> int:
        """How many requests have ended."""
        return len(self.statuses) + self.cut

    def _run(self) -> None:
        client: RawClient | None = None
        for number in range(self.each):
            if client is None or number % 20 == 0:
                if client is not None:
                    client.close()
                client = self.process.connect()
            try:
                client.send(request("GET", f"/pixii/{number}"))
                answer = client.read()
                ended = answer.complete
            except (Cut, OSError):
                ended = False
            if ended:
                self.statuses.append(answer.status)
            else:
                self.cut += 1
                client.close()
                client = None
        if client is not None:
            client.close()


def test_a_worker_is_killed_under_load(process: ProcessGateway, vendor: RogueVendor) -> None:
    """1,000 requests while a worker is killed: lost is what ran on it, counted what was answered (W-135, F-72)."""
    vendor.keep_bodies = False
    callers, before = 4, settled(process)
    victim = min(ready(process))

    with Load(process, callers, 250) as load:
        assert until(lambda: load.done > 300, 10)
        os.kill(victim, signal.SIGKILL)
        seen = [counted(process) for _ in range(3)]

    assert set(load.statuses) == {200}
    assert load.done == 1000
    # Each caller has one request at a time: no more can have been on the killed worker, or answered and not counted.
    assert load.cut <= callers
    assert seen == sorted(seen)
    total = settled(process) - before
    assert len(load.statuses) - callers <= total <= 1000
    assert until(lambda: len(ready(process)) == 2, STARTING)
    assert victim not in ready(process)


def gauges(process: ProcessGateway) -> tuple[float, float]:
    """Of all workers together: the requests at work, and the connections to the vendor that are open or may be."""
    scrape = process.scrape()
    return scrape.sum("errgate_requests_in_flight"), scrape.sum("errgate_vendor_connections")


def test_what_a_dead_worker_had_in_flight_is_gone(process: ProcessGateway, vendor: RogueVendor) -> None:
    """A killed worker's counters stay and its gauges vanish (W-135, F-72)."""
    vendor.script(stall())
    with process.connect() as client:
        client.send(request("GET", "/pixii/x"))
        assert until(lambda: gauges(process) == (1, CONNECTIONS))
        before = settled(process)
        busy = [pid for pid, one in ready(process).items() if one["requests_in_flight"]]

        os.kill(busy[0], signal.SIGKILL)

        with pytest.raises(Cut):
            client.read()
    assert until(lambda: gauges(process)[0] == 0)
    assert counted(process) == before
    assert until(lambda: len(ready(process)) == 2, STARTING)
    assert until(lambda: gauges(process) == (0, CONNECTIONS))


def test_a_worker_that_hangs(process: ProcessGateway) -> None:
    """A worker that says nothing for 5 s makes the gateway unhealthy, not unready; every probe still answers (F-73)."""
    victim, other = sorted(ready(process))
    began = time.monotonic()
    os.kill(victim, signal.SIGSTOP)
    answers: list[dict[int, str]] = []
    asking = threading.Thread(target=lambda: answers.append({one["pid"]: one["state"] for one in workers(process)}))
    asking.start()
    try:
        assert process.ask_admin("/-/healthy").status == 200

        assert until(lambda: process.ask_admin("/-/healthy").status == 503, 7)

        assert time.monotonic() - began > 4
        assert process.ask_admin("/-/ready").status == 200
        assert [process.ask("/pixii/x").status for _ in range(5)] == [200] * 5
        asking.join(3)
        assert answers == [{victim: "silent", other: "ready"}]
    finally:
        os.kill(victim, signal.SIGCONT)
    assert until(lambda: process.ask_admin("/-/healthy").status == 200)
    assert victim in ready(process)


@contextlib.contextmanager
def changed(process: ProcessGateway, **vendors: object) -> Iterator[None]:
    """The settings file with other vendors added, until the end; then it is as it was, and in force."""
    was = process.config.read_text()
    document = yaml.safe_load(was)
    document["vendors"] |= vendors
    process.config.write_text(yaml.safe_dump(document))
    try:
        yield
    finally:
        process.config.write_text(was)
    assert process.ask_admin("/-/reload", "POST").status == 200


def in_force(process: ProcessGateway) -> list[set[str]]:
    """Which vendors each worker knows; none, where it has not answered in time."""
    return [set(one.get("vendors", ())) for one in workers(process)]


@pytest.mark.parametrize("how", ["signal", "request", "file"])
def test_all_workers_reload(process: ProcessGateway, vendor: RogueVendor, how: str) -> None:
    """New settings are in force in every worker, however the reload was asked for (W-168, contract 3)."""
    with changed(process, new={"base_url": vendor.url}):
        if how == "signal":
            process.signal(signal.SIGHUP)
        elif how == "request":
            assert process.ask_admin("/-/reload", "POST").json() == {"reloaded": True, "faults": []}

        assert until(lambda: in_force(process) == [{"pixii", "new"}] * 2, 0 if how == "request" else 7)

        assert [process.ask("/new/x").status for _ in range(6)] == [200] * 6
        assert list(process.ask_admin("/-/config").json()["vendors"]) == ["new", "pixii"]


BAD: dict[str, dict[str, Any]] = {
    "a misspelt key": {"new": {"base_ulr": "http://127.0.0.1:9"}},
    "another vendor at fault": {"new": {"base_url": "http://127.0.0.1:9"}, "bad": {"base_url": 5}},
}


@pytest.mark.parametrize("vendors", BAD.values(), ids=BAD)
def test_no_worker_reloads_a_bad_file(process: ProcessGateway, vendors: dict[str, Any]) -> None:
    """Bad settings change nothing in any worker, nor in one that starts while they stand there (W-168, F-79)."""
    with changed(process, **vendors):
        answer = process.ask_admin("/-/reload", "POST")

        assert (answer.status, answer.json()["reloaded"]) == (422, False)
        assert "errgate.yaml:" in answer.json()["faults"][0]
        assert until(lambda: in_force(process) == [{"pixii"}] * 2, STARTING)
        assert until(lambda: process.scrape().sum("errgate_config_last_reload_successful") == 0, STARTING)
        victim = min(ready(process))
        os.kill(victim, signal.SIGKILL)
        assert until(lambda: len(ready(process)) == 2 and victim not in ready(process), STARTING), process.logs()
        assert until(lambda: in_force(process) == [{"pixii"}] * 2, STARTING)
    assert until(lambda: process.scrape().sum("errgate_config_last_reload_successful") == 1, STARTING)


def test_what_needs_a_restart_is_refused(process: ProcessGateway) -> None:
    """A changed port is refused with those words, once, and no worker takes the rest of the file (contract 3)."""
    was = process.config.read_text()
    document = yaml.safe_load(was)
    document["server"]["port"] += 1
    document["vendors"]["new"] = {"base_url": "http://127.0.0.1:9"}
    process.config.write_text(yaml.safe_dump(document))

    answer = process.ask_admin("/-/reload", "POST")

    process.config.write_text(was)
    assert answer.status == 422
    assert ["server.port" in fault and "restart" in fault for fault in answer.json()["faults"]] == [True]
    assert until(lambda: in_force(process) == [{"pixii"}] * 2, STARTING)
    assert process.ask_admin("/-/reload", "POST").status == 200


def test_workers_end_with_their_supervisor(vendor: RogueVendor, tmp_path: Path) -> None:
    """When the supervisor is killed its workers end by themselves, and the port is free."""
    # A killed supervisor cannot clean up: what it leaves is the test's.
    own = {"TMPDIR": str(tmp_path)}
    with ProcessGateway(text(vendor), tmp_path, arguments=WORKERS, environ=own) as process:
        assert until(lambda: len(ready(process)) == 2, STARTING)
        pids = list(ready(process))

        process.signal(signal.SIGKILL)

        assert process.wait() == -signal.SIGKILL
        assert until(lambda: not any(map(alive, pids)), 5)
        with pytest.raises(ConnectionRefusedError):
            process.connect()


def test_workers_that_die_at_their_start(vendor: RogueVendor, tmp_path: Path) -> None:
    """Where no worker lives the command ends with 1 and one sentence, instead of starting them for ever."""
    (tmp_path / "sitecustomize.py").write_text("import os\nif 'ERRGATE_WORKER' in os.environ: os._exit(3)\n")
    process = ProcessGateway(text(vendor), tmp_path, arguments=WORKERS, environ={"PYTHONPATH": str(tmp_path)})

    code = process.start().wait(20)

    assert code == 1
    sentences = [line for line in process.logs().splitlines() if not line.startswith("{")]
    assert sentences == ["errgate serve: the workers die as soon as they start; the lines above say why"]
    assert "Traceback" not in process.logs()
