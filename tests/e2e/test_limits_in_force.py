"""Limits of callers, and what a reload, a stop and the settings make of limits (contract 3 and 11)."""

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli.demo import describe
from gateway.settings import loads
from tests.e2e.harness.client import Headers, request
from tests.e2e.harness.gateway import ProcessGateway, ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, Wire, json_reply, reply
from tests.e2e.harness.wire import Request

KEYS = {name: f"egk_made_up_key_of_{name}_0123456789" for name in ("billing", "search", "small", "slots")}


def key(name: str) -> Headers:
    """A caller's key."""
    return [("Errgate-Key", KEYS[name])]


CLEAN = request("GET", "/two/clean", key("search"))


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway with callers; it tells nobody what is left."""
    own: dict[str, list[dict[str, Any]]] = {
        "small": [{"name": "small", "requests": 3, "per": "day"}],
        "slots": [{"in_flight": 1}],
    }
    callers = {
        name: {"key_sha256": [hashlib.sha256(secret.encode()).hexdigest()], "limits": own.get(name, [])}
        for name, secret in KEYS.items()
    }
    common = {"base_url": vendor.url, "normalizer": "generic"}
    vendors = {
        "one": common | {"limits": [{"name": "shared", "requests": 100, "per": "minute"}]},
        "two": common,
        "fair": common | {"limits": [{"name": "fair", "requests": 2, "per": "minute", "by": "caller"}]},
        "all": common | {"limits": [{"name": "all", "requests": 2, "per": "minute"}]},
    }
    with ThreadGateway(settings_text(vendors, callers=callers, problems={"rate_limit_headers": False})) as gateway:
        yield gateway


def test_a_caller_s_own_limit_counts_over_all_vendors(gateway: ThreadGateway) -> None:
    """A caller's `limits` are its own, at whichever vendor, and refusing takes nothing from what all share."""
    answers = [gateway.ask(f"/{vendor}/x", headers=key("small")) for vendor in ("one", "two", "two", "one", "two")]

    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    for answer, vendor in zip(answers[3:], ("one", "two"), strict=True):
        limit = {"name": "small", "scope": "caller"}
        problem = check_problem(answer, "rate_limited", source="gateway", vendor=vendor, limit=limit)
        assert problem["detail"].startswith("This caller may send 3 requests a day")
        assert problem["retry_after"] > 3600
    assert gateway.ask("/two/x", headers=key("search")).status == 200
    (shared,) = gateway.ask_admin("/-/status").json()["vendors"]["one"]["limits"]
    assert shared["remaining"] == 99
    scrape = gateway.scrape()
    assert scrape.sum("errgate_limit_refused_total", vendor="two", limit="small", caller="small") == 1
    assert not scrape.matching("errgate_limit_refused_total", limit="small", caller="search")


def test_each_caller_has_its_own(gateway: ThreadGateway) -> None:
    """W-095: `by: caller` counts callers by name, wherever they come from; one who is over it stops nobody else."""
    for name in ("billing", "search"):
        answers = [gateway.ask("/fair/x", headers=[*key(name), ("X-Forwarded-For", f"192.0.2.{n}")]) for n in range(4)]

        assert [answer.status for answer in answers] == [200, 200, 429, 429]
        check_problem(answers[3], "rate_limited", limit={"name": "fair", "scope": "caller"})


def test_what_all_share(gateway: ThreadGateway) -> None:
    """A shared limit is used up for everybody, and whoever runs the gateway must act."""
    answers = [gateway.ask("/all/x", headers=key(name)) for name in ("billing", "search", "billing")]

    check_problem(answers[2], "capacity_exhausted", fault="operator")


def test_slots_of_a_caller(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A caller's own `in_flight` is `rate_limited`, and another caller's requests go on."""
    let = threading.Event()

    def answer(wire: Wire, _: Request) -> None:
        let.wait(8)
        wire.send(reply(200, b"ok"))

    vendor.answer = answer
    gateway.asked += 1
    with gateway.connect() as client:
        client.send(request("GET", "/one/x", key("slots")))
        assert until(lambda: len(vendor.requests) == 1)

        refused = gateway.ask("/two/x", headers=key("slots"))

        check_problem(refused, "rate_limited", retry_after=1, limit={"name": "in_flight", "scope": "caller"})
        let.set()
        assert client.read().status == 200


def test_nothing_is_told_where_the_settings_say_so(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """W-086: with `problems.rate_limit_headers: false` no answer has fields of ours; the vendor's own stay."""
    vendor.reply(reply(200, b"ok", [("RateLimit", '"d";r=1;t=2')]), reply(404))
    answers = [gateway.ask("/one/x", headers=key("billing")) for _ in range(2)]
    answers.append(gateway.ask("/all/x", headers=key("search")))

    assert [answer.head.all("ratelimit") for answer in answers] == [['"d";r=1;t=2'], [], []]
    assert not any(answer.head.all("ratelimit-policy") for answer in answers)


# A gateway in a process of its own.


def test_who_waits_is_in_flight(vendor: RogueVendor, tmp_path: Path) -> None:
    """Contract 11: a request that waits for a limit counts in `max_in_flight`."""
    let = threading.Event()

    def answer(wire: Wire, _: Request) -> None:
        let.wait(8)
        wire.send(reply(200, b"ok"))

    vendor.forget()
    vendor.answer = answer
    settings = yaml.safe_load(text(vendor, {"name": "line", "in_flight": 1, "wait": "9s"}))
    settings["server"]["max_in_flight"] = 3
    with ProcessGateway(yaml.safe_dump(settings), tmp_path) as process, ExitStack() as stack:
        clients = [stack.enter_context(process.connect()) for _ in range(3)]
        for client in clients:
            client.send(request("GET", "/pixii/x"))
        assert until(lambda: process.ask_admin("/-/status").json()["requests_in_flight"] == 3)
        assert until(lambda: bool(vendor.requests))

        check_problem(process.ask("/pixii/x"), "overloaded")

        assert len(vendor.requests) == 1
        let.set()
        assert [client.read().status for client in clients] == [200] * 3


def test_the_demo_holds_shortly() -> None:
    """Contract 2: in the demo no hold is longer than ten seconds."""
    settings = loads(describe(8080, 9090, "http://127.0.0.1:9"), environ={})

    assert {(vendor.hold.max, vendor.hold.max_quota) for vendor in settings.vendors.values()} == {(10.0, 10.0)}
    assert {vendor.on_vendor_limit for vendor in settings.vendors.values()} == {"hold"}


def text(vendor: RogueVendor, *limits: dict[str, Any], **more: object) -> str:
    """Settings with one vendor."""
    section = {"base_url": vendor.url, "normalizer": "generic", "limits": list(limits), **more}
    return settings_text({"pixii": section}, {"shutdown": {"lameduck": "2s", "grace": "5s"}})


def change(process: ProcessGateway, *limits: dict[str, Any]) -> None:
    """Have other limits in force."""
    document = yaml.safe_load(process.config.read_text())
    document["vendors"]["pixii"]["limits"] = list(limits)
    process.config.write_text(yaml.safe_dump(document))
    assert process.ask_admin("/-/reload", "POST", body=b"").status == 200


def statuses(process: ProcessGateway, times: int) -> list[int]:
    """So many requests, one after the other."""
    return [process.ask("/pixii/x").status for _ in range(times)]


@pytest.mark.alone
def test_a_reload_keeps_the_counts(vendor: RogueVendor, tmp_path: Path) -> None:
    """Contract 3: limits that still exist keep their counts; what is gone is forgotten, and a hold stays."""
    five, seven = ({"name": "m", "requests": number, "per": "minute"} for number in (5, 7))
    with ProcessGateway(text(vendor, five, on_vendor_limit="hold"), tmp_path) as process:
        assert statuses(process, 4) == [200] * 4

        change(process, seven, {"requests": 100, "per": "hour"})

        assert statuses(process, 5) == [200, 200, 200, 429, 429]
        scrape = process.scrape()
        assert scrape.sum("errgate_limit_requests", vendor="pixii", limit="m") == 7
        assert scrape.sum("errgate_limit_remaining", vendor="pixii", limit="hour") == 97

        change(process)
        assert statuses(process, 5) == [200] * 5
        assert process.scrape().sum("errgate_limit_requests", vendor="pixii") == 0
        change(process, five)
        vendor.reply(json_reply(429, {}, [("Retry-After", "50")]))
        assert statuses(process, 2) == [429] * 2
        change(process)
        change(process, five)
        check_problem(process.ask("/pixii/x"), "vendor_rate_limited", source="gateway")


@pytest.mark.alone
@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_lets_nobody_wait(vendor: RogueVendor, tmp_path: Path, workers: int) -> None:
    """Contract 11: who waits for a limit when the gateway drains is answered `overloaded`; who is sent goes on."""
    let = threading.Event()

    def answer(wire: Wire, _: Request) -> None:
        let.wait(8)
        wire.send(reply(200, b"ok"))

    vendor.forget()
    vendor.answer = answer
    line = {"name": "line", "in_flight": 1, "wait": "9s"}
    with (
        ProcessGateway(text(vendor, line), tmp_path, arguments=["--workers", str(workers)]) as process,
        ExitStack() as stack,
    ):
        first, *others = (stack.enter_context(process.connect()) for _ in range(4))
        first.send(request("GET", "/pixii/x"))
        assert until(lambda: len(vendor.requests) == 1)
        for client in others:
            client.send(request("GET", "/pixii/y"))
        # They say nothing while they wait.
        assert not others[0].closed(0.3)

        os.kill(process.pid, signal.SIGTERM)

        for client in others:
            client.sock.settimeout(8)
            check_problem(client.read(), "overloaded", source="gateway", retry_after=1)
        let.set()
        assert first.read().status == 200
        assert process.wait() == 0
