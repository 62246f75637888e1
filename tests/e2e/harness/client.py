"""A caller made of one blocking socket: it sends bytes exactly as told and reads the answers strictly."""

import contextlib
import re
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from tests.e2e.harness.wire import STATUS_LINE, Cut, Head, Response, Stream, response_framing

Headers = Iterable[tuple[str, str]]

# Every blocking call of a test ends by itself; nothing a test waits for takes longer than this.
PATIENCE = 10.0


def request(
    method: str = "GET",
    target: str | bytes = "/",
    headers: Headers = (),
    body: bytes | None = None,
    *,
    host: str | None = "gateway",
) -> bytes:
    """The bytes of a request; `body` brings its Content-Length, unless a framing field is given. Values are latin-1."""
    given = [(name, value) for name, value in headers]
    names = {name.lower() for name, _ in given}
    lines = [
        method.encode("latin-1")
        + b" "
        + (target if isinstance(target, bytes) else target.encode("latin-1"))
        + b" HTTP/1.1"
    ]
    if host is not None and "host" not in names:
        lines.append(b"Host: " + host.encode("latin-1"))
    lines += [f"{name}: {value}".encode("latin-1") for name, value in given]
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", b""]) + (body or b"")


def chunked(*pieces: bytes, last: bool = True) -> bytes:
    """The pieces as chunks of a body; without `last` it stays unfinished."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + (
        b"0\r\n\r\n" if last else b""
    )


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that came back on a connection until it ended or fell silent."""

    responses: tuple[Response, ...]
    closed_by_peer: bool
    leftover: bytes
    clean_end: bool  # the last answer was whole and nothing followed it


class RawClient:
    """One connection to the gateway, closed at the end of a `with`; a small `receive_buffer` (bytes) is soon full."""

    def __init__(
        self, address: tuple[str, int], *, timeout: float = PATIENCE, receive_buffer: int | None = None
    ) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        self.stream = Stream(self.sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Write it all at once."""
        self.sock.sendall(data)

    def send_bytewise(self, data: bytes, pause: float = 0.0) -> None:
        """One write a byte, `pause` seconds apart."""
        for index in range(len(data)):
            self.sock.sendall(data[index : index + 1])
            if pause:
                time.sleep(pause)

    def send_split(self, data: bytes, pause: float = 0.0) -> None:
        """Split inside every CRLF: after each CR."""
        for piece in re.findall(rb"[^\r]*\r|[^\r]+", data):
            self.sock.sendall(piece)
            time.sleep(pause)

    def half_close(self) -> None:
        """Say that nothing more will be sent; still read."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with an RST."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Leave with a FIN."""
        self.sock.close()

    def head(self, method: str = "GET") -> tuple[Head, int | str, tuple[Head, ...]]:
        """The final head, the framing of its content and the interim heads before it."""
        interim: list[Head] = []
        while (head := self.stream.head(STATUS_LINE)).start[1].startswith("1"):
            response_framing(head, method)
            interim.append(head)
        return head, response_framing(head, method), tuple(interim)

    def read(self, method: str = "GET") -> Response:
        """One answer; `Cut` when the connection ends before its head, an incomplete answer when it ends in its body."""
        head, framing, interim = self.head(method)
        body = bytearray()
        try:
            for piece in self.stream.body(framing):
                body += piece
        except Cut:
            return Response(head, bytes(body), complete=False, interim=interim)
        return Response(head, bytes(body), interim=interim)

    def pieces(self, framing: int | str) -> Iterator[bytes]:
        """The content in pieces as they come."""
        return self.stream.body(framing)

    def closed(self, within: float = 5.0) -> bool:
        """Whether the peer ends the connection, without another byte, in that many seconds."""
        self.sock.settimeout(within)
        try:
            self.stream.fill()
        except Cut:
            return True
        except TimeoutError:
            return False
        return False

    def converse(self, *methods: str, patience: float = 1.0) -> Conversation:
        """Read an answer for each method (GET when there are more), until the end or `patience` seconds of silence."""
        responses: list[Response] = []
        self.sock.settimeout(patience)
        asked = iter(methods)
        try:
            while True:
                responses.append(self.read(next(asked, "GET")))
        except (Cut, TimeoutError):
            pass
        leftover = bytes(self.stream.buffer)
        whole = not responses or responses[-1].complete
        return Conversation(tuple(responses), self.stream.ended, leftover, whole and not leftover)


def exchange(address: tuple[str, int], data: bytes, method: str = "GET", *, timeout: float = PATIENCE) -> Response:
    """One request on a connection of its own."""
    with RawClient(address, timeout=timeout) as client:
        client.send(data)
        return client.read(method)
