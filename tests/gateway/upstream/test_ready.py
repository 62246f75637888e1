"""The last word before a request is sent: `Call.ready`, asked when its connection is there."""

import pytest

from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, ask, call, replies


class Not(Exception):
    """It is not to be sent."""


def refuse() -> None:
    """Say no."""
    raise Not


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
async def test_nothing_is_sent_against_its_word(connect: Making, serve: Serving, used: bool) -> None:
    """What `ready` raises goes through; nothing was sent, and the connection's place is free for the next."""
    vendor = await serve(replies(OK, OK, OK))
    upstream = connect(vendor.url, max_connections=1)
    if used:
        await ask(upstream)
    refused = call(target=b"/refused")
    refused.ready = refuse

    for _ in range(3):
        with pytest.raises(Not):
            await ask(upstream, refused)

    assert refused.sent_at is None
    assert upstream.connections()[0] == 0
    assert (await ask(upstream)).status == 200
    assert b"/refused" not in b"".join(bytes(connection.received) for connection in vendor.connections)


async def test_asked_once_before_it_is_sent(connect: Making, serve: Serving) -> None:
    """`ready` is asked while the connection is there and `sent_at` is not set; a further try asks it again."""
    vendor = await serve(replies(OK, OK))
    upstream = connect(vendor.url)
    asked: list[object] = []
    made = call()
    made.ready = lambda: asked.append((made.connected_at is not None, made.sent_at))

    await ask(upstream, made)
    again = made.again(total=5)
    await ask(upstream, again)

    assert asked[0] == (True, None)
    assert len(asked) == 2
