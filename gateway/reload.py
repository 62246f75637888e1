"""
Settings that change while the gateway runs: noticed within seconds, in force for the next request, or not at all.

Every file that the settings came from is watched by what it says, not by its time stamp: Kubernetes replaces a mounted
secret by swapping a symbolic link.
"""

import asyncio
import hashlib
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import Protocol

from .settings import Settings

# Contract 3: a change is in force within 10 s.
INTERVAL_SECONDS = 2.0

# What is set up once, when the process starts.
FIXED = (
    "server.host",
    "server.port",
    "server.admin.host",
    "server.admin.port",
    "server.workers",
    "server.tls",
    "limit_store",
)


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """The keys that changed but cannot change in a running process, a line each."""
    return [
        f"{key}: this cannot change while the gateway runs; restart it, or put the old value back"
        for key in FIXED
        if attrgetter(key)(old) != attrgetter(key)(new)
    ]


class Reloadable(Protocol):
    """
    What can take new settings.

    Mutable state: `seen`, the fingerprint of the watched files just before they were read last, whoever asked for it.
    """

    seen: bytes

    @property
    def watched(self) -> frozenset[Path]:
        """The settings file and every file that it reads."""

    def reload(self) -> object:
        """Read the settings again."""


def fingerprint(paths: Iterable[Path]) -> bytes:
    """What the files say, as a digest; a file that cannot be read counts as its absence."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        digest.update(b"%d:%b" % (len(content), content))
    return digest.digest()


async def watch(app: Reloadable, *, interval: float = INTERVAL_SECONDS) -> None:
    """Reload whenever the content of a watched file changes. Runs until it is cancelled."""
    app.seen = fingerprint(app.watched)
    while app.watched:
        await asyncio.sleep(interval)
        now = fingerprint(app.watched)
        if now != app.seen:
            # Noted before they are read: what changes while they are is seen the next time.
            app.seen = now
            app.reload()
