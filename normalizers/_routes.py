"""Which route a request takes, by its method and the end of its upstream path."""

import re
from collections.abc import Iterable

from ._vendor import Route

# RFC 3986 2.3. Escaped or not they name the same thing, so an escape evades no limit; any other escape is its own.
_ESCAPED_UNRESERVED = re.compile("%(?:4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A]|3[0-9]|2[DE]|5F|7E)", re.IGNORECASE)


class Routes:
    """
    The routes of one vendor, the first match wins.

    A path is what goes to the vendor, raw or with its unreserved characters decoded, without its query.
    """

    __slots__ = ("_routes",)

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = [(route, _methods(route), [path.split("/")[1:] for path in route.paths]) for route in routes]

    def match(self, method: str, path: bytes | str) -> Route | None:
        """The route of this request."""
        segments = _segments(path)
        for route, methods, patterns in self._routes:
            if (not methods or method in methods) and any(_ends(segments, pattern) for pattern in patterns):
                return route
        return None

    def methods_for(self, path: bytes | str) -> frozenset[str]:
        """The methods by which any route knows this path."""
        segments = _segments(path)
        return frozenset().union(
            *(methods for _, methods, patterns in self._routes if any(_ends(segments, pattern) for pattern in patterns))
        )


def _methods(route: Route) -> frozenset[str]:
    return route.methods | {"HEAD"} if "GET" in route.methods else route.methods


def _segments(path: bytes | str) -> list[str]:
    text = path.decode("latin-1") if isinstance(path, bytes) else path
    return _ESCAPED_UNRESERVED.sub(lambda escape: chr(int(escape[0][1:], 16)), text).split("/")[1:]


def _ends(segments: list[str], pattern: list[str]) -> bool:
    """Whether the path ends in this pattern. `*` is one segment, and an empty one is none."""
    if len(segments) < len(pattern):
        return False
    return all(
        want == segment or (want == "*" and segment != "")
        for want, segment in zip(pattern, segments[-len(pattern) :], strict=True)
    )
