"""How connections end: while the gateway leaves, when a caller reads nothing, and when nothing more may come."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from tests.e2e.harness.client import RawClient
from tests.e2e.harness.client import request as bytes_of
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import OK, RogueVendor, endless, pause, reply, send
from tests.e2e.wire.conftest import CREDENTIAL


@pytest.fixture
def leaving(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway that is about to leave, and counts its callers' connections strictly."""
    vendor.forget()
    vendors = {"pixii": {"base_url": vendor.url, "normalizer": "pixii", "credential": CREDENTIAL}}
    server = {
        "timeouts": {"write_idle": "600ms", "keep_alive": "500ms", "head": "400ms"},
        "shutdown": {"lameduck": "0s", "grace": "2s"},
        "max_connections": 20,
    }
    with ThreadGateway(settings_text(vendors, server)) as gateway:
        yield gateway


def test_draining(leaving: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-81: once it drains it is not ready; requests are still answered, as their connection's last (W-164, W-162)."""
    vendor.script(pause(0.2), send(reply(200, b"slow")))
    with leaving.connect() as running, leaving.connect() as idle:
        idle.send(bytes_of("GET", "/-/healthy"))
        assert idle.read().status == 200
        running.send(bytes_of("GET", "/pixii/slow"))
        assert until(lambda: len(vendor.requests) == 1)

        leaving.loop.call_soon_threadsafe(leaving.app.drain)

        assert until(lambda: leaving.ask_admin("/-/ready").status == 503)
        assert leaving.ask_admin("/-/healthy").status == 200
        answer = running.read()
        assert (answer.body, answer.header("connection")) == (b"slow", "close")
        assert running.closed()
        # A connection from before is still heard once.
        idle.send(bytes_of("GET", "/pixii/last"))
        answer = idle.read()
        assert (answer.body, answer.header("connection")) == (b"slow", "close")
        assert idle.closed()
        assert leaving.ask("/pixii/new").header("connection") == "close"


def test_stopping_twice(leaving: ThreadGateway, vendor: RogueVendor) -> None:
    """A second SIGTERM changes nothing: what runs still finishes (W-167)."""
    vendor.script(pause(0.5), send(reply(200, b"slow")))
    with leaving.connect() as running:
        running.send(bytes_of("GET", "/pixii/slow"))
        assert until(lambda: len(vendor.requests) == 1)

        for _ in range(2):
            leaving.loop.call_soon_threadsafe(leaving.stop.terminate)
            time.sleep(0.05)

        assert running.read().body == b"slow"


def test_reader_that_reads_nothing(leaving: ThreadGateway, vendor: RogueVendor) -> None:
    """RC-84: a caller that takes nothing of its answer is let go, and its vendor with it (W-148)."""
    vendor.script(send(OK + b"Content-Length: 1000000000\r\n\r\n"), endless(b"x" * 65536))
    with RawClient(leaving.address, receive_buffer=4096) as client:
        client.send(bytes_of("GET", "/pixii/x"))
        assert until(lambda: len(vendor.requests) == 1)

        assert vendor.ended(within=2.0)


def test_silent_callers(leaving: ThreadGateway, vendor: RogueVendor) -> None:
    """A caller that says nothing is let go, one that stops in its head is told so, an idle one is closed (W-148)."""
    with leaving.connect() as silent, leaving.connect() as half, leaving.connect() as idle:
        half.send(b"GET /pixii/x HTTP/1.1\r\nHost: a\r\nX-Hal")
        idle.send(bytes_of("GET", "/pixii/x"))
        assert idle.read().body == b"ok"

        check_problem(half.read(), "request_timeout", source="gateway")
        assert half.closed()
        assert silent.closed(1.0)
        assert idle.closed(1.0)


@pytest.mark.parametrize("first", [b"", bytes_of("GET", "/pixii/x")], ids=["new", "used"])
@pytest.mark.parametrize("drip", [b"\r\n", b"\r\n\r\n", b"G"], ids=["line-end", "line-ends", "letter"])
@pytest.mark.alone
def test_bytes_that_begin_nothing(leaving: ThreadGateway, vendor: RogueVendor, first: bytes, drip: bytes) -> None:
    """Line ends before a request keep no connection open: new or used, it is closed in time (W-148)."""
    with leaving.connect() as client:
        if first:
            client.send(first)
            assert client.read().body == b"ok"
        began = time.monotonic()
        client.send(drip)

        while not client.converse(patience=0.3).closed_by_peer:
            assert time.monotonic() - began < 1.5
            with contextlib.suppress(OSError):
                client.send(b"\r\n" if drip != b"G" else b"E")


@pytest.mark.alone
def test_dripped_head_is_late(leaving: ThreadGateway, vendor: RogueVendor) -> None:
    """The deadline of a head is for all of it: bytes that keep coming do not move it (W-148)."""
    began = time.monotonic()
    with leaving.connect() as client:
        client.send(b"GET /pixii/x HTTP/1.1\r\nHost: a\r\nX: ")
        while time.monotonic() - began < 0.35:
            client.send(b"a")
            time.sleep(0.02)

        check_problem(client.read(), "request_timeout", source="gateway")
    assert 0.3 < time.monotonic() - began < 1.0


def test_connections_over_the_bound(leaving: ThreadGateway, vendor: RogueVendor) -> None:
    """A connection over the bound is told so and closed; with one gone the next is served (W-148)."""
    held = [socket.create_connection(leaving.address) for _ in range(20)]
    try:
        time.sleep(0.05)
        with leaving.connect() as over:
            check_problem(over.read(), "overloaded", source="gateway", retryable=True)
            assert over.closed()
    finally:
        for sock in held:
            sock.close()
    assert until(lambda: leaving.ask("/pixii/x").status == 200)
