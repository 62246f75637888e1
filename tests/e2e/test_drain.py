"""
The end of a gateway, alone or with workers: nothing that could still be answered is lost (contract 13).

One file: one end, played alone and with workers, and each promise about it asked of the same recording.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.e2e.harness.client import RawClient, request
from tests.e2e.harness.gateway import ProcessGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import OK, RogueVendor, Wire, endless, reply
from tests.e2e.harness.wire import Cut, Request, Response

pytestmark = pytest.mark.alone

EVENT = b"10\r\ndata: something\n\r\n"
# How much longer than lameduck and grace an end may take on a busy machine.
SLACK = 2.5
STARTING = 8.0
HOW_MANY = [1, 2]


def text(vendor: RogueVendor, lameduck: float, grace: float) -> str:
    """Settings with one vendor."""
    shutdown = {"lameduck": f"{lameduck * 1000:.0f}ms", "grace": f"{grace * 1000:.0f}ms"}
    vendors = {"pixii": {"base_url": vendor.url, "normalizer": "generic"}}
    return settings_text(vendors, {"shutdown": shutdown})


@contextlib.contextmanager
def running(
    vendor: RogueVendor, folder: Path, workers: int, *, lameduck: float, grace: float
) -> Iterator[ProcessGateway]:
    """A gateway with all its workers ready."""
    arguments = ["--workers", str(workers)]
    with ProcessGateway(text(vendor, lameduck, grace), folder, arguments=arguments) as process:
        if workers > 1:
            assert until(lambda: len(pids(process)) == workers, STARTING), process.logs()
        yield process


def pids(process: ProcessGateway) -> list[int]:
    """The workers that take requests."""
    return [one["pid"] for one in process.ask_admin("/-/status").json()["workers"] if one["ready"]]


class Load:
    """Callers that ask at a steady pace, each on a connection that it keeps for as long as the gateway wants to."""

    def __init__(self, process: ProcessGateway, *, callers: int, each_second: float) -> None:
        self.process = process
        self.pause = callers / each_second
        self.answers: list[Response] = []
        self.lost: list[str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(callers)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(10)

    def _run(self) -> None:
        client: RawClient | None = None
        due = time.monotonic()
        while not self.over.wait(max(0.0, due - time.monotonic())):
            due += self.pause
            try:
                if client is None:
                    client = self.process.connect()
                client.send(request("GET", "/pixii/x"))
                answer = client.read()
                self.answers.append(answer)
                close = answer.header("connection") == "close"
            except (Cut, OSError) as error:
                self.lost.append(repr(error))
                close = True
            if close and client is not None:
                client.close()
                client = None
        if client is not None:
            client.close()

    def check_nothing_lost(self) -> None:
        """Every request was answered with the vendor's own answer."""
        assert self.lost == []
        assert {(answer.status, answer.body, answer.complete) for answer in self.answers} == {(200, b"ok", True)}


def soon(wire: Wire, request: Request) -> None:
    """Answer well after 20 ms."""
    time.sleep(0.02)
    wire.send(reply(200, b"ok"))


@pytest.mark.parametrize("workers", HOW_MANY)
def test_end_under_load(vendor: RogueVendor, tmp_path: Path, workers: int) -> None:
    """With 100 requests a second and callers that learn of it late, SIGTERM fails not one request (W-164, RC-81)."""
    vendor.forget()
    vendor.answer = soon
    lameduck, grace = 2.0, 2.0
    with running(vendor, tmp_path, workers, lameduck=lameduck, grace=grace) as process:
        with Load(process, callers=8, each_second=100) as load:
            time.sleep(1.0)
            before, asked_at = len(load.answers), time.monotonic()
            process.signal(signal.SIGTERM)
            assert until(lambda: process.ask_admin("/-/ready").status == 503, 0.5)
            time.sleep(max(0.0, lameduck - 0.4 - (time.monotonic() - asked_at)))
        code = process.wait()
        took = time.monotonic() - asked_at

    load.check_nothing_lost()
    assert before > 30
    after = load.answers[before:]
    assert len(after) > 50
    assert {answer.header("connection") for answer in after[20:]} == {"close"}
    assert code == 0
    assert lameduck - 0.1 < took < lameduck + grace + SLACK


@dataclass
class Ending:
    """What became of everything that ran when a gateway was told to end; times in seconds since it was."""

    lameduck: float = 1.0
    grace: float = 1.2
    ready: dict[str, int] = field(default_factory=dict)
    answers: dict[str, Response] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    idle_closed: bool = False
    refused_at: float = 0.0
    code: int | None = None
    ended_at: float = 0.0
    log: str = ""


def told(wire: Wire, request: Request) -> None:
    """A vendor that does what the path says."""
    path = request.target.decode()
    if path == "/slow":
        time.sleep(1.5)
        wire.send(reply(200, b"slow and whole"))
    elif path == "/events":
        wire.send(OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        endless(EVENT, 0.05)(wire)
    elif path == "/never":
        wire.stall()
    else:
        wire.send(reply(200, b"ok"))


@pytest.fixture(scope="module", params=HOW_MANY, ids=["alone", "two workers"])
def ending(request: pytest.FixtureRequest, vendor: RogueVendor, tmp_path_factory: pytest.TempPathFactory) -> Ending:
    """The end of a busy gateway: SIGTERM, and another one."""
    vendor.forget()
    vendor.answer = told
    seen = Ending()
    folder = tmp_path_factory.mktemp("gateway")
    with running(vendor, folder, request.param, lameduck=seen.lameduck, grace=seen.grace) as process:
        end(process, vendor, seen)
    vendor.forget()
    return seen


def end(process: ProcessGateway, vendor: RogueVendor, seen: Ending) -> None:
    """Ask for all sorts of things, end the gateway, and note what happens."""
    paths = ("slow", "never", "events")
    clients = {path: process.connect() for path in paths}
    began = 0.0

    def ask(path: str) -> None:
        clients[path].send(request("GET", f"/pixii/{path}"))
        with contextlib.suppress(Cut):
            seen.answers[path] = clients[path].read()
        seen.times[path] = time.monotonic() - began

    threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    with process.connect() as idle, process.connect() as upload:
        idle.send(request("GET", "/pixii/x"))
        idle.read()
        upload.send(request("POST", "/pixii/never", [("Content-Length", "10")]) + b"half")
        assert until(lambda: len(vendor.requests) >= len(paths) + 1)

        began = time.monotonic()
        process.signal(signal.SIGTERM)
        for name, ask_port in (("traffic", process.ask), ("admin", process.ask_admin)):
            until(lambda ask_port=ask_port: ask_port("/-/ready").status == 503, 0.3)  # type: ignore[misc]
            seen.ready[name] = ask_port("/-/ready").status
        seen.ready["healthy"] = process.ask_admin("/-/healthy").status
        seen.answers["new"] = process.ask("/pixii/x")
        process.signal(signal.SIGTERM)
        idle.send(request("GET", "/pixii/x"))
        seen.answers["idle"] = idle.read()
        seen.idle_closed = idle.closed()

        def refused() -> bool:
            try:
                process.connect(timeout=1).close()
            except OSError:
                return True
            return False

        assert until(refused, 3)
        seen.refused_at = time.monotonic() - began
        with contextlib.suppress(Cut):
            seen.answers["upload"] = upload.read("POST")
    for thread in threads:
        thread.join(10)
    seen.code = process.wait()
    seen.ended_at = time.monotonic() - began
    seen.log = process.logs()
    for client in clients.values():
        client.close()


def test_not_ready_at_once(ending: Ending) -> None:
    """From SIGTERM on both ports say 503 to `/-/ready`, while `/-/healthy` stays well (W-162, W-164)."""
    assert ending.ready == {"traffic": 503, "admin": 503, "healthy": 200}


@pytest.mark.parametrize("caller", ["new", "idle"])
def test_taken_during_lameduck(ending: Ending, caller: str) -> None:
    """While lameduck lasts, new and kept connections are served, and told to close (W-164, RC-81)."""
    answer = ending.answers[caller]

    assert (answer.status, answer.body, answer.header("connection")) == (200, b"ok", "close")
    assert ending.idle_closed


def test_no_connection_after_lameduck(ending: Ending) -> None:
    """After lameduck a connection is refused, not left to wait (W-164)."""
    assert ending.lameduck - 0.1 <= ending.refused_at <= ending.lameduck + 1.0


def test_slow_request_finishes(ending: Ending) -> None:
    """A request that ends within grace is answered whole (F-70)."""
    answer = ending.answers["slow"]

    assert (answer.status, answer.body, answer.complete) == (200, b"slow and whole", True)


@pytest.mark.parametrize("caller", ["never", "upload"])
def test_hopeless_request_is_told(ending: Ending, caller: str) -> None:
    """A request whose head is not out when grace ends is answered `overloaded` (W-166)."""
    check_problem(ending.answers[caller], "overloaded", source="gateway", retry_after=1, vendor="pixii")


def test_stream_is_cut(ending: Ending) -> None:
    """An event stream that goes on is cut when grace ends, so that it cannot look whole (W-153, W-166, F-70)."""
    answer = ending.answers["events"]

    assert (answer.status, answer.complete) == (200, False)
    assert answer.body.startswith(b"data: something\n")
    assert ending.times["events"] >= ending.lameduck + ending.grace - 0.2


def test_end_is_clean(ending: Ending) -> None:
    """The process ends with 0 within lameduck and grace, whatever a second SIGTERM says, and without a traceback."""
    assert ending.code == 0
    assert ending.ended_at < ending.lameduck + ending.grace + SLACK
    assert "Traceback" not in ending.log
    assert '"internal error"' not in ending.log


def test_what_was_cut_is_counted_as_such(ending: Ending) -> None:
    """The log tells of each request that ran at the end how it ended (W-166)."""
    lines = [line for line in ending.log.splitlines() if '"message":"request"' in line]
    outcomes = [yaml.safe_load(line)["outcome"] for line in lines]

    assert sorted(outcomes) == ["aborted", "ok", "ok", "ok", "ok", "refused", "refused"]


@pytest.mark.parametrize("workers", HOW_MANY)
def test_interrupt_does_not_wait(vendor: RogueVendor, tmp_path: Path, workers: int) -> None:
    """SIGINT skips lameduck, and a second one does not even wait for running requests; the exit is 0 (F-71)."""
    vendor.forget()
    vendor.answer = told
    with running(vendor, tmp_path, workers, lameduck=30, grace=30) as process, process.connect() as client:
        client.send(request("GET", "/pixii/never"))
        assert until(lambda: len(vendor.requests) == 1)
        process.signal(signal.SIGINT)
        assert until(lambda: process.ask_admin("/-/ready").status == 503, 1)
        time.sleep(0.3)
        assert process.process is not None
        assert process.process.poll() is None

        process.signal(signal.SIGINT)

        assert process.wait(4) == 0
        with contextlib.suppress(Cut):
            assert client.read().status == 503
    assert "Traceback" not in process.logs()


def test_end_with_a_worker_that_hangs(vendor: RogueVendor, tmp_path: Path) -> None:
    """A worker that hangs does not keep the gateway from ending: it is killed once its time is over (W-165)."""
    vendor.forget()
    with running(vendor, tmp_path, 2, lameduck=0, grace=0.5) as process:
        victim = pids(process)[0]
        os.kill(victim, signal.SIGSTOP)
        began = time.monotonic()

        process.signal(signal.SIGTERM)

        assert process.wait(8) == 0
        assert time.monotonic() - began < 3.5 + SLACK
    assert not Path(f"/proc/{victim}").exists()


def toggled(process: ProcessGateway, vendors: list[RogueVendor]) -> Callable[[], None]:
    """Change the settings, another way each time: where the vendor is, and how long it may take."""
    document = yaml.safe_load(process.config.read_text())
    turn = 0

    def toggle() -> None:
        nonlocal turn
        turn += 1
        pixii: dict[str, Any] = document["vendors"]["pixii"]
        pixii["base_url"] = vendors[turn // 2 % 2].url
        pixii["timeouts"] = {"first_byte": f"{60 + turn % 2}s"}
        process.config.write_text(yaml.safe_dump(document))

    return toggle


@pytest.mark.parametrize("workers", HOW_MANY)
def test_reload_under_load(vendor: RogueVendor, tmp_path: Path, workers: int) -> None:
    """With 100 requests a second, reloads that move the vendor to and fro fail not one request (W-168, F-79)."""
    vendor.forget()
    with RogueVendor() as other:
        for one in (vendor, other):
            one.answer = soon
        with running(vendor, tmp_path, workers, lameduck=0, grace=2) as process:
            toggle = toggled(process, [vendor, other])
            with Load(process, callers=8, each_second=100) as load:
                for _ in range(16):
                    toggle()
                    assert process.ask_admin("/-/reload", "POST").status == 200
                    time.sleep(0.1)
            assert until(lambda: process.scrape().sum("errgate_vendor_connections", state="busy") == 0)
        seen = [len(one.requests) for one in (vendor, other)]

    load.check_nothing_lost()
    assert len(load.answers) > 100
    assert min(seen) > 10
