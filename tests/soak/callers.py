"""Callers that check every answer: a success with their own nonce, a valid envelope, or a connection visibly cut."""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from normalizers import HouseCode

CODES = {house.code: house.status for house in HouseCode}
MEMBERS = {"type", "title", "status", "detail", "instance", "code", "source", "fault", "retryable", "request_id"}

# One caller in so many hangs up at a random moment.
HANG_UPS = 20


class Wrong(AssertionError):
    """An answer that no caller should ever get."""


@dataclass
class Tally:
    """What the callers saw. Mutable state of a run, changed by its callers alone."""

    sent: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes], bytes]:
    """A whole answer. Raises `IncompleteReadError` or an `OSError` where it is cut."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, *lines = head[:-4].split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (one.partition(b":") for one in lines)}
    if not line.startswith(b"HTTP/1.1 "):
        raise Wrong(f"no status line: {line!r}")
    body = b""
    if fields.get(b"transfer-encoding") == b"chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(fields[b"content-length"]))
    return int(line.split()[1]), fields, body


def judge(status: int, fields: dict[bytes, bytes], body: bytes, nonce: bytes) -> str:
    """Name the answer. Raises `Wrong` for one that is neither this caller's success nor a valid envelope."""
    if status < 400:
        if not body.startswith(nonce):
            raise Wrong(f"another caller's answer: {body[:60]!r} for {nonce!r}")
        return "ok"
    if fields.get(b"content-type") != b"application/problem+json":
        raise Wrong(f"an error that is no problem: {status} {body[:80]!r}")
    problem = json.loads(body)
    if not problem.keys() >= MEMBERS or CODES.get(problem["code"]) != status or problem["status"] != status:
        raise Wrong(f"no valid envelope: {body!r}")
    return str(problem["code"])


async def call(address: tuple[str, int], number: int, tally: Tally) -> None:
    """One caller: a request on a connection of its own, perhaps a hang-up, and a look at what comes."""
    nonce = b"nonce-%d-%d" % (number, random.getrandbits(32))
    method, body = random.choice(((b"GET", b""), (b"GET", b""), (b"POST", b"x" * random.choice((10, 5_000, 200_000)))))
    head = b"%b /pixii/v1/%d HTTP/1.1\r\nHost: gateway\r\nX-Nonce: %b\r\n" % (method, number, nonce)
    head += b"Content-Length: %d\r\n\r\n" % len(body) if body else b"\r\n"
    began = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection(*address, limit=2**20)
    except OSError:
        tally.seen["refused connection"] += 1
        return
    try:
        writer.write(head)
        tally.sent += 1
        if random.randrange(HANG_UPS) == 0:
            await asyncio.sleep(random.uniform(0, 0.05))
            tally.seen["hung up"] += 1
            return
        writer.write(body)
        async with asyncio.timeout(20):
            tally.seen[judge(*await read_answer(reader), nonce)] += 1
        tally.seconds.append(time.perf_counter() - began)
    except TimeoutError as error:
        raise Wrong("a caller hangs") from error
    except (OSError, asyncio.IncompleteReadError):
        tally.seen["cut"] += 1
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
