"""
The way to the vendor: what of a caller's head goes on.

What must not go on is a table, made once per vendor, and one pass over the head sifts by it. Ours is added last, so
that nothing a caller nominates can take it away (W-024).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from gateway.bad_input import BadHeaders, LoopDetected

from .framing import BARE, Framing
from .names import (
    CREDENTIALS,
    HOP_BY_HOP,
    LINE_BREAKING,
    TRACING,
    TRACING_PREFIXES,
    Fate,
    Fates,
    Header,
    elements,
    is_clean,
    sift,
    without_controls,
)

# Between the caller and us.
_NEVER: Final = HOP_BY_HOP | TRACING | {b"content-length", b"expect", b"host"}
# Said again by us.
_REWRITTEN: Final = frozenset({b"accept-encoding", b"via"})
# RC-04 lists it among the fields of one connection: a wish of a browser, and no vendor's business.
_BROWSERS: Final = frozenset({b"upgrade-insecure-requests"})
# W-079, W-083: where the caller sits. Never believed, never passed on.
_WHENCE: Final = frozenset({b"forwarded", b"x-real-ip"})
_COOKIES: Final = frozenset({b"cookie", b"cookie2"})

# Families: ours, the proxies', the forwarding ones, the traces'.
_NEVER_PREFIXES: Final = (b"errgate-", b"proxy-", b"x-forwarded-", *TRACING_PREFIXES)

# Passed without a second look.
_ORDINARY: Final = frozenset(
    {
        b"accept",
        b"accept-language",
        b"cache-control",
        b"content-encoding",
        b"content-type",
        b"idempotency-key",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"range",
        b"user-agent",
    }
)

# W-100: what we can decode, should the answer be an error.
_DECODABLE: Final = frozenset({b"br", b"deflate", b"gzip", b"identity", b"zstd"})
_ALL_DECODABLE: Final = re.compile(rb"(?:(?:br|deflate|gzip|identity|zstd)(?:;q=[01](?:\.[0-9]{1,3})?)?(?:, ?|\Z))+")

_HOPS: Final = re.compile(rb"[0-9]{1,9}")

Credential = Literal["none", "passthrough"] | tuple[str, str]


def max_forwards(method: str, headers: Iterable[Header]) -> int | None:
    """The hops left to an OPTIONS; None on other methods and where the field says no number (W-036)."""
    values = [value for name, value in headers if name == b"max-forwards"] if method == "OPTIONS" else []
    return int(values[0]) if len(values) == 1 and _HOPS.fullmatch(values[0]) else None


class ToVendor:
    """The rules for one vendor, compiled from its settings: call it with a request's head."""

    __slots__ = ("_credential", "_fates", "_guarded", "_host", "_own_name", "_trace", "_via")

    def __init__(
        self,
        *,
        authority: str,
        name: str = "errgate",
        credential: Credential = "none",
        cookies: bool = False,
        trace: bool = False,
    ) -> None:
        """
        Compile the rules.

        `authority` is the vendor's, for Host; `name` our own, for Via; `credential` the header and value to add, or a
        mode; `cookies` and `trace` as in `forward`.
        """
        added = () if isinstance(credential, str) else (_field(*credential),)
        dropped = _NEVER | _BROWSERS | _WHENCE | {own for own, _ in added}
        dropped |= frozenset() if cookies else _COOKIES
        dropped |= frozenset() if credential == "passthrough" else CREDENTIALS
        # Whatever we set, strip or trust has no alias that a lax reader folds to it (W-084).
        self._guarded = dropped | _REWRITTEN | CREDENTIALS | _COOKIES | {b"content-encoding", b"content-type"}
        table = (
            dict.fromkeys(_ORDINARY | CREDENTIALS | _COOKIES, Fate.PASS)
            | dict.fromkeys(dropped, Fate.DROP)
            | dict.fromkeys(_REWRITTEN, Fate.NOTE)
        )
        self._fates = Fates(table, self._may_pass)
        self._credential = added
        self._host = (b"host", authority.encode("ascii"))
        self._own_name = name.lower().encode("ascii")
        self._via = {version: (b"via", f"{version} {name}".encode("ascii")) for version in ("1.0", "1.1")}
        self._trace = trace

    def __call__(
        self,
        headers: Iterable[Header],
        framing: Framing = BARE,
        *,
        http_version: str = "1.1",
        forwarded_for: bytes | None = None,
        traceparent: bytes | None = None,
        request_id: bytes | None = None,
        max_forwards: int | None = None,
    ) -> list[Header]:
        """
        The head to send: Host first, what passes in its order, then what we say ourselves, the credential last.

        `forwarded_for` is given where `forward.caller_address` is on; `traceparent` and `request_id` are used where
        `trace` is; `max_forwards` replaces the field of that name. Raises `LoopDetected`, and `BadHeaders` for a line
        break inside a value.
        """
        passing, noted = sift(headers, self._fates)
        if framing.nominated:
            passing = [header for header in passing if header[0] not in framing.nominated]
        if max_forwards is not None:
            passing = [header for header in passing if header[0] != b"max-forwards"]
            passing.append((b"max-forwards", b"%d" % max_forwards))
        codings = noted.get(b"accept-encoding")
        if codings and b"accept-encoding" not in framing.nominated:
            passing += _accept_encodings(codings)
        if vias := noted.get(b"via"):
            self._refuse_loop(vias)
            passing += [(b"via", via) for via in vias]
        clean = without_controls(passing)
        if clean is not passing:
            _refuse_line_breaks(passing)
        sent = [self._host, *clean, *framing.fields, self._via[http_version]]
        # The hops before us are the caller's words, as much as any field that passes.
        if forwarded_for and is_clean(forwarded_for):
            sent.append((b"x-forwarded-for", forwarded_for))
        if self._trace:
            sent += [(b"traceparent", traceparent)] if traceparent else []
            sent += [(b"x-request-id", request_id)] if request_id else []
        sent += self._credential
        return sent

    def _may_pass(self, name: bytes) -> bool:
        """Whether a name that no table holds passes: it does unless it is of a family, or an alias (W-025, W-084)."""
        folded = name.replace(b"_", b"-").replace(b".", b"-") if b"_" in name or b"." in name else name
        if folded.startswith(_NEVER_PREFIXES):
            return False
        return folded is name or folded not in self._guarded

    def _refuse_loop(self, vias: Sequence[bytes]) -> None:
        for hop in elements(b",".join(vias).lower()):
            # RFC 9110 section 7.6.3: received-protocol, then received-by, then perhaps a comment.
            words = hop.split(None, 2)
            if len(words) > 1 and words[1] == self._own_name:
                message = "The request has already passed through this gateway."
                raise LoopDetected(message)


def _field(name: str, value: str) -> Header:
    return name.lower().encode("ascii"), value.encode("utf-8")


def _accept_encodings(lines: Sequence[bytes]) -> list[Header]:
    """The caller's lines without the codings we cannot decode; each as it was where nothing had to go (W-100)."""
    kept = [(b"accept-encoding", line) for line in map(_decodable, lines) if line]
    # Without the field a vendor may choose any coding; nothing left means that the caller wanted none of ours.
    return kept or [(b"accept-encoding", b"identity")]


def _decodable(line: bytes) -> bytes:
    if _ALL_DECODABLE.fullmatch(line):
        return line
    kept = [part for part in elements(line) if part.partition(b";")[0].strip(b" \t").lower() in _DECODABLE]
    return b", ".join(kept)


def _refuse_line_breaks(headers: Iterable[Header]) -> None:
    """Other controls drop their field; these could end it, so the whole head is in doubt (W-052)."""
    for _, value in headers:
        if len(value) != len(value.translate(None, LINE_BREAKING)):
            message = "A header's value holds a line break or NUL."
            raise BadHeaders(message, close=True)
