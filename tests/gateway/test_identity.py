"""What a request is called."""

import re
import subprocess
import sys
import uuid

import pytest

from gateway.identity import Trace, instance, request_id, trace, traceparent, vendor_request_id

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"


@pytest.mark.parametrize("value", ["12345678", "01J8Z-x_y.z", "a" * 128])
def test_well_formed_request_ids_are_kept(value: str) -> None:
    """W-138: a caller's own id, where it can be one, is the request's."""
    assert request_id([(b"host", b"a"), (b"x-request-id", value.encode())]) == value


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b""],
        [b"1234567"],
        [b"a" * 129],
        [b"a" * 1024],
        [b"12345678\r\nX: y"],
        [b"12345678\n"],
        [b"12345678 "],
        [b"1234567\xe9"],
        [b"12345678", b"12345678"],
    ],
)
def test_other_request_ids_are_replaced(values: list[bytes]) -> None:
    """W-138: a missing, repeated or malformed id gives way to a fresh one."""
    headers = [(b"x-request-id", value) for value in values]

    ids = {request_id(headers) for _ in range(100)}

    assert len(ids) == 100
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)


def test_instances_are_distinct_uuids() -> None:
    """W-008: every problem has a name of its own, one that leads nowhere."""
    instances = {instance() for _ in range(1000)}

    assert len(instances) == 1000
    assert all(uuid.UUID(one.removeprefix("urn:uuid:")).version == 4 for one in instances)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"req_1", b"req_1"),
        ("req_1", b"req_1"),
        ("a" * 128, b"a" * 128),
        ("a" * 129, None),
        ("a\r\nSet-Cookie: x", None),
        (b"a b", None),
        ("\xe9", None),
        ("\ud83d ", None),
        ("", None),
        (None, None),
    ],
)
def test_vendor_ids_enter_a_header_only_as_visible_ascii(value: bytes | str | None, expected: bytes | None) -> None:
    """W-147: a vendor's text is in a header of ours only where it cannot end one."""
    assert vendor_request_id(value) == expected


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{TRACE_ID}-{PARENT_ID}-01", True),
        (f"00-{TRACE_ID}-{PARENT_ID}-00", False),
        (f"00-{TRACE_ID}-{PARENT_ID}-03", True),
        (f"00-{TRACE_ID}-{PARENT_ID}-02", False),
        (f"01-{TRACE_ID}-{PARENT_ID}-01", True),
        (f"01-{TRACE_ID}-{PARENT_ID}-01-more", True),
        (f"fe-{TRACE_ID}-{PARENT_ID}-01-", True),
    ],
)
def test_valid_traceparents_are_continued(value: str, sampled: bool) -> None:
    """W-136: a trace of this or a later version is read by its first four fields."""
    assert trace([(b"traceparent", value.encode())]) == Trace(TRACE_ID, PARENT_ID, sampled)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["garbage"],
        [f"ff-{TRACE_ID}-{PARENT_ID}-01"],
        [f"00-{TRACE_ID}-{PARENT_ID}-01-more"],
        [f"00-{TRACE_ID}-{PARENT_ID}-01-"],
        [f"01-{TRACE_ID}-{PARENT_ID}-01more"],
        [f"00-{'0' * 32}-{PARENT_ID}-01"],
        [f"00-{TRACE_ID}-{'0' * 16}-01"],
        [f"00-{TRACE_ID.upper()}-{PARENT_ID}-01"],
        [f"00-{TRACE_ID[1:]}-{PARENT_ID}-01"],
        [f"00-{TRACE_ID}-{PARENT_ID}-1"],
        [f"0-{TRACE_ID}-{PARENT_ID}-01"],
        [f"00_{TRACE_ID}_{PARENT_ID}_01"],
        [f" 00-{TRACE_ID}-{PARENT_ID}-01"],
        [f"00-{TRACE_ID}-{PARENT_ID}-01"] * 2,
    ],
)
def test_other_traceparents_count_as_none(values: list[str]) -> None:
    """W-136: a malformed, forbidden or repeated field starts no trace."""
    assert trace([(b"traceparent", value.encode()) for value in values]) is None


@pytest.mark.parametrize(
    "parent", [Trace(TRACE_ID, PARENT_ID, sampled=True), Trace(TRACE_ID, PARENT_ID, sampled=False)]
)
def test_a_continued_trace_has_a_new_parent(parent: Trace) -> None:
    """W-137: what goes on is the caller's trace under a parent id of our own."""
    sent = trace([(b"traceparent", traceparent(parent))])

    assert sent is not None
    assert (sent.trace_id, sent.sampled) == (TRACE_ID, parent.sampled)
    assert sent.parent_id != PARENT_ID


def test_without_a_trace_one_begins() -> None:
    """W-136: no valid parent means a new trace, not none."""
    first, second = (trace([(b"traceparent", traceparent(None))]) for _ in range(2))

    assert first
    assert second
    assert first.trace_id != second.trace_id


FORKED = """
import os
from gateway.identity import request_id
request_id(())
os.fork()
os.write(1, "".join(request_id(()) + "\\n" for _ in range(10)).encode())
"""


def test_a_child_has_names_of_its_own() -> None:
    """A worker that is forked says none of the names that its parent says."""
    said = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, check=True, text=True).stdout.split()

    assert len(set(said)) == len(said) == 20


def test_names_are_not_said_again() -> None:
    """However many are asked for."""
    assert len({request_id(()) for _ in range(1000)} | {instance() for _ in range(1000)}) == 2000
