"""
The gateway's own memory: idle, with 5,000 idle callers, and while a gibibyte passes.

In either direction, and past a reader or a writer that is slow on either side.
"""

import socket
import time
from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.errgate import FIELDS
from benchmarks.processes import Process

IDLE_CALLERS = 5_000
GIBIBYTE = 2**30
PIECE = b"x" * 262_144
# How long a slow side is watched: what is buffered is buffered by then.
SLOW_SECONDS = 4.0
PAUSE_SECONDS = 0.1
SETTLE_SECONDS = 0.5


def measure(bench: Bench) -> dict[str, list[float]]:
    """Mebibytes resident (`idle_mib`), KiB for each idle caller, and what each passage adds at its peak, in MiB."""
    figures: dict[str, list[float]] = {}
    gateway = bench.gateway()
    with gateway:
        time.sleep(SETTLE_SECONDS)
        idle = gateway.memory()
        figures["idle_mib"] = [round(idle / 2**20, 1)]
        figures["idle_caller_kib"] = [round(_idle_callers(gateway) / 1024, 2)]
    for name, passage in PASSAGES.items():
        with bench.gateway() as gateway:
            # What a process keeps of any work at all is no part of a body.
            _down(gateway, 2**20, slowly=False)
            _up(gateway, 2**20, "/bulk/v1/take")
            gateway.forget_peak()
            before = gateway.memory()
            passage(gateway)
            figures[f"{name}_mib"] = [round((gateway.memory("VmHWM") - before) / 2**20, 1)]
    return figures


def _head(method: str, path: str, length: int = 0) -> bytes:
    fields = (
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        *FIELDS,
        *([f"Content-Length: {length}"] if length else []),
    )
    return "\r\n".join((*fields, "", "")).encode()


def _idle_callers(gateway: Process) -> float:
    """What the gateway holds for each of many connections that have had an answer and keep quiet, in bytes."""
    request = _head("GET", "/plain/v1/ok")
    held: list[socket.socket] = []
    try:
        before = 0
        # The first of them grow what is grown once.
        for number in range(IDLE_CALLERS + 100):
            if number == 100:  # noqa: PLR2004
                time.sleep(SETTLE_SECONDS)
                before = gateway.memory()
            sock = socket.create_connection(("127.0.0.1", gateway.port), 5)
            held.append(sock)
            sock.sendall(request)
            answer = b""
            while not answer.endswith(b"}"):
                answer += sock.recv(65_536)
        time.sleep(SETTLE_SECONDS)
        return (gateway.memory() - before) / IDLE_CALLERS
    finally:
        for sock in held:
            sock.close()


def _down(gateway: Process, size: int, *, slowly: bool) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), 30) as sock:
        sock.sendall(_head("GET", f"/bulk/v1/bytes/{size}"))
        end = time.perf_counter() + SLOW_SECONDS
        read = 0
        while read < size:
            piece = sock.recv(4096 if slowly else 2**20)
            read += len(piece)
            if not piece or (slowly and time.perf_counter() > end):
                return
            if slowly:
                time.sleep(PAUSE_SECONDS)


def _up(gateway: Process, size: int, path: str, *, slowly: bool = False) -> None:
    """Send a body; `slowly`: a little at a time, or until time is up where the vendor takes it so."""
    with socket.create_connection(("127.0.0.1", gateway.port), 30) as sock:
        sock.sendall(_head("POST", path, size))
        end = time.perf_counter() + SLOW_SECONDS
        sent = 0
        sock.settimeout(SLOW_SECONDS if slowly else 60)
        try:
            while sent < size and (not slowly or time.perf_counter() < end):
                sent += sock.send(PIECE[: size - sent])
            if sent == size:
                sock.recv(65_536)
        except TimeoutError:
            return


def _drip_down(gateway: Process) -> None:
    """The vendor drips."""
    with socket.create_connection(("127.0.0.1", gateway.port), 30) as sock:
        sock.sendall(_head("GET", f"/bulk/v1/slow/{GIBIBYTE}"))
        end = time.perf_counter() + SLOW_SECONDS
        while time.perf_counter() < end and sock.recv(2**20):
            pass


def _drip_up(gateway: Process) -> None:
    """The caller drips."""
    with socket.create_connection(("127.0.0.1", gateway.port), 30) as sock:
        sock.sendall(_head("POST", "/bulk/v1/take", GIBIBYTE))
        end = time.perf_counter() + SLOW_SECONDS
        while time.perf_counter() < end:
            sock.sendall(PIECE[:4096])
            time.sleep(PAUSE_SECONDS)


PASSAGES: dict[str, Callable[[Process], None]] = {
    "gibibyte_down": lambda gateway: _down(gateway, GIBIBYTE, slowly=False),
    "gibibyte_up": lambda gateway: _up(gateway, GIBIBYTE, "/bulk/v1/take"),
    "slow_reader": lambda gateway: _down(gateway, GIBIBYTE, slowly=True),
    "slow_vendor_reads": lambda gateway: _up(gateway, GIBIBYTE, "/bulk/v1/take-slowly", slowly=True),
    "slow_vendor_writes": _drip_down,
    "slow_writer": _drip_up,
}
