"""`create_app(settings)`: what goes to a vendor, what stays, and settings that change in two halves."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from gateway import app, log, settings
from gateway.app import Gateway, create_app
from gateway.settings import Settings, SettingsError
from tests.gateway.asgi import ask

OLD = "vendors: {pixii: {base_url: http://127.0.0.1:9, timeouts: {connect: 50ms}}}"
NEW = "vendors: {pixii: {base_url: http://127.0.0.1:9, errors: header}, apixo: {base_url: http://127.0.0.1:9}}"
MOVED = "{server: {port: 9999}, vendors: {pixii: {base_url: http://127.0.0.1:9}}}"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The log."""
    stream = io.StringIO()
    log.configure("info", stream)
    yield stream
    log.LOGGER.handlers = []
    log.LOGGER.propagate = True


def loads(text: str) -> Settings:
    """Settings without an environment."""
    return settings.loads(text, environ={})


def reloading(text: str) -> Gateway:
    """A gateway that finds these settings when it reads them again."""
    return create_app(loads(OLD), reread=lambda _: loads(text))


def messages(lines: io.StringIO) -> list[str]:
    """What the log says."""
    return [json.loads(line)["message"] for line in lines.getvalue().splitlines()]


async def test_a_vendors_path_is_forwarded() -> None:
    """What is not below `/-/` is a vendor's; one that cannot be reached is so in the house's words."""
    said = await ask(create_app(loads(OLD)), "/pixii/v1/x")

    assert said.json()["code"] == "vendor_unreachable"


async def test_mounted() -> None:
    """Mounted below a path, the gateway finds its own paths and its vendors behind it."""
    gateway = create_app(loads(OLD))

    own = await ask(gateway, "/mounted/-/ready", root_path="/mounted")
    unknown = await ask(gateway, "/mounted/nobody/x", root_path="/mounted")

    assert own.status == 200
    assert unknown.json()["code"] == "not_found"


async def test_websocket() -> None:
    """A WebSocket is closed at once: the gateway speaks none."""
    said = await ask(create_app(loads(OLD)), "/pixii/v1/x", kind="websocket")

    assert said.messages == [{"type": "websocket.close", "code": 1002}]


async def test_lifespan(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it runs the loop's lag is measured; at the end every connection is closed."""
    monkeypatch.setattr(app, "LAG_INTERVAL_SECONDS", 0.01)
    gateway = create_app(loads(OLD))

    async with gateway.router.lifespan_context(gateway):
        await asyncio.sleep(0.1)
    body, _ = await gateway.exposition("")

    (count,) = [line for line in body.splitlines() if line.startswith(b"errgate_event_loop_lag_seconds_count")]
    assert float(count.split()[1]) > 0


async def test_the_store_is_there_from_the_start() -> None:
    """A gauge that nobody has set says 0: a worker that has just begun would say that its store is away."""
    gateway = create_app(loads(OLD))

    async with gateway.router.lifespan_context(gateway):
        assert gateway.metrics.registry.get_sample_value("errgate_limit_store_up") == 1


async def test_reload(lines: io.StringIO) -> None:
    """Good settings are in force for the next request."""
    gateway = reloading(NEW)

    assert gateway.reload() == []

    assert list(gateway.runtime.lanes) == ["pixii", "apixo"]
    assert gateway.settings.vendors["pixii"].errors == "header"
    assert messages(lines) == ["settings reloaded"]
    assert gateway.metrics.reload_successful._value.get() == 1


async def test_reload_of_the_log_level(lines: io.StringIO) -> None:
    """How much is logged changes with the next line."""
    gateway = reloading("log: {level: error}\n" + OLD)

    assert gateway.reload() == []
    log.event(logging.WARNING, "too quiet")
    log.event(logging.ERROR, "loud enough")

    assert messages(lines) == ["loud enough"]


async def test_reload_of_bad_settings(lines: io.StringIO) -> None:
    """A bad file changes nothing: the old settings stay, and every fault is told and logged."""

    def broken(_: Settings) -> Settings:
        raise SettingsError(["errgate.yaml:1: one", "errgate.yaml:2: two"])

    gateway = create_app(loads(OLD), reread=broken)
    runtime = gateway.runtime

    assert gateway.reload() == ["errgate.yaml:1: one", "errgate.yaml:2: two"]

    assert gateway.runtime is runtime
    assert messages(lines) == ["settings not reloaded: the old ones stay in force"]
    assert gateway.metrics.reload_successful._value.get() == 0


async def test_reload_of_what_needs_a_restart(lines: io.StringIO) -> None:
    """A port cannot change in a running process, and the answer says so."""
    gateway = reloading(MOVED)

    (fault,) = gateway.reload()

    assert fault.startswith("server.port: ")
    assert "restart" in fault


async def test_reload_without_a_file(lines: io.StringIO) -> None:
    """A gateway without a file has nothing to watch and nothing to read."""
    gateway = create_app(loads(OLD))

    assert gateway.watched == frozenset()
    assert "without a settings file" in gateway.reload()[0]


async def test_two_halves(lines: io.StringIO) -> None:
    """Nothing is in force between the halves of a reload; either ends it (all workers or none)."""
    gateway = reloading(NEW)

    assert gateway.prepare() == []
    assert list(gateway.runtime.lanes) == ["pixii"]
    gateway.abandon([])
    gateway.commit()
    assert list(gateway.runtime.lanes) == ["pixii"]
    assert gateway.prepare(loads(NEW)) == []
    gateway.commit()

    assert list(gateway.runtime.lanes) == ["pixii", "apixo"]
    assert messages(lines) == ["settings reloaded"]
