"""
Rogue vendors: section 3, each reply twice on the vendor's one connection, then an innocent call that must be answered.

A head that is no HTTP is `vendor_failed`; a success that breaks off never looks whole; an error's status decides,
whatever becomes of its body.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.harness.client import request as bytes_of
from tests.e2e.harness.gateway import ENGINE, ThreadGateway, free_port, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.vendor import OK, RogueVendor, Step, Wire, drip, endless, fin, pause, reply, rst, send, stall
from tests.e2e.harness.wire import Request, Response
from tests.e2e.wire import corpus
from tests.e2e.wire.conftest import CREDENTIAL

ROWS = {row.id: row.payload for row in corpus.replies()}

# No whole, valid head: 502 whatever was asked.
NO_HEAD = {
    "garbage_status", "ssh_banner", "status_99", "status_000", "status_600", "status_888", "status_1000",
    "cl_dup_diff", "cl_neg", "cl_empty", "te_gzip_chunked", "te_unknown", "eof_headers", "eof_status", "eof_nothing",
    "hdr_200k", "hdr_5000", "hdr_nul", "hdr_cr", "hdr_space_colon", "hdr_nocolon", "1xx_flood_20000", "101_unasked",
    "tls_record",
}  # fmt: skip

# A success that is not whole: as far as it came, then a cut.
CUT = {"cl_huge", "chunk_bad_hex", "chunk_bad_term", "chunk_neg", "chunk_no_final", "chunk_ext_200k"}

# Where the rules leave a choice the engine of our own takes the stricter one: a bare line feed ends no line, a length
# has fewer than twenty digits (W-047, W-052), and extensions are bounded (RC-39).
if ENGINE == "http1":
    NO_HEAD |= {"lf_only", "hdr_bare_lf_inject", "cl_huge"}
    CUT = CUT - {"cl_huge"} | {"chunk_ext_64k"}

# The vendor leaves after these.
ENDS = CUT | {
    "ssh_banner", "eof_headers", "eof_status", "eof_nothing", "te_http10", "408_then_close", "tls_record"
}  # fmt: skip

# Whole and 200, but not with the body `ok`.
BODIES = {name: ROWS[name].partition(b"\r\n\r\n")[2] for name in ("gzip_bad", "gzip_trunc", "gzip_bomb20M")}

# Whole, with another status than 200, and what else must hold.
OTHERS: dict[str, tuple[int, Callable[[Response], bool]]] = {
    "304_with_cl": (304, lambda answer: answer.header("content-length") is None and not answer.body),
    "205_with_body": (205, lambda answer: answer.complete),
    "redirect_evil": (302, lambda answer: answer.header("location") == "http://169.254.169.254/"),
}

# Fields that say no more than the vendor may say to a caller.
ABSENT = {"hdr_bare_lf_inject": "set-cookie", "hdr_bel": "x", "te_and_cl": "content-length", "te_http10": "te"}

TIMEOUTS = {"connect": "300ms", "first_byte": "400ms", "idle": "400ms", "total": "700ms", "max_duration": "1500ms"}

CLEAN = bytes_of("GET", "/one/clean")


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway with short deadlines; to `one` there is a single connection, so that what one leaves meets the next."""
    common: dict[str, Any] = {
        "normalizer": "pixii",
        "credential": CREDENTIAL,
        "timeouts": TIMEOUTS,
        "max_connections": 1,
        "breaker": None,
    }
    vendors = {
        "one": common | {"base_url": vendor.url},
        "refused": common | {"base_url": f"http://127.0.0.1:{free_port()}"},
        "nowhere": common | {"base_url": "https://no-such-host.invalid"},
        "tls": common | {"base_url": f"https://127.0.0.1:{vendor.port}"},
    }
    with ThreadGateway(settings_text(vendors)) as gateway:
        yield gateway


def rogue(*steps: Step) -> Callable[[Wire, Request], None]:
    """Do these for `/rogue`, and answer anybody else well."""

    def answer(wire: Wire, request: Request) -> None:
        if request.target == b"/rogue":
            for step in steps:
                step(wire)
        else:
            wire.send(reply(200, b"innocent"))

    return answer


def steps_of(name: str, payload: bytes) -> tuple[Step, ...]:
    """The reply, and the vendor's leaving where it leaves."""
    return (send(payload), fin()) if name in ENDS else (send(payload),)


def ask_twice_then_innocently(gateway: ThreadGateway) -> list[Response]:
    """Two answers to the rogue; a third caller gets its own."""
    answers = [gateway.ask("/one/rogue", "POST", body=b"{}") for _ in range(2)]
    assert gateway.ask("/one/innocent").body == b"innocent"
    return answers


@pytest.mark.parametrize("name", ROWS)
def test_rogue_reply(gateway: ThreadGateway, vendor: RogueVendor, name: str) -> None:
    """Each reply is what it is to both its callers, and nothing to the next one (W-171, W-048, W-153; RC-39)."""
    vendor.answer = rogue(*steps_of(name, ROWS[name]))

    for answer in ask_twice_then_innocently(gateway):
        if name in NO_HEAD:
            check_problem(answer, "vendor_failed", source="network", vendor="one", retryable=False)
            continue
        if name == "408_then_close":
            problem = check_problem(answer, answer.header("errgate-code") or "", source="vendor")
            assert problem["vendor_error"]["status"] == 408
            continue
        if name in OTHERS:
            status, holds = OTHERS[name]
            assert answer.status == status
            assert holds(answer)
        else:
            assert answer.status == 200
            assert answer.complete == (name not in CUT)
            if name not in CUT:
                assert answer.body == BODIES.get(name, b"ok")
        assert ABSENT.get(name) not in answer.head.names()
        assert answer.head.start[0] == "1"


WITH_STATUS = [name for name, payload in ROWS.items() if payload.startswith(OK) and name not in NO_HEAD]


@pytest.mark.parametrize("name", WITH_STATUS)
def test_rogue_error(gateway: ThreadGateway, vendor: RogueVendor, name: str) -> None:
    """The same reply as an error: its status decides, however its body breaks, is coded or lies (W-103, W-171)."""
    vendor.answer = rogue(*steps_of(name, ROWS[name].replace(b"200 OK", b"422 No", 1)))

    for answer in ask_twice_then_innocently(gateway):
        problem = check_problem(answer, "invalid_request", source="vendor", vendor="one")
        assert problem["vendor_error"]["status"] == 422
        assert "POISON" not in str(problem)


EARLY = b"HTTP/1.1 103 Early Hints\r\n\r\n"

# The dynamic ones: what the vendor does, and the code and reason that it becomes.
DYNAMIC: dict[str, tuple[tuple[Step, ...], str]] = {
    "rst_pre": ((rst(),), "vendor_failed"),
    "rst_hdr": ((send(OK + b"Conte"), pause(0.02), rst()), "vendor_failed"),
    "stall_hdr": ((stall(),), "vendor_timeout"),
    "stall_mid_hdr": ((send(OK + b"Conte"), stall()), "vendor_timeout"),
    "trickle_hdr": ((drip(OK + b"X: " + b"a" * 1000, 0.05),), "vendor_timeout"),
    "inf1xx": ((endless(EARLY, 0.1),), "vendor_timeout"),
}


@pytest.mark.parametrize(("steps", "code"), DYNAMIC.values(), ids=DYNAMIC)
def test_no_head_in_time(gateway: ThreadGateway, vendor: RogueVendor, steps: tuple[Step, ...], code: str) -> None:
    """A head that breaks off or comes too late, byte by byte or behind hints, has one answer (W-041, W-124, W-072)."""
    vendor.answer = rogue(*steps)

    for answer in ask_twice_then_innocently(gateway):
        check_problem(answer, code, source="network", retryable=False)


BREAKS_OFF: dict[str, tuple[Step, ...]] = {
    "rst_body": (send(OK + b"Content-Length: 10\r\n\r\nok"), pause(0.05), rst()),
    "stall_body": (send(OK + b"Content-Length: 10\r\n\r\nok"), stall()),
    "trickle_body": (send(OK + b"Content-Length: 1000\r\n\r\nok"), drip(b"a" * 998, 0.05)),
}


@pytest.mark.parametrize("steps", BREAKS_OFF.values(), ids=BREAKS_OFF)
def test_body_breaks_off(gateway: ThreadGateway, vendor: RogueVendor, steps: tuple[Step, ...]) -> None:
    """A success that breaks off, stalls or drips for ever ends as a cut, after every byte that came (W-153, W-159)."""
    vendor.answer = rogue(*steps)

    for answer in ask_twice_then_innocently(gateway):
        assert answer.status == 200
        assert not answer.complete
        assert answer.body.startswith(b"ok")


NOWHERE = {
    "refused": ("/refused/x", "vendor_unreachable", "connection_refused"),
    "dns": ("/nowhere/x", "vendor_unreachable", "dns_error"),
    # A plain port waits for the rest of what it takes for a request.
    "https_to_plain": ("/tls/x", "vendor_timeout", "connection_timeout"),
}


@pytest.mark.parametrize(("target", "code", "reason"), NOWHERE.values(), ids=NOWHERE)
def test_nothing_was_sent(gateway: ThreadGateway, vendor: RogueVendor, target: str, code: str, reason: str) -> None:
    """Without a connection nothing was sent: retryable even for a POST, and named in Proxy-Status (W-072; RC-51)."""
    vendor.greet = (stall(),)

    answer = gateway.ask(target, "POST", body=b"{}")

    vendor.greet = ()
    check_problem(answer, code, source="network", retryable=True)
    assert (answer.header("proxy-status") or "").endswith(f"error={reason}")
    assert vendor.requests == []


def test_late_second_response(gateway: ThreadGateway, vendor: RogueVendor) -> None:
    """A second response that comes once the connection is idle is nobody's answer (W-171)."""
    late = (send(OK + b"Content-Length: 2\r\n\r\nok"), pause(0.05), send(reply(200, b"POISON")))
    vendor.answer = rogue(*late)

    for _ in range(3):
        assert gateway.ask("/one/rogue").body == b"ok"
        # The vendor speaks again before the next caller does.
        time.sleep(0.1)
        assert gateway.ask("/one/innocent").body == b"innocent"
