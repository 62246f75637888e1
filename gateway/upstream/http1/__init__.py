"""
The fast engine: HTTP/1.1 to one authority, on llhttp and the event loop's own transports, and nothing else.

No redirects, no cookies, no decoding, no URL: a method, target bytes and a header list go out as they are. What needs
HTTP/2, an egress proxy or a client certificate is the other engine's.

    pool ──▶ connection (tls) ──▶ exchange ──▶ reply, content
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from gateway.upstream import KEEP_ALIVE_SECONDS, Call
from gateway.upstream.dialling import Lookup, race

from .connection import Connection
from .exchange import Http1Exchange
from .pool import Pool
from .tls import SecureConnection, Tls


class Http1Upstream:
    """
    The connections to one vendor's origin.

    Mutable state: the pool, the lookup that is under way, and the TLS session that the next connection resumes.
    """

    def __init__(
        self, base_url: str, *, max_connections: int, tls: ssl.SSLContext, server_name: str | None = None
    ) -> None:
        parts = urlsplit(base_url)
        host, secure = str(parts.hostname), parts.scheme == "https"
        self._port = parts.port or (443 if secure else 80)
        self._lookup = Lookup(host, self._port)
        self._tls = Tls(tls, server_name or host) if secure else None
        self._pool = Pool(self._dial, places=max_connections, keep_alive=KEEP_ALIVE_SECONDS)

    def exchange(self, call: Call) -> Http1Exchange:
        """Send the call and wait for the reply's head. Raises `NoReply`."""
        return Http1Exchange(self._pool, call)

    def connections(self) -> tuple[int, int, int]:
        """How many connections are busy, idle, and still free to be opened."""
        return self._pool.count()

    async def aclose(self) -> None:
        """Close every connection."""
        self._pool.close()

    async def _dial(self, left: Callable[[Connection], None]) -> Connection:
        """Open a connection; `left` is told when it is closed. Raises NoReply."""
        tls, loop = self._tls, asyncio.get_running_loop()

        def begin() -> Connection:
            return Connection(left) if tls is None else SecureConnection(left, tls)

        async def connect(address: str) -> Connection:
            _, connection = await loop.create_connection(begin, address, self._port)
            return connection

        connection = await race(await self._lookup.addresses(), connect, abandon=Connection.close)
        if tls is not None:
            await cast("SecureConnection", connection).shake_hands()
        return connection
