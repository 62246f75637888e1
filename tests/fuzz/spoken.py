"""What a vendor says on the wire: the engine of our own reads it, and h11, which many have read, reads it beside it."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, cast

import h11

from gateway.upstream import HEAD_LIMIT_FIELDS, Call, Cut, Deadlines, Fields, Header, NoReply, Reason
from gateway.upstream.http1.connection import Connection
from gateway.upstream.http1.exchange import Http1Exchange
from gateway.upstream.http1.pool import Pool

DEADLINES = Deadlines(1, 1, 1, 1, 1)
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Standing:
    """A connection that stands as long as nobody closes it; a loop whose time stands, too."""

    closed = False
    is_full = False

    def time(self) -> float:
        """Never later."""
        return 0.0

    def expect(self, at: float | None) -> None:
        """Wait for no one."""

    def pause(self) -> None:
        """Be as fast."""

    def resume(self) -> None:
        """Be as fast."""

    def close(self) -> None:
        """Hear nothing more."""
        self.closed = True


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a reply; `again`: another request may follow on its connection."""

    status: int
    fields: tuple[Header, ...]
    body: bytes
    error: Reason | None
    again: bool


def hear(method: bytes, pieces: list[bytes], end: Exception | None) -> Heard:
    """Read the pieces as they arrive, then the connection's end."""
    standing = Standing()
    exchange = Http1Exchange(cast("Pool", None), Call(method, b"/", Fields([]), None, DEADLINES))
    exchange._connection = cast("Connection", standing)
    exchange._loop = cast("asyncio.AbstractEventLoop", standing)
    exchange._ends_at = 0.0
    exchange._sent = True
    for piece in pieces:
        if not standing.closed:
            exchange.received(piece)
    whole = exchange._ended
    again = whole and exchange._head.persist and not exchange._surplus and exchange._error is None
    if not standing.closed:
        exchange.lost(end)
    error = exchange._error
    assert error is None or isinstance(error, NoReply | Cut)
    assert (error is None) == exchange._ended, "it ends or it fails"
    if isinstance(error, NoReply):
        return Heard(0, (), b"", error.reason, again=False)
    body = b"".join(exchange._chunks)
    reason = None if error is None else error.reason
    return Heard(exchange._head.status, tuple(exchange._head.fields), body, reason, again)


def hear_h11(method: bytes, data: bytes) -> tuple[int, bytes] | None:
    """The status and the body as h11 reads them; None where it reads no whole reply, or more than one."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        connection.receive_data(data)
        while True:
            event: Any = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return None if connection.trailing_data[0] else (status, body)
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


def check_vendor_reply(data: bytes) -> None:
    """`method [reset]`, a line; then a reply: read alike however it is divided, and never past what h11 reads."""
    line, _, said = data.partition(b"\n")
    method = b"HEAD" if line.startswith(b"HEAD") else b"GET"
    end = ConnectionResetError() if b"reset" in line else None
    heard = hear(method, [said] if said else [], end)
    middle = len(said) // 2
    for step in (1, 7, middle or 1):
        pieces = [said[at : at + step] for at in range(0, len(said), step)]
        assert hear(method, pieces, end) == heard, step
    if heard.status:
        assert 200 <= heard.status <= 599
        assert len(heard.fields) <= HEAD_LIMIT_FIELDS
        assert all(TOKEN.fullmatch(name) and not CONTROL.search(value) for name, value in heard.fields)
        assert all(value == value.strip(b" \t") for _, value in heard.fields)
        assert len(heard.body) <= len(said)
        names = [name.lower() for name, _ in heard.fields]
        assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
        assert method != b"HEAD" or heard.body == b""
    if heard.again:
        other = hear_h11(method, said)
        assert other in {None, (heard.status, heard.body)}, other
        # Whatever follows, a connection that is used again never gives it to the next caller (W-171).
        for more in (b"\r", b"\n", b"0", b"HTTP/1.1 200 OK\r\n\r\n"):
            surplus = hear(method, [said + more], end)
            assert (surplus.status, surplus.body, surplus.again) == (heard.status, heard.body, False), more
