"""
The address a request came from (wire 3). Pure.

`X-Forwarded-For` is believed only from a trusted proxy, and read from the right: what stands left of the first address
that we do not trust was written by whoever sits there (W-079 to W-081).
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from .bad_input import BadHeaders

Header = tuple[bytes, bytes]
Address = IPv4Address | IPv6Address

# W-081. More hops than any real chain has, and never cut short: a cut list could name somebody else.
HOP_LIMIT = 32
HOPS_LIMIT_BYTES = 4096


class Proxies:
    """The proxies in front of us that are believed: `server.trusted_proxies`."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ip_network(network, strict=False) for network in networks)

    def client(self, peer: str, headers: Iterable[Header]) -> str:
        """The client's address, given the socket's peer. Raises `BadHeaders` for a chain that is too long."""
        if not self._networks:
            return peer
        address = _read(peer)
        if address is None or not self._trusts(address):
            return peer
        for hop in reversed(_hops(headers)):
            read = _read(hop)
            # What is no address was written by a proxy that did not know; we know no more than that proxy's own.
            if read is None:
                break
            address = read
            if not self._trusts(address):
                break
        return str(address)

    def forwarded_for(self, peer: str, headers: Iterable[Header]) -> bytes:
        """Our `X-Forwarded-For` with `forward.caller_address`: appended to a trusted proxy's, else the peer alone."""
        address = _read(peer)
        hops = _hops(headers) if address is not None and self._trusts(address) else []
        return ", ".join([*hops, str(address or "unknown")]).encode("ascii", "replace")

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _hops(headers: Iterable[Header]) -> list[str]:
    lines = [value for name, value in headers if name == b"x-forwarded-for"]
    joined = b",".join(lines)
    hops = [hop.strip(b" \t").decode("ascii", "replace") for hop in joined.split(b",")]
    hops = [hop for hop in hops if hop]
    if len(joined) > HOPS_LIMIT_BYTES or len(hops) > HOP_LIMIT:
        message = f"X-Forwarded-For names more than {HOP_LIMIT} hops."
        raise BadHeaders(message)
    return hops


def _read(text: str) -> Address | None:
    """An address, bare or with a port, as proxies write them."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
