"""
`Sandbox-Fault: FAULT[@AMOUNT]`: whatever would have been answered, gone wrong on its way.

A fault acts on the answer the request would have had, an error wished for included; `html` alone makes a 502 of a
success. Amounts are seconds or bytes, as `FAULTS` says. Outside all but `Rehearsal`, so that it sees the last word.
"""

import gzip
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .asking import Misasked
from .connection import Connection
from .simulator import misasked

CHUNK = b" " * (64 * 1024)
PAGE = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n"
# No UTF-8, no JSON, no HTML; the same bytes every time.
GARBAGE = bytes((number * 73 + 41) % 256 for number in range(512))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a simulator answered, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def head(self, length: int, **changed: str) -> list[tuple[bytes, bytes]]:
        """The headers, for a body of `length` bytes."""
        headers = MutableHeaders(headers={**self.headers, "content-length": str(length)})
        for name, value in changed.items():
            headers[name.replace("_", "-")] = value
        return headers.raw


async def html(answer: Answer, connection: Connection, size: float) -> None:
    """A load balancer's page, padded to `size` bytes."""
    page = PAGE.ljust(int(size))
    head = answer.head(len(page), content_type="text/html")
    await connection.head(answer.status if answer.status >= 400 else 502, head)
    await connection.end(page)


async def empty(answer: Answer, connection: Connection, _: float) -> None:
    """The head, and no body."""
    await connection.head(answer.status, answer.head(0))
    await connection.end()


async def truncated(answer: Answer, connection: Connection, _: float) -> None:
    """Half of the body under the length of the whole, then the end of the connection."""
    await connection.head(answer.status, answer.head(len(answer.body)))
    await connection.more(answer.body[: len(answer.body) // 2])
    await connection.close()


async def garbage(answer: Answer, connection: Connection, _: float) -> None:
    """Bytes that are no text, called JSON."""
    await connection.head(answer.status, answer.head(len(GARBAGE)))
    await connection.end(GARBAGE)


async def slow(answer: Answer, connection: Connection, seconds: float) -> None:
    """The whole answer, late."""
    if not await connection.left_within(seconds):
        await connection.head(answer.status, answer.head(len(answer.body)))
        await connection.end(answer.body)


async def stall(answer: Answer, connection: Connection, seconds: float) -> None:
    """The head, then nothing until the caller leaves or time is up."""
    await connection.head(answer.status, answer.head(len(answer.body)))
    await connection.more(b"")
    if not await connection.left_within(seconds):
        await connection.close()


async def reset(answer: Answer, connection: Connection, _: float) -> None:  # noqa: ARG001  (every fault's signature)
    """No answer at all: the connection is reset before the head."""
    await connection.reset()


async def drip(answer: Answer, connection: Connection, seconds: float) -> None:
    """The body one byte at a time, `seconds` apart."""
    await connection.head(answer.status, answer.head(len(answer.body)))
    for byte in answer.body:
        if await connection.left_within(seconds):
            return
        await connection.more(bytes([byte]))
    await connection.end()


async def gzipped(answer: Answer, connection: Connection, _: float) -> None:
    """The same, gzip-encoded; for those who did not ask for it too."""
    body = gzip.compress(answer.body, mtime=0)
    await connection.head(answer.status, answer.head(len(body), content_encoding="gzip"))
    await connection.end(body)


async def huge(answer: Answer, connection: Connection, size: float) -> None:
    """The body, then spaces until it is `size` bytes long: still JSON. Streamed, as fast as the caller reads."""
    left = max(int(size), len(answer.body))
    await connection.head(answer.status, answer.head(left))
    await connection.more(answer.body)
    left -= len(answer.body)
    while left > 0:
        await connection.more(CHUNK[:left])
        left -= len(CHUNK)
    await connection.end()


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what it does, how much of it by default, and at most."""

    act: Callable[[Answer, Connection, float], Awaitable[None]]
    amount: float = 0
    most: float = 0


FAULTS: Mapping[str, Fault] = {
    "html": Fault(html, 0, 1024 * 1024),  # bytes; @102400 is the 100 KB page of some CDNs
    "empty": Fault(empty),
    "truncated": Fault(truncated),
    "garbage": Fault(garbage),
    "slow": Fault(slow, 2, 60),  # seconds
    "stall": Fault(stall, 60, 60),  # seconds; nobody's connection is held longer
    "reset": Fault(reset),
    "drip": Fault(drip, 0.05, 5),  # seconds a byte
    "gzip": Fault(gzipped),
    "huge": Fault(huge, 100 * 1024 * 1024, 1024 * 1024 * 1024),  # bytes; they cost no memory
}


class Faults:
    """The middleware. Without the header it is not there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        wish = Headers(scope=scope).get("sandbox-fault") if scope["type"] == "http" else None
        if wish is None:
            await self.app(scope, receive, send)
            return
        try:
            fault, amount = read(wish)
        except Misasked as problem:
            await misasked(problem)(scope, receive, send)
            return
        answer = await self._whole(scope, receive)
        # 204 and 304 have no body that could go wrong.
        answer = replace(answer, status=200) if answer.status in {204, 304} else answer
        await fault.act(answer, Connection(receive, send), amount)

    async def _whole(self, scope: Scope, receive: Receive) -> Answer:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        head, *body = messages
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head["headers"]}
        return Answer(head["status"], headers, b"".join(message["body"] for message in body))


def read(wish: str) -> tuple[Fault, float]:
    """The fault and how much of it. Raises `Misasked` for an unknown one or an amount out of bounds."""
    name, at_sign, amount = wish.partition("@")
    fault = FAULTS.get(name)
    if fault is None:
        raise Misasked(f"unknown fault {name[:80]!r}", sorted(FAULTS))
    if not at_sign:
        return fault, fault.amount
    try:
        number = float(amount)
    except ValueError:
        number = math.nan
    if not 0 <= number <= fault.most:
        raise Misasked(f"{name} takes an amount of 0 to {fault.most:g}, not {amount[:80]!r}", [])
    return fault, number
