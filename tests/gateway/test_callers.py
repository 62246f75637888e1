"""Who calls, and may they."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import pytest

from gateway.bad_input import BadHeaders, NoKey
from gateway.callers import ANYONE, Callers, read_key

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the settings say of one caller."""

    key_sha256: Sequence[str]
    vendors: Mapping[str, Literal["all"] | Sequence[str]] | None = None


def digest(key: bytes) -> str:
    """What stands in the settings for a key."""
    return sha256(key).hexdigest()


CALLERS = Callers(
    {
        "billing": Settings([digest(b"egk_old"), digest(b"egk_new")]),
        "search": Settings([digest(b"egk_search").upper()], {"pixii": ["submit", "poll"], "apixo": "all"}),
        "retired": Settings([]),
    }
)


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ([(b"host", b"a"), (b"errgate-key", b"egk_old"), (b"x-b", b"1")], "billing"),
        ([(b"errgate-key", b"egk_new")], "billing"),
        ([(b"authorization", b"Bearer egk_new")], "billing"),
        ([(b"authorization", b"bearer  egk_new ")], "billing"),
        ([(b"x-api-key", b"egk_search")], "search"),
        ([(b"errgate-key", b"egk_new"), (b"x-api-key", b"egk_search")], "billing"),
        ([(b"authorization", b"Bearer egk_new"), (b"x-api-key", b"egk_search")], "billing"),
        ([(b"authorization", b"Basic egk_new"), (b"x-api-key", b"egk_search")], "search"),
    ],
)
def test_a_key_names_its_caller(headers: Headers, name: str) -> None:
    """`Errgate-Key` counts, else a Bearer token, else `X-Api-Key`; each of a caller's keys is good."""
    assert CALLERS.identify(headers).name == name


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Basic egk_new")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"egk_new")],
        [(b"errgate-key", b"")],
        [(b"errgate-key", b"\xe9")],
        [(b"x-api-key", b"\xff" * 1000)],
        [(b"x-api-key", b"egk_newer")],
        # The digest is no key.
        [(b"x-api-key", digest(b"egk_new").encode())],
        # A wrong key is not passed over for a right one further on.
        [(b"errgate-key", b"wrong"), (b"x-api-key", b"egk_new")],
        [(b"authorization", b"Bearer wrong"), (b"x-api-key", b"egk_new")],
    ],
)
def test_no_key_or_a_wrong_one_is_refused(headers: Headers) -> None:
    """W-144: whatever bytes a key is made of, it is found or it is 401."""
    with pytest.raises(NoKey) as refused:
        CALLERS.identify(headers)

    assert refused.value.code == "unauthenticated"


@pytest.mark.parametrize("name", [b"errgate-key", b"authorization", b"x-api-key"])
def test_two_keys_are_refused(name: bytes) -> None:
    """W-143: where the field that counts comes twice nobody can say which one was meant."""
    with pytest.raises(BadHeaders):
        CALLERS.identify([(name, b"Bearer egk_new"), (name, b"Bearer egk_new")])


def test_with_passthrough_only_our_own_header_counts() -> None:
    """With `credential: passthrough` the other two carry the vendor's credential and are none of our business."""
    theirs = [(b"authorization", b"Bearer egk_new"), (b"x-api-key", b"a"), (b"x-api-key", b"b")]

    with pytest.raises(NoKey):
        CALLERS.identify(theirs, passthrough=True)

    assert CALLERS.identify([*theirs, (b"errgate-key", b"egk_search")], passthrough=True).name == "search"
    assert read_key(theirs, passthrough=True) is None


@pytest.mark.parametrize("callers", [None, "open"])
def test_without_callers_anybody_may(callers: Literal["open"] | None) -> None:
    """Without callers, or with `open`, no key is asked for and none is looked at."""
    anyone = Callers(callers).identify([(b"errgate-key", b"a"), (b"errgate-key", b"b")])

    assert anyone is ANYONE
    assert anyone.name == "none"
    assert anyone.may("pixii", None)


def test_no_callers_at_all_is_not_open() -> None:
    """An empty mapping of callers lets nobody in."""
    with pytest.raises(NoKey):
        Callers({}).identify([(b"errgate-key", b"a")])


@pytest.mark.parametrize(
    ("caller", "vendor", "route", "allowed"),
    [
        ("egk_new", "pixii", "list", True),
        ("egk_new", "pixee", None, True),
        ("egk_search", "pixii", "submit", True),
        ("egk_search", "pixii", "list", False),
        ("egk_search", "pixii", None, False),
        ("egk_search", "apixo", "balance", True),
        ("egk_search", "apixo", None, True),
        ("egk_search", "pixee", "import", False),
        ("egk_search", "pixee", None, False),
    ],
)
def test_a_caller_may_be_narrowed(caller: str, vendor: str, route: str | None, allowed: bool) -> None:
    """W-150: a caller narrowed to routes may use those, `all` every path of the vendor, and nothing else."""
    assert CALLERS.identify([(b"errgate-key", caller.encode())]).may(vendor, route) is allowed


def test_a_caller_sees_its_own_vendors_only() -> None:
    """What a 404 names is what this caller may use, in the settings' order."""
    vendors = ["apixo", "pikzels", "pixii"]

    search = CALLERS.identify([(b"errgate-key", b"egk_search")])

    assert search.allowed_vendors(vendors) == ["apixo", "pixii"]
    assert ANYONE.allowed_vendors(vendors) == vendors
    assert not search.may_use("pikzels")
