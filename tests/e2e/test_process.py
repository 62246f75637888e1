"""The gateway as a process: new settings while it runs, signals, and an end that loses nothing."""

import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness.client import request
from tests.e2e.harness.gateway import ProcessGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import OK, RogueVendor, Wire, pause, reply, send
from tests.e2e.harness.wire import Cut, Response

Change = Callable[[dict[str, Any]], None]

# Contract 3: a change is in force within 10 s.
IN_FORCE = 10.0


@pytest.fixture
def text(vendor: RogueVendor, tmp_path: Path) -> str:
    """Settings with a credential in a file, as a mounted secret: a link into a folder that is swapped whole."""
    vendor.forget()
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "key").write_text(f"secret-{version}\n")
    (tmp_path / "current").symlink_to("one")
    credential = {"header": "X-Api-Key", "value": f"${{file:{tmp_path}/current/key}}"}
    vendors = {"pikzels": {"base_url": vendor.url, "credential": credential}}
    return settings_text(vendors, {"shutdown": {"lameduck": "1s", "grace": "2s"}})


@pytest.fixture
def process(text: str, tmp_path: Path) -> Iterator[ProcessGateway]:
    """The gateway, ready."""
    with ProcessGateway(text, tmp_path) as process:
        yield process
        assert "Traceback" not in process.logs()


def edit(process: ProcessGateway, change: Change) -> None:
    """Change the settings file."""
    document = yaml.safe_load(process.config.read_text())
    change(document)
    process.config.write_text(yaml.safe_dump(document))


def add_vendor(document: dict[str, Any]) -> None:
    """A vendor more."""
    document["vendors"]["second"] = {"base_url": document["vendors"]["pikzels"]["base_url"]}


def break_it(document: dict[str, Any]) -> None:
    """A misspelt key."""
    document["vendors"]["pikzels"]["base_ulr"] = "https://x.example"


def move_it(document: dict[str, Any]) -> None:
    """What needs a restart."""
    document["server"]["port"] += 1


def test_reload_by_signal(process: ProcessGateway) -> None:
    """SIGHUP takes the changed settings at once."""
    assert process.ask("/second/x").status == 404
    edit(process, add_vendor)

    process.signal(signal.SIGHUP)

    assert until(lambda: process.ask("/second/x").status == 200)
    assert process.scrape().sum("errgate_config_last_reload_successful") == 1


def test_reload_by_request(process: ProcessGateway) -> None:
    """POST /-/reload takes the changed settings, and they are in force when it answers."""
    edit(process, add_vendor)

    answer = process.ask_admin("/-/reload", "POST", body=b"")

    assert answer.status == 200
    assert process.ask("/second/x").status == 200


def test_reload_by_itself(process: ProcessGateway) -> None:
    """A changed settings file is noticed within 10 s."""
    edit(process, add_vendor)

    assert until(lambda: process.ask("/second/x").status == 200, IN_FORCE)


@pytest.mark.parametrize(
    ("change", "said"), [(break_it, "base_url"), (move_it, "restart")], ids=["bad-settings", "needs-a-restart"]
)
def test_bad_reload_changes_nothing(process: ProcessGateway, change: Change, said: str) -> None:
    """Bad settings are refused with the reason, logged and shown in a metric; the old ones stay in force."""
    before = process.config.read_text()
    edit(process, change)

    answer = process.ask_admin("/-/reload", "POST", body=b"")

    assert 400 <= answer.status < 500
    assert said in answer.body.decode()
    assert process.ask("/pikzels/x").status == 200
    assert process.scrape().sum("errgate_config_last_reload_successful") == 0
    assert said in process.logs()
    process.config.write_text(before)
    process.signal(signal.SIGHUP)
    assert until(lambda: process.scrape().sum("errgate_config_last_reload_successful") == 1)


def test_running_requests_keep_their_settings(process: ProcessGateway, vendor: RogueVendor) -> None:
    """A request that runs when its vendor goes away finishes under the old settings."""
    vendor.script(pause(0.5), send(reply(200, b"late")))
    with process.connect() as client:
        client.send(request("GET", "/pikzels/slow"))
        assert until(lambda: len(vendor.requests) == 1)
        edit(process, lambda document: document.update(vendors={"other": {"base_url": vendor.url}}))
        assert process.ask_admin("/-/reload", "POST", body=b"").status == 200

        gone = process.ask("/pikzels/x")
        answer = client.read()

    assert gone.status == 404
    assert (answer.status, answer.body) == (200, b"late")


def test_secret_is_rotated_by_its_link(process: ProcessGateway, vendor: RogueVendor, tmp_path: Path) -> None:
    """A mounted secret that is swapped is in force within 10 s; an empty one keeps the old value."""

    def key() -> str | None:
        process.ask("/pikzels/x")
        return vendor.requests[-1].header("x-api-key")

    assert key() == "secret-one"
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "current")
    assert until(lambda: key() == "secret-two", IN_FORCE)

    (tmp_path / "two" / "key").write_text("")
    process.signal(signal.SIGHUP)
    time.sleep(0.3)

    assert key() == "secret-two"
    assert "secret-" not in process.logs()


def asking(process: ProcessGateway, target: str, answers: list[Response | BaseException]) -> threading.Thread:
    """Ask in a thread of its own; what came of it is put into `answers`."""

    def ask() -> None:
        try:
            answers.append(process.ask(target))
        except (Cut, OSError) as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


@pytest.mark.alone
def test_end_loses_nothing(process: ProcessGateway, vendor: RogueVendor) -> None:
    """On SIGTERM readiness goes at once, requests are taken for `lameduck`, running ones finish, and the exit is 0."""
    vendor.script(pause(1.3), send(reply(200, b"late")))
    answers: list[Response | BaseException] = []
    running = asking(process, "/pikzels/slow", answers)
    assert until(lambda: len(vendor.requests) == 1)

    process.signal(signal.SIGTERM)
    assert until(lambda: process.ask_admin("/-/ready").status == 503, 0.8)
    assert process.ask_admin("/-/healthy").status == 200
    late = asking(process, "/pikzels/during-lameduck", answers)
    process.signal(signal.SIGTERM)  # a second one changes nothing (W-167)
    began = time.monotonic()
    code = process.wait(8)
    running.join()
    late.join()

    assert code == 0
    assert time.monotonic() - began < 5
    assert [answer.body for answer in answers if isinstance(answer, Response)] == [b"late", b"late"]


@pytest.mark.alone
def test_end_waits_no_longer_than_grace(process: ProcessGateway, vendor: RogueVendor) -> None:
    """What cannot finish within `grace` gets 503 `overloaded`, or is cut where its head is out (W-166)."""
    vendor.answer = lambda wire, request: (begin, Wire.stall)[b"wait" in request.target](wire)
    answers: list[Response | BaseException] = []
    threads = [asking(process, "/pikzels/wait", answers), asking(process, "/pikzels/streams", answers)]
    assert until(lambda: len(vendor.requests) == 2)
    began = time.monotonic()

    process.signal(signal.SIGTERM)
    code = process.wait(9)
    for thread in threads:
        thread.join()

    assert code == 0
    assert 2.9 < time.monotonic() - began < 8
    whole = [answer for answer in answers if isinstance(answer, Response) and answer.complete]
    assert [answer.status for answer in whole] == [503]
    check_problem(whole[0], "overloaded", source="gateway", retryable=True)
    assert len(answers) == 2


def begin(wire: Wire) -> None:
    """Begin an answer and never end it."""
    wire.send(OK + b"Content-Length: 10\r\n\r\nhalf")
    wire.stall()


@pytest.mark.alone
def test_ctrl_c_does_not_wait_for_lameduck(process: ProcessGateway) -> None:
    """SIGINT ends an idle gateway at once, with exit 0."""
    began = time.monotonic()

    process.signal(signal.SIGINT)

    assert process.wait(5) == 0
    assert time.monotonic() - began < 2


def test_log_is_one_json_line_a_request(process: ProcessGateway, vendor: RogueVendor) -> None:
    """Each request is one JSON line, with what contract 15 lists, and nothing of what was asked."""
    vendor.reply(reply(404, b'{"error":{"code":"NOT_FOUND","message":"No"}}', [("X-Request-Id", "their-id-123")]))
    answer = process.ask("/pikzels/v2/pikzonality/canary-a?q=canary-b", headers=[("X-Request-Id", "mine-12345")])

    assert until(lambda: "mine-12345" in process.logs())
    lines = [json.loads(line) for line in process.logs().splitlines()]
    line = next(line for line in lines if line.get("request_id") == "mine-12345")
    expected = {
        "level": "info",
        "vendor": "pikzels",
        "route": "persona",
        "method": "GET",
        "status": 404,
        "vendor_status": 404,
        "code": "not_found",
        "vendor_code": "NOT_FOUND",
        "source": "vendor",
        "outcome": "caller_fault",
        "instance": answer.json()["instance"],
    }
    assert {key: line.get(key) for key in expected} == expected
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["time"])
    assert "canary" not in process.logs()
