"""
The admin port (contract 4): metrics and probes for everybody who reaches it, the rest behind the token beyond loopback.

The rest is what an operator asks: settings, status, a reload, and the console with its pages (contract 16).

A page that a browser is lured to must not reach it: `Host` must be one of ours, and a POST says where it comes from.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from normalizers import HouseCode

from . import own
from .console import Looked
from .pages.console import console
from .settings import Settings


class Operated(Looked, Protocol):
    """What an operator can ask: one process, or the supervisor of several."""

    def is_healthy(self) -> bool:
        """Whether everything that shall answer does."""

    def is_ready(self) -> bool:
        """Whether new requests are welcome."""

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """The metrics as a scrape's body, and its media type."""

    async def reread(self) -> list[str]:
        """Reload the settings; what is wrong with them, a line each."""


Endpoint = Callable[[Request], Awaitable[Response]]

# Basic first: a browser that reads the first challenge of a line alone shall ask a person for a password.
CHALLENGE = 'Basic realm="errgate admin", Bearer realm="errgate admin"'


def create_admin(gateway: Operated) -> ASGIApp:
    """Make the admin port's application."""

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def guard(request: Request) -> Response:
            return refuse_stranger(gateway.settings, request) or await endpoint(request)

        return guard

    async def metrics(request: Request) -> Response:
        body, content_type = await gateway.exposition(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    async def reload(_: Request) -> Response:
        faults = await gateway.reread()
        return JSONResponse({"reloaded": not faults, "faults": faults}, status_code=422 if faults else 200)

    async def config(_: Request) -> Response:
        return JSONResponse(gateway.settings.masked())

    async def status(_: Request) -> Response:
        return JSONResponse(await gateway.status())

    endpoints = [
        *(
            Route(route.path, guarded(route.endpoint), methods=route.methods)
            for route in (*console(gateway), *own.problem_pages(gateway, console=True))
        ),
        Route("/metrics", metrics),
        *own.health(gateway.is_healthy, gateway.is_ready),
        Route("/-/reload", guarded(reload), methods=["POST"]),
        Route("/-/config", guarded(config)),
        Route("/-/status", guarded(status)),
    ]
    nothing = own.Nothing(lambda: gateway.settings, endpoints, "The admin port has nothing at this path.")
    app = Starlette(routes=[*endpoints, Route("/{rest:path}", nothing)])
    app.router.redirect_slashes = False
    return app


def refuse_stranger(whole: Settings, request: Request) -> Response | None:
    """The refusal of a request that the admin port does not trust; None for one that it does."""
    settings = whole.server
    authority = request.headers.get("host", "")
    if not is_ours(authority, settings.hosts):
        return own.refusal(
            whole,
            request,
            HouseCode.MISDIRECTED_REQUEST,
            "The admin port answers to an address, to localhost and to the authorities in server.hosts.",
        )
    origin = request.headers.get("origin")
    if request.method == "POST" and origin is not None and origin.partition("://")[2] != authority:
        return own.refusal(whole, request, HouseCode.PERMISSION_DENIED, "The request comes from another origin.")
    token = settings.admin.secret
    if token is not None and not carries(request.headers.get("authorization", ""), token.get_secret_value()):
        return own.refusal(
            whole,
            request,
            HouseCode.UNAUTHENTICATED,
            "The admin token is missing or wrong; send it as Bearer or as the password of Basic.",
            **{"www-authenticate": CHALLENGE},
        )
    return None


def is_ours(authority: str, hosts: tuple[str, ...]) -> bool:
    """Whether a `Host` is an address, localhost, or one of ours: what DNS rebinding cannot make it."""
    authority, known = authority.lower(), frozenset(map(str.lower, hosts))
    # An IPv6 address has its brackets, and whatever else has a colon has a port behind it (RFC 3986 section 3.2).
    name = authority[1:].partition("]")[0] if authority.startswith("[") else authority.partition(":")[0]
    if name == "localhost" or authority in known or name in known:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def carries(authorization: str, token: str) -> bool:
    """Whether the field carries the token; compared as digests, in constant time (W-144)."""
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return False
        given = decoded.partition(b":")[2]
    elif scheme.lower() == "bearer":
        given = value.encode("latin-1", "replace")
    else:
        return False
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(token.encode()).digest())
