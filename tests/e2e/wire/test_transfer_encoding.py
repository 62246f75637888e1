"""
Transfer-Encoding lines that some reader would take for chunked: section 2, each alone and beside a Content-Length.

Nothing whole of a line that is not plainly `chunked`, or plainly another field, ever reaches the vendor.
"""

from collections.abc import Sequence

import pytest

from tests.e2e.harness.gateway import ThreadGateway
from tests.e2e.harness.vendor import RogueVendor
from tests.e2e.harness.wire import Request
from tests.e2e.wire import corpus
from tests.e2e.wire.conftest import CLEAN, echo
from tests.e2e.wire.corpus import Mutation
from tests.e2e.wire.talk import Speech, Talk, converse
from tests.e2e.wire.test_payloads import arrived, check_arrived

__all__ = ["CLEAN"]

GENERATED = corpus.generated_mutations()
BESIDE = b"Content-Length: 15\r\n"

# The file lets a request pass whose only fault is a name: then its body is none, and what follows is no request.
WITHOUT_BODY = {"TE-underjoin1", "TE-contentEnc"}

# Refused here although it might pass: a tab behind the coding (the parser is strict), which is safe.
REFUSED_TOO = {"TE-tabsuffix", "endspace-09"}


def has_no_body(row: Mutation) -> bool:
    """Whether the line is an honest field that frames nothing."""
    return row.expected == "P" or row.id in WITHOUT_BODY


def ask(gateway: ThreadGateway, rows: Sequence[Mutation], before: bytes = b"") -> list[Talk]:
    """Send each row on a connection of its own."""
    gateway.uncounted = True
    return converse(
        gateway.address,
        # Behind a line that frames nothing the chunks are no request, and end the connection.
        [Speech([row.request(before)], ["POST"], until_closed=has_no_body(row) and not before) for row in rows],
    )


def check(row: Mutation, talk: Talk) -> bool:
    """Hold an answer to the row's expectation; whether the request was to be sent on."""
    assert talk.error == "", row.id
    assert talk.leftover == b"", row.id
    if has_no_body(row):
        # The chunks behind it are no request: refused, or silently the end; only the first may be answered well.
        assert talk.statuses in {(200,), (200, 400)}, row.id
        assert talk.closed, row.id
        return True
    if row.expected == "N" and row.id not in REFUSED_TOO:
        assert talk.statuses == (200,), row.id
        assert talk.responses[0].body == b"POST /base/ - hello", row.id
        return True
    assert talk.statuses in {(400,), (501,)}, row.id
    assert talk.responses[0].header("connection") == "close", row.id
    assert talk.closed, row.id
    return False


def whole(requests: list[Request]) -> int:
    """How many requests arrived whole."""
    return sum(request.complete for request in requests)


def run(gateway: ThreadGateway, vendor: RogueVendor, rows: Sequence[Mutation]) -> None:
    """Send the rows alone, then beside a Content-Length, and count what arrives."""
    vendor.answer = echo

    passed = [check(row, talk) for row, talk in zip(rows, ask(gateway, rows), strict=True)]

    requests = arrived(vendor)
    assert whole(requests) == sum(passed)
    for request in requests:
        check_arrived(request, vendor.port)

    vendor.forget()
    vendor.answer = echo
    for row, talk in zip(rows, ask(gateway, rows, BESIDE), strict=True):
        # Beside a length the line must say nothing of a coding.
        if has_no_body(row):
            assert talk.statuses == (200,), row.id
        else:
            assert talk.statuses in {(400,), (501,)}, row.id
            assert talk.closed, row.id
    requests = arrived(vendor)
    assert whole(requests) == sum(map(has_no_body, rows))
    for request in requests:
        check_arrived(request, vendor.port)


@pytest.mark.parametrize("place", GENERATED)
def test_odd_byte(gateway: ThreadGateway, vendor: RogueVendor, place: str) -> None:
    """Every odd byte at every place of the line: chunked or refused, and never with a length (W-042, W-044)."""
    run(gateway, vendor, GENERATED[place])


def test_named_mutations(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """The 28 lines that other readers have taken for chunked (W-042, W-044)."""
    run(gateway, vendor, corpus.named_mutations())


CODINGS = {
    "chunked": ([b"chunked"], 200),
    "spelled-large": ([b"CHUNKED"], 200),
    "gzip-then-chunked": ([b"gzip, chunked"], 501),
    "two-lines": ([b"gzip", b"chunked"], 501),
    "deflate-then-chunked": ([b"deflate,chunked"], 501),
    "unknown-then-chunked": ([b"cow, chunked"], 400),
    "identity-then-chunked": ([b"identity, chunked"], 400),
    "chunked-not-final": ([b"chunked, gzip"], 400),
    "chunked-twice": ([b"chunked, chunked"], 400),
    "gzip-alone": ([b"gzip"], 400),
    "empty-member": ([b", chunked"], 400),
}


@pytest.mark.parametrize(("lines", "status"), CODINGS.values(), ids=CODINGS)
def test_transfer_codings(gateway: ThreadGateway, vendor: RogueVendor, lines: list[bytes], status: int) -> None:
    """Other codings before a final chunked are 501, anything else but chunked 400; both close (W-044)."""
    vendor.answer = echo
    gateway.asked += 1
    head = b"".join(b"Transfer-Encoding: %s\r\n" % line for line in lines)

    (talk,) = converse(
        gateway.address,
        [Speech([b"POST / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n5\r\nhello\r\n0\r\n\r\n"], ["POST"])],
    )

    assert talk.statuses == (status,)
    assert talk.closed == (status != 200)
    assert whole(list(vendor.requests)) == (status == 200)
