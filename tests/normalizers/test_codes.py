"""The house codes: contract 6, written down a second time, and what every row must keep."""

import re

import pytest

from normalizers import Fault, HouseCode

CONTRACT = """
invalid_request 400 caller no
unauthenticated 401 caller no
insufficient_credits 402 operator no
permission_denied 403 caller no
not_found 404 caller no
conflict 409 caller no
cancelled 409 caller no
payload_too_large 413 caller no
content_rejected 422 caller no
unprocessable_input 422 caller no
rate_limited 429 caller yes
capacity_exhausted 429 operator yes
vendor_rate_limited 429 operator yes
quota_exhausted 429 operator no
internal_error 500 operator no
work_failed 502 vendor yes
vendor_account_error 502 operator no
vendor_access_denied 502 operator no
vendor_failed 502 vendor yes
vendor_unreachable 502 vendor yes
overloaded 503 operator yes
vendor_unavailable 503 vendor yes
vendor_timeout 504 vendor yes
method_not_allowed 405 caller no
request_timeout 408 caller yes
precondition_failed 412 caller no
uri_too_long 414 caller no
unsupported_media_type 415 caller no
range_not_satisfiable 416 caller no
misdirected_request 421 caller no
header_fields_too_large 431 caller no
not_implemented 501 caller no
"""


def test_table_is_the_contracts() -> None:
    """The 32 codes have the status, fault and retryability of contract 6, in its order."""
    rows = [tuple(line.split()) for line in CONTRACT.split("\n") if line]

    ours = [
        (house.code, str(house.status), house.fault.value, "yes" if house.retryable else "no") for house in HouseCode
    ]

    assert ours == rows
    assert len(ours) == 32


@pytest.mark.parametrize("house", HouseCode, ids=str)
def test_row_has_its_words(house: HouseCode) -> None:
    """Every code has a short title, one fitting sentence, and prose that says what it means and what to do."""
    sentence = house.sentence.format(vendor="Acme")

    assert re.fullmatch(r"[A-Z][^.]{3,60}", house.title)
    assert re.fullmatch(r"[A-Z].*\.", sentence)
    assert "{" not in sentence
    assert len(sentence) <= 120
    assert house.meaning.endswith(".")
    assert house.advice.endswith(".")
    assert len(house.meaning.split()) >= 10


def test_titles_differ() -> None:
    """A title names one code."""
    titles = {house.title for house in HouseCode}

    assert len(titles) == len(HouseCode)


def test_spelling() -> None:
    """A code is written and found by its wire spelling."""
    house = HouseCode.of("vendor_rate_limited")

    assert house is HouseCode.VENDOR_RATE_LIMITED
    assert str(house) == house.code == "vendor_rate_limited"
    assert repr(house) == "HouseCode.VENDOR_RATE_LIMITED"
    assert house.fault is Fault.OPERATOR
    with pytest.raises(KeyError):
        HouseCode.of("VENDOR_RATE_LIMITED")


def test_timeout_warns_of_the_bill() -> None:
    """Whoever reads of a timeout learns that the work may still be done and billed."""
    sentence = HouseCode.VENDOR_TIMEOUT.sentence

    assert "may still complete and be billed" in sentence
