"""
The gateway's own endpoints on the traffic port, below `/-/` (contract 4): health, readiness, the house codes as JSON.

A refusal here is an envelope like any other, but it is not counted: `/-/` is not traffic.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from normalizers import HouseCode, Problem, Source, Vendor

from . import identity, problems
from .headers import proxy_status
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

    async def problem_index(_: Request) -> Response:
        return JSONResponse({"problems": [facts(gateway, house) for house in HouseCode]})

    async def problem_page(request: Request) -> Response:
        code = request.path_params["code"]
        house = next((house for house in HouseCode if house.code == code), None)
        if house is None:
            return refusal(
                gateway.settings, request, HouseCode.NOT_FOUND, "No house code has that name; /-/problems lists them."
            )
        return JSONResponse(facts(gateway, house))

    endpoints = [
        *health(lambda: True, gateway.is_ready),
        Route("/-/problems", problem_index),
        Route("/-/problems/{code}", problem_page),
    ]
    nothing = Nothing(lambda: gateway.settings, endpoints, "The gateway has nothing at this path below /-/.")
    return [*endpoints, Route("/-/{rest:path}", nothing), Route("/-", nothing)]


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


def facts(gateway: "Gateway", house: HouseCode) -> dict[str, object]:
    """What is known of a house code, and which codes of which vendors become it."""
    return {
        "type": f"{gateway.runtime.settings.problems.base_uri}{house.code}",
        "code": house.code,
        "status": house.status,
        "title": house.title,
        "fault": house.fault.value,
        "retryable": house.retryable,
        "meaning": house.meaning,
        "advice": house.advice,
        "vendors": {
            lane.name: rows for lane in gateway.runtime.lanes.values() if (rows := list(_rows(lane.vendor, house)))
        },
    }


def _rows(vendor: Vendor, house: HouseCode) -> Iterable[dict[str, str]]:
    for row in vendor.rows:
        if house in (row.house, row.without_credential):
            yield {"code": row.code, "kind": row.kind, "description": row.description, "advice": row.advice}
