"""A vendor on real sockets that follows a script per connection, in the test's event loop; all is recorded."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gateway.upstream import Call, Deadlines, Fields, Header, Upstream

HOST: Header = (b"Host", b"vendor.example")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

# Nothing in these tests may take this long.
PATIENCE = 5.0

# At once, or when a short deadline has passed, on a machine that is busy with something else.
SOON = 3.0


@dataclass(eq=False)
class Connection:
    """One connection at the vendor, and what came on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: bytearray = field(default_factory=bytearray)
    requests: list[bytes] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, count: int) -> bytes:
        """Exactly that many bytes."""
        data = await self.reader.readexactly(count)
        self.received += data
        return data

    async def head(self) -> bytes:
        """A request's head."""
        data = await self.reader.readuntil(b"\r\n\r\n")
        self.received += data
        return data

    async def request(self) -> bytes:
        """A whole request, as it came."""
        start = len(self.received)
        lines = (await self.head()).lower().split(b"\r\n")
        if b"transfer-encoding: chunked" in lines:
            while not self.received.endswith(b"\r\n0\r\n\r\n"):
                await self.read(1)
        for line in lines:
            if line.startswith(b"content-length: "):
                await self.read(int(line[16:]))
        self.requests.append(bytes(self.received[start:]))
        return self.requests[-1]

    async def send(self, *pieces: bytes) -> None:
        """Write each, and wait until it has left."""
        for piece in pieces:
            if self.writer.is_closing():
                raise ConnectionResetError
            self.writer.write(piece)
            await self.writer.drain()

    async def gone(self) -> bool:
        """Read on until the gateway leaves; whether it did."""
        with contextlib.suppress(ConnectionError):
            while data := await self.reader.read(65536):
                self.received += data
        return True

    @property
    def below(self) -> socket.socket:
        """The socket, past the event loop and past TLS; to be closed."""
        return socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno()))

    def rst(self) -> None:
        """End with an RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Connection], Awaitable[object]]


class Vendor:
    """A listener that runs the script on every connection, and closes it then."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.scheme = "http"

    async def start(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        """Listen on a free loopback port."""
        self._server = await asyncio.start_server(self._serve, host, 0, ssl=tls, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        self.scheme = "http" if tls is None else "https"

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[bytes]:
        """Every whole request, as it came."""
        return [request for connection in self.connections for request in connection.requests]

    @property
    def open(self) -> int:
        """How many connections stand."""
        return sum(not connection.over.is_set() for connection in self.connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = Connection(reader, writer)
        self.connections.append(connection)
        # A cancellation ends here, too: the stream's own callback cannot bear one.
        with contextlib.suppress(ConnectionError, EOFError, ssl.SSLError, asyncio.CancelledError):
            await self.script(connection)
        connection.over.set()
        writer.close()
        self._tasks.discard(task)

    async def close(self) -> None:
        """End everything."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        for connection in self.connections:
            connection.writer.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)


def replies(*answers: bytes) -> Script:
    """Answer each request with the next of these, the last one for ever; then read on."""

    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(answers[min(len(connection.requests), len(answers)) - 1])

    return script


async def stall(connection: Connection) -> None:
    """Read, and never answer."""
    await connection.gone()


@dataclass
class Body:
    """A request's body in pieces, that can be read again; it ends with an error where one is given."""

    pieces: Sequence[bytes]
    error: BaseException | None = None
    before_error: Callable[[], Awaitable[object]] | None = None
    given: int = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the pieces."""
        for piece in self.pieces:
            self.given += 1
            yield piece
            await asyncio.sleep(0)
        if self.before_error is not None:
            await self.before_error()
        if self.error is not None:
            raise self.error


@dataclass(frozen=True)
class Answer:
    """A reply, read to its end."""

    status: int
    headers: list[Header]
    body: bytes


def call(
    method: bytes = b"GET",
    target: bytes = b"/x",
    headers: Sequence[Header] = (),
    body: Body | None = None,
    *,
    connect: float = PATIENCE,
    first_byte: float = PATIENCE,
    idle: float = PATIENCE,
    total: float = PATIENCE,
) -> Call:
    """A call to a vendor; its body is framed by the headers given, else by chunks."""
    fields = [HOST, *headers]
    if body is not None and not {name.lower() for name, _ in headers} & {b"content-length", b"transfer-encoding"}:
        fields.append((b"Transfer-Encoding", b"chunked"))
    return Call(method, target, Fields(fields), body, Deadlines(connect, first_byte, idle, total, PATIENCE))


async def ask(upstream: Upstream, made: Call | None = None, into: bytearray | None = None) -> Answer:
    """Send the call, and read the reply to its end; its body is kept in `into` as far as it comes."""
    body = bytearray() if into is None else into
    async with upstream.exchange(made or call()) as exchange:
        async for chunk in exchange.chunks():
            body += chunk
        return Answer(exchange.status, list(exchange.headers), bytes(body))


async def until(holds: Callable[[], bool], within: float = PATIENCE) -> bool:
    """Whether it comes to hold in that many seconds."""
    end = asyncio.get_running_loop().time() + within
    while not holds():
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0.002)
    return True
