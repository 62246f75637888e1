"""Why no reply came: every exception of the library below has its reason, and every reason its house code."""

import logging

import httpcore2
import pytest

from gateway.upstream import Call, NoReply, Reason
from gateway.upstream.httpx import EXPECTED, TALKATIVE, reason_of, silence
from normalizers import HouseCode, Source
from tests.gateway.upstream.scripted import Body, call

R = Reason

REASONS = {
    httpcore2.PoolTimeout: R.CONNECTION_LIMIT_REACHED,
    httpcore2.ConnectTimeout: R.CONNECTION_TIMEOUT,
    httpcore2.WriteTimeout: R.CONNECTION_WRITE_TIMEOUT,
    httpcore2.ReadTimeout: R.HTTP_RESPONSE_TIMEOUT,
    httpcore2.TimeoutException: R.HTTP_RESPONSE_TIMEOUT,
    httpcore2.ConnectError: R.DESTINATION_IP_UNROUTABLE,
    httpcore2.ReadError: R.CONNECTION_TERMINATED,
    httpcore2.WriteError: R.CONNECTION_TERMINATED,
    httpcore2.NetworkError: R.CONNECTION_TERMINATED,
    httpcore2.RemoteProtocolError: R.HTTP_PROTOCOL_ERROR,
    httpcore2.LocalProtocolError: R.HTTP_PROTOCOL_ERROR,
    httpcore2.ProtocolError: R.HTTP_PROTOCOL_ERROR,
    httpcore2.ProxyError: R.DESTINATION_UNAVAILABLE,
}

# The pool keeps the first to itself; the second is a scheme that no settings let through.
NEVER_SEEN = {httpcore2.ConnectionNotAvailable, httpcore2.UnsupportedProtocol}

# Contract 8, and the names of RFC 9209 section 2.3.
HOUSE_CODES = {
    "dns_error": HouseCode.VENDOR_UNREACHABLE,
    "connection_refused": HouseCode.VENDOR_UNREACHABLE,
    "destination_ip_prohibited": HouseCode.VENDOR_UNREACHABLE,
    "destination_ip_unroutable": HouseCode.VENDOR_UNREACHABLE,
    "destination_unavailable": HouseCode.VENDOR_UNREACHABLE,
    "tls_certificate_error": HouseCode.VENDOR_UNREACHABLE,
    "tls_protocol_error": HouseCode.VENDOR_UNREACHABLE,
    "connection_timeout": HouseCode.VENDOR_TIMEOUT,
    "connection_write_timeout": HouseCode.VENDOR_TIMEOUT,
    "http_response_timeout": HouseCode.VENDOR_TIMEOUT,
    "connection_terminated": HouseCode.VENDOR_FAILED,
    "http_protocol_error": HouseCode.VENDOR_FAILED,
    "http_response_incomplete": HouseCode.VENDOR_FAILED,
    "http_response_header_section_size": HouseCode.VENDOR_FAILED,
    "connection_limit_reached": HouseCode.OVERLOADED,
}


def test_every_exception_has_its_reason() -> None:
    """A class that a new version of the library brings must be thought about before it is let in."""
    known = {each for each in vars(httpcore2).values() if isinstance(each, type) and issubclass(each, Exception)}

    assert known == REASONS.keys() | NEVER_SEEN


@pytest.mark.parametrize("kind", REASONS)
def test_reason_of(kind: type[Exception]) -> None:
    """The first class that fits decides."""
    error = kind()

    assert isinstance(error, EXPECTED)
    assert reason_of(error) is REASONS[kind]


@pytest.mark.parametrize("reason", Reason)
def test_house_code(reason: Reason) -> None:
    """Each reason is told by the house code of contract 8; a full pool alone is the gateway's own."""
    assert HOUSE_CODES[reason.rfc9209] is reason.house
    assert reason.source is (Source.GATEWAY if reason.house is HouseCode.OVERLOADED else Source.NETWORK)
    assert str(NoReply(reason)) == reason.rfc9209
    assert "{vendor}" in reason.sentence


def test_call_keeps_its_secrets() -> None:
    """A call in a log or a traceback shows no target, no field and no body (W-151)."""
    made: Call = call(b"POST", b"/secret", [(b"authorization", b"Bearer secret")], Body([b"secret"]))

    assert "secret" not in repr(made)


def test_silence() -> None:
    """The libraries that write header fields write nothing, whatever level somebody sets."""
    silence()

    for name in TALKATIVE:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        assert not logger.isEnabledFor(logging.CRITICAL)
        logger.setLevel(logging.NOTSET)
