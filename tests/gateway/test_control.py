"""What a supervisor and its workers say to each other."""

import asyncio
import dataclasses
import socket
from collections.abc import Callable, Iterator

import pytest
import uvloop

from gateway.server import Supervisor
from gateway.server.control import Answer, Line, handed, obey, read, written
from gateway.settings import Settings, SettingsError, loads
from normalizers import Finding

SECRET = "hunter2-hunter2"
TEXT = f"""\
server: {{workers: 2}}
vendors: {{acme: {{base_url: "https://a.example", credential: {{header: X-Key, value: {SECRET}}}}}}}
"""


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a line."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_settings_are_handed_over(ends: tuple[socket.socket, socket.socket]) -> None:
    """A worker gets the settings in force whole, secrets and normalizers included."""
    settings = loads(TEXT)

    async def hand() -> None:
        line = await Line.over(ends[0].dup())
        line.hand(settings)
        line.say(next="line")
        await asyncio.sleep(0)
        line.close()
        await asyncio.sleep(0)

    asyncio.run(hand())

    got = handed(ends[1])
    assert (got, got.warnings, got.vendors["acme"].vendor) == (
        settings,
        settings.warnings,
        settings.vendors["acme"].vendor,
    )
    assert ends[1].recv(100) == b'{"next": "line"}\n'
    assert read(written(settings)) == settings


def test_a_worker_without_a_supervisor_ends(ends: tuple[socket.socket, socket.socket]) -> None:
    """A worker whose supervisor is gone before it said anything ends without a traceback."""
    ends[0].close()

    with pytest.raises(SystemExit):
        handed(ends[1])


async def obeyed(ends: tuple[socket.socket, socket.socket]) -> list[Answer | None]:
    """The answers of a worker to an order that fails and to one that does not."""

    async def fail(_: Answer) -> Answer:
        raise OSError("disk on fire")

    async def do(order: Answer) -> Answer:
        return {"done": order["what"]}

    ours, theirs = await Line.over(ends[0].dup()), await Line.over(ends[1].dup())
    obeying = asyncio.create_task(obey(theirs, {"fail": fail, "do": do}))
    ours.say(id=1, do="fail")
    ours.say(id=2, do="do", what="it")
    answers = [await ours.hear(), await ours.hear()]
    ours.close()
    theirs.close()
    for end in ends:
        end.close()
    await obeying
    return answers


def test_a_mistake_is_an_answer(ends: tuple[socket.socket, socket.socket]) -> None:
    """An order that raises is answered as a fault, and the worker goes on to obey."""
    first, second = asyncio.run(obeyed(ends))

    assert first == {"id": 1, "faults": ["a worker made a mistake; its log says where"]}
    assert second == {"id": 2, "done": "it"}


def test_a_normalizer_that_cannot_be_handed_over(ends: tuple[socket.socket, socket.socket]) -> None:
    """A package whose vendor cannot go to another process is told so in one sentence, before anything starts."""
    settings = loads(TEXT)
    acme = settings.vendors["acme"]
    acme.settle(dataclasses.replace(acme.vendor, finder=lambda _: Finding()))

    def reread(old: Settings) -> Settings:
        return old

    with pytest.raises(SettingsError, match="a normalizer cannot be handed to a worker"):
        Supervisor(settings, reread, ends[0], [])


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_nothing_is_said_on_a_dead_line(
    ends: tuple[socket.socket, socket.socket], factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """A worker was killed: who asks it in that moment gets no answer, and no exception."""

    async def ask() -> None:
        line = await Line.over(ends[0].dup())
        ends[1].close()
        ends[0].close()
        assert await line.hear() is None
        for _ in range(10):
            line.say(do="status")
            await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(ask())
