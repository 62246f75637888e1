"""Every documented code, of every document, is served as documented."""

from collections.abc import Mapping

import pytest
from starlette.testclient import TestClient

from gateway.sandbox import BASE_PATHS, ERRORS, EXAMPLES, JOB_EXAMPLES, SHAPES, DocumentedError
from tests import documented

from . import documents
from .documents import Documented

DOCUMENTS = {
    ("pixii", "flat"): documents.pixii(),
    ("pixee", "main"): documents.pixee(),
    ("apixo", "envelope"): [row for row in documents.apixo() if not row.job],
    ("apixo", "task"): [row for row in documents.apixo() if row.job],
    ("pikzels", "current"): documents.pikzels(),
    ("pikzels", "older"): documents.pikzels_older(),
}
ROWS = [(vendor, shape, row) for (vendor, shape), rows in DOCUMENTS.items() for row in rows]

# Where each vendor's documents put the code; the last is a list of images.
CODE_AT = {
    "pixii": (("code",), ("error", "code"), ("error_code",), ("data", "error_code")),
    "pixee": (("error_code",), ("error", "error_code"), ("error",)),
    "apixo": (("data", "failCode"),),
    "pikzels": (("error", "code"),),
}


def codes_in(vendor: str, body: object) -> list[object]:
    """Every code that the body carries where this vendor puts one."""
    found = [at(body, path) for path in CODE_AT[vendor]]
    if vendor == "pixii":
        images = at(body, ("output", "ads")) or at(body, ("data", "output", "ads")) or []
        assert isinstance(images, list)
        found += [at(image, ("error", "code")) for image in images]
    return [code for code in found if isinstance(code, str)]


def at(body: object, path: tuple[str, ...]) -> object:
    """The value at `path`, or None."""
    for name in path:
        body = body.get(name) if isinstance(body, Mapping) else None
    return body


def ask(
    caller: TestClient, vendor: str, error: DocumentedError | Documented, headers: dict[str, str]
) -> tuple[int, object]:
    """Send the vendor's example, or for a job its poll, with these headers."""
    job = error.job if isinstance(error, Documented) else error.kind in {"job", "state"}
    example = (JOB_EXAMPLES if job else EXAMPLES)[vendor]
    reply = caller.request(example.method, BASE_PATHS[vendor] + example.path, headers=headers, content=example.body)
    return reply.status_code, reply.json()


def test_the_documents_are_read_whole() -> None:
    """The parsers of this test find as many rows as the documents have."""
    assert {document: len(rows) for document, rows in DOCUMENTS.items()} == {
        ("pixii", "flat"): 15,
        ("pixee", "main"): 9,
        ("apixo", "envelope"): 7,
        ("apixo", "task"): 12,
        ("pikzels", "current"): 31,
        ("pikzels", "older"): 38,
    }


@pytest.mark.parametrize(("vendor", "shape", "row"), ROWS, ids=[f"{v}-{s}-{r.code}" for v, s, r in ROWS])
def test_documented_code_is_served(caller: TestClient, vendor: str, shape: str, row: Documented) -> None:
    """A documented code comes in its document's shape, with the status that the document pairs with it."""
    headers = {"Sandbox-Error": row.code, "Sandbox-Shape": shape}

    status, body = ask(caller, vendor, row, headers)

    statuses = {row.status} if row.status else {200} if row.job else set(documents.pixee_statuses())
    assert status in statuses
    assert codes_in(vendor, body) == ([] if row.code.isdigit() else [row.code])


@pytest.mark.parametrize("row", documented.DOCUMENTED, ids=lambda row: row.id)
def test_every_row_of_the_tables_is_in_the_catalogue(row: documented.Documented) -> None:
    """Who walks the catalogue meets every row of the tables of codes, by its kind and its own status."""
    found = [error for error in ERRORS[row.vendor] if (error.code, error.kind) == (row.code, row.kind)]

    assert found
    if row.http.isdigit():
        assert int(row.http) in {error.status for error in found}


WALK = [(vendor, error) for vendor, errors in ERRORS.items() for error in errors]


@pytest.mark.parametrize(("vendor", "error"), WALK, ids=[f"{v}-{e.shape}-{e.code}" for v, e in WALK])
def test_catalogue_is_true(caller: TestClient, vendor: str, error: DocumentedError) -> None:
    """An error of the catalogue comes with its status, and its code is where the vendor puts one, or nowhere."""
    status, body = ask(caller, vendor, error, error.headers)

    assert status == error.status
    assert codes_in(vendor, body) == ([error.code] if error.kind in {"http", "job"} else [])
    assert "sandbox" not in body if isinstance(body, Mapping) else True


def test_each_shape_is_in_the_catalogue() -> None:
    """No shape is offered that brings nothing, and the catalogue names no shape twice for a code."""
    assert {vendor: {error.shape for error in errors} for vendor, errors in ERRORS.items()} == {
        vendor: set(shapes) for vendor, shapes in SHAPES.items()
    }
    assert len({(vendor, error.code, error.shape) for vendor, error in WALK}) == len(WALK)


@pytest.mark.parametrize("vendor", ERRORS)
def test_example_brings_its_error(caller: TestClient, vendor: str) -> None:
    """The example to copy answers what it says, without any key."""
    for example in (EXAMPLES[vendor], JOB_EXAMPLES[vendor]):
        code, _, status = example.error.partition("@")
        documented = {error.status for error in ERRORS[vendor] if error.code == code}

        reply = caller.request(
            example.method, BASE_PATHS[vendor] + example.path, headers=example.headers, content=example.body
        )

        assert reply.status_code in ({int(status)} if status else documented)
        assert "sandbox" not in reply.json()
