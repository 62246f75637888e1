"""Request bodies, read to their end in bounded memory; and answers as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

# The largest documented JSON without images is far below; a longer body is counted and not looked into.
LOOKED_INTO_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Body:
    """
    A request's body: its size, and its JSON object if it was one.

    `fields` is None for anything but an object; `unread` says that it was too long to be looked into.
    """

    size: int
    fields: Mapping[str, object] | None
    unread: bool = False

    def text(self, name: str) -> str | None:
        """The string at `name`, or None."""
        value = (self.fields or {}).get(name)
        return value if isinstance(value, str) else None


async def read(request: Request) -> Body:
    """The whole body, of which at most `LOOKED_INTO_BYTES` are kept."""
    kept = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= LOOKED_INTO_BYTES:
            kept += chunk
    if size > LOOKED_INTO_BYTES:
        return Body(size, None, unread=True)
    try:
        value = json.loads(kept)
    # RecursionError: "[" * 100_000 is a valid prefix of JSON.
    except (ValueError, RecursionError):
        value = None
    return Body(size, value if isinstance(value, dict) else None)


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON. Text that UTF-8 cannot say (half a surrogate pair, sent by a caller) becomes a question mark."""
    content = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(content, status, dict(headers or {}), media_type="application/json")
