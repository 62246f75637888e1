"""
Pages for people: the problem pages, and the console of the admin port (contract 16).

A page is a Jinja template filled with facts that other modules gather; nothing here decides anything. Every page and
every asset goes out under one strict policy: no inline script, no inline style, nothing from anywhere else.
"""

import asyncio
import hashlib
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import accept

__all__ = ["POLICY", "asset", "json", "page", "prefers_json", "render", "static"]

# Stricter than any page needs is not possible: what is not named here is forbidden.
POLICY = "; ".join(  # noqa: FLY002  (one directive a line)
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# What a page shows is true at the moment; an asset may be asked for again, and is then compared by its digest.
LIVE, FRESH = "no-store", "no-cache"

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@cache
def static() -> dict[str, bytes]:
    """The stylesheet, the scripts and the icon, by name."""
    folder = files(__package__) / "static"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}


async def render(template: str, **facts: object) -> str:
    """
    Fill a template, in a thread: the first time Jinja is imported, and no request waits for that.

    Args:
        template: its name below `templates/`.
        facts: what stands in it; every text is escaped.
    """
    return await asyncio.to_thread(_render, template, facts)


def _render(template: str, facts: dict[str, object]) -> str:
    from .rendering import fill  # noqa: PLC0415  (Jinja costs 80 ms and 3 MiB, and most gateways never show a page)

    return fill(template, **facts)


def prefers_json(request: Request) -> bool:
    """Whether a program asks, not a browser."""
    return accept.prefers_json(request.headers.get("accept", ""))


async def page(template: str, *, live: bool = True, status: int = HTTPStatus.OK, **facts: Any) -> Response:  # noqa: ANN401  (whatever the template names)
    """A page as a response; `live`: it shows what is true at this moment only. The same path has JSON, too (W-108)."""
    content = await render(template, **facts)
    headers = {**HEADERS, "cache-control": LIVE if live else FRESH, "vary": "Accept"}
    return Response(content, status, headers, media_type="text/html")


def json(content: object, status: int = HTTPStatus.OK) -> Response:
    """What a page's script, or any other program, reads."""
    return JSONResponse(content, status, {**HEADERS, "cache-control": LIVE, "vary": "Accept"})


def asset(request: Request) -> Response | None:
    """The asset that the path names, or word that it has not changed; None where there is none."""
    name: str = request.path_params["name"]
    content = static().get(name)
    if content is None:
        return None
    tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    headers = {**HEADERS, "cache-control": FRESH, "etag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(content, headers=headers, media_type=MEDIA_TYPES[name[name.rindex(".") :]])
