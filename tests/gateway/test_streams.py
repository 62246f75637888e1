"""
The two bodies of an exchange: counted, bounded, read ahead, and never held whole.

One file, as the module is one.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

import pytest
from starlette.types import Message

from gateway.problems import Refused
from gateway.streams import CallerGone, Download, Presence, Upload
from gateway.upstream import Cut, Reason
from normalizers import HouseCode


class Channel:
    """What the server tells the application."""

    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages)
        self.more = asyncio.Event()

    async def __call__(self) -> Message:
        """Give the next message, or wait for one."""
        while not self.messages:
            self.more.clear()
            await self.more.wait()
        return self.messages.pop(0)

    def tell(self, message: Message) -> None:
        """One more message."""
        self.messages.append(message)
        self.more.set()


def part(body: bytes, *, more: bool = True, **also: object) -> Message:
    """A part of a body."""
    return {"type": "http.request", "body": body, "more_body": more, **also}


GONE: Message = {"type": "http.disconnect"}


def upload(channel: Channel, *, limit: int = 100, idle: float = 5.0, kept: int = 0) -> tuple[Upload, list[bool]]:
    """An upload, and where its end is noted."""
    ends: list[bool] = []
    return Upload(channel, limit=limit, idle=idle, on_end=lambda: ends.append(True), kept_bytes=kept), ends


async def collect(body: AsyncIterable[bytes], into: list[bytes]) -> None:
    """Read a body; what comes before it breaks off is kept, too."""
    async for chunk in body:
        into.append(chunk)  # noqa: PERF401  (a comprehension would lose it)


async def test_upload() -> None:
    """A body is given as it comes, counted, without empty parts, and its end is told once."""
    body, ends = upload(Channel(part(b"a"), part(b""), part(b"bc"), part(b"", more=False)))

    assert [chunk async for chunk in body] == [b"a", b"bc"]

    assert (body.size, body.ended, ends) == (3, True, [True])


async def test_upload_ends_with_its_last_part() -> None:
    """The end is known before the last part is given: what waits for the caller may begin."""
    body, ends = upload(Channel(part(b"all", more=False)))

    async for _ in body:
        assert ends == [True]


async def test_upload_over_its_limit() -> None:
    """A byte over the limit is 413, and no part that is over it is given."""
    body, ends = upload(Channel(part(b"a" * 100), part(b"b")))
    given: list[bytes] = []

    with pytest.raises(Refused) as refused:
        await collect(body, given)

    assert refused.value.problem.code is HouseCode.PAYLOAD_TOO_LARGE
    assert (given, ends) == ([b"a" * 100], [])


async def test_upload_that_stalls() -> None:
    """A body that pauses for too long is 408, and the connection ends."""
    body, _ = upload(Channel(part(b"a")), idle=0.05)

    with pytest.raises(Refused) as refused:
        [chunk async for chunk in body]

    assert refused.value.problem.code is HouseCode.REQUEST_TIMEOUT
    assert refused.value.close


async def test_upload_of_a_caller_that_leaves() -> None:
    """A caller that hangs up in its body is gone."""
    body, _ = upload(Channel(part(b"a"), GONE))

    with pytest.raises(CallerGone):
        [chunk async for chunk in body]


async def test_upload_that_breaks_its_framing() -> None:
    """A body that breaks its own framing is 400, and the connection ends."""
    body, _ = upload(Channel(part(b"a"), part(b"", broken=True)))

    with pytest.raises(Refused) as refused:
        [chunk async for chunk in body]

    assert refused.value.problem.code is HouseCode.INVALID_REQUEST
    assert refused.value.close


async def test_upload_again() -> None:
    """What is kept is given again, then what is still to come."""
    body, _ = upload(Channel(part(b"a"), part(b"b"), part(b"c", more=False)), kept=10)
    first = body.__aiter__()
    assert [await anext(first), await anext(first)] == [b"a", b"b"]

    assert body.replayable
    assert [chunk async for chunk in body] == [b"a", b"b", b"c"]
    assert [chunk async for chunk in body] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(("kept", "replayable"), [(0, False), (2, False), (3, True)])
async def test_upload_too_long_to_keep(kept: int, replayable: bool) -> None:
    """A body is kept up to a bound, all of it or nothing; one that was not read yet can always be sent."""
    body, _ = upload(Channel(part(b"ab"), part(b"c", more=False)), kept=kept)
    assert body.replayable

    assert b"".join([chunk async for chunk in body]) == b"abc"

    assert body.replayable is replayable


async def test_presence() -> None:
    """A caller that hangs up stops its request."""
    channel = Channel()
    reached = False

    async def request() -> bool:
        nonlocal reached
        presence = Presence(channel)
        presence.watch()
        presence.watch()
        reached = True
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            return presence.gone
        return False

    asking = asyncio.create_task(request())
    await asyncio.sleep(0.01)
    channel.tell(part(b"late"))
    channel.tell(GONE)

    assert await asking is True
    assert reached


async def test_presence_behind_the_answer() -> None:
    """What the server says once the answer is complete is no hang-up."""
    channel = Channel()
    presence = Presence(channel)
    presence.watch()
    await asyncio.sleep(0)

    presence.answered()
    channel.tell(GONE)
    await asyncio.sleep(0.01)

    assert not presence.gone


async def test_presence_that_is_told_at_the_same_moment() -> None:
    """A hang-up that comes with the last byte of the answer stops nothing."""
    channel = Channel(GONE)
    presence = Presence(channel)
    presence._answered = True

    await presence._watch()

    assert not presence.gone


async def chunks(*pieces: bytes | float, cut: bool = False, error: Exception | None = None) -> AsyncIterator[bytes]:
    """A body; a number is a pause in seconds."""
    for piece in pieces:
        if isinstance(piece, float):
            await asyncio.sleep(piece)
        else:
            yield piece
    if cut:
        raise Cut(Reason.HTTP_RESPONSE_INCOMPLETE)
    if error is not None:
        raise error


async def rest(body: Download) -> list[bytes]:
    """What is still to be sent."""
    return [chunk async for chunk in body]


async def test_read_ahead_to_the_end() -> None:
    """A short body is read to its end, and all of it is still there to be sent."""
    body = Download(chunks(b"a", b"", b"bc"))

    assert await body.read_ahead(10) == b"abc"

    assert body.ended
    assert b"".join(await rest(body)) == b"abc"


async def test_read_ahead_to_the_bound() -> None:
    """A long body is read until it is over the bound; the rest follows as it arrives."""
    body = Download(chunks(b"abc", b"def", b"ghi", b"jkl"))

    read = await body.read_ahead(4)

    assert (read, body.ended) == (b"abcdef", False)
    assert await body.read_ahead(4) == b"abcdef"
    assert await rest(body) == [b"abc", b"def", b"ghi", b"jkl"]


async def test_read_ahead_for_a_time() -> None:
    """A slow body is read for a time; the read that was under way loses nothing."""
    body = Download(chunks(b"a", 0.1, b"b", b"c"))

    read = await body.read_ahead(10, seconds=0.03)

    assert (read, body.ended) == (b"a", False)
    assert await rest(body) == [b"a", b"b", b"c"]


async def test_read_ahead_again() -> None:
    """A read that was under way when the time was over is waited for by the next."""
    body = Download(chunks(b"a", 0.05, b"b"))
    assert await body.read_ahead(10, seconds=0.01) == b"a"

    assert await body.read_ahead(10) == b"ab"

    assert body.ended


@pytest.mark.parametrize("seconds", [None, 5.0])
async def test_read_ahead_of_a_cut_body(seconds: float | None) -> None:
    """A body that breaks off is noted, and breaks off again where it is sent on."""
    body, sent = Download(chunks(b"a", cut=True)), list[bytes]()

    assert await body.read_ahead(10, seconds=seconds) == b"a"
    assert body.cut is not None
    with pytest.raises(Cut):
        await collect(body, sent)

    assert sent == [b"a"]


async def test_left_while_a_read_is_under_way() -> None:
    """A body that is left stops its read, and nothing of it runs on."""
    tasks = len(asyncio.all_tasks())
    body = Download(chunks(b"a", 5.0, b"b"))
    await body.read_ahead(10, seconds=0.01)

    await body.aclose()

    assert len(asyncio.all_tasks()) == tasks


@pytest.mark.parametrize("cut", [True, False])
async def test_left_behind_a_failed_read(cut: bool) -> None:
    """A read that failed while nobody looked concerns nobody any more."""
    body = Download(chunks(b"a", 0.03, cut=cut, error=None if cut else CallerGone()))
    await body.read_ahead(10, seconds=0.01)
    await asyncio.sleep(0.05)

    await body.aclose()


async def test_left_without_a_read() -> None:
    """A body that nobody reads is left without ado."""
    await Download(chunks(b"a")).aclose()


async def test_cancelled_while_it_is_left() -> None:
    """A caller that hangs up while a body is left is not overlooked."""

    async def stubborn() -> AsyncIterator[bytes]:
        try:
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(0.02)
        yield b""

    body = Download(stubborn())
    await body.read_ahead(10, seconds=0.01)
    leaving = asyncio.ensure_future(body.aclose())
    await asyncio.sleep(0)

    leaving.cancel()
    await asyncio.wait({leaving})

    assert leaving.cancelled()
    await asyncio.sleep(0.05)
