"""
The payloads of `tests/data/desync_payloads.txt`, read as its header says: columns by tabs, bytes as Python expressions.

The file is a copy of what was measured; what the contract says otherwise stands in the tests, never here.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAYLOADS = Path(__file__).parents[2] / "data" / "desync_payloads.txt"

# What the expressions may name; nothing else, not even the builtins.
NAMES = {"__builtins__": {}, "range": range, "bytes": bytes, "len": len, "gzip": gzip, "OK": b"HTTP/1.1 200 OK\r\n"}

# Section 2: every byte that the generated mutations put somewhere.
ODD_BYTES = (*range(0x01, 0x20), *range(0x7F, 0x100))


@dataclass(frozen=True, slots=True)
class Row:
    """A request of section 1: `A` is accepted, `N` normalized, `R` refused with a status of `hint`, `RN` either."""

    id: str
    kind: str
    expected: str
    hint: str
    source: str
    payload: bytes

    @property
    def statuses(self) -> frozenset[int]:
        """The statuses that the file's hint names."""
        return frozenset(int(word) for word in self.hint.replace("/", " ").split() if word.isdigit())


@dataclass(frozen=True, slots=True)
class Mutation:
    """A Transfer-Encoding line of section 2; `plain` where the line says nothing of a framing."""

    id: str
    expected: str
    line: bytes

    def request(self, before: bytes = b"") -> bytes:
        """The whole request, with another line `before` the mutated one."""
        return b"POST / HTTP/1.1\r\nHost: a\r\n" + before + self.line + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """A rogue vendor's answer of section 3."""

    id: str
    expected: str
    payload: bytes


def requests() -> list[Row]:
    """Section 1."""
    return [Row(row[0], row[1], row[2], row[3], row[7], _bytes(row[8])) for row in _rows(9)]


def named_mutations() -> list[Mutation]:
    """Section 2, the named ones."""
    return [Mutation(row[0], row[1], _bytes(row[4])) for row in _rows(5)]


def generated_mutations() -> dict[str, list[Mutation]]:
    """Section 2, the generated ones, by the place of the odd byte."""
    honest = {0x09}
    value = {0x09, *range(0x80, 0x100)}
    # Place: the line around the byte, the bytes with which it is plain, and what a plain one is.
    places: dict[str, tuple[bytes, bytes, set[int], str]] = {
        "midspace": (b"Transfer-Encoding:", b"chunked", honest, "N"),
        "postspace": (b"Transfer-Encoding", b": chunked", set(), "R"),
        "prespace": (b"", b"Transfer-Encoding: chunked", set(), "R"),
        "endspace": (b"Transfer-Encoding: chunked", b"", honest, "N"),
        "xprespace": (b"X: X", b"Transfer-Encoding: chunked", value, "P"),
        "endspacex": (b"Transfer-Encoding: chunked", b"X: X", set(), "R"),
        "rxprespace": (b"X: X\r", b"Transfer-Encoding: chunked", {0x0A}, "N"),
        "xnprespace": (b"X: X", b"\nTransfer-Encoding: chunked", {0x0D}, "N"),
        "endspacerx": (b"Transfer-Encoding: chunked\r", b"X: X", {0x0A}, "N"),
        "endspacexn": (b"Transfer-Encoding: chunked", b"\nX: X", {0x0D}, "N"),
    }
    return {
        place: [
            Mutation(f"{place}-{byte:02x}", good if byte in plain else "R", left + bytes([byte]) + right)
            for byte in ODD_BYTES
        ]
        for place, (left, right, plain, good) in places.items()
    }


def replies() -> list[Reply]:
    """Section 3."""
    return [Reply(row[0], row[1], _bytes(row[3])) for row in _rows(4)]


def _rows(columns: int) -> Iterator[list[str]]:
    """The rows of the section whose rows have that many columns."""
    for line in PAYLOADS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            cells = line.split("\t")
            if len(cells) == columns:
                yield cells


def _bytes(expression: str) -> bytes:
    value: object = eval(expression, dict(NAMES))  # noqa: S307  (our own file, and nothing to call)
    assert isinstance(value, bytes)
    return value
