"""
A reply's content behind its head: of a length, in chunks, or until the connection ends (RFC 9112 section 6).

Pure: bytes in, content out. Each says where it `ended`, whether a byte followed (W-171), and whether it is `broken`;
what came before a break is content.
"""

import re
from typing import Final, Protocol

# The extensions and trailers of a whole message: nobody reads them, and nobody sends more in good faith.
EXTRA_LIMIT_BYTES: Final = 16 * 1024

# RFC 9112 section 7.1. 2^64 bytes are enough; the space before the extension is that of older servers.
SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*((?:;[\t\x20-\x7e\x80-\xff]*)?)")
LONGEST_SIZE: Final = 16
BREAK: Final = b"\r\n"
LINE_BREAKER: Final = re.compile(rb"[\r\n\0]")


class Content(Protocol):
    """What is expected behind a head."""

    ended: bool
    surplus: bool
    broken: bool

    def feed(self, data: bytes) -> bytes:
        """The content in what arrived."""

    def close(self) -> bool:
        """Note that the connection ended in order; whether that is the content's end."""


class Sized:
    """So many bytes. Mutable state: how many are still to come."""

    __slots__ = ("_left", "broken", "ended", "surplus")

    def __init__(self, length: int) -> None:
        self._left = length
        self.ended = length == 0
        self.surplus = False
        self.broken = False

    def feed(self, data: bytes) -> bytes:
        """The content in what arrived."""
        left = self._left
        if len(data) < left:
            self._left = left - len(data)
            return data
        self._left = 0
        self.ended = True
        if len(data) == left:
            return data
        self.surplus = True
        return data[:left]

    def close(self) -> bool:
        """Note that the connection ended: too early."""
        return self.ended


class UntilClose:
    """Whatever comes before the connection ends. Mutable state: whether it has."""

    __slots__ = ("broken", "ended", "surplus")

    def __init__(self) -> None:
        self.ended = False
        self.surplus = False
        self.broken = False

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data

    def close(self) -> bool:
        """Note that the connection ended: so has the content."""
        self.ended = True
        return True


class Chunked:
    """
    Chunks, extensions and trailers thrown away (W-055).

    Mutable state: how many bytes of a chunk are still to come, what came of a line that is not whole, whether the last
    chunk was seen, and how much of what nobody reads may still come.
    """

    __slots__ = ("_extra", "_in_chunk", "_left", "_part", "_trailers", "broken", "ended", "surplus")

    def __init__(self) -> None:
        self._left = 0
        self._in_chunk = False
        self._trailers = False
        self._part = b""
        self._extra = EXTRA_LIMIT_BYTES
        self.ended = False
        self.surplus = False
        self.broken = False

    def feed(self, data: bytes) -> bytes:
        """The content in what arrived."""
        if self._left > len(data):
            self._left -= len(data)
            return data
        if self._part:
            data, self._part = self._part + data, b""
        pieces: list[bytes] = []
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                continue
            end = data.find(BREAK, at)
            if end < 0:
                self._keep(data[at:])
                break
            if not self._line(data[at:end]):
                self.broken = True
                break
            at = end + len(BREAK)
            if self.ended:
                self.surplus = at < len(data)
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> bool:
        """Note that the connection ended: too early."""
        return self.ended

    def _keep(self, part: bytes) -> None:
        """Keep what came of a line; what no more bytes will make one is broken now."""
        if self._in_chunk:
            self.broken = part != b"\r"
        elif self._trailers:
            self.broken = len(part) > self._extra
        else:
            known = part[:-1] if part.endswith(b"\r") else part
            self.broken = len(part) > LONGEST_SIZE + self._extra or bool(known and not SIZE.fullmatch(known))
        self._part = part

    def _line(self, line: bytes) -> bool:
        """Read a whole line without its break: behind a chunk, before one, or of the trailers; whether it is one."""
        if self._in_chunk:
            self._in_chunk = False
            return not line
        if self._trailers:
            self.ended = not line
            self._extra -= len(line) + len(BREAK)
            return self._extra >= 0 and not LINE_BREAKER.search(line)
        size = SIZE.fullmatch(line)
        if size is None:
            return False
        self._extra -= len(size[2])
        self._left = int(size[1], 16)
        self._in_chunk = self._left > 0
        self._trailers = not self._in_chunk
        return self._extra >= 0
