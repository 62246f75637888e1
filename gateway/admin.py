"""
The admin port (contract 4): metrics and probes for everybody who reaches it, the rest behind the token beyond loopback.

A page that a browser is lured to must not reach it: `Host` must be one of ours, and a POST says where it comes from.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from normalizers import HouseCode

from . import __version__, own

if TYPE_CHECKING:
    from .app import Gateway

Endpoint = Callable[[Request], Awaitable[Response]]


def create_admin(gateway: "Gateway") -> ASGIApp:
    """Make the admin port's application."""

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def guard(request: Request) -> Response:
            return refuse_stranger(gateway, request) or await endpoint(request)

        return guard

    async def metrics(request: Request) -> Response:
        body, content_type = gateway.metrics.exposition(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    async def reload(_: Request) -> Response:
        faults = gateway.reload()
        return JSONResponse({"reloaded": not faults, "faults": faults}, status_code=422 if faults else 200)

    async def config(_: Request) -> Response:
        return JSONResponse(gateway.runtime.settings.masked())

    async def status(_: Request) -> Response:
        return JSONResponse(status_of(gateway))

    async def nothing(request: Request) -> Response:
        return own.refusal(gateway, request, HouseCode.NOT_FOUND, "The admin port has nothing at this path.")

    app = Starlette(
        routes=[
            Route("/metrics", metrics),
            *own.health(gateway),
            Route("/-/reload", guarded(reload), methods=["POST"]),
            Route("/-/config", guarded(config)),
            Route("/-/status", guarded(status)),
            Route("/{rest:path}", nothing, methods=None),
        ]
    )
    app.router.redirect_slashes = False
    return app


def refuse_stranger(gateway: "Gateway", request: Request) -> Response | None:
    """The refusal of a request that the admin port does not trust; None for one that it does."""
    settings = gateway.runtime.settings.server
    authority = request.headers.get("host", "")
    if not is_ours(authority, settings.hosts):
        return own.refusal(
            gateway,
            request,
            HouseCode.MISDIRECTED_REQUEST,
            "The admin port answers to an address, to localhost and to the authorities in server.hosts.",
        )
    origin = request.headers.get("origin")
    if request.method == "POST" and origin is not None and urlsplit(origin).netloc != authority:
        return own.refusal(gateway, request, HouseCode.PERMISSION_DENIED, "The request comes from another origin.")
    token = settings.admin.secret
    if token is not None and not carries(request.headers.get("authorization", ""), token.get_secret_value()):
        return own.refusal(
            gateway,
            request,
            HouseCode.UNAUTHENTICATED,
            "The admin token is missing or wrong; send it as Bearer or as the password of Basic.",
            **{"www-authenticate": 'Bearer realm="errgate admin", Basic realm="errgate admin"'},
        )
    return None


def is_ours(authority: str, hosts: tuple[str, ...]) -> bool:
    """Whether a `Host` is an address, localhost, or one of ours: what DNS rebinding cannot make it."""
    if authority in hosts:
        return True
    name = urlsplit(f"//{authority}").hostname or ""
    if name == "localhost" or name in hosts:
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


def status_of(gateway: "Gateway") -> dict[str, object]:
    """What a person on call asks first, as JSON."""
    runtime = gateway.runtime
    vendors: dict[str, object] = {}
    for lane in runtime.lanes.values():
        busy, idle, free = lane.upstream.connections()
        vendors[lane.name] = {
            "base_url": str(lane.settings.base_url),
            "normalizer": lane.vendor.name,
            "errors": lane.settings.errors,
            "connections": {"busy": busy, "idle": idle, "free": free},
        }
    return {
        "version": __version__,
        "state": "draining" if gateway.draining else "ready",
        "requests_in_flight": runtime.in_flight,
        "warnings": list(runtime.settings.warnings),
        "vendors": vendors,
    }
