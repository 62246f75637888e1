"""
The skeleton every simulator shares; a vendor brings only what differs.

1. Read what the request asks of the sandbox. What no vendor could answer is a 400 in plain JSON.
2. An error wished for is told at once, whatever the path, the key or the method.
3. Otherwise the vendor's own routes, keys and rules decide.
4. Headers that the vendor puts on every answer are added.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import asking, bodies
from .asking import Asked, Misasked
from .bodies import Body
from .catalogue import DocumentedError


class Field(NamedTuple):
    """A field of a request, and what is wrong with it."""

    name: str
    wrong: str

    def __str__(self) -> str:
        return f"{self.name}: {self.wrong}"


class Refused(Exception):
    """An endpoint refuses, by one of its vendor's documented codes."""

    def __init__(
        self, code: str, *, message: str | None = None, field: Field | None = None, shape: str | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.field = field
        self.shape = shape


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error about to be told: the row it comes from, the status and shape it gets, and the words for this one."""

    error: DocumentedError
    status: int
    shape: str
    message: str
    asked: Asked
    field: Field | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an endpoint, its body read."""

    request: Request
    asked: Asked
    body: Body


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    One documented method and path.

    `jobs`: it creates or shows a job, so that `Sandbox-Error` may name a job failure. `public`: it needs no key.
    """

    method: str
    path: str
    answer: Callable[[Call], Response]
    jobs: bool = False
    public: bool = False


def _nothing(asked: Asked, method: str, status: int) -> Mapping[str, str]:  # noqa: ARG001  (the signature of the hook)
    return {}


def _usual(path: str) -> str | None:  # noqa: ARG001  (the signature of the hook)
    return None


@dataclass(frozen=True, slots=True)
class Simulator:
    """
    What one vendor brings.

    `errors`: every row it can tell, the preferred one of a code first. `tell`: a refusal in its shapes.
    `authenticate` raises `Refused`. `stray`: rows for a 404 or 405 that no endpoint answered. `surface`: the shape a
    path speaks of its own accord. `headers`: what every answer carries, from (asked, method, status).
    `prefixes`: where the endpoints are mounted, so that a base URL works with and without its path.
    """

    shapes: Sequence[str]
    errors: Sequence[DocumentedError]
    endpoints: Sequence[Endpoint]
    tell: Callable[[Refusal], Response]
    authenticate: Callable[[Request, Asked], None]
    stray: Mapping[int, DocumentedError]
    clock: Callable[[], float]
    surface: Callable[[str], str | None] = _usual
    headers: Callable[[Asked, str, int], Mapping[str, str]] = _nothing
    prefixes: Sequence[str] = field(default=("",))


def misasked(problem: Misasked) -> Response:
    """The sandbox's own answer to a wish it cannot fulfil; no vendor speaks like this."""
    return bodies.answer({"sandbox": problem.reason, "known": problem.known}, 400)


def simulate(vendor: Simulator) -> Starlette:
    """The application of one vendor."""

    async def strayed(request: Request, problem: Exception) -> Response:
        stray = cast("HTTPException", problem)  # registered for this class alone
        asked: Asked = request.state.asked
        if asked.ending is not None:
            return _no_job_here(asked.ending)
        row = vendor.stray[stray.status_code]
        shape = asked.shape or asked.surface or row.shape
        response = vendor.tell(Refusal(row, row.status, shape, row.message, asked))
        response.headers.update(stray.headers or {})
        return response

    app = Starlette(
        routes=[_route(vendor, prefix, endpoint) for prefix in vendor.prefixes for endpoint in vendor.endpoints],
        middleware=[Middleware(_Wishes, vendor=vendor)],
        exception_handlers={HTTPException: strayed},
    )
    # No vendor documents redirects.
    app.router.redirect_slashes = False
    return app


def _route(vendor: Simulator, prefix: str, endpoint: Endpoint) -> Route:
    async def run(request: Request) -> Response:
        asked: Asked = request.state.asked
        try:
            body = await bodies.read(request)
            if asked.ending is not None and not endpoint.jobs:
                return _no_job_here(asked.ending)
            if asked.ending is None and not endpoint.public:
                vendor.authenticate(request, asked)
            return endpoint.answer(Call(request, asked, body))
        except Refused as refused:
            row = asking.find(vendor.errors, refused.code, refused.shape, asked.shape, asked.surface)
            shape = asked.shape or row.shape
            message = refused.message or row.message
            return vendor.tell(Refusal(row, row.status, shape, message, asked, refused.field))
        except ClientDisconnect:
            # Nobody is left to read it.
            return Response(status_code=400)

    return Route(prefix + endpoint.path, run, methods=[endpoint.method])


def _no_job_here(ending: DocumentedError) -> Response:
    code = ending.code
    return misasked(
        Misasked(f"{code[:80]!r} ends a job; send it where jobs are created or shown, or as CODE@STATUS", [])
    )


class _Wishes:
    """Steps 1, 2 and 4."""

    def __init__(self, app: ASGIApp, vendor: Simulator) -> None:
        self.app = app
        self.vendor = vendor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # The router refuses what is no HTTP request.
            await self.app(scope, receive, send)
            return
        vendor = self.vendor
        request = Request(scope, receive)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        asked = Asked(path, vendor.clock(), str(uuid.uuid4()), vendor.surface(path))

        async def send_dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in vendor.headers(asked, scope["method"], message["status"]).items():
                    headers.setdefault(name, value)
            await send(message)

        # 1. Read what the request asks of the sandbox.
        try:
            asked = asking.read(asked, Headers(scope=scope), vendor.errors, vendor.shapes)
        except Misasked as problem:
            await misasked(problem)(scope, receive, send)
            return
        request.state.asked = asked

        # 2. An error wished for is told at once.
        if asked.error is not None and asked.ending is None:
            error = asked.error
            status = asked.status or error.status
            refusal = Refusal(error, status, asked.shape or error.shape, error.message, asked)
            # Nobody is left to read it where the caller is gone; the answer is made all the same.
            with suppress(ClientDisconnect):
                await bodies.read(request)
            await vendor.tell(refusal)(scope, receive, send_dressed)
            return

        # 3. The vendor's own routes, keys and rules decide. 4. What it puts on every answer is added.
        await self.app(scope, receive, send_dressed)
