"""What a request is called: its request id, its instance, its trace. Pure but for the random numbers."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Header = tuple[bytes, bytes]

# W-138. What is shorter than 8 identifies nothing, what is longer than 128 only fills logs.
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,128}")
# W-147: what a vendor calls its request may be in a header of ours only as visible ASCII, and not without end.
_VENDOR_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
# W3C Trace Context, section 3.2.2. A later version may add fields after another dash.
_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

# The digit that holds a UUID's variant, by a random one: the first two of its bits are given.
_VARIANTS = {f"{digit:x}": f"{0b1000 | digit & 0b11:x}" for digit in range(16)}


@dataclass(frozen=True, slots=True)
class Trace:
    """A caller's trace: ids in lower-case hexadecimal."""

    trace_id: str
    parent_id: str
    sampled: bool


# What a UUID has, and for how many names the system is asked at once.
NAME_BYTES: Final = 16
NAMES: Final = 32


class Noise:
    """
    Random bytes for names, asked of the system for many names at once.

    Mutable state: those that are left; a process that is forked begins with none of its parent's.
    """

    def __init__(self) -> None:
        self._bytes = b""
        os.register_at_fork(after_in_child=self.forget)

    def take(self) -> bytes:
        """Sixteen of them."""
        if not self._bytes:
            self._bytes = os.urandom(NAME_BYTES * NAMES)
        taken, self._bytes = self._bytes[:NAME_BYTES], self._bytes[NAME_BYTES:]
        return taken

    def forget(self) -> None:
        """Throw them away."""
        self._bytes = b""


NOISE: Final = Noise()


def request_id(headers: Iterable[Header]) -> str:
    """The caller's `X-Request-Id` if it is one and well formed, else a fresh one (W-138)."""
    values = [value for name, value in headers if name == b"x-request-id"]
    if len(values) == 1 and _REQUEST_ID.fullmatch(values[0]):
        return values[0].decode("ascii")
    return NOISE.take().hex()


def instance() -> str:
    """A fresh name for one problem (W-008)."""
    # RFC 9562 section 5.4, as uuid.uuid4 does it, without the object.
    text = NOISE.take().hex()
    return f"urn:uuid:{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:]}"


def vendor_request_id(value: bytes | str | None) -> bytes | None:
    """A vendor's own request id as the value of our `Errgate-Vendor-Request-Id`, or None if it cannot be one."""
    if isinstance(value, str):
        value = value.encode("utf-8", "replace")
    return value if value and _VENDOR_REQUEST_ID.fullmatch(value) else None


def trace(headers: Iterable[Header]) -> Trace | None:
    """The caller's `traceparent`, or None where it is missing, repeated or malformed (W-136)."""
    values = [value for name, value in headers if name == b"traceparent"]
    if len(values) != 1:
        return None
    match = _TRACEPARENT.fullmatch(values[0])
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    # Version ff is forbidden, version 00 has exactly these four fields, and ids of zeros mean nothing.
    if version == b"ff" or (version == b"00" and more) or not trace_id.strip(b"0") or not parent_id.strip(b"0"):
        return None
    return Trace(trace_id.decode(), parent_id.decode(), bool(int(flags, 16) & 1))


def traceparent(parent: Trace | None) -> bytes:
    """The `traceparent` of our own request: the caller's trace, or a new one, under a new parent id (W-137)."""
    if parent:
        return f"00-{parent.trace_id}-{os.urandom(8).hex()}-{parent.sampled:02x}".encode()
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00".encode()
