"""
HTTP/1.1 read strictly, by its own reader: what a test trusts must not be the parser that is tested.

Nothing is forgiven: a field the RFC forbids, two framings, a bare LF or a bad chunk is a `WireError`; a stream that
ends early is a `Cut`. Source: RFC 9112 sections 2 to 7.
"""

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2}) ([\t -~\x80-\xff]*)")
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.([01])")
FIELD_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
)
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})")
DIGITS = re.compile(r"[0-9]{1,19}")

# What one recv asks for: large enough that a gigabyte does not cost a million calls.
PIECE = 256 * 1024
# No head of ours is near this; a longer one is a fault of the sender.
HEAD_LIMIT = 256 * 1024


class WireError(AssertionError):
    """The peer wrote what RFC 9112 forbids."""


class Cut(Exception):
    """The stream ended before the message did; `reset` when by RST."""

    def __init__(self, message: str = "", *, reset: bool = False) -> None:
        super().__init__(message)
        self.reset = reset


@dataclass(frozen=True, slots=True)
class Head:
    """A start line and its fields, names as sent, values as latin-1."""

    raw: bytes
    start: tuple[str, str, str]
    fields: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """Every value of that field, in order."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a field that may come at most once."""
        values = self.all(name)
        if len(values) > 1:
            raise WireError(f"{name} came {len(values)} times: {values}")
        return values[0] if values else None

    def names(self) -> set[str]:
        """The field names, in lower case."""
        return {key.lower() for key, _ in self.fields}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as it came; `complete` when its framing says that it is whole."""

    head: Head
    body: bytes
    complete: bool = True
    interim: tuple[Head, ...] = ()

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.head.start[1])

    def header(self, name: str) -> str | None:
        """The value of a field that may come at most once."""
        return self.head.get(name)

    def json(self) -> dict[str, Any]:
        """The body as one JSON object, without NaN."""
        value = json.loads(self.body, parse_constant=_no_constant)
        if not isinstance(value, dict):
            raise WireError(f"no object: {value!r}")
        return value


@dataclass(slots=True)
class Request:
    """A request as the vendor saw it; `complete` once its framing said that it is whole."""

    head: Head
    body: bytes = b""
    size: int = 0
    digest: str = ""
    complete: bool = False

    @property
    def method(self) -> str:
        """The method."""
        return self.head.start[0]

    @property
    def target(self) -> bytes:
        """The request target, as sent."""
        return self.head.start[1].encode("latin-1")

    def header(self, name: str) -> str | None:
        """The value of a field that may come at most once."""
        return self.head.get(name)


@dataclass(slots=True)
class Stream:
    """A socket, read message by message; everything that came is in `received` while `record` holds."""

    sock: socket.socket
    record: bool = False
    buffer: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: bool = False

    def fill(self) -> None:
        """Read once; `Cut` at the end, `TimeoutError` when nothing came in the socket's time."""
        try:
            data = self.sock.recv(PIECE)
        except ConnectionError as error:
            self.ended = self.reset = True
            raise Cut(str(error), reset=True) from error
        if not data:
            self.ended = True
            raise Cut(f"ended with {len(self.buffer)} bytes unread")
        self.buffer += data
        if self.record:
            self.received += data

    def take(self, count: int) -> bytes:
        """Exactly that many bytes."""
        while len(self.buffer) < count:
            self.fill()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def line(self, limit: int = 16 * 1024) -> bytes:
        """A line without its CRLF; a bare LF or CR in it is a fault."""
        while (end := self.buffer.find(b"\n")) < 0:
            if len(self.buffer) > limit:
                raise WireError(f"a line over {limit} bytes: {bytes(self.buffer[:80])!r}…")
            self.fill()
        data = self.take(end + 1)
        if not data.endswith(b"\r\n") or b"\r" in data[:-2]:
            raise WireError(f"a bare CR or LF: {data!r}")
        return data[:-2]

    def head(self, pattern: re.Pattern[bytes]) -> Head:
        """A start line and its fields."""
        start = self.line()
        found = pattern.fullmatch(start)
        if not found:
            raise WireError(f"no start line: {start!r}")
        raw, fields = start + b"\r\n", []
        while line := self.line(HEAD_LIMIT):
            raw += line + b"\r\n"
            match = FIELD_LINE.fullmatch(line)
            if not match:
                raise WireError(f"no field line: {line!r}")
            fields.append((match[1].decode("latin-1"), match[2].decode("latin-1")))
        first, second, third = (part.decode("latin-1") for part in found.groups())
        return Head(raw + b"\r\n", (first, second, third), tuple(fields))

    def body(self, framing: int | str) -> Iterator[bytes]:
        """The content in pieces: a length, `chunked`, or until `close`."""
        if framing == "chunked":
            yield from self._chunks()
        elif framing == "close":
            yield from self._until_close()
        else:
            left = int(framing)
            while left:
                if not self.buffer:
                    self.fill()
                piece = self.take(min(left, len(self.buffer)))
                left -= len(piece)
                yield piece

    def _chunks(self) -> Iterator[bytes]:
        while True:
            line = self.line()
            if not CHUNK_LINE.fullmatch(line):
                raise WireError(f"no chunk size: {line!r}")
            left = int(line, 16)
            if not left:
                if trailer := self.line():
                    raise WireError(f"a trailer: {trailer!r}")
                return
            while left:
                if not self.buffer:
                    self.fill()
                piece = self.take(min(left, len(self.buffer)))
                left -= len(piece)
                yield piece
            if self.take(2) != b"\r\n":
                raise WireError("a chunk that does not end with CRLF")

    def _until_close(self) -> Iterator[bytes]:
        try:
            while True:
                if not self.buffer:
                    self.fill()
                yield self.take(len(self.buffer))
        except Cut as cut:
            if cut.reset:
                raise


def framing(head: Head) -> int | str | None:
    """A length, `chunked`, or None where neither field stands; both, or either twice, is a fault."""
    length, coding = head.get("content-length"), head.get("transfer-encoding")
    if length is not None and coding is not None:
        raise WireError("Content-Length and Transfer-Encoding")
    if coding is not None:
        if coding != "chunked":
            raise WireError(f"Transfer-Encoding: {coding}")
        return "chunked"
    if length is None:
        return None
    if not DIGITS.fullmatch(length):
        raise WireError(f"Content-Length: {length}")
    return int(length)


def response_framing(head: Head, method: str) -> int | str:
    """How the content of an answer to `method` is framed. RFC 9112 section 6.3."""
    status, own = int(head.start[1]), framing(head)
    if status < 200 or status in {204, 304}:
        if own == "chunked" or (own is not None and status != 304):
            raise WireError(f"framing on a {status}: {own}")
        return 0
    if method == "HEAD":
        return 0
    return "close" if own is None else own


def _no_constant(name: str) -> None:
    raise WireError(name)
