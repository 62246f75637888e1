"""The vendors' documented codes and the house code each must become, from the copies in `tests/data`."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parents[2] / "data"

# The Pixee documents pair no code with a status; this is the one each name implies (facts B2, row 8).
IMPLIED = {
    "unauthenticated": 401,
    "permission_denied": 403,
    "vendor_access_denied": 403,
    "not_found": 404,
    "conflict": 409,
    "invalid_request": 422,
    "unprocessable_input": 422,
    "payload_too_large": 413,
    "vendor_rate_limited": 429,
    "work_failed": 500,
    "vendor_failed": 500,
}
LOCKED = 423


@dataclass(frozen=True, slots=True)
class Row:
    """A documented code: `own` is what it becomes when the credential is the caller's own."""

    vendor: str
    document: str
    status: int
    code: str
    kind: str
    description: str
    house: str
    own: str

    @property
    def id(self) -> str:
        """The row's name as a test id."""
        return f"{self.vendor}-{self.code}-{self.document}"


def rows(kind: str) -> list[Row]:
    """Every row of that kind, of both files."""
    return [row for row in _read() if row.kind == kind]


def _read() -> Iterator[Row]:
    for name, column in (("codes.csv", "doc"), ("codes_extra.csv", "source")):
        with (DATA / name).open(newline="") as file:
            for line in csv.DictReader(file):
                house, own = line["house_code"], line["without_credential"] or line["house_code"]
                status = int(line["http"]) if line["http"].isdigit() else IMPLIED.get(own, 400)
                if line["code"] == "ACCOUNT_LOCKED":
                    status = LOCKED
                document = line[column] if column == "doc" else "extra"
                yield Row(line["vendor"], document, status, line["code"], line["kind"], line["description"], house, own)
