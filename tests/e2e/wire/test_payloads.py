"""
Requests that two readers could read differently: what reaches the vendor is unambiguous, or nothing whole does.

Each payload of section 1 goes out whole, byte by byte and split at each line end, alone and with an honest request
behind it on the same connection, which must get its own answer or none.
"""

import re

import pytest

from tests.e2e.harness.gateway import ThreadGateway
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor
from tests.e2e.harness.wire import Request, Response
from tests.e2e.wire import corpus
from tests.e2e.wire.conftest import BASE, CLEAN, CREDENTIAL, echo
from tests.e2e.wire.corpus import Row
from tests.e2e.wire.talk import SPLITS, Speech, Talk, converse

__all__ = ["CLEAN"]

ROWS = {row.id: row for row in corpus.requests()}

# Where the contract, or a rule of the wire, says otherwise than the file: the statuses, and why.
OVERRULED: dict[str, tuple[set[int], str]] = {
    "A17": ({413}, "the length is one number, only too large (contract 18)"),
    "B20": ({400}, "chunked is not the final coding (W-044)"),
    "B41": ({400}, "a GET cannot have content without forward.get_body (W-067)"),
    "B42": ({400}, "nor can a HEAD (W-067)"),
    "C15": ({408}, "a chunk that never comes is late; too large is what has come (contract 18)"),
    "C19": ({400}, "the parser refuses framing fields among trailers, which is safe, too"),
    "D19": ({501}, "a version other than 1.0 and 1.1 is not spoken (W-029)"),
    "D49": ({501}, "an unknown method is not spoken (W-037)"),
    "D64": ({404}, "HTTP/1.0 needs no Host; without one the path must name a vendor (contract 4)"),
    "E28": ({400}, "Connection cannot name Authorization (W-024)"),
    "G62": ({501}, "an unknown method is not spoken (W-037)"),
    "G63": ({501}, "an unknown method is not spoken (W-037)"),
    "G64": ({501}, "CONNECT is not spoken (W-034)"),
    "G68": ({501}, "a version other than 1.0 and 1.1 is not spoken (W-029)"),
    "G72": ({400}, "Upgrade with a body is refused (W-038)"),
    "G78": ({400}, "Connection cannot name Host (W-024)"),
    "G88": ({431}, "80 KiB of cookies are over the head's 32 KiB (W-063)"),
}

# Refused for what they ask, not for how they are framed: the connection may go on (contract 18).
MAY_GO_ON = {"D34", "D36", "D38", "D39", "D41", "D48", "D60", "G50", "G54", "G59", "G60", "G62", "G63"}

# Either outcome is safe; ours is to send it on normalized, or to answer it here (`OPTIONS *`).
SENT_ON = {"C17", "C31", "C34", "C35", "C36", "D15", "F02", "F03", "F04", "F08", "F09", "G41", "G85", "G86"}
# What is too long beside the chunks is seen between two reads only: sent on, or refused with 400.
BY_PIECES = {"C35", "C36"}
ANSWERED_HERE = {"D44", "F17"}

# Accepted, and the answer is the connection's last: what came behind it is not answered.
LAST = {"B48", "C31", "F02", "F03", "F04", "F10", "F11", "F13", "F17", "G74"}

GARBAGE_BEHIND = {"C31", "F04"}

# What was sent on where it is not one request with the body `hello`, or with none.
BODIES = {
    "A19": [b"0123456789"],
    "A40": [b""],
    "A41": [b"", b""],
    "B52": [b""],
    "C17": [b""],
    "C31": [b""],
    "F01": [b"", b""],
    "F05": [b"GET /SMUGGLED HTTP/1.1\r\nHost: a\r\n\r\n"],
    "G33": [b"01234567890123456789"],
    "G84": [b""],
    "G85": [b"{}"],
    "G87": [b"{}"],
}

# W-023, W-083, W-084 and W-137: what never arrives, in any spelling that a lax reader folds to it.
NEVER_ARRIVES = re.compile(
    r"connection|keep-alive|te|trailer|upgrade|http2-settings|expect|proxy(-.*)?|forwarded|x-forwarded-.*|x-real-ip"
    r"|authorization|x-api-key|cookie|errgate-.*|traceparent|x-request-id|upgrade-insecure-requests"
)


def canary(number: int) -> bytes:
    """An honest request that can be told apart."""
    return b"GET /canary HTTP/1.1\r\nHost: a\r\nX-Canary: %d\r\n\r\n" % number


def speeches(payload: bytes, *, half_close: bool = False, answers: int = 1) -> list[Speech]:
    """The payload in every way of saying it: three splits, alone (even places) and followed by a canary (odd ones)."""
    method = payload.lstrip(b"\r\n\x00").partition(b" ")[0].decode("latin-1")
    said: list[Speech] = []
    for split in SPLITS.values():
        said.append(Speech(split(payload), [method], answers, half_close))
        behind = payload + canary(len(said))
        said.append(Speech(split(behind), [method], answers + 1, half_close))
    return said


def sent_on(row: Row) -> list[tuple[str, str, bytes]]:
    """The requests that an accepted row is: method, target, body."""
    lines = [
        line.decode("latin-1").split(" ")
        for line in re.findall(rb"^[A-Z]+ +[^ \r\n]+ HTTP/1\.[01](?=\r\n)", row.payload.lstrip(b"\x00"), re.MULTILINE)
    ]
    framed = re.search(rb"(?im)^(content-length: *0*[1-9]|transfer-encoding:)", row.payload)
    bodies = BODIES.get(row.id, [b"hello" if framed else b""])
    return [
        (method, BASE + re.sub("^https?://[^/]*", "", target), body)
        for (method, target, _), body in zip(lines, bodies, strict=False)
    ]


def is_refused(row: Row) -> bool:
    """Whether ours is to refuse it."""
    if row.id in SENT_ON | ANSWERED_HERE:
        return False
    return row.expected in {"R", "RN"} or row.id in OVERRULED


def check_refusal(row: Row, answer: Response, method: str) -> None:
    """The status of the row, in the envelope."""
    allowed = OVERRULED[row.id][0] if row.id in OVERRULED else set(row.statuses)
    assert answer.status in allowed
    if method != "HEAD":
        check_problem(answer, answer.header("errgate-code") or "", source="gateway")


def check_arrived(request: Request, port: int) -> None:
    """The oracle of every request that a vendor gets (its reader is strict, too: one framing, no control, no fold)."""
    assert request.head.all("host") == [f"127.0.0.1:{port}"]
    assert request.head.all(CREDENTIAL["header"]) == [CREDENTIAL["value"]]
    assert request.head.all("via")[-1].endswith(" errgate")
    for name in request.head.names():
        assert not NEVER_ARRIVES.fullmatch(name.replace("_", "-").replace(".", "-")), name


def check_canary(talk: Talk, number: int) -> None:
    """The honest request behind a payload was answered with its own answer."""
    assert talk.responses[-1].body == b"GET /base/canary %d " % number


def arrived(vendor: RogueVendor) -> list[Request]:
    """All that has come to the vendor, once nothing is on its way any more."""
    assert until(lambda: all(wire.over for wire in vendor.wires if wire.requests and not wire.requests[-1].complete))
    return list(vendor.requests)


def test_payloads_are_whole() -> None:
    """The file is what it says: 263 requests, 28 and 1,600 mutations, 51 replies."""
    generated = corpus.generated_mutations()

    assert len(ROWS) == 263
    assert len(corpus.named_mutations()) == 28
    assert sum(map(len, generated.values())) == 1600
    assert sum(row.expected == "R" for rows in generated.values() for row in rows) == 1465
    assert len(corpus.replies()) == 51


@pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if is_refused(row) and row.id != "F06"], ids=lambda row: row.id
)
def test_refused(gateway: ThreadGateway, vendor: RogueVendor, row: Row) -> None:
    """Refused once, in the envelope; nothing whole arrives, and bytes behind it are no request (W-042, W-021)."""
    vendor.answer = echo
    method = row.payload.partition(b" ")[0].decode("latin-1")
    gateway.uncounted = True

    talks = converse(gateway.address, speeches(row.payload))

    for number, talk in enumerate(talks):
        assert talk.error == ""
        assert talk.leftover == b""
        check_refusal(row, talk.responses[0], method)
        goes_on = row.id in MAY_GO_ON and talk.responses[0].header("connection") != "close"
        if goes_on:
            assert len(talk.responses) == 1 + number % 2
        else:
            assert talk.statuses == talk.statuses[:1]
            assert talk.responses[0].header("connection") == "close"
            assert talk.closed
        if goes_on and number % 2:
            check_canary(talk, number)
    for request in arrived(vendor):
        if request.complete:
            assert row.id in MAY_GO_ON
            assert request.target == b"/base/canary"
        check_arrived(request, vendor.port)


@pytest.mark.parametrize("row", [row for row in ROWS.values() if not is_refused(row)], ids=lambda row: row.id)
def test_accepted(gateway: ThreadGateway, vendor: RogueVendor, row: Row) -> None:
    """What passes arrives as the one thing it is, its framing ours, and what follows gets its own answer (W-045)."""
    vendor.answer = echo
    expected = [] if row.id in ANSWERED_HERE else sent_on(row)
    gateway.uncounted = True

    talks = converse(gateway.address, speeches(row.payload, answers=max(1, len(expected))))

    passed = [pair for pair in enumerate(talks) if row.id not in BY_PIECES or pair[1].statuses != (400,)]
    for number, talk in passed:
        assert talk.error == ""
        assert talk.leftover == b""
        answers, behind = talk.responses[: max(1, len(expected))], talk.responses[max(1, len(expected)) :]
        if row.id in ANSWERED_HERE:
            assert talk.statuses[0] == 204
        else:
            told = [b" ".join((m.encode(), t.encode(), b"-", b"")) + body for m, t, body in expected]
            assert [answer.body for answer in answers] == told
        if row.id in LAST:
            # Garbage that comes when the answer is out is a request of its own, and refused as one.
            assert [answer.status for answer in behind] in ([], [400] if row.id in GARBAGE_BEHIND else [])
            assert talk.closed
            assert talk.responses[-1].header("connection") == "close"
        elif number % 2:
            assert len(behind) == 1
            check_canary(talk, number)
        else:
            assert not behind
            assert not talk.closed
    canaries = 0 if row.id in LAST else sum(number % 2 for number, _ in passed)
    requests = arrived(vendor)
    got = sorted((r.method, r.target.decode(), r.body) for r in requests if r.complete)
    assert got == sorted(expected * len(passed) + [("GET", "/base/canary", b"")] * canaries)
    for request in requests:
        assert request.complete or row.id in BY_PIECES
        check_arrived(request, vendor.port)


def test_short_body_then_end(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """F06: a body that ends early never looks whole to the vendor, nor is it answered as if it were (W-046)."""
    vendor.answer = echo
    gateway.uncounted = True

    talks = converse(gateway.address, speeches(ROWS["F06"].payload, half_close=True))

    assert all(talk.closed for talk in talks)
    assert not any(status < 400 for talk in talks for status in talk.statuses)
    assert not any(request.complete for request in arrived(vendor))


@pytest.mark.parametrize(("row", "reason"), [(row, reason) for row, (_, reason) in OVERRULED.items()])
def test_overruled_rows_exist(row: str, reason: str) -> None:
    """Each row that the contract overrules is one of the file, and says why."""
    assert row in ROWS
    assert reason
