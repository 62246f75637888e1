"""Pixee PIM's errors in all the shapes it is known to answer in."""

import pytest
from starlette.testclient import TestClient

from .conftest import NOON


@pytest.mark.parametrize("path", ["/ext/x", "/api/v1/windev/x", "/extra/x", "/x"])
def test_a_surface_words_bare_statuses(caller: TestClient, path: str) -> None:
    """A bare status comes in the shape of the surface that the path belongs to."""
    body = caller.get(f"/pixee{path}", headers={"Sandbox-Error": "503"}).json()

    assert {"/ext/x": "errors", "/api/v1/windev/x": "code"}.get(path, "detail") in body


SHAPES = [
    ("main", "VALIDATION_ERROR", {"detail", "error_code", "timestamp"}),
    ("main", "RATE_LIMIT_EXCEEDED", {"detail", "error_code", "timestamp", "retry_after_seconds"}),
    ("main", "400", {"detail", "timestamp"}),
    ("main", "429", {"detail", "retry_after_seconds"}),
    ("fastapi", "NOT_FOUND", {"detail"}),
    ("fastapi-object", "400", {"detail"}),
    ("ext", "IMPORT_FAILED", {"success", "data", "meta", "errors"}),
    ("windev", "PRODUCT_NOT_FOUND", {"success", "code", "message", "data", "count"}),
    ("predecessor", "validation_error", {"error", "message", "details"}),
    ("predecessor", "not_found", {"error", "message"}),
    ("predecessor", "rate_limit_exceeded", {"error", "message", "retry_after"}),
    ("predecessor-prose", "rate_limit_exceeded", {"error", "message", "retry_after", "detail"}),
    ("predecessor-object", "VALIDATION_FAILED", {"error"}),
]


@pytest.mark.parametrize(("shape", "code", "members"), SHAPES)
def test_a_shape_has_its_members(caller: TestClient, shape: str, code: str, members: set[str]) -> None:
    """Each shape has the members of its page and no others."""
    body = caller.get("/pixee/x", headers={"Sandbox-Error": code, "Sandbox-Shape": shape}).json()

    assert body.keys() == members


def test_the_predecessors_objects(caller: TestClient) -> None:
    """The nested shape repeats the status, says where it happened, and sends its request id as a header too."""
    wish = {"Sandbox-Shape": "predecessor-object"}

    reply = caller.get("/pixee/api/v1/products/abc", headers=wish | {"Sandbox-Error": "PRODUCT_NOT_FOUND"})
    invalid = caller.get("/pixee/x", headers=wish | {"Sandbox-Error": "VALIDATION_FAILED"}).json()["error"]
    foreign = caller.get("/pixee/x", headers=wish | {"Sandbox-Error": "DUPLICATE_EAN"}).json()["error"]

    error = reply.json()["error"]
    assert (error["code"], error["error_code"], error["type"]) == (404, "PRODUCT_NOT_FOUND", "not_found")
    assert (error["path"], error["details"]) == ("/api/v1/products/abc", None)
    assert error["request_id"] == reply.headers["X-Request-ID"]
    assert invalid["details"][0]["field"] == "body.ean"
    assert foreign["type"] == "http_error"


def test_a_rate_limit_names_its_delay(caller: TestClient) -> None:
    """Every shape's 429 says when the window ends; the predecessor's has a header too, once beside prose."""
    replies = {
        shape: caller.get("/pixee/x", headers={"Sandbox-Error": code, "Sandbox-Shape": shape})
        for shape, code in [
            ("main", "429"),
            ("ext", "429"),
            ("predecessor", "rate_limit_exceeded"),
            ("predecessor-prose", "rate_limit_exceeded"),
        ]
    }

    for reply in replies.values():
        assert reply.status_code == 429
        assert reply.headers["X-RateLimit-Reset"] == str(int(NOON) + 8)
        assert reply.headers["X-RateLimit-Remaining"] == "0"
    assert replies["main"].json()["retry_after_seconds"] == 8
    assert [replies[shape].headers.get("Retry-After") for shape in replies] == [None, None, "8", "8"]
    assert replies["predecessor-prose"].json()["retry_after"].startswith("Please wait")
