"""Which route a request takes, by its method and the end of its upstream path."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from ._vendor import Route

# RFC 3986 2.3. Escaped or not they name the same thing, so an escape evades no limit; any other escape is its own.
_ESCAPED_UNRESERVED = re.compile("%(?:4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A]|3[0-9]|2[DE]|5F|7E)", re.IGNORECASE)


class _Pattern(NamedTuple):
    """The end of a path, with the one segment that most paths differ in: no segment of that name, no match."""

    segments: tuple[str, ...]
    anchor: int
    name: str

    @classmethod
    def of(cls, path: str) -> "_Pattern":
        segments = tuple(path.split("/")[1:])
        anchor = next((number for number, segment in enumerate(segments) if segment != "*"), None)
        if anchor is None:
            return cls(segments, 0, "")
        return cls(segments, anchor - len(segments), segments[anchor])

    def ends(self, segments: list[str]) -> bool:
        """Whether the path ends so. `*` is one segment, and an empty one is none."""
        length = len(self.segments)
        if len(segments) < length or (self.anchor and segments[self.anchor] != self.name):
            return False
        return all(
            want == segment or (want == "*" and segment != "")
            for want, segment in zip(self.segments, segments[-length:], strict=True)
        )


class Routes:
    """
    The routes of one vendor, the first match wins.

    A path is what goes to the vendor, raw or with its unreserved characters decoded, without its query.
    """

    __slots__ = ("_routes",)

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = [(route, _methods(route), [_Pattern.of(path) for path in route.paths]) for route in routes]

    def match(self, method: str, path: bytes | str) -> Route | None:
        """The route of this request."""
        segments = _segments(path)
        for route, methods, patterns in self._routes:
            if not methods or method in methods:
                for pattern in patterns:
                    if pattern.ends(segments):
                        return route
        return None

    def methods_for(self, path: bytes | str) -> frozenset[str]:
        """The methods by which any route knows this path."""
        segments = _segments(path)
        return frozenset().union(
            *(methods for _, methods, patterns in self._routes if any(one.ends(segments) for one in patterns))
        )


def _methods(route: Route) -> frozenset[str]:
    return route.methods | {"HEAD"} if "GET" in route.methods else route.methods


def _segments(path: bytes | str) -> list[str]:
    text = path.decode("latin-1") if isinstance(path, bytes) else path
    if "%" in text:
        text = _ESCAPED_UNRESERVED.sub(lambda escape: chr(int(escape[0][1:], 16)), text)
    return text.split("/")[1:]
