"""
What a caller rehearses its retry rule with: an error that goes away, and a delay short enough to wait for.

    Sandbox-Once: WORD            only the first request with this word gets what it wishes for; the later ones succeed
    Sandbox-Retry-After: VALUE    an error carries `Retry-After: VALUE`, whatever that may be

Outermost of all middleware, so that it acts on faults as on errors. The state lives in `Rehearsal.words`.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What a later request with the same word no longer wishes for.
WISHES = frozenset({b"sandbox-error", b"sandbox-fault"})
# The words remembered, the latest: a test run needs a few, and whoever sends them cannot make the sandbox grow.
MOST_WORDS = 10_000


class Rehearsal:
    """The middleware. Without the two headers it is not there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.words: dict[str, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        word, delay = headers.get("sandbox-once"), headers.get("sandbox-retry-after")
        if word is not None and self._knows(word):
            scope = {**scope, "headers": [field for field in scope["headers"] if field[0] not in WISHES]}

        async def send_delayed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400 and delay is not None:
                MutableHeaders(scope=message)["retry-after"] = delay
            await send(message)

        await self.app(scope, receive, send_delayed)

    def _knows(self, word: str) -> bool:
        """Whether this word came before; it is known from now on."""
        known = word in self.words
        if not known:
            self.words[word] = None
            if len(self.words) > MOST_WORDS:
                del self.words[next(iter(self.words))]
        return known
