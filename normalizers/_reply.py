"""
A vendor's reply as a value, and the readers that survive any body.

Nothing here raises, whatever a vendor, or a proxy in between, has sent; what cannot be read is None.
"""

import codecs
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from types import MappingProxyType

from ._delay import http_date

# What a body may cost when it is parsed, in bytes. It keeps a bomb such as 256 KiB of "[[[[]]]]," below 8 MiB in all;
# 256 KiB of honest field errors come to 3.8 MiB.
_PARSED_LIMIT = 5 * 1024 * 1024
# A dict with one member takes 232 bytes in CPython; a short text with its place in a list or dict about 100.
_CONTAINER_COST, _MEMBER_COST = 240, 100

_NONE: Mapping[str, str] = MappingProxyType({})
_BLANKS = " \t\r\n"
# What reads a text up to the end of its first value.
_DECODE: Callable[[str], tuple[object, int]] = json.JSONDecoder().raw_decode


@dataclass(slots=True, init=False)
class Reply:
    """
    A vendor's answer, read to its end and decoded.

    `headers` have lower-case names, repeated lines joined by ", ". `body` is the decoded content, b"" where it could
    not be decoded. `received_at` is in Unix seconds by the gateway's clock: the core has none, and dates need one.
    `unreadable` says that the content coding could not be undone, or that the body was over its bound.
    """

    status: int
    # Not shown: whatever the vendor echoes stands in them.
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: float
    unreadable: bool

    # Written out: each error makes one, and what `dataclass` writes is slow and never compiled.
    def __init__(
        self,
        status: int,
        headers: Mapping[str, str] = _NONE,
        body: bytes = b"",
        received_at: float = 0.0,
        unreadable: bool = False,  # noqa: FBT001, FBT002  (a record)
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.received_at = received_at
        self.unreadable = unreadable

    def json(self) -> object:
        """The body as JSON, or None for anything else: HTML, empty, cut short, a bomb. Its media type is not asked."""
        body = self.body
        # No byte costs more than a container's, so a short body is none.
        if len(body) * _CONTAINER_COST > _PARSED_LIMIT:
            containers, members = body.count(b"[") + body.count(b"{"), body.count(b",")
            if containers * _CONTAINER_COST + members * _MEMBER_COST > _PARSED_LIMIT:
                return None
        try:
            # Some begin with a BOM. replace: one bad byte must not hide the vendor's code.
            text = body.removeprefix(codecs.BOM_UTF8).decode(errors="replace").strip(_BLANKS)
            parsed, end = _DECODE(text)
        # RecursionError: "[" * 10_000 is a valid prefix of JSON. ValueError: an integer of over 4,300 digits, too.
        except (ValueError, RecursionError):
            return None
        return parsed if end == len(text) else None

    def now(self) -> float:
        """The moment of this reply in Unix seconds: by its own Date, since its clock made its dates, else by ours."""
        date = http_date(self.headers.get("date", ""))
        return self.received_at if date is None else date


@cache
def _paths(pointers: tuple[str, ...]) -> tuple[tuple[str, list[str]], ...]:
    """JSON Pointers with their unescaped steps. Cached: they come from vendor files and settings, not from bodies."""
    return tuple(
        (pointer, [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]])
        for pointer in pointers
    )


def found(value: object, pointers: tuple[str, ...]) -> list[tuple[str, object]]:
    """What JSON Pointers (RFC 6901) point to, each with its pointer, but for those that lead nowhere or to null."""
    there = []
    for pointer, steps in _paths(pointers):
        member = value
        for step in steps:
            if isinstance(member, dict):
                # Most lead nowhere with their first step.
                if step not in member:
                    break
                member = member[step]
            elif isinstance(member, list) and step.isascii() and step.isdigit() and int(step) < len(member):
                member = member[int(step)]
            else:
                break
        else:
            if member is not None:
                there.append((pointer, member))
    return there


def at(value: object, pointer: str) -> object:
    """What one pointer points to, or None."""
    for _, member in found(value, (pointer,)):
        return member
    return None


def text(value: object, pointers: tuple[str, ...]) -> str | None:
    """The first string with more than blanks in it."""
    for _, member in found(value, pointers):
        if isinstance(member, str) and member.strip():
            return member
    return None


def strings(value: object, most: int = 64) -> Iterator[str]:
    """The strings at or under a value, outermost first; of a bomb only the first `most`."""
    waiting = deque([value])
    while waiting and most:
        value = waiting.popleft()
        most -= 1
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(islice(value.values(), most))
        elif isinstance(value, list):
            waiting.extend(value[:most])
