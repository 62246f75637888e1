"""
What a request asks of the sandbox beyond the vendor's own API: `Sandbox-Error` and `Sandbox-Shape`, read. Pure.

    Sandbox-Error: CODE[@STATUS]      a documented error, by another status if wanted (200 to 599)
    Sandbox-Shape: SHAPE              how the vendor words it; each vendor has its own closed list
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .catalogue import DocumentedError

# 1xx is no final answer, three have no body to tell an error in, and above 599 no server library sends a status line.
STATUSES = frozenset(range(200, 600)) - {204, 205, 304}


class Misasked(Exception):
    """The sandbox cannot give what a `Sandbox-…` header asks for; answered in plain JSON, in no vendor's shape."""

    def __init__(self, reason: str, known: Sequence[str]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.known = tuple(known)


@dataclass(frozen=True, slots=True)
class Asked:
    """
    One request as the sandbox understood it: what is wished for, and what its answer needs to know.

    `path` is below the vendor's name. `at` is when it came, in Unix seconds. `request_id` is the vendor's own, fresh.
    `surface` is the shape this path speaks of its own accord, None for the vendor's usual one.
    """

    path: str
    at: float
    request_id: str
    surface: str | None = None
    shape: str | None = None
    error: DocumentedError | None = None
    status: int | None = None

    @property
    def ending(self) -> DocumentedError | None:
        """The failure that a job shall end in. With a status of its own, a job code is an ordinary error reply."""
        on_job = self.error is not None and self.error.kind in {"job", "state"} and self.status is None
        return self.error if on_job else None


def find(errors: Sequence[DocumentedError], code: str, *shapes: str | None) -> DocumentedError:
    """The row of `code`, in the first of `shapes` that has it, else the first there is. KeyError without any."""
    rows = {row.shape: row for row in reversed(errors) if row.code == code}
    if not rows:
        raise KeyError(code)
    usual = next(reversed(rows.values()))
    return next((rows[shape] for shape in shapes if shape in rows), usual)


def read(asked: Asked, headers: Mapping[str, str], errors: Sequence[DocumentedError], shapes: Sequence[str]) -> Asked:
    """`asked` with what its headers wish for. Raises `Misasked` for a code, status or shape this vendor has not."""
    shape = headers.get("sandbox-shape")
    if shape is not None and shape not in shapes:
        raise Misasked(f"unknown shape {shape[:80]!r}", sorted(shapes))
    wish = headers.get("sandbox-error")
    if wish is None:
        return replace(asked, shape=shape)
    code, at_sign, status = wish.partition("@")
    known = dict.fromkeys(row.code for row in errors)
    listed = code
    if code not in known:
        # A vendor's codes may carry a suffix after a dot that no document lists; it is sent back as it was asked for.
        listed = code.partition(".")[0]
        if listed not in {row.code for row in errors if row.kind in {"http", "job"}}:
            raise Misasked(f"unknown error code {code[:80]!r}", list(known))
    picked = _status(status) if at_sign else None
    row = find(errors, listed, shape, asked.surface)
    return replace(asked, shape=shape, error=replace(row, code=code), status=picked)


def _status(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) == len("200") and int(text) in STATUSES):
        raise Misasked(f"status {text[:80]!r} is not one of 200 to 599 with a body", [])
    return int(text)
