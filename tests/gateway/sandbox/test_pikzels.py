"""Pikzels as its documents have it, both generations."""

import uuid
from typing import Any

import pytest
from starlette.testclient import TestClient

KEY = {"X-Api-Key": "pkz_x"}
NOBODY = "18b2ad5e-2a9e-4d3f-b9a8-9f2a1e0b1234"


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "MISSING_API_KEY"),
        ("sk_x", "INVALID_API_KEY_FORMAT"),
        ("pkz_unknown_1", "INVALID_API_KEY"),
        ("pkz_inactive_1", "API_KEY_INACTIVE"),
        ("pkz_deleted_1", "API_KEY_DELETED"),
    ],
)
def test_a_bad_key_is_told_in_five_ways(caller: TestClient, key: str | None, code: str) -> None:
    """Each way to have no good key has its own code; v1 says it without a request id."""
    headers = {} if key is None else {"X-Api-Key": key}

    now = caller.post("/pikzels/v2/thumbnail/score", headers=headers, json={})
    then = caller.post("/pikzels/v1/title", headers=headers, json={})

    assert (now.status_code, now.json()["error"]["code"]) == (401, code)
    assert now.json()["request_id"] == now.headers["X-Request-Id"]
    assert (then.status_code, then.json()["error"]["code"]) == (401, code)
    assert "request_id" not in then.json()
    assert "X-Request-Id" not in then.headers


@pytest.mark.parametrize(
    "what", ["thumbnail/text", "thumbnail/image", "thumbnail/edit", "thumbnail/faceswap", "title/text"]
)
def test_v2_answers_at_once(caller: TestClient, what: str) -> None:
    """A thumbnail or title comes with the reply, and its request id in body and header."""
    reply = caller.post(f"/pikzels/v2/{what}", headers=KEY, json={"prompt": "x", "persona": NOBODY, "style": NOBODY})

    assert reply.status_code == 200
    assert reply.json().keys() == {"output", "request_id"}
    assert reply.json()["request_id"] == reply.headers["X-Request-Id"]


def test_a_thumbnail_is_scored(caller: TestClient) -> None:
    """A score has its subscores and a suggestion."""
    body = caller.post("/pikzels/v2/thumbnail/score", headers=KEY, json={"image_url": "https://x.example/a.png"}).json()

    assert body.keys() == {"main_score", "request_id", "subscores", "suggestion"}
    assert body["subscores"].keys() == {"clarity", "curiosity", "emotion", "idea", "virality"}


@pytest.mark.parametrize("what", ["thumbnail", "edit", "recreate", "faceswap", "title"])
def test_v1_answers_at_once(caller: TestClient, what: str) -> None:
    """The older surface answers with its output alone."""
    reply = caller.post(f"/pikzels/v1/{what}", headers=KEY, json={"prompt": "x"})

    assert reply.status_code == 200
    assert reply.json().keys() == {"output"}
    assert "X-Request-Id" not in reply.headers


@pytest.mark.parametrize(
    ("content", "code", "details"),
    [
        ({"json": {}}, "VALIDATION_ERROR", ["prompt: Required"]),
        ({"json": {"prompt": 1}}, "VALIDATION_ERROR", ["prompt: Required"]),
        ({"content": b"\xff"}, "VALIDATION_ERROR", ["body: Expected an object"]),
        ({"json": {"prompt": "x", "persona": "me"}}, "INVALID_PERSONA", None),
        ({"json": {"prompt": "x", "style": "mine"}}, "INVALID_STYLE", None),
    ],
)
def test_a_bad_request_says_why(
    caller: TestClient, content: dict[str, Any], code: str, details: list[str] | None
) -> None:
    """A validation error lists its fields; a persona or style that is no UUID has a code of its own."""
    reply = caller.post("/pikzels/v2/thumbnail/text", headers=KEY, **content)

    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == code
    assert reply.json()["error"].get("details") == details


def test_an_image_over_10_mb_is_too_large(caller: TestClient) -> None:
    """A body that only a larger image explains is a 413."""
    reply = caller.post("/pikzels/v2/thumbnail/image", headers=KEY, content=bytes(14 * 1024 * 1024 + 1))

    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "IMAGE_TOO_LARGE")


@pytest.mark.parametrize("mode", ["persona", "style"])
def test_a_pikzonality_lives(caller: TestClient, mode: str) -> None:
    """It trains, completes, can be changed, and be deleted once it is done."""
    created = caller.post(f"/pikzels/v2/pikzonality/{mode}", headers=KEY, json={"name": "Creator Studio"}).json()
    path = f"/pikzels/v2/pikzonality/{created['id']}"

    early = caller.get(path, headers=KEY).json()
    refused = caller.delete(path, headers=KEY)
    changed = caller.patch(path, headers=KEY, json={"special_instructions": "Use 😀 and more"}).json()
    late = [caller.get(path, headers=KEY).json() for _ in range(2)][-1]
    deleted = [caller.delete(path, headers=KEY).status_code for _ in range(2)]

    assert created.keys() == {"id", "request_id"}
    assert (early["mode"], early["status"], early["portrait_url"]) == (mode, "processing", None)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "CANNOT_DELETE_PROCESSING")
    assert changed == {"name": "Creator Studio", "id": created["id"], "special_instructions": "Use 😀 and more"}
    assert (late["status"], late["progress"], late["special_instructions"]) == ("completed", 100, "Use 😀 and more")
    assert deleted == [204, 404]


def test_half_a_character_is_no_crash(caller: TestClient) -> None:
    """A lone surrogate, which UTF-8 cannot say, comes back as a question mark."""
    created = caller.post("/pikzels/v2/pikzonality/style", headers=KEY, json={"name": "a"}).json()

    changed = caller.patch(
        f"/pikzels/v2/pikzonality/{created['id']}", headers=KEY, content=b'{"special_instructions":"\\ud800!"}'
    )

    assert changed.json()["special_instructions"] == "?!"


@pytest.mark.parametrize("mode", ["persona", "style"])
def test_v1_trains_too(caller: TestClient, mode: str) -> None:
    """The older surface queues, analyzes, trains and is ready."""
    created = caller.post(
        f"/pikzels/v1/{mode}", headers=KEY, json={"name": "My Character", "training_data": "x"}
    ).json()

    polls = [caller.get(f"/pikzels/v1/{mode}?id={created['id']}", headers=KEY).json() for _ in range(4)]

    assert created["status"] == "queued"
    assert [poll["status"] for poll in polls] == ["Queued", "Analyzing", "Training", "Ready"]
    assert "temp_portrait_url" in polls[3]


@pytest.mark.parametrize(
    ("create", "show", "polls"),
    [
        ("/v2/pikzonality/persona", "/v2/pikzonality/{}", 3),
        ("/v2/pikzonality/style", "/v2/pikzonality/{}", 3),
        ("/v1/persona", "/v1/persona?id={}", 4),
        ("/v1/style", "/v1/style?id={}", 4),
    ],
)
def test_training_fails(caller: TestClient, create: str, show: str, polls: int) -> None:
    """A training can fail, through its life or at once, and says no more than that."""
    wish = {"Sandbox-Error": "failed"}
    job_id = caller.post(f"/pikzels{create}", headers=KEY | wish, json={"name": "a"}).json()["id"]
    path = f"/pikzels{show.format(job_id)}"

    lived = [caller.get(path, headers=KEY).json() for _ in range(polls)][-1]
    shown = caller.get(path, headers=wish).json()

    assert lived["status"] == shown["status"] == "failed"
    assert "error" not in lived


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v2/pikzonality/persona", {"name": "Pikzels"}, 409, "NAME_RESERVED"),
        ("POST", "/v2/pikzonality/persona", {"name": "taken"}, 409, "NAME_ALREADY_EXISTS"),
        ("POST", "/v2/pikzonality/persona", {"name": "näme"}, 400, "VALIDATION_ERROR"),
        ("POST", "/v1/persona", {}, 400, "VALIDATION_ERROR"),
        ("GET", "/v2/pikzonality/me", None, 400, "INVALID_PERSONA"),
        ("GET", "/v1/style?id=mine", None, 400, "INVALID_STYLE"),
        ("GET", f"/v2/pikzonality/{NOBODY}", None, 404, "NOT_FOUND"),
        ("GET", f"/v1/persona?id={NOBODY}", None, 404, "NOT_FOUND"),
        ("GET", "/v2/nowhere", None, 404, "NOT_FOUND"),
        ("GET", "/v1/nowhere", None, 404, "NOT_FOUND"),
        ("GET", "/v2/thumbnail/text", None, 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_refusals_have_their_codes(
    caller: TestClient, method: str, path: str, body: dict[str, str] | None, status: int, code: str
) -> None:
    """Names, ids and paths that will not do are told by their documented codes, in the generation of the path."""
    caller.post("/pikzels/v2/pikzonality/persona", headers=KEY, json={"name": "taken"})

    reply = caller.request(method, f"/pikzels{path}", headers=KEY, json=body)

    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert ("request_id" in reply.json()) == path.startswith("/v2")


def test_instructions_have_300_characters(caller: TestClient) -> None:
    """Longer instructions are a validation error."""
    job_id = caller.post("/pikzels/v2/pikzonality/style", headers=KEY, json={"name": "a"}).json()["id"]

    reply = caller.patch(f"/pikzels/v2/pikzonality/{job_id}", headers=KEY, json={"special_instructions": "x" * 301})

    assert reply.json()["error"]["details"] == ["special_instructions: at most 300 characters"]


@pytest.mark.parametrize(
    ("shape", "details"),
    [
        ("current", ["prompt: Required"]),
        ("current-objects", [{"field": "prompt", "message": "Required"}]),
        ("current-locs", [{"loc": ["body", "prompt"], "msg": "Required"}]),
        ("older", None),
        ("v1", "prompt: Required (see the API reference)"),
    ],
)
def test_details_come_in_every_form(caller: TestClient, shape: str, details: object) -> None:
    """`details` is a list of strings, of objects of two kinds, a sentence, or absent."""
    reply = caller.get("/pikzels/v2/x", headers={"Sandbox-Error": "VALIDATION_ERROR", "Sandbox-Shape": shape})

    assert reply.json()["error"].get("details") == details
    assert reply.json().get("request_id") == reply.headers.get("X-Request-Id")
    assert ("request_id" in reply.json()) == shape.startswith("current")


@pytest.mark.parametrize(("path", "status"), [("/v1/title", 500), ("/v2/title/text", 400)])
def test_the_path_prefers_its_generation(caller: TestClient, path: str, status: int) -> None:
    """A code of both generations comes as the path's own has it."""
    reply = caller.post(f"/pikzels{path}", headers={"Sandbox-Error": "INVALID_IMAGE"})

    assert reply.status_code == status


def test_499_is_served(caller: TestClient) -> None:
    """A status that no registry knows is sent all the same."""
    assert caller.get("/pikzels/v2/x", headers={"Sandbox-Error": "CANCELLED"}).status_code == 499


def test_request_ids_are_fresh(caller: TestClient) -> None:
    """Each request has an id of its own, and it is a UUID."""
    ids = {caller.get("/pikzels/v2/x", headers=KEY).headers["X-Request-Id"] for _ in range(3)}

    assert len({uuid.UUID(text) for text in ids}) == 3
