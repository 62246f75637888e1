"""APIXO as its documents have it."""

import json

import pytest
from starlette.testclient import TestClient

from .conftest import NOON

KEY = {"Authorization": "Bearer any"}
TASK = {"request_type": "async", "input": {"prompt": "A sunset"}}


def generate(caller: TestClient, **headers: str) -> str:
    """A new task's id."""
    reply = caller.post("/apixo/api/v1/generateTask/nano-banana", headers=KEY | headers, json=TASK)
    task_id = reply.json()["data"]["taskId"]
    assert reply.json() == {"code": 200, "message": "success", "data": {"taskId": task_id}}
    assert isinstance(task_id, str)
    return task_id


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer ", "Basic any", "Bearer revoked-1"])
def test_no_good_key_is_unauthorized(caller: TestClient, authorization: str | None) -> None:
    """Without a key: 401, in an envelope without `data`."""
    headers = {} if authorization is None else {"Authorization": authorization}

    reply = caller.get("/apixo/api/v1/apikeys/current-balance", headers=headers)

    assert reply.status_code == 401
    assert reply.json() == {"code": 401, "message": "Invalid or missing API key"}


@pytest.mark.parametrize("base", ["/apixo", "/apixo/api/v1"])
def test_the_balance_is_a_number(caller: TestClient, base: str) -> None:
    """The balance is told, with and without /api/v1."""
    assert caller.get(f"{base}/apikeys/current-balance", headers=KEY).json()["data"] == 74.87


def test_a_task_lives(caller: TestClient) -> None:
    """A task is pending, processing, then a success whose result is JSON in a string."""
    task_id = generate(caller)

    polls = [
        caller.get(f"/apixo/statusTask/nano-banana?taskId={task_id}", headers=KEY).json()["data"] for _ in range(4)
    ]

    assert [poll["state"] for poll in polls] == ["pending", "processing", "success", "success"]
    assert polls[1] == {"taskId": task_id, "state": "processing", "createTime": int(NOON * 1000)}
    assert json.loads(polls[3]["resultJson"])["resultUrls"] == [f"https://cdn.apixo.example/output/{task_id}.jpg"]
    assert polls[3]["completeTime"] - polls[3]["createTime"] == polls[3]["costTime"] == 12_500


@pytest.mark.parametrize(("code", "fail_code"), [("NSFW_DETECTED", "NSFW_DETECTED"), ("failed", None)])
def test_a_task_fails(caller: TestClient, code: str, fail_code: str | None) -> None:
    """A task fails in an HTTP 200 that says "success" at the top, with a code or with null."""
    wish = {"Sandbox-Error": code}
    task_id = generate(caller, **wish)
    path = f"/apixo/statusTask/nano-banana?taskId={task_id}"

    lived = [caller.get(path, headers=KEY).json() for _ in range(3)][-1]
    shown = caller.get(path, headers=wish).json()

    assert lived == shown
    assert (lived["code"], lived["message"]) == (200, "success")
    assert (lived["data"]["state"], lived["data"]["failCode"]) == ("failed", fail_code)
    assert lived["data"]["failMsg"]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (b"", "input: must be an object"),
        (b'{"input":"x"}', "input: must be an object"),
        (b'{"input":{},"request_type":"soon"}', "request_type: must be async or callback"),
        (b'{"input":{},"request_type":[]}', "request_type: must be async or callback"),
    ],
)
def test_a_bad_submission_says_why(caller: TestClient, body: bytes, wrong: str) -> None:
    """A 400 has its useful text at `data.error`."""
    reply = caller.post("/apixo/generateTask/m", headers=KEY, content=body)

    assert reply.status_code == 400
    assert reply.json() == {"code": 400, "message": "Invalid request parameters", "data": {"error": wrong}}


def test_a_poll_needs_a_known_task(caller: TestClient) -> None:
    """No task id is a 400, an unknown one a 404."""
    bare = caller.get("/apixo/statusTask/m", headers=KEY)
    unknown = caller.get("/apixo/statusTask/m?taskId=task_0", headers=KEY)

    assert (bare.status_code, bare.json()["data"]["error"]) == (400, "taskId: is required")
    assert (unknown.status_code, unknown.json()["code"]) == (404, 404)


def test_403_has_two_meanings(caller: TestClient) -> None:
    """The same status is a missing right on one page and a content policy on the other."""
    right, content = (
        caller.post("/apixo/generateTask/m", headers={"Sandbox-Error": "403", **shape}).json()
        for shape in ({}, {"Sandbox-Shape": "content"})
    )

    assert right == {"code": 403, "message": "API key lacks permission", "data": None}
    assert content == {
        "code": 403,
        "message": "Content violates policy",
        "data": {"error": "SensitiveContentDetected"},
    }


@pytest.mark.parametrize(
    "wish", [{"Sandbox-Error": "429@200"}, {"Sandbox-Error": "429", "Sandbox-Shape": "in-success"}]
)
def test_an_error_hides_in_a_success(caller: TestClient, wish: dict[str, str]) -> None:
    """HTTP says 200 and the body's `code` 429."""
    reply = caller.post("/apixo/generateTask/m", headers=wish)

    assert (reply.status_code, reply.json()["code"]) == (200, 429)


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"Sandbox-Error": "NSFW", "Sandbox-Shape": "immediate"}, 403),
        ({"Sandbox-Error": "NSFW_DETECTED@400"}, 400),
    ],
)
def test_a_failure_code_comes_at_once(caller: TestClient, wish: dict[str, str], status: int) -> None:
    """A provider's code may come in an error reply, beside the integer."""
    reply = caller.post("/apixo/generateTask/m", headers=wish)

    assert (reply.status_code, reply.json()["code"]) == (status, status)
    assert reply.json()["data"]["failCode"] == wish["Sandbox-Error"].partition("@")[0]


def test_strays_are_told_in_the_envelope(caller: TestClient) -> None:
    """An unknown path is a 404 and a known one by another method a 405, both enveloped."""
    assert caller.get("/apixo/nowhere").json()["code"] == 404
    assert caller.get("/apixo/generateTask/m").json()["code"] == 405
