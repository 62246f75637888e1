"""
What is documented, for every test: house codes, vendor codes, general statuses and the documents themselves.

The house codes are written down here a second time from the contract, never from the code that makes them; the rest is
read from the copies in `tests/data`.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class House:
    """A row of contract section 6."""

    status: int
    fault: str
    retryable: bool


HOUSE = {
    code: House(int(status), fault, retry == "yes")
    for code, status, fault, retry in (
        line.split()
        for line in """
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
        """.strip().splitlines()
    )
}

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
HTTP = [row for row in DOCUMENTED if row.kind == "http"]
JOB = [row for row in DOCUMENTED if row.kind == "job"]
GENERAL = _general()


def document(name: str) -> str:
    """A vendor's document, its text as it was extracted."""
    return (DATA / f"{name}.txt").read_text()
