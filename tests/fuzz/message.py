r"""
An input as text, so that a person can write a seed and read a finding: options, header fields, a blank line, a body.

    POST 1.1 cookies
    content-type: application/json
    x-strange: one\ntwo

    {"body": "as it is"}

In a value `\n`, `\r` and `\0` stand for the bytes that would end a line here.
"""

import string
from dataclasses import dataclass

Header = tuple[bytes, bytes]

TOKEN = frozenset((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())
ESCAPES = ((b"\\n", b"\n"), (b"\\r", b"\r"), (b"\\0", b"\x00"))


@dataclass(frozen=True, slots=True)
class Message:
    """The options of the first line, the fields as a parser hands them on, and what follows the blank line."""

    options: tuple[str, ...]
    headers: tuple[Header, ...]
    body: bytes

    def option(self, index: int, default: str = "") -> str:
        """The option at that place of the line."""
        return self.options[index] if index < len(self.options) else default


def read(data: bytes, *, lower: bool = True) -> Message:
    """Any bytes as a message. Names are cut to what a parser lets be one and, with `lower`, as ASGI gives them."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    headers = [_header(line, lower=lower) for line in lines]
    options = tuple(first.decode("latin-1").split())
    return Message(options, tuple(header for header in headers if header[0]), body)


def _header(line: bytes, *, lower: bool) -> Header:
    name, _, value = line.partition(b":")
    name = bytes(byte for byte in name if byte in TOKEN)
    for escape, meant in ESCAPES:
        value = value.replace(escape, meant)
    return name.lower() if lower else name, value.strip(b" \t")


def has_control(value: bytes) -> bool:
    """Whether a control but the tab stands in it."""
    return any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in value)
