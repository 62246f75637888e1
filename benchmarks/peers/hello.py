"""The floor: what uvicorn with httptools and uvloop answers from memory, the vendor's 278 bytes, no vendor asked."""

from starlette.types import Receive, Scope, Send

from benchmarks.stub import OK

BODY = OK.encode()
HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))],
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer everything alike."""
    del receive
    if scope["type"] == "http":
        await send(HEAD)
        await send({"type": "http.response.body", "body": BODY})
