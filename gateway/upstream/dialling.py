"""
Which addresses of a vendor are dialled, and in what order: what both engines have in common before a first byte.

Where a name leads to several addresses, a dead one costs a quarter of a second and no request (RFC 8305).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, zip_longest
from typing import TypeVar

from . import NoReply, Reason

T = TypeVar("T")

# Services that hand out a machine's own credentials; link-local ones (169.254.169.254) are refused as a class (W-141).
METADATA_ADDRESSES = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")))

# RFC 8305 section 8: so long does an address have to answer before the next one is dialled beside it.
ATTEMPT_SECONDS = 0.25


def is_prohibited(address: str) -> bool:
    """Whether an address may never be dialled, whoever configured it or whatever DNS says (W-141)."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified or mapped in METADATA_ADDRESSES


async def resolve(host: str, port: int) -> list[str]:
    """The addresses that may be dialled, the resolver's order kept, the families in turn. Raises NoReply."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a label may be longer than DNS knows
        raise NoReply(Reason.DNS_ERROR) from error
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    allowed = [address for address in addresses if not is_prohibited(address)]
    if not allowed:
        raise NoReply(Reason.DESTINATION_IP_PROHIBITED if addresses else Reason.DNS_ERROR)
    first_is_six = ":" in allowed[0]
    families = ([a for a in allowed if (":" in a) is same] for same in (first_is_six, not first_is_six))
    return [address for address in chain.from_iterable(zip_longest(*families)) if address is not None]


class Lookup:
    """
    One name, looked up once at a time however many ask: the threads that ask a resolver are few, and all vendors' own.

    Mutable state: the lookup that is under way, and how many wait for it.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._asking: asyncio.Task[list[str]] | None = None
        self._waiting = 0

    async def addresses(self) -> list[str]:
        """As `resolve` says. Raises NoReply."""
        if self._asking is None:
            self._asking = asyncio.create_task(resolve(self._host, self._port))
        asking = self._asking
        self._waiting += 1
        try:
            await asyncio.wait({asking})
            return asking.result()
        finally:
            self._waiting -= 1
            if asking.done() or not self._waiting:
                asking.cancel()
                if self._asking is asking:
                    self._asking = None
                    # Whoever was cancelled in the moment of its failure does not ask for it any more.
                    asking.add_done_callback(lambda over: over.cancelled() or over.exception())


async def race(addresses: Sequence[str], connect: Callable[[str], Awaitable[T]], *, abandon: Callable[[T], None]) -> T:
    """
    Connect to the first address that answers; each next one is tried when the one before it failed or takes long.

    Args:
        addresses: at least one.
        connect: opens a connection; raises OSError.
        abandon: closes one that came second.

    Raises:
        NoReply: every address failed.
    """

    def forgo(attempt: asyncio.Future[T]) -> None:
        if not attempt.cancelled() and attempt.exception() is None:
            abandon(attempt.result())

    left = list(addresses)
    trying: set[asyncio.Future[T]] = set()
    refused = False
    try:
        while left or trying:
            if left:
                trying.add(asyncio.ensure_future(connect(left.pop(0))))
            done, _ = await asyncio.wait(
                trying, timeout=ATTEMPT_SECONDS if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                error = attempt.exception()
                if error is None:
                    trying.discard(attempt)
                    return attempt.result()
                if not isinstance(error, OSError):
                    raise error
                trying.discard(attempt)
                refused = refused or isinstance(error, ConnectionRefusedError)
    finally:
        for attempt in trying:
            attempt.cancel()
            attempt.add_done_callback(forgo)
    raise NoReply(Reason.CONNECTION_REFUSED if refused else Reason.DESTINATION_IP_UNROUTABLE)
