"""The house codes: contract 6, as tests/documented.py has it, and what every row must keep."""

import re

import pytest

from normalizers import Fault, HouseCode
from tests.documented import HOUSE, House


def test_table_is_the_contracts() -> None:
    """The 32 codes have the status, fault and retryability of contract 6, in its order."""
    ours = {house.code: House(house.status, house.fault.value, house.retryable) for house in HouseCode}

    assert list(ours.items()) == list(HOUSE.items())
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
