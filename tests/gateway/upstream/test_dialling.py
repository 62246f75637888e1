"""
Which address an engine dials, and which never (W-141); why none could be.

One file: a table of addresses, and what is said where none is left.
"""

import asyncio
import errno
import socket
import time
from collections.abc import Callable

import pytest

from gateway.upstream import NoReply, Reason, dialling
from gateway.upstream.dialling import is_prohibited
from gateway.upstream.http1 import Http1Upstream
from tests.gateway.upstream.conftest import Making, Serving
from tests.gateway.upstream.scripted import OK, SOON, ask, call, replies, stall

PROHIBITED = (
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%lo",
    "::ffff:169.254.169.254",
    "100.100.100.200",
    "::ffff:100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
)

Resolving = Callable[..., list[str]]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolving:
    """Let every name lead to these addresses; returns the list of what was asked."""

    def make(*addresses: str, error: OSError | None = None, seconds: float = 0.0) -> list[str]:
        asked: list[str] = []

        async def getaddrinfo(_: object, host: str, port: int, **__: object) -> list[tuple[object, ...]]:
            asked.append(host)
            await asyncio.sleep(seconds)
            if error is not None:
                raise error
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", getaddrinfo)
        return asked

    return make


@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_NONAME, "unknown"), socket.gaierror(socket.EAI_AGAIN, "later")]
)
async def test_unknown_name(connect: Making, resolve: Resolving, error: OSError) -> None:
    """A name that does not resolve is a DNS error, and nothing was sent."""
    asked = resolve(error=error)
    upstream, made = connect("http://nobody.example"), call()

    with pytest.raises(NoReply) as nothing:
        await ask(upstream, made)

    assert nothing.value.reason is Reason.DNS_ERROR
    assert asked[0] in {"nobody.example", b"nobody.example"}
    assert made.sent_at is None
    assert upstream.connections() == (0, 0, 4)


async def test_name_without_an_address(connect: Making, resolve: Resolving) -> None:
    """A name that resolves to nothing is a DNS error."""
    resolve()

    with pytest.raises(NoReply) as nothing:
        await ask(connect("http://nobody.example"))

    assert nothing.value.reason is Reason.DNS_ERROR


@pytest.mark.parametrize("name", ["a" * 64, "a..b"])
async def test_no_name(connect: Making, name: str) -> None:
    """What DNS cannot even be asked for is a DNS error."""
    with pytest.raises(NoReply) as nothing:
        await ask(connect(f"http://{name}.example"))

    assert nothing.value.reason is Reason.DNS_ERROR


async def test_slow_resolver(connect: Making, resolve: Resolving) -> None:
    """A resolver that does not answer is bounded by `connect`."""
    resolve("127.0.0.1", seconds=5)
    began = time.perf_counter()

    with pytest.raises(NoReply) as nothing:
        await ask(connect("http://slow.example"), call(connect=0.1))

    assert nothing.value.reason is Reason.CONNECTION_TIMEOUT
    assert time.perf_counter() - began < SOON


@pytest.mark.parametrize("address", PROHIBITED)
async def test_prohibited(connect: Making, serve: Serving, resolve: Resolving, address: str) -> None:
    """A name that leads to a link-local, metadata, multicast or unspecified address is refused without a dial."""
    vendor = await serve(replies(OK))
    resolve(address)
    upstream = connect(f"http://evil.example:{vendor.port}")

    with pytest.raises(NoReply) as nothing:
        await ask(upstream)

    assert nothing.value.reason is Reason.DESTINATION_IP_PROHIBITED
    assert vendor.connections == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1", "8.8.8.8", "2001:db8::1"]
)
def test_allowed(address: str) -> None:
    """Loopback, private and public addresses may be dialled: who configures a vendor says where it is."""
    assert not is_prohibited(address)


async def test_prohibited_among_others(connect: Making, serve: Serving, resolve: Resolving) -> None:
    """Of several addresses the prohibited ones are passed over."""
    vendor = await serve(replies(OK))
    resolve("169.254.169.254", "0.0.0.0", "127.0.0.1")

    answer = await ask(connect(f"http://mixed.example:{vendor.port}"))

    assert answer.body == b"ok"


@pytest.mark.parametrize("first", ["127.0.0.2", "::1"])
async def test_first_address_refuses(connect: Making, serve: Serving, resolve: Resolving, first: str) -> None:
    """Where the first address refuses, the second is dialled."""
    vendor = await serve(replies(OK))
    resolve(first, "127.0.0.1")

    answer = await ask(connect(f"http://two.example:{vendor.port}"))

    assert answer.body == b"ok"


def has_ipv6() -> bool:
    """Whether the machine's loopback speaks IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="the machine has no IPv6 on its loopback")
@pytest.mark.parametrize("host", ["[::1]", "six.example"])
async def test_ipv6(connect: Making, serve: Serving, resolve: Resolving, host: str) -> None:
    """An address of IPv6 is dialled, written out or by its name."""
    vendor = await serve(replies(OK), host="::1")
    resolve("::1")

    answer = await ask(connect(f"http://{host}:{vendor.port}"))

    assert answer.body == b"ok"


async def test_one_lookup_for_many(connect: Making, serve: Serving, resolve: Resolving) -> None:
    """A slow resolver is asked once for those who wait together; who leaves does not end it for the others (F-03)."""
    vendor = await serve(replies(OK))
    asked = resolve("127.0.0.1", seconds=0.1)
    upstream = connect(f"http://slow.example:{vendor.port}")
    asking = [asyncio.ensure_future(ask(upstream)) for _ in range(4)]
    await asyncio.sleep(0.02)

    asking[0].cancel()
    await asyncio.wait(asking)

    assert [each.result().body for each in asking[1:]] == [b"ok"] * 3
    assert len(asked) == (1 if isinstance(upstream, Http1Upstream) else 4)


async def test_families_take_turns(resolve: Resolving) -> None:
    """Addresses of both families are dialled in turn, the resolver's first one first (RFC 8305)."""
    resolve("2001:db8::1", "2001:db8::2", "169.254.1.1", "192.0.2.1", "2001:db8::3", "192.0.2.1")

    assert await dialling.resolve("both.example", 80) == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]


@pytest.mark.parametrize("dead", [0, 1, 2])
async def test_several_addresses(
    connect: Making, serve: Serving, resolve: Resolving, monkeypatch: pytest.MonkeyPatch, dead: int
) -> None:
    """However many of the addresses refuse or do not answer, the one that does is found, and nothing else is left."""
    monkeypatch.setattr("gateway.upstream.dialling.ATTEMPT_SECONDS", 0.05)
    vendor = await serve(replies(OK))
    with socket.socket() as full:
        full.bind(("127.0.0.9", vendor.port))
        full.listen(0)
        with socket.create_connection(("127.0.0.9", vendor.port)):
            resolve(*("127.0.0.9", "127.0.0.2", "127.0.0.9")[:dead], "127.0.0.1", "127.0.0.3")
            upstream = connect(f"http://many.example:{vendor.port}")

            answer = await ask(upstream)

    assert answer.body == b"ok"
    assert len(vendor.connections) == 1
    assert upstream.connections() == (0, 1, 3)


async def test_first_address_is_dead(
    connect: Making, serve: Serving, resolve: Resolving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first address does not answer, the second is dialled in good time."""
    monkeypatch.setattr("gateway.upstream.dialling.ATTEMPT_SECONDS", 0.1)
    vendor = await serve(replies(OK))
    with socket.socket() as full:
        full.bind(("127.0.0.2", vendor.port))
        full.listen(0)
        with socket.create_connection(("127.0.0.2", vendor.port)):
            resolve("127.0.0.2", "127.0.0.1")
            began = time.perf_counter()

            answer = await ask(connect(f"http://two.example:{vendor.port}"))

    assert answer.body == b"ok"
    assert time.perf_counter() - began < SOON


async def test_no_address_answers(connect: Making, resolve: Resolving) -> None:
    """An address that does not answer is bounded by `connect`."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            resolve("127.0.0.1")
            upstream, made = connect(f"http://full.example:{port}"), call(connect=0.15)

            with pytest.raises(NoReply) as nothing:
                await ask(upstream, made)

    assert nothing.value.reason is Reason.CONNECTION_TIMEOUT
    assert made.sent_at is None
    assert upstream.connections() == (0, 0, 4)


async def test_refused(connect: Making) -> None:
    """A port that nothing listens on is a refusal, and nothing was sent."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        upstream, made = connect(f"http://127.0.0.1:{unused.getsockname()[1]}"), call(b"POST")

        with pytest.raises(NoReply) as nothing:
            await ask(upstream, made)

    assert nothing.value.reason is Reason.CONNECTION_REFUSED
    assert made.sent_at is None
    assert upstream.connections() == (0, 0, 4)


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EADDRNOTAVAIL])
async def test_unroutable(connect: Making, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Whatever else the system says to a dial is one reason."""

    async def create_connection(*_: object, **__: object) -> object:
        raise OSError(number, "no route")

    monkeypatch.setattr(type(asyncio.get_running_loop()), "create_connection", create_connection)

    with pytest.raises(NoReply) as nothing:
        await ask(connect("http://127.0.0.1:9"))

    assert nothing.value.reason is Reason.DESTINATION_IP_UNROUTABLE


async def test_total_bounds_the_dialling(connect: Making, resolve: Resolving) -> None:
    """A `total` that ends while the connection is made is a time-out of the connection: the vendor saw nothing."""
    resolve("127.0.0.1", seconds=5)
    made = call(total=0.1)

    with pytest.raises(NoReply) as nothing:
        await ask(connect("http://slow.example"), made)

    assert nothing.value.reason is Reason.CONNECTION_TIMEOUT
    assert made.sent_at is None


async def test_outer_time_out_goes_through(connect: Making, serve: Serving) -> None:
    """A time-out around the exchange is not the exchange's own."""
    vendor = await serve(stall)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await ask(connect(vendor.url))


async def test_time_out_of_the_body_goes_through(connect: Making, serve: Serving) -> None:
    """A time-out that the body's source raises is not the exchange's own, either."""

    class Slow:
        """A body that gives up."""

        def __aiter__(self) -> "Slow":
            return self

        async def __anext__(self) -> bytes:
            raise TimeoutError("the source's")

    vendor = await serve(stall)
    made = call(b"POST", headers=[(b"Transfer-Encoding", b"chunked")])
    made.body = Slow()

    with pytest.raises(TimeoutError, match="the source's"):
        await ask(connect(vendor.url), made)


async def test_cancelled_twice_as_it_answers() -> None:
    """A connection that is there as its caller leaves is closed, also where the whole time is over in that moment."""
    closed: list[str] = []
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def connect(_: str) -> str:
        return await answer

    racing = asyncio.ensure_future(dialling.race(["127.0.0.1"], connect, abandon=closed.append))
    await asyncio.sleep(0.01)
    answer.set_result("connection")
    for _ in range(2):
        await asyncio.sleep(0)
        racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing
    await asyncio.sleep(0)

    assert closed == ["connection"]
