"""
What one forwarded request costs in instructions of the interpreter, so that speed is not lost by accident.

Requests go through the server's own protocol, on a transport and an engine that live in memory: what is counted is
ours, uvicorn's and the event loop's, and comes out the same on every machine. `cost.json` holds the numbers.

    python -m tests.cost              what is counted now, beside what is written down
    python -m tests.cost --write      writes it down
    python -m tests.cost --seconds 3  processor time on the same path, for a profiler to look at
"""

import argparse
import asyncio
import gc
import hashlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import FrameType
from typing import Any, Self

import uvloop
from uvicorn import Config
from uvicorn.server import ServerState

from gateway import settings
from gateway.app import Gateway, create_app
from gateway.metrics import tally
from gateway.server.guard import Guard
from gateway.server.protocol import guarded
from gateway.upstream import Call, Header

COSTS = Path(__file__).with_name("cost.json")

# More than a tenth above what is written down is too much.
TOLERANCE = 1.1

# Requests until every cache is filled, and requests that are counted.
WARM, COUNTED = 200, 100

KEY = "egk_made_up_for_counting_0123456789abcdef"
SETTINGS = f"""
callers:
  bench: {{key_sha256: ["{hashlib.sha256(KEY.encode()).hexdigest()}"]}}
log: {{requests: false}}
vendors:
  pixii:
    base_url: https://api.pixii.example
    credential: {{header: Authorization, value: Bearer made-up-credential}}
    limits: [{{requests: 1000000000, per: minute}}, {{name: day, requests: 1000000000, per: day}}]
  full:
    base_url: https://api.full.example
    normalizer: pixii
    limits: [{{requests: 1, per: hour}}]
"""

OK = b'{"id":"job_1","status":"completed","output":{"text":"' + b"x" * 210 + b'"}}'
BAD = b'{"code":"VALIDATION_ERROR","message":"age must be a number","request_id":"req_1"}'

# A vendor's answers by the last segment of the path, as nginx heads them.
ANSWERS = {b"ok": (200, OK), b"bad": (400, BAD)}

# What is counted: a name, the request line's path, and the status that it is answered with.
CASES = {
    "ok": ("/pixii/v1/things/ok", 200),
    "error": ("/pixii/v1/things/bad", 400),
    "refused": ("/full/v1/things/ok", 429),
}


class Answer:
    """A vendor's answer that is whole at once: an exchange, and what enters and leaves it."""

    def __init__(self, call: Call) -> None:
        self.status, self.whole = ANSWERS[call.target.partition(b"?")[0].rpartition(b"/")[2]]
        self.headers: list[Header] = [
            (b"Server", b"nginx"),
            (b"Date", b"Sat, 21 Nov 2026 12:00:00 GMT"),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(self.whole)),
            (b"Connection", b"keep-alive"),
        ]
        call.began_at = call.connected_at = time.perf_counter()
        if call.ready is not None:
            call.ready()
        call.sent_at = call.head_at = time.perf_counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, at once."""
        yield self.whole


class Memory:
    """An engine that answers from memory."""

    def exchange(self, call: Call) -> Answer:
        """Answer at once."""
        return Answer(call)

    def connections(self) -> tuple[int, int, int]:
        """None."""
        return 0, 0, 0

    async def aclose(self) -> None:
        """Nothing is open."""


class Wire(asyncio.Transport):
    """A connection whose other end is this test: what is written is kept until it is looked at."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8080)})
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:  # noqa: ANN401  (asyncio's own type is wider)
        """Keep it."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """Never."""
        return False

    def pause_reading(self) -> None:
        """Nothing comes unasked."""

    def resume_reading(self) -> None:
        """Likewise."""

    def can_write_eof(self) -> bool:
        """No."""
        return False

    def close(self) -> None:
        """Nothing to close."""


def connection(app: Gateway) -> tuple[Any, Wire]:
    """The server's protocol for one caller, and the wire it writes to."""
    guard = Guard(
        head_seconds=10.0,
        write_seconds=60.0,
        max_connections=10,
        refuse=lambda code, _: code.code.encode(),
        is_draining=lambda: False,
    )
    protocol_class: Any = guarded(guard)
    config = Config(app, http=protocol_class, ws="none", lifespan="off", log_config=None, access_log=False,
                    proxy_headers=False, date_header=False, server_header=False, interface="asgi3")  # fmt: skip
    config.load()
    protocol = protocol_class(config=config, server_state=ServerState(), app_state={})
    wire = Wire()
    protocol.connection_made(wire)
    return protocol, wire


async def run(case: str, requests: Callable[[int], bool], trace: Callable[[], None] | None = None) -> None:
    """Send the same request again and again while `requests` says so of their number, which begins with 0."""
    path, status = CASES[case]
    # What many requests are told together is not one request's; the tracer is slow enough to make it so.
    tally.PERIOD_SECONDS = 3600.0
    app = create_app(settings.loads(SETTINGS, environ={}))
    for lane in app.runtime.lanes.values():
        lane.sender.upstream = Memory()
    protocol, wire = connection(app)
    request = (
        f"GET {path} HTTP/1.1\r\nHost: gateway:8080\r\nUser-Agent: tests\r\nAccept: */*\r\n"
        f"Accept-Encoding: gzip\r\nErrgate-Key: {KEY}\r\n\r\n"
    ).encode()
    number = 0
    while requests(number):
        wire.written.clear()
        if number == WARM and trace is not None:
            trace()
        protocol.data_received(request)
        while not protocol.cycle.response_complete:  # noqa: ASYNC110  (a turn of the loop, and no time)
            await asyncio.sleep(0)
        # What is done once the answer is out belongs to the request, too.
        await asyncio.sleep(0)
        number += 1
    sys.settrace(None)
    assert wire.written[0].startswith(b"HTTP/1.1 %d" % status), wire.written
    protocol.connection_lost(None)
    await app.runtime.aclose()


def count(case: str) -> int:
    """Instructions of the interpreter for one request."""
    instructions = 0

    def step(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401  (a trace function gives itself)
        nonlocal instructions
        if event == "opcode":
            instructions += 1
        elif event == "call":
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        return step

    def trace() -> None:
        sys.settrace(step)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(case, lambda number: number < WARM + COUNTED, trace))
    return round(instructions / COUNTED)


def garbage(case: str) -> int:
    """How many objects a hundred requests leave behind that only the collector of cycles finds."""
    left = 0

    def until(number: int) -> bool:
        nonlocal left
        if number == WARM:
            gc.collect()
            gc.disable()
        if number == WARM + COUNTED:
            left = gc.collect()
        return number < WARM + COUNTED

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(run(case, until))
        finally:
            gc.enable()
    return left


def microseconds(case: str, seconds: float) -> float:
    """Processor time of one request to this path, engine and network left out."""
    began = end = 0.0
    sent = 0

    def until(number: int) -> bool:
        nonlocal began, end, sent
        sent = number - WARM
        if not sent:
            began, end = time.process_time(), time.perf_counter() + seconds
        return sent <= 0 or time.perf_counter() < end

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(case, until))
        return (time.process_time() - began) / sent * 1e6


def main() -> None:
    """Count, and print or write down."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--write", action="store_true", help="write the numbers down")
    parser.add_argument("--seconds", type=float, help="processor time instead, for that long a case")
    parser.add_argument("--case", action="append", choices=CASES, help="only this one")
    asked = parser.parse_args()
    cases = asked.case or list(CASES)
    if asked.seconds:
        for name in cases:
            sys.stdout.write(f"{name}: {microseconds(name, asked.seconds):.1f} microseconds\n")
        return
    counted = {name: count(name) for name in cases}
    if asked.write:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        COSTS.write_text(json.dumps({"python": version, "instructions": counted}, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(counted) + "\n")


if __name__ == "__main__":
    main()
