"""Callers that hang up at random moments: the gateway keeps no connection, no slot and no count of theirs."""

import contextlib
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.harness.client import request
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.oracle import busy, counted, until
from tests.e2e.harness.vendor import OK, RogueVendor, Wire, drip, reply
from tests.e2e.harness.vendors import CREDENTIALS
from tests.e2e.harness.wire import Cut, Request

CALLERS, AT_ONCE, CONNECTIONS = 2000, 50, 10


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway with fewer connections than callers, so that callers also leave while they wait for one."""
    settings = {
        "base_url": vendor.url,
        "credential": CREDENTIALS["pixii"],
        "max_connections": CONNECTIONS,
        "timeouts": {"connect": "1s", "first_byte": "2s", "total": "3s", "idle": "1s"},
    }
    with ThreadGateway(settings_text({"pixii": settings})) as gateway:
        yield gateway


def moody(wire: Wire, request: Request) -> None:
    """Answer at once, later, in pieces, or with an error."""
    mood = random.Random(len(wire.vendor.requests))
    time.sleep(mood.choice((0, 0, 0.002, 0.01)))
    if mood.random() < 0.3:
        drip(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"2\r\nok\r\n" * 20 + b"0\r\n\r\n", 0.001, 16)(wire)
    else:
        wire.send(reply(mood.choice((200, 404, 500)), b'{"code":"JOB_NOT_FOUND"}' * 20))


def hang_up(gateway: ThreadGateway, seed: int) -> None:
    """Be one caller: ask something and leave somewhere on the way, by FIN or by RST."""
    mood = random.Random(seed)
    whole = mood.choice(
        (
            request("GET", "/pixii/x"),
            request("POST", "/pixii/x", body=b"x" * 3000),
            request("POST", "/pixii/x", [("Content-Length", "100000")]) + b"x" * 3000,
        )
    )
    sent = whole if mood.random() < 0.8 else whole[: mood.randrange(len(whole))]
    with gateway.connect() as client:
        client.send(sent)
        # Before, at or after the first byte of the answer, or some bytes later.
        client.sock.settimeout(mood.choice((0.0001, 0.002, 0.01, 0.05, 0.3, 0.3)))
        with contextlib.suppress(TimeoutError, Cut, OSError):
            for _ in range(mood.choice((1, 1, 5))):
                client.stream.fill()
        if mood.random() < 0.5:
            client.reset()


def test_callers_that_hang_up(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """2,000 callers that leave at random moments leave the connection gauge at its idle value (W-125, W-131)."""
    vendor.answer = moody
    vendor.keep_bodies = False
    before = counted(gateway.scrape())
    began = time.monotonic()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(hang_up, gateway, seed) for seed in range(CALLERS)]:
            done.result()

    # Callers leave faster than the gateway takes them off the kernel's queue: the last wait there for some seconds.
    assert until(lambda: not busy(gateway.scrape()), within=15), busy(gateway.scrape())
    took = time.monotonic() - began
    scrape = gateway.scrape()
    idle, free = (scrape.sum("errgate_vendor_connections", vendor="pixii", state=state) for state in ("idle", "free"))
    assert idle + free == CONNECTIONS
    seen = int(counted(scrape) - before)
    gateway.uncounted = True
    gone = scrape.sum("errgate_requests_total", vendor="pixii", outcome="caller_gone")
    print(f"{CALLERS} callers in {took:.1f} s: {seen} counted, {gone:.0f} of them gone")  # noqa: T201 - measured
    assert gone > 0
    assert seen <= CALLERS


@pytest.mark.alone
def test_a_caller_that_leaves_frees_the_vendor(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A caller that leaves while the vendor thinks, or mid-answer, ends the vendor's connection within 1 s (W-157)."""
    for start in (b"", OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000):

        def think(wire: Wire, request: Request, start: bytes = start) -> None:
            wire.send(start)
            wire.stall()

        vendor.answer = think
        before = gateway.scrape()
        gateway.asked += 1
        with gateway.connect() as client:
            client.send(request("GET", "/pixii/x"))
            assert until(lambda: any(wire.requests for wire in vendor.wires if wire.over is None))
            if start:
                client.head()
            left = time.monotonic()

        assert until(lambda: all(wire.over for wire in vendor.wires if wire.requests), within=1.0)
        assert time.monotonic() - left < 1.0
        grown = gateway.scrape().grown(before, "errgate_requests_total")
        assert {dict(labels)["outcome"] for labels in grown} == {"caller_gone"}


def test_a_caller_that_leaves_its_upload(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """An upload that breaks off never looks whole to the vendor (W-046)."""
    for framing, sent in ((("Content-Length", "1000"), b"half"), (("Transfer-Encoding", "chunked"), b"4\r\nhalf\r\n")):
        vendor.forget()
        gateway.asked += 1
        with gateway.connect() as client:
            client.send(request("POST", "/pixii/x", [framing]) + sent)
            assert until(lambda: len(vendor.requests) == 1)
            time.sleep(0.05)

        assert until(lambda: all(wire.over for wire in vendor.wires if wire.requests), within=1.0)
        assert [seen.complete for seen in vendor.requests] == [False]
