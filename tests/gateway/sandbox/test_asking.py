"""What the Sandbox-… headers mean, whatever the vendor."""

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from gateway.sandbox import ERRORS, SHAPES
from gateway.sandbox.asking import find
from gateway.sandbox.catalogue import DocumentedError


@pytest.mark.parametrize("path", ["/pixii", "/pixii/", "/pixii/v1/api/jobs/1", "/pixii/no/such/path"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
def test_an_error_is_told_on_any_path_and_method(caller: TestClient, path: str, method: str) -> None:
    """`Sandbox-Error` needs neither a key nor a documented path or method."""
    reply = caller.request(method, path, headers={"Sandbox-Error": "INSUFFICIENT_CREDITS"}, content=b"\xff not JSON")

    assert reply.status_code == 400
    assert reply.json()["code"] == "INSUFFICIENT_CREDITS"


@pytest.mark.parametrize("status", [200, 409, 418, 499, 503, 599])
def test_status_is_picked(caller: TestClient, status: int) -> None:
    """`CODE@STATUS` changes the status and nothing else."""
    reply = caller.get("/pikzels/v2/x", headers={"Sandbox-Error": f"CONFLICT@{status}"})

    assert reply.status_code == status
    assert reply.json()["error"]["code"] == "CONFLICT"


@pytest.mark.parametrize("status", ["", "199", "204", "304", "600", "0404", "4x4", "-404", "٤٠٤"])
def test_no_other_status_can_be_picked(caller: TestClient, status: str) -> None:
    """A status that is none is the sandbox's own 400, not a broken answer."""
    reply = caller.get("/pixii/x", headers=[(b"Sandbox-Error", f"JOB_NOT_FOUND@{status}".encode())])

    assert reply.status_code == 400
    assert "200 to 599" in reply.json()["sandbox"]


@pytest.mark.parametrize("vendor", ERRORS)
def test_unknown_code_lists_the_known_ones(caller: TestClient, vendor: str) -> None:
    """A misspelt code is said in plain JSON that no vendor could have sent."""
    reply = caller.get(f"/{vendor}/x", headers={"Sandbox-Error": "no_such_code.at_all"})

    assert reply.status_code == 400
    assert reply.json()["sandbox"] == "unknown error code 'no_such_code.at_all'"
    assert {error.code for error in ERRORS[vendor]} <= set(reply.json()["known"])


@pytest.mark.parametrize("code", ["404.x", "failed.x", "."])
def test_only_string_codes_take_a_suffix(caller: TestClient, code: str) -> None:
    """A status or a state with a suffix is an unknown code."""
    reply = caller.get("/apixo/statusTask/m", headers={"Sandbox-Error": code})

    assert reply.json()["sandbox"] == f"unknown error code {code!r}"


@pytest.mark.parametrize("vendor", ERRORS)
def test_unknown_shape_lists_the_known_ones(caller: TestClient, vendor: str) -> None:
    """A misspelt shape is said too, with or without an error."""
    reply = caller.get(f"/{vendor}/x", headers={"Sandbox-Shape": "round"})

    assert reply.status_code == 400
    assert reply.json() == {"sandbox": "unknown shape 'round'", "known": sorted(SHAPES[vendor])}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/pixii/v1/api/jobs?asin=B000000001"), ("GET", "/pixii/nowhere"), ("PUT", "/pixii/v1/api/jobs/1")],
)
def test_job_failure_needs_a_job(caller: TestClient, method: str, path: str) -> None:
    """Where no job is created or shown, a job failure cannot come, and the sandbox says how it can."""
    reply = caller.request(method, path, headers={"Sandbox-Error": "PRODUCT_FETCH_ERROR"})

    assert reply.status_code == 400
    assert "CODE@STATUS" in reply.json()["sandbox"]


def test_job_code_with_a_status_is_an_ordinary_error(caller: TestClient) -> None:
    """With a status of its own a job code is an error reply, on job routes too."""
    reply = caller.get("/pixii/v1/api/jobs/1", headers={"Sandbox-Error": "PRODUCT_FETCH_ERROR@502"})

    assert reply.status_code == 502
    assert reply.json()["code"] == "PRODUCT_FETCH_ERROR"


def test_suffix_after_a_dot_is_kept(caller: TestClient) -> None:
    """A provider's suffix is sent back as it was asked for."""
    reply = caller.get("/apixo/statusTask/m", headers={"Sandbox-Error": "NSFW.Adult.Explicit"})

    assert reply.json()["data"]["failCode"] == "NSFW.Adult.Explicit"


def test_a_websocket_is_refused(caller: TestClient) -> None:
    """No vendor speaks WebSocket; the handshake is refused without a crash."""
    with pytest.raises(WebSocketDisconnect), caller.websocket_connect("/pixii/v1/api/jobs/1"):
        pass


def test_find_prefers_shapes_in_order() -> None:
    """The first shape that has the code wins; without one, the first row of the table."""
    rows = [DocumentedError("A", 400, shape, "http") for shape in ("x", "y", "z")]

    assert find(rows, "A", None, "z", "y").shape == "z"
    assert find(rows, "A", "none", None).shape == "x"
    with pytest.raises(KeyError):
        find(rows, "B")
