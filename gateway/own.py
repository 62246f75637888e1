"""
The gateway's own endpoints on the traffic port, below `/-/` (contract 4): health, readiness, the problem pages.

A refusal here is an envelope like any other, but it is not counted: `/-/` is not traffic.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from normalizers import HouseCode, Problem, Source

from . import identity, pages, problems
from .headers import proxy_status
from .pages.problems import CODE_SERVED, INDEX_SERVED, facts, in_force
from .settings import Settings

if TYPE_CHECKING:
    from .app import Gateway


def is_own(scope: Scope) -> bool:
    """Whether a path is the gateway's own; decided on the raw path, like everything else (W-058, W-163)."""
    path: bytes = scope["raw_path"]
    root = scope.get("root_path", "")
    if root:
        path = path.removeprefix(root.encode())
    return path.startswith(b"/-/") or path == b"/-"


def routes(gateway: "Gateway") -> list[Route]:
    """The endpoints of the traffic port."""
    endpoints = [
        *health(lambda: True, gateway.is_ready),
        *problem_pages(gateway),
    ]
    nothing = Nothing(lambda: gateway.settings, endpoints, "The gateway has nothing at this path below /-/.")
    return [*endpoints, Route("/-/{rest:path}", nothing), Route("/-", nothing)]


class Ruled(Protocol):
    """What has settings."""

    @property
    def settings(self) -> Settings:
        """What is in force."""


def problem_pages(ruled: Ruled, *, console: bool = False) -> list[Route]:
    """
    The problem pages and their assets, on both ports: HTML for a browser, JSON for a program (W-004).

    Args:
        ruled: whose vendors count.
        console: whether the pages of the console stand beside them.
    """

    async def index(request: Request) -> Response:
        settings = ruled.settings
        vendors = in_force(settings)
        listed = [facts(house, vendors, settings.problems.base_uri) for house in HouseCode]
        if pages.prefers_json(request):
            return pages.json({"problems": listed})
        return await pages.page("index.html", live=False, problems=listed, links=INDEX_SERVED, console=console)

    async def page(request: Request) -> Response:
        code, settings = request.path_params["code"], ruled.settings
        house = next((house for house in HouseCode if house.code == code), None)
        if house is None:
            return refusal(
                settings, request, HouseCode.NOT_FOUND, "No house code has that name; /-/problems lists them."
            )
        problem = facts(house, in_force(settings), settings.problems.base_uri)
        if pages.prefers_json(request):
            return pages.json(problem)
        return await pages.page("problem.html", live=False, problem=problem, links=CODE_SERVED, console=console)

    async def asset(request: Request) -> Response:
        return pages.asset(request) or refusal(
            ruled.settings, request, HouseCode.NOT_FOUND, "No page has an asset of that name."
        )

    return [
        Route("/-/problems", index),
        Route("/-/problems/{code}", page),
        Route("/-/pages/{name}", asset),
    ]


class Nothing:
    """
    What answers where no endpoint does, whatever the method: 404, or 405 where the path is known by other methods.

    An application, no function: of a function Starlette would route GET alone, and refuse the rest in its own words.
    """

    def __init__(self, settings: Callable[[], Settings], endpoints: Iterable[Route], detail: str) -> None:
        self._settings = settings
        self._endpoints = tuple(endpoints)
        self._detail = detail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse."""
        known = [route.methods or () for route in self._endpoints if route.matches(scope)[0] is Match.PARTIAL]
        allow = ", ".join(sorted(set().union(*known)))
        response = (
            refusal(
                self._settings(), Request(scope), HouseCode.METHOD_NOT_ALLOWED, f"Allowed here: {allow}.", allow=allow
            )
            if allow
            else refusal(self._settings(), Request(scope), HouseCode.NOT_FOUND, self._detail)
        )
        await response(scope, receive, send)


def health(is_healthy: Callable[[], bool], is_ready: Callable[[], bool]) -> list[Route]:
    """The two probes, on both ports; neither asks a vendor (W-162)."""

    async def healthy(_: Request) -> Response:
        well = is_healthy()
        return JSONResponse({"status": "healthy" if well else "stuck"}, status_code=200 if well else 503)

    async def ready(_: Request) -> Response:
        taking = is_ready()
        return JSONResponse({"status": "ready" if taking else "not ready"}, status_code=200 if taking else 503)

    return [Route("/-/healthy", healthy), Route("/-/ready", ready)]


def refusal(settings: Settings, request: Request, code: HouseCode, detail: str, **headers: str) -> Response:
    """An envelope as a Starlette response."""
    request_id = identity.request_id(request.headers.raw)
    problem = Problem(code=code, source=Source.GATEWAY, detail=detail)
    body = problem.encode(base_uri=settings.problems.base_uri, instance=f"urn:uuid:{uuid4()}", request_id=request_id)
    response = Response(body, code.status, headers)
    response.raw_headers.extend(
        [
            *problems.headers_of(problem, request_id=request_id.encode()),
            proxy_status(settings.server.name, error="http_request_error"),
        ]
    )
    return response
