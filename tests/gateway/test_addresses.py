"""Where a request came from."""

import pytest

from gateway.addresses import HOP_LIMIT, Proxies
from gateway.bad_input import BadHeaders

PROXIES = Proxies(["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"])


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        # Nobody trusted speaks: the field is noise (W-079).
        ("203.0.113.9", ["1.1.1.1"], "203.0.113.9"),
        ("", ["1.1.1.1"], ""),
        ("testclient", ["1.1.1.1"], "testclient"),
        # From the right, past those we trust (W-080).
        ("10.0.0.5", [], "10.0.0.5"),
        ("10.0.0.5", ["1.1.1.1"], "1.1.1.1"),
        ("10.0.0.5", ["1.1.1.1, 10.0.0.5"], "1.1.1.1"),
        ("10.0.0.5", ["6.6.6.6, 1.1.1.1, 10.0.0.9, 192.0.2.7"], "1.1.1.1"),
        ("10.0.0.5", ["6.6.6.6", "1.1.1.1", "10.0.0.9"], "1.1.1.1"),
        ("10.0.0.5", ["10.0.0.7, 10.0.0.6"], "10.0.0.7"),
        ("192.0.2.7", [" 1.1.1.1 ,, "], "1.1.1.1"),
        # As proxies write them.
        ("10.0.0.5", ["1.1.1.1:4711"], "1.1.1.1"),
        ("10.0.0.5", ["[2001:DB9::1]:4711"], "2001:db9::1"),
        ("10.0.0.5", ["2001:db9::1"], "2001:db9::1"),
        ("2001:db8::5", ["2001:db9::1, [2001:db8::6]"], "2001:db9::1"),
        ("::ffff:10.0.0.5", ["::ffff:1.1.1.1"], "1.1.1.1"),
        # What is no address hides whoever stands behind it.
        ("10.0.0.5", ["1.1.1.1, unknown, 10.0.0.9"], "10.0.0.9"),
        ("10.0.0.5", ["1.1.1.1, _hidden"], "10.0.0.5"),
        ("10.0.0.5", ["\xe9"], "10.0.0.5"),
    ],
)
def test_client_is_the_first_address_nobody_vouches_for(peer: str, lines: list[str], client: str) -> None:
    """W-079, W-080: only a trusted peer is believed, and only from the right."""
    headers = [(b"forwarded", b"for=9.9.9.9"), (b"x-real-ip", b"8.8.8.8")]
    headers += [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]

    assert PROXIES.client(peer, headers) == client


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    """W-079: the default believes nobody."""
    assert Proxies().client("10.0.0.5", [(b"x-forwarded-for", b"1.1.1.1")]) == "10.0.0.5"


@pytest.mark.parametrize("value", [", ".join(["10.0.0.1"] * (HOP_LIMIT + 1)), "1.1.1.1" + " " * 4090])
def test_endless_chains_are_refused(value: str) -> None:
    """W-081: 33 elements or more than 4 KiB are 400, never cut short; at the limit they are read."""
    with pytest.raises(BadHeaders):
        PROXIES.client("10.0.0.5", [(b"x-forwarded-for", value.encode())])

    at_the_limit = ", ".join(["10.0.0.1"] * HOP_LIMIT)
    assert PROXIES.client("10.0.0.5", [(b"x-forwarded-for", at_the_limit.encode())]) == "10.0.0.1"
    # From elsewhere nobody reads it.
    assert PROXIES.client("1.1.1.1", [(b"x-forwarded-for", value.encode())]) == "1.1.1.1"


@pytest.mark.parametrize(
    ("peer", "lines", "sent"),
    [
        ("203.0.113.9", ["1.1.1.1"], b"203.0.113.9"),
        ("10.0.0.5", ["1.1.1.1", "2.2.2.2"], b"1.1.1.1, 2.2.2.2, 10.0.0.5"),
        ("10.0.0.5", [], b"10.0.0.5"),
        ("10.0.0.5", ["\xe9"], b"?, 10.0.0.5"),
        ("2001:db8::5", ["1.1.1.1"], b"1.1.1.1, 2001:db8::5"),
        ("testclient", ["1.1.1.1"], b"unknown"),
    ],
)
def test_what_a_trusted_proxy_says_is_continued(peer: str, lines: list[str], sent: bytes) -> None:
    """W-080, W-083: with `forward.caller_address` a trusted proxy's chain goes on, any other is replaced."""
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]

    assert PROXIES.forwarded_for(peer, headers) == sent
