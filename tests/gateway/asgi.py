"""A request to an ASGI application without a server: what it is told, and what it says."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message


@dataclass(frozen=True)
class Said:
    """What the application said."""

    messages: list[Message]

    @property
    def status(self) -> int:
        """The status of its answer."""
        status: int = self.messages[0]["status"]
        return status

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """The fields of its answer, in order."""
        return list(self.messages[0]["headers"])

    def header(self, name: str) -> str | None:
        """The value of a field that comes at most once."""
        values = [value.decode("latin-1") for key, value in self.fields if key.lower() == name.encode()]
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def body(self) -> bytes:
        """The content of its answer."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    def json(self) -> dict[str, Any]:
        """The content as a JSON object."""
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


async def ask(
    app: ASGIApp,
    path: str,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (("host", "localhost"),),
    *,
    root_path: str = "",
    kind: str = "http",
) -> Said:
    """Send a request without a body; the caller stays until the answer is complete."""
    raw = path.encode("latin-1")
    scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http" if kind == "http" else "ws",
        "path": path.partition("?")[0],
        "raw_path": raw.partition(b"?")[0],
        "query_string": raw.partition(b"?")[2],
        "root_path": root_path,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8080),
    }
    said: list[Message] = []
    received = [{"type": "http.request", "body": b"", "more_body": False}]
    answered = asyncio.Event()

    async def receive() -> Message:
        if received:
            return received.pop()
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        said.append(message)
        if not message.get("more_body", message["type"] == "http.response.start"):
            answered.set()

    await app(scope, receive, send)
    return Said(said)
