"""
One caller's connection, below what ASGI can say: hang up early, reset, notice that the caller left.

ASGI knows no "close without an answer". Under uvicorn the bound `receive` belongs to the request cycle, which holds the
transport; where it cannot be reached, returning without a complete answer makes the server close after the head.
"""

import asyncio
import socket
import struct

from starlette.types import Receive, Send

Headers = list[tuple[bytes, bytes]]


class Connection:
    """The connection that one request came on."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        cycle = getattr(receive, "__self__", None)
        self._transport: asyncio.Transport | None = getattr(cycle, "transport", None)

    async def head(self, status: int, headers: Headers) -> None:
        """Send the head, at once."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def more(self, body: bytes) -> None:
        """Send a piece of the body, and wait while the caller is slow."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        """Send the last piece."""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def left_within(self, seconds: float) -> bool:
        """Wait so long; True as soon as the caller has hung up."""
        leaving = asyncio.ensure_future(self._disconnected())
        try:
            left, _ = await asyncio.wait({leaving}, timeout=seconds)
        finally:
            leaving.cancel()
        return bool(left)

    async def close(self) -> None:
        """Close after what was sent, with the answer incomplete."""
        if self._transport is not None:
            self._transport.close()
            await self._disconnected()

    async def reset(self) -> None:
        """Reset the connection: nothing more arrives, not even what was sent."""
        if self._transport is None:
            # The nearest that ASGI alone can come: a head, no body, and the server closes.
            await self.head(502, [(b"content-length", b"1")])
            return
        connected = self._transport.get_extra_info("socket")
        # A lingering time of zero turns the close into a reset.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        await self._disconnected()

    async def _disconnected(self) -> None:
        # What is left of the request's body comes first, and is thrown away.
        while (await self._receive())["type"] != "http.disconnect":
            pass
