"""Drift: codes that no table has, with a line for the settings; rows whose code never came."""

from collections import Counter
from typing import Any

import pytest
import yaml

from gateway import settings
from gateway.console.drift import drift
from gateway.console.totals import Totals

BASE = "base_url: http://127.0.0.1:9"


def unknown(code: str, vendor: str = "pixii", **more: object) -> dict[str, Any]:
    """A code as a process remembers it."""
    return {
        "vendor": vendor,
        "code": code,
        "kind": "http",
        "house_code": "invalid_request",
        "status": 400,
        "rule": "the general row of status 400",
        "count": 2,
        "first_at": 10.0,
        "last_at": 20.0,
        **more,
    }


def of(text: str, *codes: dict[str, Any], totals: Totals | None = None) -> dict[str, Any]:
    """The drift of the first vendor in these settings."""
    loaded = settings.loads(text, environ={})
    name = next(iter(loaded.vendors))
    return drift(loaded, {name: totals} if totals else {}, codes)[0]


@pytest.mark.parametrize(
    ("normalizer", "below"),
    [
        ("", "vendors.pixii"),
        (", normalizer: apixo", "vendors.pixii"),
        (", normalizer: {extends: pikzels}", "vendors.pixii.normalizer"),
        (", normalizer: {codes: {KNOWN: conflict}}", "vendors.pixii.normalizer.codes"),
    ],
)
def test_line_to_paste(normalizer: str, below: str) -> None:
    """Pasted where it says, the line makes settings whose table knows each code as it is answered already."""
    codes = [unknown("BRAND_NEW"), unknown('say "no": {}', house_code="conflict"), unknown("IN_A_JOB", kind="job")]
    text = f"vendors: {{pixii: {{{BASE}{normalizer}}}}}"

    found = of(text, *codes)

    document = yaml.safe_load(text)
    place = document
    for key in found["below"].split("."):
        place = place[key]
    place |= yaml.safe_load(found["snippet"])
    vendor = settings.loads(yaml.safe_dump(document), environ={}).vendors["pixii"].vendor
    assert found["below"] == below
    for code in codes:
        row = vendor.row(code["code"])
        assert row is not None
        assert (row.house.code, row.kind) == (code["house_code"], code["kind"])


def test_nothing_unknown() -> None:
    """A vendor that keeps to its table has nothing to paste, and no other vendor's codes are its own."""
    found = of(f"vendors: {{pixii: {{{BASE}}}}}", unknown("NEW", vendor="apixo"))

    assert (found["unknown"], found["snippet"], found["below"]) == ([], None, None)


def test_what_several_workers_saw() -> None:
    """One code that two workers saw is one, counted together, as it was answered last."""
    found = of(
        f"vendors: {{pixii: {{{BASE}}}}}",
        unknown("NEW", house_code="conflict", last_at=30.0, first_at=12.0),
        unknown("NEW", count=5),
        unknown("NEW", kind="job"),
        unknown("OLDER", last_at=1.0),
    )

    assert [(code["code"], code["kind"], code["count"]) for code in found["unknown"]] == [
        ("NEW", "http", 7),
        ("NEW", "job", 2),
        ("OLDER", "http", 2),
    ]
    assert (found["unknown"][0]["house_code"], found["unknown"][0]["first_at"]) == ("conflict", 10.0)


def test_rows_never_seen() -> None:
    """A row is silent until its code was counted; a vendor without traffic is silent altogether."""
    seen = Totals(table=Counter({("http", "JOB_NOT_FOUND"): 3, ("http", "UNAUTHORIZED"): 0}))

    before = of(f"vendors: {{pixii: {{{BASE}}}}}")
    after = of(f"vendors: {{pixii: {{{BASE}}}}}", totals=seen)

    names = [row["code"] for row in after["silent"]]
    assert len(before["silent"]) == before["known"] == 15
    assert len(names) == 14
    assert "JOB_NOT_FOUND" not in names
    assert "UNAUTHORIZED" in names


def test_a_code_in_two_rows() -> None:
    """Where a table has a code twice, once in an older spelling, it is silent once and seen once."""
    found = of("vendors: {pikzels: {base_url: http://127.0.0.1:9}}")

    names = [row["code"].lower() for row in found["silent"]]
    assert len(names) == len(set(names))
