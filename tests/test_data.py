"""The copies under `tests/data` are the documents that the vendors' tables were written from; nobody edits them."""

import csv
import hashlib
from collections import Counter
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"

SHA256 = {
    "apixo-errors.txt": "935e47737c03142d180d5f90bd575507af9d4014e3436c8ae5b60c8919776833",
    "codes.csv": "71d2957a95f5e5782cb771e5f5f8081f85e8fba6f19280f0b0ff78bbf9430ec0",
    "codes_extra.csv": "a95d981ba1ffb8ddc5a3fb0b9093783666387892fcbffd8c76f35656b3121c7d",
    "desync_payloads.txt": "f08df1b8dfb13a6b5540bd7622105546adf15a8ce4b8838f1e0fd4697b928a14",
    "facts.md": "be7d0b8ee0b4c71a9dcde2fda88ccae696d5f45c84f283bf2caffbfe747a02b6",
    "pikzels-errors-older.txt": "e0d9d5c49b6527224b9590fb575f7d9f4f23e76a88c63c8738b90e6ff6c8c7df",
    "pikzels-errors.txt": "4c6bcd90392c3b87991ad559f3351a789d0667fab4b9b33b28074e569e5b5c16",
    "pixee-errors.txt": "2fe89683775389871af7f59f14813cfde9e95a5b98021d44eeb89190cafc6d25",
    "pixii-errors.txt": "1cf0949a49c98dd92d005621b62da23f2dab0e5d8102f0b20f015dfc7817f2c5",
    "status_fallback.csv": "9e74512053e6637d27897bd87462bbc7cc212b410f99d5669ae401444a9e0322",
}

# Rows by vendor (or `*`) and kind, counted in the files as they came.
ROWS = {
    "codes.csv": {
        ("apixo", "job"): 12,
        ("pikzels", "http"): 69,
        ("pixee", "http"): 9,
        ("pixii", "http"): 10,
        ("pixii", "job"): 5,
    },
    "codes_extra.csv": {("apixo", "job"): 7, ("pikzels", "http"): 12, ("pixee", "http"): 31},
    "status_fallback.csv": {("*", None): 45, ("pixee", None): 1},
}
TOTALS = {"codes.csv": 105, "codes_extra.csv": 50, "status_fallback.csv": 46}


def test_every_file_is_pinned() -> None:
    """A document that comes or goes is noticed."""
    names = {path.name for path in DATA.iterdir()}

    assert names == set(SHA256)


@pytest.mark.parametrize("name", SHA256)
def test_file_is_the_copy_it_was(name: str) -> None:
    """Each document is the very bytes that were read, line endings included."""
    content = (DATA / name).read_bytes()

    digest = hashlib.sha256(content).hexdigest()

    assert digest == SHA256[name]


@pytest.mark.parametrize("name", ROWS)
def test_table_has_all_its_rows(name: str) -> None:
    """The reader that the tables' tests use sees every row, so none of them is tested by being skipped."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    assert Counter((row["vendor"], row.get("kind")) for row in rows) == ROWS[name]
    assert len(rows) == TOTALS[name]
