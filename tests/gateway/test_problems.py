"""What every refusal says in its head, and what a caller may conclude from it (contract 5)."""

from dataclasses import replace

import pytest

from gateway.problems import headers_of, no_reply, not_allowed, refuse, too_large
from gateway.upstream import Reason
from normalizers import HouseCode, Problem, Source

PROBLEM = Problem(code=HouseCode.VENDOR_RATE_LIMITED, source=Source.VENDOR, detail="wait")


def head(problem: Problem) -> dict[bytes, bytes]:
    """The fields of a problem."""
    return dict(headers_of(problem, request_id=b"r1"))


@pytest.mark.parametrize("house", HouseCode)
def test_every_code(house: HouseCode) -> None:
    """Each house code is told in the head, with whose move it is and whether to try again."""
    fields = head(refuse(house, "why").problem)

    assert fields == {
        b"content-type": b"application/problem+json",
        b"cache-control": b"no-store",
        b"x-content-type-options": b"nosniff",
        b"errgate-code": house.code.encode(),
        b"errgate-fault": house.fault.value.encode(),
        b"x-should-retry": b"true" if house.retryable else b"false",
        b"x-request-id": b"r1",
        b"content-language": b"en",
    }


@pytest.mark.parametrize(
    ("retryable", "seconds", "told"),
    [
        (True, 1, b"1"),
        (True, 3600, b"3600"),
        (True, 3601, None),
        (True, None, None),
        (False, 1, None),
        (False, None, None),
    ],
)
def test_retry_after(retryable: bool, seconds: int | None, told: bytes | None) -> None:
    """`Retry-After` stands only where trying again may help, and soon enough for a thread to sleep on it."""
    fields = head(replace(PROBLEM, retryable=retryable, retry_after=seconds))

    assert fields.get(b"retry-after") == told


def test_a_vendors_words_have_no_language() -> None:
    """What a vendor says may be in any language; our own sentences are English."""
    assert b"content-language" not in head(PROBLEM)
    assert head(replace(PROBLEM, source=Source.NETWORK))[b"content-language"] == b"en"


def test_too_large() -> None:
    """A body over the limit is 413, says the limit, and ends the connection, since the rest is not read (W-056)."""
    refused = too_large(1_048_576)

    assert refused.problem.code is HouseCode.PAYLOAD_TOO_LARGE
    assert "1,048,576 bytes" in refused.problem.detail
    assert refused.close


def test_not_allowed() -> None:
    """A method that is not allowed learns which are (W-069)."""
    refused = not_allowed(["GET", "POST"])

    assert refused.problem.code is HouseCode.METHOD_NOT_ALLOWED
    assert list(refused.headers) == [(b"allow", b"GET, POST")]


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("reason", Reason)
def test_no_reply(reason: Reason, repeatable: bool) -> None:
    """Without a reply the reason's house code answers, retryable only where sending again does no harm (W-122)."""
    refused = no_reply("Pixii", reason, repeatable=repeatable)

    problem = refused.problem
    assert (problem.code, problem.source, refused.proxy_error) == (reason.house, reason.source, reason.rfc9209)
    assert problem.retryable is (repeatable and reason.house.retryable)
    assert "{" not in problem.detail
    assert (problem.retry_after == 1) == (reason is Reason.CONNECTION_LIMIT_REACHED)


def test_vendor_is_named_once_chosen() -> None:
    """A refusal names the vendor once one was chosen."""
    assert refuse(HouseCode.OVERLOADED, "full").of("pixii").problem.vendor == "pixii"
    assert refuse(HouseCode.OVERLOADED, "full").of(None).problem.vendor is None
