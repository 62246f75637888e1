"""
The interface to a vendor's origin, and why no reply came.

An engine takes a `Call` and gives an `Exchange`: status and headers, then the body as it arrives. Whatever goes
wrong before the head is whole is a `NoReply`, after it a `Cut`. Leaving the exchange releases the connection on every
path; it is used again only if the reply ended exactly where its framing says (W-171).
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Protocol

from normalizers import HouseCode, Source
from normalizers import HouseCode as H

from .call import Call, Deadlines, Fields, Header, Timeouts

__all__ = [
    "HEAD_LIMIT_BYTES",
    "HEAD_LIMIT_FIELDS",
    "INTERIM_LIMIT",
    "KEEP_ALIVE_SECONDS",
    "Call",
    "Cut",
    "Deadlines",
    "Exchange",
    "Fields",
    "Header",
    "NoReply",
    "Reason",
    "Timeouts",
    "Upstream",
]

# The bounds of a reply's head: contract 8.
HEAD_LIMIT_BYTES = 64 * 1024
HEAD_LIMIT_FIELDS = 200
INTERIM_LIMIT = 100

# A connection idle for longer is not used again: vendors close theirs after 5 s at the earliest (W-114, W-170).
KEEP_ALIVE_SECONDS = 4.0


class Reason(Enum):
    """
    Why no reply came, in the words of RFC 9209 section 2.3; what the caller is told (contract 8), and how.

    The sentences name no host, address or library (W-007).
    """

    DNS_ERROR = "dns_error", H.VENDOR_UNREACHABLE, "The name of {vendor}'s API could not be resolved."
    CONNECTION_REFUSED = "connection_refused", H.VENDOR_UNREACHABLE, "{vendor} refused the connection."
    DESTINATION_IP_PROHIBITED = (
        "destination_ip_prohibited",
        H.VENDOR_UNREACHABLE,
        "The name of {vendor}'s API leads to an address that the gateway never dials.",
    )
    DESTINATION_IP_UNROUTABLE = (
        "destination_ip_unroutable",
        H.VENDOR_UNREACHABLE,
        "No connection to {vendor} could be made.",
    )
    DESTINATION_UNAVAILABLE = (
        "destination_unavailable",
        H.VENDOR_UNREACHABLE,
        "The egress proxy made no connection to {vendor}.",
    )
    TLS_CERTIFICATE_ERROR = (
        "tls_certificate_error",
        H.VENDOR_UNREACHABLE,
        "The certificate that {vendor} showed could not be verified.",
    )
    TLS_PROTOCOL_ERROR = "tls_protocol_error", H.VENDOR_UNREACHABLE, "The TLS handshake with {vendor} failed."
    CONNECTION_TIMEOUT = "connection_timeout", H.VENDOR_TIMEOUT, "No connection to {vendor} could be made in time."
    CONNECTION_WRITE_TIMEOUT = "connection_write_timeout", H.VENDOR_TIMEOUT, "{vendor} stopped reading the request."
    HTTP_RESPONSE_TIMEOUT = "http_response_timeout", H.VENDOR_TIMEOUT, H.VENDOR_TIMEOUT.sentence
    CONNECTION_TERMINATED = (
        "connection_terminated",
        H.VENDOR_FAILED,
        "{vendor} closed the connection without an answer.",
    )
    HTTP_PROTOCOL_ERROR = "http_protocol_error", H.VENDOR_FAILED, "{vendor} answered something that is not HTTP."
    HTTP_RESPONSE_INCOMPLETE = "http_response_incomplete", H.VENDOR_FAILED, "{vendor} broke off its answer."
    HTTP_RESPONSE_HEADER_SECTION_SIZE = (
        "http_response_header_section_size",
        H.VENDOR_FAILED,
        "The head of {vendor}'s answer is larger than the gateway accepts.",
    )
    CONNECTION_LIMIT_REACHED = (
        "connection_limit_reached",
        H.OVERLOADED,
        "Every connection to {vendor} was in use for longer than a request may wait.",
    )

    def __init__(self, rfc9209: str, house: HouseCode, sentence: str) -> None:
        self.rfc9209 = rfc9209
        self.house = house
        self.sentence = sentence

    @property
    def source(self) -> Source:
        """Where it failed: a full pool is our own doing, the rest is the network's."""
        return Source.GATEWAY if self is Reason.CONNECTION_LIMIT_REACHED else Source.NETWORK


class NoReply(Exception):
    """No whole head came from the vendor."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.rfc9209)
        self.reason = reason


class Cut(Exception):
    """The reply's body ended before its end, or stalled."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.rfc9209)
        self.reason = reason


class Exchange(Protocol):
    """A reply whose head is here and whose body is still coming."""

    @property
    def status(self) -> int:
        """The vendor's status, 200..599."""

    @property
    def headers(self) -> list[Header]:
        """The vendor's fields as they came, in order; names in the vendor's own case."""

    @property
    def whole(self) -> bytes | None:
        """The whole body, where it came with the head: nothing needs to be awaited; None where that is not known."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body without its transfer coding, as it arrives, no chunk empty. Raises `Cut`, or what the upload did."""


class Upstream(Protocol):
    """The connections to one vendor."""

    def exchange(self, call: Call) -> AbstractAsyncContextManager[Exchange]:
        """Send the call and wait for the reply's head. Raises `NoReply`; what the body's source raises goes through."""

    def connections(self) -> tuple[int, int, int]:
        """How many connections are busy, idle, and still free to be opened."""

    async def aclose(self) -> None:
        """Close every connection."""
