"""
Who calls, and may they (contract 12). Pure.

Only digests are known here. A caller's key is hashed and compared with every digest, in constant time and without an
early exit (W-144): 70 ns for each digest, so that a hundred of them cost 7 µs.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Final, Literal, Protocol

from .bad_input import BadHeaders, NoKey

Header = tuple[bytes, bytes]
Routes = Literal["all"] | Sequence[str]


class CallerSettings(Protocol):
    """What is read of `callers.<name>` in the settings."""

    @property
    def key_sha256(self) -> Sequence[str]:
        """The SHA-256 digests of this caller's keys, in hexadecimal."""

    @property
    def vendors(self) -> Mapping[str, Routes] | None:
        """The routes this caller may use, by vendor; None: all of all."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a key. `routes` is by vendor, None standing for all of them."""

    name: str
    routes: Mapping[str, frozenset[str] | None] | None = field(default=None)

    def may_use(self, vendor: str) -> bool:
        """Whether this caller may use anything of the vendor."""
        return self.routes is None or vendor in self.routes

    def may(self, vendor: str, route: str | None) -> bool:
        """Whether this caller may use the route; None: the request matches no route, so only `all` covers it."""
        if self.routes is None:
            return True
        routes = self.routes.get(vendor, frozenset())
        return routes is None or route in routes

    def allowed_vendors(self, vendors: Iterable[str]) -> list[str]:
        """Those of the vendors that this caller may use, in their order."""
        return [vendor for vendor in vendors if self.may_use(vendor)]


# Without callers in the settings everybody is nobody in particular.
ANYONE: Final = Caller("none")


class Callers:
    """Everybody whom the settings know."""

    __slots__ = ("_known", "required")

    def __init__(self, callers: Mapping[str, CallerSettings] | Literal["open"] | None) -> None:
        known = callers if isinstance(callers, Mapping) else {}
        # Without callers, or with `open`, no key is looked at.
        self.required = isinstance(callers, Mapping)
        self._known = tuple(
            (Caller(name, _routes(settings.vendors)), bytes.fromhex(digest))
            for name, settings in known.items()
            for digest in settings.key_sha256
        )

    def identify(self, headers: Collection[Header], *, passthrough: bool = False) -> Caller:
        """
        Whose key the request carries; `ANYONE` where none is required.

        With `passthrough` the vendor takes the caller's own credential, so only `Errgate-Key` is ours to read. Raises
        `NoKey`, and `BadHeaders` where the field that counts comes twice.
        """
        if not self.required:
            return ANYONE
        key = read_key(headers, passthrough=passthrough)
        if key is None:
            message = "The request carries no caller's key."
            raise NoKey(message)
        presented = sha256(key).digest()
        found: Caller | None = None
        for caller, digest in self._known:
            if compare_digest(digest, presented):
                found = caller
        if found is None:
            message = "The caller's key is not known here."
            raise NoKey(message)
        return found


def _routes(vendors: Mapping[str, Routes] | None) -> Mapping[str, frozenset[str] | None] | None:
    if vendors is None:
        return None
    return {name: None if routes == "all" else frozenset(routes) for name, routes in vendors.items()}


def read_key(headers: Collection[Header], *, passthrough: bool = False) -> bytes | None:
    """The caller's key: `Errgate-Key`, else `Authorization: Bearer`, else `X-Api-Key`. Raises `BadHeaders`."""
    for name in _KEY_HEADERS[:1] if passthrough else _KEY_HEADERS:
        values = [value for given, value in headers if given == name]
        if not values:
            continue
        if len(values) > 1:
            message = f"The request carries several {name.decode().title()} fields."
            raise BadHeaders(message)
        if name != b"authorization":
            return values[0] or None
        # Basic or a vendor's own scheme is not ours; the next header may still carry a key.
        scheme, _, credentials = values[0].partition(b" ")
        if scheme.lower() == b"bearer":
            return credentials.strip(b" \t") or None
    return None


# In the order in which they count.
_KEY_HEADERS: Final = (b"errgate-key", b"authorization", b"x-api-key")
