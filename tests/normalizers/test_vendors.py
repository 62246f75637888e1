"""The vendor files against the vendors' documents: every row, every status, every documented reply."""

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import normalizers
from normalizers import GENERIC, STATUSES, VENDORS, Asked, HouseCode, Reply, Row, Vendor, normalize, plugins
from tests.documented import DOCUMENTED, GENERAL, Documented, General, document

CASES = [
    pytest.param(path.stem, case, id=f"{path.stem}-{case['says']}")
    for path in sorted((Path(__file__).parent / "cases").glob("*.toml"))
    for case in tomllib.loads(path.read_text())["case"]
]
ROWS = [pytest.param(vendor, row, id=f"{vendor.name}-{row.code}") for vendor in VENDORS.values() for row in vendor.rows]


@pytest.mark.parametrize(("vendor", "case"), CASES)
def test_documented_reply(vendor: str, case: dict[str, Any]) -> None:
    """A documented reply becomes the problem that its case promises."""
    reply = Reply(case["status"], case.get("headers", {}), case["body"].encode())

    members = normalize(VENDORS[vendor], reply).members(base_uri="/-/problems/", instance="i", request_id="r")

    assert case["problem"].items() <= members.items()
    assert case.get("vendor_error", {}).items() <= members["vendor_error"].items()  # type: ignore[attr-defined]  # a dict


def test_every_vendor_has_cases() -> None:
    """No vendor is without documented replies, and no cases are without their vendor."""
    names = {path.stem for path in (Path(__file__).parent / "cases").glob("*.toml")}

    assert names == set(VENDORS)


def test_every_module_is_registered() -> None:
    """A vendor file that the door has forgotten is found here."""
    folder = Path(normalizers.__file__).parent
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}

    registered = {importlib.import_module(f"normalizers.{name}").VENDOR.name for name in modules}

    assert registered == modules == set(VENDORS)


@pytest.mark.parametrize("row", DOCUMENTED, ids=lambda row: row.id)
def test_documented_code_has_its_row(row: Documented) -> None:
    """Each row of the two code tables stands in the vendor's file with the house code that it must become."""
    found = VENDORS[row.vendor].row(row.code)

    assert found is not None
    assert found.code.lower() == row.code.lower()
    assert found.house.code == row.house
    assert (found.without_credential or found.house).code == row.own
    assert found.kind == row.kind
    assert (found.house.status, found.house.retryable, found.house.fault) == (
        row.house_status,
        row.retryable,
        row.fault,
    )


@pytest.mark.parametrize(("vendor", "row"), ROWS)
def test_row_is_documented(vendor: Vendor, row: Row) -> None:
    """Each row of a vendor's file says what a document says, of which the current one comes first."""
    documents = [
        found for found in DOCUMENTED if found.vendor == vendor.name and found.code.lower() == row.code.lower()
    ]

    current = documents[0]

    assert row.code == current.code
    assert row.description == current.description
    assert row.status == (int(current.http) if current.http.isdigit() else None)


def test_no_code_twice() -> None:
    """A vendor has one row for a code, in whatever case its documents spell it."""
    for vendor in VENDORS.values():
        codes = [row.code.lower() for row in vendor.rows]

        assert len(codes) == len(set(codes))


def documented_rows(name: str) -> Iterator[tuple[str, ...]]:
    """The cells of a document's tables."""
    for line in document(name).splitlines():
        yield tuple(cell.strip() for cell in line.strip("| ").split("|"))


def advised(name: str, document_name: str) -> list[Any]:
    """Rows of a vendor file whose document has a column of advice."""
    cells = {row[0]: row for row in documented_rows(document_name) if len(row) >= 3}
    return [
        pytest.param(row, cells[row.code], id=f"{name}-{row.code}") for row in VENDORS[name].rows if row.code in cells
    ]


@pytest.mark.parametrize(("row", "cells"), [*advised("pixii", "pixii-errors"), *advised("apixo", "apixo-errors")])
def test_advice_is_the_vendors(row: Row, cells: tuple[str, ...]) -> None:
    """What the vendor says under "How to fix" or "Solution" stands in the row, word for word."""
    assert row.description == cells[-2]
    assert row.advice == cells[-1]


def test_all_advice_is_checked() -> None:
    """Of every code in the documents with advice the advice is in the table."""
    pixii = [row for row in VENDORS["pixii"].rows if row.advice]
    apixo = [row for row in VENDORS["apixo"].rows if row.advice]

    assert len(pixii) == len(advised("pixii", "pixii-errors")) == 15
    assert len(apixo) == len(advised("apixo", "apixo-errors")) == 12


@pytest.mark.parametrize("row", GENERAL, ids=lambda row: f"{row.vendor}-{row.trigger}")
def test_bare_status(row: General) -> None:
    """A status without a word becomes what the status table says, with our credential and with the caller's own."""
    vendor = GENERIC("acme") if row.vendor == "*" else VENDORS[row.vendor]
    status = {"4xx": 418, "5xx": 599}.get(row.trigger) or int(row.trigger)

    ours = normalize(vendor, Reply(status))
    own = normalize(vendor, Reply(status), Asked(own_credential=True))

    assert (ours.code.code, own.code.code) == (row.house, row.own)


def test_no_other_statuses() -> None:
    """The general rows and a vendor's own are those of the status table and no more."""
    general = {int(row.trigger) for row in GENERAL if row.vendor == "*" and row.trigger.isdigit()}
    own = {(row.vendor, int(row.trigger)) for row in GENERAL if row.vendor != "*"}

    assert set(STATUSES) == general
    assert {(vendor.name, status) for vendor in VENDORS.values() for status in vendor.statuses} == own


def test_vendor_says_where_it_comes_from() -> None:
    """Each vendor file names its source with its date, the documented origin and the form of the credential."""
    for vendor in VENDORS.values():
        assert re.search(r"read 20\d\d-\d\d-\d\d$", vendor.source)
        assert re.fullmatch(r"https://api\.[a-z./0-9]+[a-z0-9]", vendor.base_url)
        assert vendor.credential_hint is not None


def test_generic_knows_statuses_only() -> None:
    """Of a vendor that nobody described the status decides; its words are still passed on."""
    vendor = GENERIC("acme")
    body = b'{"error": {"code": "NOPE", "message": "No such thing", "retry_after": 3}, "request_id": "r-1"}'

    problem = normalize(vendor, Reply(404, {}, body))

    assert (problem.code, problem.detail, problem.label) == (HouseCode.NOT_FOUND, "No such thing", "other")
    assert problem.retry_after == 3
    assert problem.vendor_error is not None
    assert (problem.vendor_error.code, problem.vendor_error.request_id) == ("NOPE", "r-1")


def distribution(folder: Path, entry: str, source: str) -> None:
    """An installed package with one entry point."""
    (folder / "acme_errgate.py").write_text(source)
    info = folder / "acme_errgate-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-errgate\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[errgate.normalizers]\nacme = {entry}\n")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("acme_errgate", None)


def test_package_brings_a_vendor(packages: Path) -> None:
    """An entry point of the group is a vendor like any other."""
    source = 'from normalizers import Vendor\nVENDOR = Vendor("acme", "Acme")\n'
    distribution(packages, "acme_errgate:VENDOR", source)

    found = plugins()

    assert found["acme"].title == "Acme"


@pytest.mark.parametrize(
    ("entry", "source", "why"),
    [
        ("acme_errgate:VENDOR", "VENDOR = 'acme'", "it is no normalizers.Vendor"),
        ("acme_errgate:VENDOR", "", "no attribute 'VENDOR'"),
        ("acme_errgate:VENDOR", "raise RuntimeError('no licence')", "no licence"),
        ("acme_elsewhere:VENDOR", "", "No module named 'acme_elsewhere'"),
    ],
    ids=["no vendor", "no such name", "raises", "no such module"],
)
def test_broken_package_is_named(packages: Path, entry: str, source: str, why: str) -> None:
    """A package that cannot give its vendor is named, with the reason."""
    distribution(packages, entry, source)

    with pytest.raises(ValueError, match=rf"errgate\.normalizers:acme = .*{re.escape(why)}"):
        plugins()
