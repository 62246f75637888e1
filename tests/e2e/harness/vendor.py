"""
A vendor that does what a test tells it, on real sockets: one thread a connection, everything recorded.

Every request that arrives is read strictly (`wire`); one that is not canonical HTTP/1.1 is kept in `faults`, so that a
gateway that writes what it should not is seen in any test.

One file: the steps of a script and the connection that they act on are read together.
"""

import contextlib
import hashlib
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from tests.e2e.harness.client import PATIENCE, Headers
from tests.e2e.harness.wire import REQUEST_LINE, Cut, Request, Stream, WireError, framing

OK = b"HTTP/1.1 200 OK\r\n"


def reply(status: int = 200, body: bytes = b"", headers: Headers = (), *, reason: str = "Said") -> bytes:
    """The bytes of a reply; its Content-Length is made true unless a framing field is given."""
    given = [(name, value) for name, value in headers]
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in given)]
    if not {name.lower() for name, _ in given} & {"content-length", "transfer-encoding"} and status not in {204, 304}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def json_reply(status: int, value: object, headers: Headers = ()) -> bytes:
    """The bytes of a JSON reply."""
    return reply(status, json.dumps(value).encode(), [("Content-Type", "application/json"), *headers])


@dataclass(slots=True, eq=False)
class Wire:
    """One connection at the vendor."""

    vendor: "RogueVendor"
    sock: socket.socket
    stream: Stream
    requests: list[Request] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    over: float | None = None  # when it ended, by whichever side

    def send(self, data: bytes) -> None:
        """Write it all."""
        self.sock.sendall(data)

    def rst(self) -> None:
        """End with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def fin(self) -> None:
        """End with a FIN."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def stall(self, seconds: float = PATIENCE) -> None:
        """Do nothing until the gateway leaves, the test releases us, or the time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.vendor.released.is_set():
            if select.select([self.sock], [], [], 0.02)[0]:
                self.stream.fill()


# What a script is made of: each step acts on the connection; `Cut` and socket errors end it.
Step = Callable[[Wire], None]


def send(data: bytes) -> Step:
    """Write these bytes."""
    return lambda wire: wire.send(data)


def pause(seconds: float) -> Step:
    """Wait, whatever the gateway does."""
    return lambda wire: time.sleep(seconds)


def stall(seconds: float = PATIENCE) -> Step:
    """Do nothing until the gateway leaves or the time is over."""
    return lambda wire: wire.stall(seconds)


def hold(until: threading.Event) -> Step:
    """Wait for the test to go on."""

    def step(wire: Wire) -> None:
        until.wait(PATIENCE)

    return step


def rst() -> Step:
    """End with an RST."""
    return lambda wire: wire.rst()


def fin() -> Step:
    """End with a FIN."""
    return lambda wire: wire.fin()


def drip(data: bytes, every: float, size: int = 1) -> Step:
    """Write `size` bytes at a time, `every` seconds."""

    def step(wire: Wire) -> None:
        for index in range(0, len(data), size):
            wire.send(data[index : index + size])
            time.sleep(every)

    return step


def endless(data: bytes, every: float = 0.0) -> Step:
    """Write the same bytes until the gateway leaves or the test is over."""

    def step(wire: Wire) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not wire.vendor.released.is_set():
            wire.send(data)
            time.sleep(every)

    return step


class RogueVendor:
    """A listener on a free loopback port, over TLS with a `context`; `reply`, `script` or `answer` set its answers."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self.listener.getsockname()[1]
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.live: set[Wire] = set()
        self.forget()
        threading.Thread(target=self._accept, daemon=True, name=f"vendor-{self.port}").start()

    def forget(self) -> None:
        """Be as new: no record, 200 to everything; stalled connections go on to their end."""
        self.released.set()
        self.released = threading.Event()
        with self.lock:
            self.wires: list[Wire] = list(self.live)
        for wire in self.wires:
            wire.requests.clear()
            wire.stream.received.clear()
        self.requests: list[Request] = []
        self.faults: list[str] = []
        self.keep_bodies = True
        self.read_bodies = True
        self.greet: tuple[Step, ...] = ()
        self.answer: Callable[[Wire, Request], None] = lambda wire, request: wire.send(reply(200, b"ok"))

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def reply(self, *answers: bytes) -> None:
        """Answer each request with the next of these; the last one stays."""
        left = list(answers)
        lock = threading.Lock()

        def answer(wire: Wire, request: Request) -> None:
            with lock:
                data = left.pop(0) if len(left) > 1 else left[0]
            wire.send(data)

        self.answer = answer

    def script(self, *steps: Step) -> None:
        """Run these steps after each request."""

        def answer(wire: Wire, request: Request) -> None:
            for step in steps:
                step(wire)

        self.answer = answer

    def paths(self, answers: Mapping[bytes, bytes], otherwise: bytes | None = None) -> None:
        """Answer by the path of the target."""

        def answer(wire: Wire, request: Request) -> None:
            path = request.target.partition(b"?")[0]
            wire.send(answers.get(path, otherwise or reply(404)))

        self.answer = answer

    @property
    def open(self) -> int:
        """How many connections stand."""
        with self.lock:
            return len(self.live)

    def settle(self, connections: int = 0, within: float = 5.0) -> bool:
        """Whether at most that many connections stand before `within` seconds have passed."""
        end = time.monotonic() + within
        while self.open > connections:
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def ended(self, within: float = 5.0) -> bool:
        """Whether every connection that carried a request is over before `within` seconds have passed."""
        end = time.monotonic() + within
        while any(wire.over is None for wire in self.wires if wire.requests):
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def close(self) -> None:
        """End everything."""
        self.released.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            live = list(self.live)
        for wire in live:
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)
        self.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(PATIENCE * 3)
            wire = Wire(self, sock, Stream(sock, record=self.keep_bodies))
            self.wires.append(wire)
            with self.lock:
                self.live.add(wire)
            threading.Thread(target=self._serve, args=(wire,), daemon=True, name=f"vendor-{self.port}-wire").start()

    def _serve(self, wire: Wire) -> None:
        try:
            if self.context is not None:
                wire.sock = wire.stream.sock = self.context.wrap_socket(wire.sock, server_side=True)
            for step in self.greet:
                step(wire)
            while True:
                request = self._read(wire)
                self.answer(wire, request)
                if request.head.get("connection") == "close":
                    wire.fin()
                    return
        except WireError as error:
            self.faults.append(str(error))
        except (Cut, OSError, ValueError):
            pass  # the gateway left, or the script closed the socket: the record says how far it came
        finally:
            wire.sock.close()
            wire.over = time.monotonic()
            with self.lock:
                self.live.discard(wire)

    def _read(self, wire: Wire) -> Request:
        head = wire.stream.head(REQUEST_LINE)
        request = Request(head)
        wire.requests.append(request)
        self.requests.append(request)
        if len(head.all("host")) != 1:
            raise WireError(f"{len(head.all('host'))} Host fields")
        if self.read_bodies:
            for _ in self.body(wire, request):
                pass
        return request

    def body(self, wire: Wire, request: Request) -> Iterator[bytes]:
        """Read the request's body piece by piece, for vendors that answer before its end."""
        digest, kept = hashlib.sha256(), bytearray()
        length = framing(request.head)
        try:
            for piece in wire.stream.body(length if length is not None else 0):
                digest.update(piece)
                request.size += len(piece)
                if self.keep_bodies:
                    kept += piece
                yield piece
            request.complete = True
        finally:
            request.body, request.digest = bytes(kept), digest.hexdigest()
