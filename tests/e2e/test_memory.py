"""Large bodies in both directions: every byte arrives, and the gateway's memory does not grow with them."""

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.budget import LONG
from tests.e2e.harness.client import request
from tests.e2e.harness.gateway import ProcessGateway, settings_text
from tests.e2e.harness.vendor import OK, RogueVendor, Wire
from tests.e2e.harness.vendors import CREDENTIALS
from tests.e2e.harness.wire import Request

pytestmark = pytest.mark.alone

MIB = 1 << 20
# 1 GiB in the long run; a quarter of it is still ten times what may stay in memory.
SIZE = (1024 if LONG else 256) * MIB
SLOW_SIZE = 64 * MIB
# Issue 2: resident memory grows by at most 24 MiB.
GROWTH = 24 * MIB
PATIENCE = 120.0

# Called with how many bytes are through; it may wait.
Pace = Callable[[int], None]

BLOCK = random.Random(7).randbytes(MIB - 8)


@pytest.fixture(scope="module")
def process(vendor: RogueVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessGateway]:
    """A gateway in a process of its own, whose memory is its own."""
    settings = {
        "base_url": vendor.url,
        "credential": CREDENTIALS["pixii"],
        "timeouts": {"idle": "20s", "first_byte": "60s", "total": "60s"},
    }
    text = settings_text({"pixii": settings}, server={"max_request_body": "2GiB"})
    with ProcessGateway(text, tmp_path_factory.mktemp("memory"), traced=False) as gateway:
        gateway.ask("/pixii/warm", "POST", body=b"x" * 100_000)
        yield gateway


def blocks(size: int) -> Iterator[bytes]:
    """So many bytes in blocks of 1 MiB, no two alike."""
    for index in range(size // MIB):
        yield index.to_bytes(8, "big") + BLOCK


def digest(size: int) -> str:
    """Their SHA-256."""
    running = hashlib.sha256()
    for block in blocks(size):
        running.update(block)
    return running.hexdigest()


@contextmanager
def measured(gateway: ProcessGateway, what: str, size: int) -> Iterator[None]:
    """Watch the gateway's resident memory; it may grow by 24 MiB at its highest."""
    before, highest, over = gateway.memory(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            highest[0] = max(highest[0], gateway.memory())

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.monotonic()
    try:
        yield
    finally:
        over.set()
        watching.join()
    grown, took = max(highest[0], gateway.memory()) - before, time.monotonic() - began
    print(  # noqa: T201 - the measurement is what the test is for
        f"{what}: {size / MIB:.0f} MiB in {took:.1f} s, resident {before / MIB:.1f} MiB + {grown / MIB:.1f} MiB"
    )
    assert grown <= GROWTH


def nothing(sent: int) -> None:
    """Do not wait."""


def once(after: int) -> Pace:
    """Wait for a second when so many bytes are through."""
    waited: list[int] = []

    def pace(through: int) -> None:
        if through >= after and not waited:
            waited.append(through)
            time.sleep(1.0)

    return pace


def haltingly(through: int) -> None:
    """Wait a little at every 8 MiB."""
    if through % (8 * MIB) == 0:
        time.sleep(0.15)


def upload(process: ProcessGateway, vendor: RogueVendor, size: int, send: Pace, read: Pace) -> str:
    """Send so many bytes up, each side at its pace; the digest of what the vendor got."""
    vendor.keep_bodies = vendor.read_bodies = False

    def take(wire: Wire, request: Request) -> None:
        for _ in vendor.body(wire, request):
            read(request.size)
        wire.send(OK + b"Content-Length: 2\r\n\r\nok")

    vendor.answer = take
    with process.connect(timeout=PATIENCE) as client:
        client.send(request("POST", "/pixii/x", [("Content-Length", str(size))]))
        for index, block in enumerate(blocks(size), 1):
            client.send(block)
            send(index * MIB)
        assert client.read().body == b"ok"
    assert [(seen.size, seen.complete) for seen in vendor.requests] == [(size, True)]
    return vendor.requests[0].digest


def download(process: ProcessGateway, vendor: RogueVendor, size: int, send: Pace, read: Pace) -> str:
    """Bring so many bytes down, each side at its pace; the digest of what came."""

    def give(wire: Wire, request: Request) -> None:
        wire.send(OK + b"Content-Length: %d\r\n\r\n" % size)
        for index, block in enumerate(blocks(size), 1):
            wire.send(block)
            send(index * MIB)

    vendor.answer = give
    running, through = hashlib.sha256(), 0
    with process.connect(timeout=PATIENCE, receive_buffer=65_536) as client:
        client.send(request("GET", "/pixii/x"))
        _, framing, _ = client.head()
        for piece in client.pieces(framing):
            running.update(piece)
            through += len(piece)
            read(through)
    return running.hexdigest()


PACES: dict[str, tuple[int, Callable[[], Pace], Callable[[], Pace]]] = {
    "full-speed": (SIZE, lambda: nothing, lambda: nothing),
    "slow-reader": (SLOW_SIZE, lambda: nothing, lambda: once(4 * MIB)),
    "slow-writer": (SLOW_SIZE, lambda: haltingly, lambda: nothing),
}


@pytest.mark.parametrize("move", [upload, download])
@pytest.mark.parametrize("pace", PACES)
def test_large_body(
    process: ProcessGateway,
    vendor: RogueVendor,
    pace: str,
    move: Callable[[ProcessGateway, RogueVendor, int, Pace, Pace], str],
) -> None:
    """A large body arrives byte for byte, and the gateway holds little of it, whoever is slow (W-071, W-156, W-161)."""
    vendor.forget()
    size, send, read = PACES[pace]

    with measured(process, f"{move.__name__}, {pace}", size):
        seen = move(process, vendor, size, send(), read())

    assert seen == digest(size)


def test_the_writer_feels_a_reader_that_stops(process: ProcessGateway, vendor: RogueVendor) -> None:
    """While nobody reads, the writer on the other side cannot write on: back-pressure reaches it (W-156)."""
    vendor.forget()
    written = [0]

    def send(through: int) -> None:
        written[0] = through

    def read(through: int) -> None:
        if through > MIB and not stopped:
            # On a busy machine it takes a while until every buffer on the way is full.
            deadline = time.monotonic() + PATIENCE / 2
            stopped.append(-1)
            while stopped[-1] != written[0] and time.monotonic() < deadline:
                stopped.append(written[0])
                time.sleep(1.0)
            stopped.append(written[0])

    stopped: list[int] = []
    download(process, vendor, SIZE // 2, send, read)

    # The kernel holds up to 38 MiB between the two (tcp_rmem and tcp_wmem); the rest waits with the writer.
    assert stopped[-2] == stopped[-1] < SIZE // 4


def test_the_log_stays_small(process: ProcessGateway) -> None:
    """Nothing of the bodies went to the log."""
    assert len(process.logs()) < MIB
    assert "error" not in process.logs()
