"""fastapi-proxy-lib's proxy, once over plain HTTP and once over TLS, on the fastest server that carries it."""

import os
import ssl

import httpx
from fastapi_proxy_lib.core.http import ReverseHttpProxy
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TRUSTED = ssl.create_default_context(cafile=os.environ["BENCH_CA"])

plain = ReverseHttpProxy(base_url=os.environ["BENCH_PLAIN"] + "/")
tls = ReverseHttpProxy(httpx.AsyncClient(verify=TRUSTED), base_url=os.environ["BENCH_TLS"] + "/")


async def to_plain(request: Request) -> Response:
    """Forward over plain HTTP."""
    answer: Response = await plain.proxy(request=request, path=request.path_params["path"])
    return answer


async def to_tls(request: Request) -> Response:
    """Forward over TLS."""
    answer: Response = await tls.proxy(request=request, path=request.path_params["path"])
    return answer


app = Starlette(routes=[Route("/plain/{path:path}", to_plain), Route("/tls/{path:path}", to_tls)])
