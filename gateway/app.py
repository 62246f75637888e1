"""
`create_app(settings)`: the gateway as a Starlette application, in one view.

Starlette carries the gateway's own endpoints below `/-/`. A vendor's traffic is told apart by the first bytes of the
raw path and never enters Starlette's stack: nothing of it stands on the forwarding path (W-152).
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from . import __version__, log, own
from .admin import create_admin
from .console.totals import NAMES
from .lanes import Runtime
from .limits import Store
from .metrics import Metrics, encoded
from .metrics.samples import Sample, samples
from .proxy import forward
from .reload import fingerprint, needs_restart
from .settings import Settings, SettingsError
from .settings.server import Server
from .status import status_of
from .tracing import Tracing

# How often the event loop's lag is measured.
LAG_INTERVAL_SECONDS = 0.5

# How often a worker notes what is left of the limits.
LOOK_INTERVAL_SECONDS = 1.0


class Gateway(Starlette):
    """
    The traffic port's application.

    Mutable state: `runtime`, replaced whole by a reload, and its successor in the middle of one; `draining`, set once;
    `seen`, what the watched files said when they were read last.
    """

    def __init__(
        self,
        settings: Settings,
        reread: Callable[[Settings], Settings] | None = None,
        tracing: Tracing | None = None,
        store: Store | None = None,
    ) -> None:
        super().__init__(routes=own.routes(self), lifespan=_lifespan)
        self.router.redirect_slashes = False
        self._reread = reread
        self._tracing = tracing
        self._forward = forward if tracing is None else tracing.around(forward)
        self._following: Runtime | None = None
        self.draining = False
        self._followers: list[Callable[[Server], None]] = []
        self.seen = b""
        self.metrics = Metrics(__version__)
        self.metrics.reload_successful.set(1)
        self.runtime = Runtime(settings, self.metrics, tracing=tracing, store=store)
        self.metrics.observe(self._observe)
        self.admin: ASGIApp = create_admin(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a vendor's request; hand the gateway's own paths to Starlette."""
        if scope["type"] == "http" and not own.is_own(scope):
            await self._forward(self.runtime, scope, receive, send)
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

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """The metrics as a scrape's body, and its media type; written in a thread, so that no request waits (F-86)."""
        await self.runtime.look()
        self.metrics.refresh()
        return await asyncio.to_thread(encoded, self.metrics.registry, accept)

    async def reread(self) -> list[str]:
        """Reload, as an operator asked for it over HTTP; what is wrong, a line each."""
        return self.reload()

    async def status(self) -> dict[str, object]:
        """What a person on call asks first."""
        return await status_of(self.runtime, draining=self.draining)

    async def samples(self) -> list[Sample]:
        """What has been counted, as far as the console shows it; read in a thread, so that no request waits."""
        self.metrics.refresh()
        return await asyncio.to_thread(lambda: [*samples(self.metrics.registry, NAMES)])

    async def recent(self, after: int) -> dict[str, Any]:
        """What failed after the failure of that number, and the codes that no table knows."""
        return self.metrics.recent.told(after, self.settings.problems.base_uri)

    def _observe(self) -> None:
        self.runtime.observe()

    async def aclose(self) -> None:
        """Let go of every connection, and send the last spans."""
        await self.runtime.aclose()
        self.metrics.books.tell()
        await self.runtime.allowance.store.aclose()
        if self._tracing is not None:
            await self._tracing.aclose()

    def follow(self, told: Callable[[Server], None]) -> None:
        """Tell of what a reload brings for the ports."""
        self._followers.append(told)

    def drain(self) -> None:
        """Say not ready from now on; requests are still answered, but none waits for a limit any longer."""
        self.draining = True
        self.runtime.allowance.queue.drain()

    def reload(self) -> list[str]:
        """
        Read the settings again, and take them for the next request if they are good.

        Returns:
            What is wrong with them, a line each; empty when they are in force.
        """
        faults = self.prepare()
        if faults:
            self.abandon(faults)
        else:
            self.commit()
        return faults

    def prepare(self, following: Settings | None = None) -> list[str]:
        """
        The first half of a reload: read and judge; nothing is in force yet. Returns what is wrong, a line each.

        Args:
            following: the new settings, where somebody else has read them.
        """
        settings = self.runtime.settings
        if following is None:
            if self._reread is None:
                return ["the gateway runs without a settings file; start it with one to change its settings"]
            self.seen = fingerprint(self.watched)
            try:
                following = self._reread(settings)
            except SettingsError as error:
                return list(error.faults)
        faults = needs_restart(settings, following)
        if not faults:
            self._following = self.runtime.following(following)
        return faults

    def commit(self) -> None:
        """The second half of a reload: the next request finds the new settings."""
        following, self._following = self._following, None
        if following is None:
            return
        self.runtime, before = following, self.runtime
        before.retire(following)
        following.allowance.keep()
        self.metrics.reload_successful.set(1)
        settings = following.settings
        if settings.log.level != before.settings.log.level:
            log.set_level(settings.log.level)
        for told in self._followers:
            told(settings.server)
        log.event(logging.INFO, "settings reloaded", vendors=len(settings.vendors), warnings=list(settings.warnings))

    def abandon(self, faults: list[str]) -> None:
        """The other second half: the old settings stay; without faults somebody else has logged them."""
        self._following = None
        self.metrics.reload_successful.set(0)
        if faults:
            log.event(logging.ERROR, "settings not reloaded: the old ones stay in force", faults=faults)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    assert isinstance(app, Gateway)  # noqa: S101  (create_app gives Starlette this function for a Gateway only)
    await app.runtime.allowance.store.start()
    # Before anybody reads them: a gauge that nobody has set says 0, and of the store that would mean away.
    app.metrics.refresh()
    measuring = [asyncio.create_task(_measure_lag(app.metrics))]
    if app.settings.server.workers > 1:
        measuring.append(asyncio.create_task(_look(app)))
    try:
        yield
    finally:
        for task in measuring:
            task.cancel()
        await asyncio.wait(measuring)
        await app.aclose()


async def _measure_lag(metrics: Metrics) -> None:
    """Note how late the event loop fires a timer, for as long as it runs."""
    while True:
        due = time.perf_counter() + LAG_INTERVAL_SECONDS
        await asyncio.sleep(LAG_INTERVAL_SECONDS)
        metrics.loop_lag.observe(max(0.0, time.perf_counter() - due))
        metrics.refresh()


async def _look(app: Gateway) -> None:
    """Bring the gauges of the limits up to date: in a worker nobody asks for them before they are read."""
    while True:
        await app.runtime.look()
        await asyncio.sleep(LOOK_INTERVAL_SECONDS)


def create_app(
    settings: Settings,
    *,
    reread: Callable[[Settings], Settings] | None = None,
    tracing: Tracing | None = None,
    store: Store | None = None,
) -> Gateway:
    """
    Make the gateway's application; `.admin` is the one of its admin port.

    Args:
        settings: what is in force at first.
        reread: reads the settings again, given those in force; raises `SettingsError`. None: they never change.
        tracing: makes spans, as `tracing.from_environment` does; None: nobody does.
        store: where limits are counted; None: as `limit_store` says.
    """
    return Gateway(settings, reread, tracing, store)
