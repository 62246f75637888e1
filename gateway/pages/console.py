"""The console as pages of the admin port: live, explain, drift, and what the live page's script reads."""

import asyncio
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.console import Console, Looked
from gateway.console.explained import ASKED_LIMIT_BYTES, NOTHING, Asked, explain

from . import json, page, prefers_json

# The number of a failure has fewer digits than this for the next million years.
DIGITS = 20


def console(looked: Looked) -> list[Route]:
    """The console's paths; who may ask is for the admin port to say."""
    console = Console(looked)

    async def front(_: Request) -> Response:
        return await page("live.html", now=await console.live(), here="live")

    async def live(request: Request) -> Response:
        return json(await console.live(_number(request.query_params.get("after", ""))))

    async def drift(request: Request) -> Response:
        found = await console.drift()
        if prefers_json(request):
            return json({"vendors": found})
        return await page("drift.html", vendors=found, here="drift")

    async def explained(request: Request) -> Response:
        asked, status = NOTHING, HTTPStatus.OK
        if request.method == "POST":
            form = await _form(request)
            asked = Asked(wrong="A reply to be explained has 2 MiB at most.") if form is None else Asked.of(form)
        found = await asyncio.to_thread(explain, looked.settings, asked)
        if found["wrong"]:
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        if prefers_json(request):
            return json(found, status)
        return await page("explain.html", status=status, **found, here="explain")

    return [
        Route("/", front),
        Route("/explain", explained, methods=["GET", "POST"]),
        Route("/drift", drift),
        Route("/-/console", live),
    ]


def _number(text: str) -> int:
    """The number of a failure that a page says it has; 0 for anything else."""
    return int(text) if text.isdecimal() and text.isascii() and len(text) < DIGITS else 0


async def _form(request: Request) -> dict[str, str] | None:
    """A form's fields; None for one that is longer than any reply."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > ASKED_LIMIT_BYTES:
            return None
    try:
        fields = parse_qs(content.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}
