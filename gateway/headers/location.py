"""
Where a redirect leads, said from the caller's side (W-070, contract 10).

Inside the vendor's base it becomes the path by which the caller came; an absolute path outside it becomes absolute to
the vendor; everything else stays as it is. Nothing here follows a redirect.
"""

import re
from typing import Final

# RFC 3986 appendix B: scheme, authority, path, the rest.
_PARTS: Final = re.compile(rb"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(.*)", re.DOTALL)
# A path that climbs (in any spelling), or that some clients read as another host, is left alone.
_CLIMBS: Final = re.compile(rb"(?:^|/|%2[Ff])(?:\.|%2[Ee]){1,2}(?:/|;|%2[Ff]|\Z)|[\\]")
_DEFAULT_PORTS: Final = {b"http": b":80", b"https": b":443"}


class Base:
    """A vendor's `base_url` in the parts that a Location is compared with."""

    __slots__ = ("_authority", "_origin", "_path", "_scheme")

    def __init__(self, *, scheme: str, authority: str, path: bytes = b"") -> None:
        self._scheme = scheme.encode("ascii")
        self._authority = self._plain(authority.encode("ascii"))
        self._origin = self._scheme + b"://" + authority.encode("ascii")
        self._path = path.removesuffix(b"/")

    def to_caller(self, location: bytes, prefix: bytes) -> bytes:
        """The Location for a caller who came by `prefix` (`/pixii`, or nothing by the vendor's own Host)."""
        match = _PARTS.fullmatch(location)
        # Every part of the pattern may be empty, so it matches anything.
        scheme, authority, path, rest = match.groups() if match else (None, None, b"", b"")
        if scheme is not None and (authority is None or scheme.lower() != self._scheme):
            return location
        if authority is None:
            if not path.startswith(b"/"):
                return location
            mapped = self._inside(path, prefix)
            return (self._origin + path if mapped is None else mapped) + rest
        mapped = self._inside(path, prefix) if self._plain(authority) == self._authority else None
        return location if mapped is None else mapped + rest

    def _inside(self, path: bytes, prefix: bytes) -> bytes | None:
        if _CLIMBS.search(path) or not path.startswith(self._path):
            return None
        rest = path[len(self._path) :]
        # `/v10` is not inside `/v1`.
        if rest and not rest.startswith(b"/"):
            return None
        # Without a prefix `//evil/x` would name another host to the caller.
        return None if not prefix and rest.startswith(b"//") else prefix + rest or b"/"

    def _plain(self, authority: bytes) -> bytes:
        """An authority as it is compared: case and the default port say nothing (RFC 9110 section 4.2.3)."""
        return authority.lower().removesuffix(_DEFAULT_PORTS.get(self._scheme, b":"))
