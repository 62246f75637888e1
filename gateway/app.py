"""
`create_app(settings)`: the gateway as a Starlette application, in one view.

Starlette carries the gateway's own endpoints below `/-/`. A vendor's traffic is told apart by the first bytes of the
raw path and never enters Starlette's stack: nothing of it stands on the forwarding path (W-152).
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from . import __version__, log, own
from .admin import create_admin
from .lanes import Runtime
from .metrics import Metrics
from .proxy import forward
from .reload import needs_restart
from .settings import Settings, SettingsError
from .status import status_of

# How often the event loop's lag is measured.
LAG_INTERVAL_SECONDS = 0.5


class Gateway(Starlette):
    """
    The traffic port's application.

    Mutable state: `runtime`, replaced whole by `reload`; `draining`, set once.
    """

    def __init__(self, settings: Settings, reread: Callable[[Settings], Settings] | None = None) -> None:
        super().__init__(routes=own.routes(self), lifespan=_lifespan)
        self.router.redirect_slashes = False
        self._reread = reread
        self.draining = False
        self.metrics = Metrics(__version__)
        self.metrics.reload_successful.set(1)
        self.runtime = Runtime(settings, self.metrics)
        self.metrics.observe(self._observe)
        self.admin: ASGIApp = create_admin(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a vendor's request; hand the gateway's own paths to Starlette."""
        if scope["type"] == "http" and not own.is_own(scope):
            await forward(self.runtime, scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1002})
        else:
            await super().__call__(scope, receive, send)

    @property
    def watched(self) -> frozenset[Path]:
        """The files whose change calls for a reload."""
        return self.runtime.settings.files if self._reread is not None else frozenset()

    @property
    def settings(self) -> Settings:
        """What is in force."""
        return self.runtime.settings

    def is_healthy(self) -> bool:
        """Whether the process works; who can ask has the answer."""
        return True

    def is_ready(self) -> bool:
        """Whether new requests are welcome."""
        return not self.draining

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The metrics as a scrape's body, and its media type."""
        return self.metrics.exposition(accept)

    async def reread(self) -> list[str]:
        """Reload, as an operator asked for it over HTTP; what is wrong, a line each."""
        return self.reload()

    async def status(self) -> dict[str, object]:
        """What a person on call asks first."""
        return status_of(self)

    def _observe(self) -> None:
        self.runtime.observe()

    def drain(self) -> None:
        """Say not ready from now on; requests are still answered."""
        self.draining = True

    def reload(self) -> list[str]:
        """
        Read the settings again, and take them for the next request if they are good.

        Returns:
            What is wrong with them, a line each; empty when they are in force.
        """
        if self._reread is None:
            return ["the gateway runs without a settings file; start it with one to change its settings"]
        before = self.runtime
        try:
            settings = self._reread(before.settings)
            faults = needs_restart(before.settings, settings)
        except SettingsError as error:
            faults = list(error.faults)
        if faults:
            self.metrics.reload_successful.set(0)
            log.event(logging.ERROR, "settings not reloaded: the old ones stay in force", faults=faults)
            return faults
        self.runtime = before.following(settings)
        before.retire(self.runtime)
        self.metrics.reload_successful.set(1)
        log.event(logging.INFO, "settings reloaded", vendors=len(settings.vendors), warnings=list(settings.warnings))
        return []


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    assert isinstance(app, Gateway)  # noqa: S101  (create_app gives Starlette this function for a Gateway only)
    measuring = asyncio.create_task(_measure_lag(app.metrics))
    try:
        yield
    finally:
        measuring.cancel()
        with suppress(asyncio.CancelledError):
            await measuring
        await app.runtime.aclose()


async def _measure_lag(metrics: Metrics) -> None:
    """Note how late the event loop fires a timer, for as long as it runs."""
    while True:
        due = time.perf_counter() + LAG_INTERVAL_SECONDS
        await asyncio.sleep(LAG_INTERVAL_SECONDS)
        metrics.loop_lag.observe(max(0.0, time.perf_counter() - due))
        metrics.refresh()


def create_app(settings: Settings, *, reread: Callable[[Settings], Settings] | None = None) -> Gateway:
    """
    Make the gateway's application; `.admin` is the one of its admin port.

    Args:
        settings: what is in force at first.
        reread: reads the settings again, given those in force; raises `SettingsError`. None: they never change.
    """
    return Gateway(settings, reread)
