"""The vendors' documented codes, the general statuses and the documents themselves, from the copies in `tests/data`."""

import csv
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"

# No Pixee document pairs a code with a status; each name implies one (facts B2, row 8). 423 is the documented lock.
_IMPLIED = {
    "vendor_account_error": 401,
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


@dataclass(frozen=True, slots=True)
class Documented:
    """A row of `codes.csv` or `codes_extra.csv`; `own` is its house code where the credential is the caller's own."""

    file: str
    vendor: str
    document: str
    http: str
    code: str
    kind: str
    description: str
    house: str
    house_status: int
    retryable: bool
    fault: str
    own: str

    @property
    def status(self) -> int:
        """The documented status, or the one that the name implies."""
        if self.http.isdigit():
            return int(self.http)
        return 423 if self.code == "ACCOUNT_LOCKED" else _IMPLIED[self.house]

    @property
    def id(self) -> str:
        """The row as the id of a test."""
        return f"{self.vendor}-{self.code}-{self.document}"


@dataclass(frozen=True, slots=True)
class General:
    """A row of `status_fallback.csv`."""

    vendor: str
    trigger: str
    house: str
    own: str


def _documented() -> list[Documented]:
    rows = []
    for file, column in (("codes.csv", "doc"), ("codes_extra.csv", "source")):
        for index, row in enumerate(csv.DictReader((DATA / file).read_text().splitlines())):
            rows.append(
                Documented(
                    file,
                    row["vendor"],
                    row[column] if column == "doc" else f"extra{index}",
                    row["http"],
                    row["code"],
                    row["kind"],
                    row["description"],
                    row["house_code"],
                    int(row["house_status"]),
                    row["retryable"] == "yes",
                    row["fault"],
                    row["without_credential"] or row["house_code"],
                )
            )
    return rows


def _general() -> list[General]:
    rows = csv.DictReader((DATA / "status_fallback.csv").read_text().splitlines())
    return [
        General(row["vendor"], row["trigger"], row["house_code"], row["without_credential"] or row["house_code"])
        for row in rows
    ]


DOCUMENTED = _documented()
GENERAL = _general()


def document(name: str) -> str:
    """A vendor's document, its text as it was extracted."""
    return (DATA / f"{name}.txt").read_text()
