"""The vendors' documents, read anew: nothing here knows the sandbox."""

import re
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).parents[2] / "data"


class Documented(NamedTuple):
    """A code, the status its document pairs with it (None: it has none), and whether it ends a job."""

    code: str
    status: int | None
    job: bool = False


def _lines(name: str) -> list[str]:
    return (DATA / name).read_text("utf-8").splitlines()


def pixii() -> list[Documented]:
    """Rows of "API errors", which have a status, and of "Job errors", which have none."""
    found = (re.match(r"([A-Z_]{3,}) \| (?:(\d{3}) \| )?\w", line) for line in _lines("pixii-errors.txt"))
    return [Documented(row[1], int(row[2]) if row[2] else None, job=not row[2]) for row in found if row]


def pixee() -> list[Documented]:
    """Rows of "Common error codes"; no status is paired with any."""
    found = (re.match(r"([A-Z_]{3,}) \| \w", line) for line in _lines("pixee-errors.txt"))
    return [Documented(row[1], None) for row in found if row]


def pixee_statuses() -> list[int]:
    """The error statuses of "HTTP status codes"."""
    found = (re.match(r"([45]\d\d) [A-Z]", line) for line in _lines("pixee-errors.txt"))
    return [int(row[1]) for row in found if row]


def apixo() -> list[Documented]:
    """Error statuses first, then the task failure codes."""
    rows = []
    for line in _lines("apixo-errors.txt"):
        if found := re.match(r"([45]\d\d) \| \w", line):
            rows.append(Documented(found[1], int(found[1])))
        if found := re.match(r"([A-Z_]{3,}) \| \w", line):
            rows.append(Documented(found[1], 200, job=True))
    return rows


def pikzels() -> list[Documented]:
    r"""The table's cells; the page escapes its underscores ("VALIDATION\_ERROR")."""
    text = (DATA / "pikzels-errors.txt").read_text("utf-8")
    cells = re.findall(r"<td>(\d{3})</td>\s*<td><code>([A-Z_\\]+)</code></td>", text)
    return [Documented(code.replace("\\", ""), int(status)) for status, code in cells]


def pikzels_older() -> list[Documented]:
    """Rows whose cells are glued: "401API_KEY_INACTIVEAPI key is disabled"."""
    glued = re.compile(r"(\d{3})([A-Z_]+?)(?:API|FAL|[A-Z][a-z]+)\b")
    found = (glued.match(line) for line in _lines("pikzels-errors-older.txt"))
    return [Documented(row[2], int(row[1])) for row in found if row]
