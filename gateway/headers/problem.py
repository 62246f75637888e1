"""
What stays of a vendor's head when its error is rewritten (wire.md appendix C), and what tells of it in the head.

Little stays: the body it described is gone, and only what carries the error's meaning in the protocol is still true.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from gateway.identity import vendor_request_id

from .names import NOTHING, Fate, Fates, Header, nominated, sift, without_controls
from .reply import one_date, vendor_id_in

# Appendix C of wire.md: what a rewritten error keeps, always and by house code.
_KEPT_ON_PROBLEM: Final = frozenset({b"allow", b"deprecation", b"link", b"proxy-status", b"sunset", b"vary"})
_KEPT_PREFIXES: Final = (b"ratelimit", b"x-ratelimit")
_KEPT_BY_CODE: Final = {
    "range_not_satisfiable": frozenset({b"content-range"}),
    "unsupported_media_type": frozenset({b"accept", b"accept-encoding", b"accept-patch", b"accept-post"}),
}
_CHALLENGE: Final = frozenset({b"www-authenticate"})

# RFC 9651 section 3.3.4: what a bare Token may be; any other name is a String.
_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")


def to_problem(
    headers: Iterable[Header],
    *,
    code: str,
    date: bytes,
    own_credential: bool = False,
    request_id: str | None = None,
    request_id_headers: Sequence[str] = ("x-request-id",),
) -> list[Header]:
    """
    What stays of a vendor's head when its error is rewritten (wire.md appendix C), and its request id under our name.

    `code` is the house code; `own_credential`: the caller's own one was refused, so the challenge is for the caller;
    `request_id` is the vendor's as its body says it, used where no header does. What the envelope itself needs is
    added by whoever answers.
    """
    id_names, fates = _rules(code, own_credential, tuple(request_id_headers))
    kept, noted = sift(headers, fates)
    if b"connection" in noted and (gone := nominated(noted[b"connection"])):
        kept = [header for header in kept if header[0] not in gone]
    kept = without_controls(kept)
    kept.append((b"date", one_date(noted.get(b"date", ()), date)))
    if vendor_id := vendor_id_in(id_names, noted) or vendor_request_id(request_id):
        kept.append((b"errgate-vendor-request-id", vendor_id))
    return kept


@lru_cache(maxsize=128)
def _rules(code: str, own_credential: bool, request_id_headers: tuple[str, ...]) -> tuple[list[bytes], Fates]:  # noqa: FBT001  (part of a key)
    """Where the vendor says its request id, and what stays: the settings know a few of these, codes there are 32."""
    wanted = _KEPT_ON_PROBLEM | _KEPT_BY_CODE.get(code, NOTHING) | (_CHALLENGE if own_credential else NOTHING)
    id_names = [name.lower().encode("ascii") for name in request_id_headers]
    noting = dict.fromkeys((b"connection", b"date", *id_names), Fate.NOTE)
    return id_names, Fates(noting, lambda name: name in wanted or name.startswith(_KEPT_PREFIXES))


def errgate_fields(*, code: str, fault: str, source: str, instance: str, retryable: bool) -> list[Header]:
    """What `errors: header` adds to an error that otherwise passes as it is (contract 5)."""
    return [
        (b"errgate-code", code.encode("ascii")),
        (b"errgate-fault", fault.encode("ascii")),
        (b"errgate-source", source.encode("ascii")),
        (b"errgate-instance", instance.encode("ascii")),
        (b"x-should-retry", b"true" if retryable else b"false"),
    ]


# Of names there is one, and of statuses and errors there are few.
@lru_cache(maxsize=256)
def proxy_status(name: str, *, received_status: int | None = None, error: str | None = None) -> Header:
    """Our member of `Proxy-Status` (RFC 9209): the status a vendor sent, or why there was none."""
    member = name if _TOKEN.fullmatch(name) else f'"{name}"'
    said = f"received-status={received_status}" if error is None else f"error={error}"
    return b"proxy-status", f"{member}; {said}".encode("ascii")
