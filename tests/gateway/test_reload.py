"""Settings that change while the gateway runs."""

import asyncio
from pathlib import Path

import pytest

from gateway.reload import FIXED, fingerprint, needs_restart, watch
from gateway.settings import loads

PLAIN = "vendors: {acme: {base_url: 'http://127.0.0.1:1'}}\n"


class Watched:
    """Something that reloads, and counts how often."""

    def __init__(self, path: Path) -> None:
        self.watched = frozenset({path})
        self.reloads = 0
        self.seen = b""

    def reload(self) -> None:
        """Count."""
        self.reloads += 1


async def seen_changes(path: Path, change: str) -> int:
    """How many reloads follow when the file's content becomes `change`."""
    app = Watched(path)
    watching = asyncio.create_task(watch(app, interval=0.01))
    await asyncio.sleep(0.03)
    # In one step: a file that is written in two changes twice.
    new = path.with_name("new")
    await asyncio.to_thread(new.write_text, change)
    new.replace(path)
    await asyncio.sleep(0.1)
    watching.cancel()
    return app.reloads


@pytest.mark.parametrize(("change", "reloads"), [("new", 1), ("old", 0)])
def test_a_file_is_watched_by_what_it_says(tmp_path: Path, change: str, reloads: int) -> None:
    """A changed content is one reload; a touched file is none."""
    path = tmp_path / "secret"
    path.write_text("old")

    assert asyncio.run(seen_changes(path, change)) == reloads


async def reloads_after_another(path: Path) -> int:
    """How many reloads follow when somebody else reloads what stood in the file for a moment only."""
    app = Watched(path)
    watching = asyncio.create_task(watch(app, interval=0.01))
    await asyncio.sleep(0.03)
    app.seen = fingerprint([path.with_name("other")])
    await asyncio.sleep(0.1)
    watching.cancel()
    return app.reloads


def test_what_somebody_else_has_read_counts(tmp_path: Path) -> None:
    """A reload on request notes what it read, so that the file's way back to what it said before is a change."""
    path = tmp_path / "secret"
    path.write_text("old")
    (tmp_path / "other").write_text("for a moment")

    assert asyncio.run(reloads_after_another(path)) == 1


def test_a_swapped_link_is_a_change(tmp_path: Path) -> None:
    """Kubernetes replaces a mounted secret by swapping a symbolic link."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "secret"
    link.symlink_to("one")
    before = fingerprint([link])

    link.unlink()
    link.symlink_to("two")

    assert fingerprint([link]) != before


def test_a_file_that_is_gone_is_a_change(tmp_path: Path) -> None:
    """A secret that cannot be read is noticed, too."""
    path = tmp_path / "secret"
    path.write_text("x")
    before = fingerprint([path])

    path.unlink()

    assert fingerprint([path]) != before


CHANGES = [
    ("server.port", "server: {port: 8081}\n"),
    ("server.host", "server: {host: 127.0.0.2}\n"),
    ("server.admin.port", "server: {admin: {port: 9091}}\n"),
    ("server.admin.host", "server: {admin: {host: '::1'}}\n"),
    ("server.workers", "server: {workers: 2}\n"),
]


@pytest.mark.parametrize(("key", "text"), CHANGES)
def test_what_is_fixed_needs_a_restart(key: str, text: str) -> None:
    """What cannot change in a running process is named, with the mend."""
    (line,) = needs_restart(loads(PLAIN), loads(PLAIN + text))

    assert line.startswith(f"{key}: ")
    assert "restart" in line
    assert key in FIXED


def test_the_rest_changes_in_place() -> None:
    """Vendors, callers, bounds and words need no restart."""
    timeouts = "{head: 1s, body_idle: 1s, write_idle: 1s, keep_alive: 90s}"
    server = f"server: {{max_in_flight: 5, max_connections: 9, timeouts: {timeouts}}}\n"
    changed = PLAIN + server + "problems: {vendor_messages: never}\n"

    assert needs_restart(loads(PLAIN), loads(changed)) == []
