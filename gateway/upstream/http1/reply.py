"""
A reply's head, read by llhttp, one parser a head.

llhttp is given the head alone. It cannot be told of a HEAD request, takes a 1xx for a whole message and surplus bytes
for the next reply, and does not say where a message ended: what follows the head is framed in `content`. It is as
strict as it comes. A head that it refuses is looked at once more: what RFC 9112 lets a recipient repair is repaired,
anything else is no reply.
"""

import re
from collections.abc import Iterable
from typing import Final

import httptools

from gateway.upstream import HEAD_LIMIT_BYTES, HEAD_LIMIT_FIELDS, INTERIM_LIMIT, Header, NoReply, Reason

END: Final = b"\r\n\r\n"

# What every reply begins with that we understand; a minor version changes nothing of the framing (RFC 9112 2.3).
PROTOCOL: Final = b"HTTP/1."

# RFC 9112 section 2.2 lets a line end in a bare line feed; what hides a line from one reader shows it to another.
BARE_LF: Final = re.compile(rb"(?<!\r)\n")

# RFC 9110 section 5.5: what no value may hold. The first three could end a line, and are never repaired.
LINE_BREAKERS: Final = re.compile(rb"[\r\n\0]")
CONTROL: Final = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")

FOLDED_FRAMING: Final = re.compile(rb"(?i)\n(?:content-length|transfer-encoding|connection)[^\n]*\n[ \t]")

FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
# Whether a name can be one of those shows in its length.
FRAMING_LENGTHS: Final = frozenset(map(len, FRAMING))

FIRST_STATUS: Final = 100
FIRST_FINAL: Final = 200
LAST_STATUS: Final = 599
SWITCHING_PROTOCOLS: Final = 101


class Head:
    """
    The head of one reply, behind its interim ones.

    Mutable state: what came of a head that is not whole yet, and how many interim heads came; after the final one its
    `status`, its `fields`, and what they say of the framing: `chunked`, else `length`, else neither; and whether the
    connection may `persist`.
    """

    __slots__ = ("_complete", "_interims", "_part", "chunked", "fields", "length", "persist", "status")

    def __init__(self) -> None:
        self._part: bytearray | None = None
        self._interims = 0
        self._complete = False
        self.status = 0
        self.fields: list[Header] = []
        self.length: int | None = None
        self.chunked = False
        self.persist = True

    @property
    def begun(self) -> bool:
        """Whether a byte of the reply was seen."""
        return self._interims > 0 or self._part is not None

    def feed(self, data: bytes) -> bytes | None:
        """What came behind the final head; None until that is whole. Raises NoReply."""
        while True:
            if self._part is not None:
                whole = self._joined(data)
                if whole is None:
                    return None
                data = whole
            end = data.find(END) + len(END)
            if end < len(END):
                self._keep(data)
                return None
            head, rest = (data, b"") if end == len(data) else (data[:end], data[end:])
            self._read(head)
            if self.status >= FIRST_FINAL:
                return rest
            self._interims += 1
            # An interim reply says nothing that we pass on (W-041); nobody asked to switch protocols (W-038).
            if self.status == SWITCHING_PROTOCOLS or self._interims > INTERIM_LIMIT:
                raise NoReply(Reason.HTTP_PROTOCOL_ERROR)
            if not rest:
                return None
            data = rest

    def _keep(self, data: bytes) -> None:
        """Begin a head that is not whole; what cannot become one is said at once."""
        self._part = bytearray(data)
        self._look(0)

    def _joined(self, data: bytes) -> bytes | None:
        """What came of the head, with this behind it, if it is whole now."""
        part = self._part
        assert part is not None  # noqa: S101  (asked by the only caller)
        seen = len(part)
        part += data
        if part.find(END, max(0, seen - len(END) + 1)) < 0:
            self._look(seen)
            return None
        self._part = None
        return bytes(part)

    def _look(self, seen: int) -> None:
        """Refuse a part that no more bytes will make a head."""
        part = self._part
        assert part is not None  # noqa: S101  (set by every caller)
        if not part.startswith(PROTOCOL[: len(part)]) or BARE_LF.search(part, max(0, seen - 1)):
            raise NoReply(Reason.HTTP_PROTOCOL_ERROR)
        if len(part) > HEAD_LIMIT_BYTES:
            raise NoReply(Reason.HTTP_RESPONSE_HEADER_SECTION_SIZE)

    def _read(self, head: bytes) -> None:
        """Read one whole head."""
        if not head.startswith(PROTOCOL):
            raise NoReply(Reason.HTTP_PROTOCOL_ERROR)
        if len(head) > HEAD_LIMIT_BYTES:
            raise NoReply(Reason.HTTP_RESPONSE_HEADER_SECTION_SIZE)
        self.persist = head.startswith(b"HTTP/1.1")
        if not self._parse(head):
            repaired = repair(head)
            if repaired is None or not self._parse(repaired):
                raise NoReply(Reason.HTTP_PROTOCOL_ERROR)
            # Two framings in one head: whoever made it may have meant the other one (RFC 9112 section 6.1).
            self.persist = self.persist and not (self.chunked and b"content-length" in head.lower())
        if not FIRST_STATUS <= self.status <= LAST_STATUS:
            raise NoReply(Reason.HTTP_PROTOCOL_ERROR)
        if len(self.fields) > HEAD_LIMIT_FIELDS:
            raise NoReply(Reason.HTTP_RESPONSE_HEADER_SECTION_SIZE)

    def _parse(self, head: bytes) -> bool:
        """Whether llhttp reads it, with a framing of ours."""
        self.fields, self.length, self.chunked, self._complete = [], None, False, False
        parser = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass  # `Upgrade` beside a status that is not 101 is an offer, and no upgrade
        except httptools.HttpParserError:
            return False
        self.status = parser.get_status_code()
        return self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field from llhttp, which leaves the space behind a value; what it raises makes the head none."""
        value = value.rstrip(b" \t")
        self.fields.append((name, value))
        if len(name) in FRAMING_LENGTHS:
            key = name.lower()
            if key == b"content-length":
                self.length = int(value)
            elif key == b"transfer-encoding":
                # The one coding that we asked for; `chunked` twice is not it (RFC 9112 section 6.1).
                if self.chunked or value.lower() != b"chunked":
                    raise NoReply(Reason.HTTP_PROTOCOL_ERROR)
                self.chunked = True
            elif key == b"connection" and b"close" in value.lower():
                self.persist = False

    def on_headers_complete(self) -> None:
        """Hear from llhttp that the head is whole."""
        self._complete = True


def repair(head: bytes) -> bytes | None:
    """
    A head that can be read in one way only, once its faults are taken out; None for any other.

    A folded line becomes one with a space (RFC 9112 section 5.2), a length beside `chunked` goes (section 6.3), equal
    lengths become one (RFC 9110 section 8.6), a field with a control character goes (W-052); but for the framing and
    the connection, on which too much depends to guess.
    """
    if FOLDED_FRAMING.search(head):
        return None
    start, *lines = head[: -len(END)].split(b"\r\n")
    kept: list[bytes] = []
    lengths: set[bytes] = set()
    chunked = False
    for line in _unfolded(lines):
        name, _, value = line.partition(b":")
        key = name.lower()
        if LINE_BREAKERS.search(line):
            return None
        if CONTROL.search(value):
            if key in FRAMING:
                return None
        elif key == b"content-length":
            lengths.update(length.strip(b" \t") for length in value.split(b","))
        else:
            chunked = chunked or key == b"transfer-encoding"
            kept.append(line)
    if len(lengths) > 1:
        return None
    if not chunked:
        kept.extend(b"Content-Length: " + length for length in lengths)
    return b"\r\n".join([start, *kept]) + END


def _unfolded(lines: Iterable[bytes]) -> list[bytes]:
    """The lines, each with those that were folded under it."""
    whole: list[bytes] = []
    for line in lines:
        if whole and line[:1] in {b" ", b"\t"}:
            whole[-1] += b" " + line.strip(b" \t")
        else:
            whole.append(line)
    return whole
