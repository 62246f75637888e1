"""A vendor that mostly answers and sometimes fails in every way that a network has. One event loop, one port."""

import asyncio
import contextlib
import json
import random
import socket
import struct
from collections.abc import Awaitable, Callable

# One request in so many meets a fault.
ODDS = 8

RESET = struct.pack("ii", 1, 0)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, dict[bytes, bytes]] | None:
    """A request's method and fields, its body read and thrown away; None at the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, *lines = head[:-4].split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (field.partition(b":") for field in lines)}
    length = int(fields.get(b"content-length", b"0"))
    if length:
        await reader.readexactly(length)
    while fields.get(b"transfer-encoding") == b"chunked":
        size = int(await reader.readuntil(b"\r\n"), 16)
        await reader.readexactly(size + 2)
        if size == 0:
            break
    return line.split()[0], fields


def reply(status: int, body: bytes, *fields: bytes) -> bytes:
    """The bytes of a reply."""
    return b"\r\n".join([b"HTTP/1.1 %d Said" % status, *fields, b"Content-Length: %d" % len(body), b"", body])


async def well(writer: asyncio.StreamWriter, nonce: bytes) -> None:
    """Answer with the caller's own nonce."""
    writer.write(reply(200, nonce))


async def large(writer: asyncio.StreamWriter, nonce: bytes) -> None:
    """The nonce and 200 KB more, in chunks."""
    writer.write(b"HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(nonce), nonce))
    for _ in range(20):
        writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def failing(writer: asyncio.StreamWriter, _: bytes) -> None:
    """An error of the vendor's own."""
    code = random.choice(["INTERNAL_ERROR", "RATE_LIMIT_MINUTE_EXCEEDED", "VALIDATION_ERROR", "NEW_CODE"])
    status = random.choice([400, 429, 500, 503])
    writer.write(reply(status, json.dumps({"code": code, "message": "chaos"}).encode()))


async def slow(writer: asyncio.StreamWriter, nonce: bytes) -> None:
    """An answer that comes late."""
    await asyncio.sleep(random.uniform(0.1, 1.0))
    writer.write(reply(200, nonce))


async def stalling(writer: asyncio.StreamWriter, _: bytes) -> None:
    """No answer, until the gateway has had enough."""
    await asyncio.sleep(4)
    raise ConnectionAbortedError


async def garbage(writer: asyncio.StreamWriter, _: bytes) -> None:
    """What is no HTTP."""
    writer.write(random.randbytes(50))
    raise ConnectionAbortedError


async def cut(writer: asyncio.StreamWriter, nonce: bytes) -> None:
    """Half an answer."""
    writer.write(b"HTTP/1.1 200 Said\r\nContent-Length: 100000\r\n\r\n" + nonce)
    await writer.drain()
    raise ConnectionAbortedError


async def closing(writer: asyncio.StreamWriter, _: bytes) -> None:
    """An end without a byte."""
    raise ConnectionAbortedError


async def resetting(writer: asyncio.StreamWriter, _: bytes) -> None:
    """A reset without a byte."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    raise ConnectionAbortedError


async def surplus(writer: asyncio.StreamWriter, nonce: bytes) -> None:
    """An answer, and one more that nobody asked for (W-171)."""
    writer.write(reply(200, nonce) + reply(200, b"POISON"))


FAULTS: tuple[Callable[[asyncio.StreamWriter, bytes], Awaitable[None]], ...] = (
    failing,
    slow,
    stalling,
    garbage,
    cut,
    closing,
    resetting,
    surplus,
)


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one connection's requests, well or not."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError):
        while (request := await read_request(reader)) is not None:
            answer = random.choice(FAULTS) if random.randrange(ODDS) == 0 else random.choice((well, well, large))
            await answer(writer, request[1].get(b"x-nonce", b"?"))
            await writer.drain()
    writer.close()
