"""Faults: the answer gone wrong on its way, in this process."""

import asyncio
import gzip

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from gateway.sandbox import FAULTS, create_sandbox
from gateway.sandbox.connection import Connection
from gateway.sandbox.faults import GARBAGE

ERROR = {"Sandbox-Error": "JOB_NOT_FOUND"}
PATH = "/pixii/v1/api/jobs/1"


def test_html_is_a_502(caller: TestClient) -> None:
    """A page instead of a success is a load balancer's 502; of an error, it keeps the status."""
    keyed = {"X-API-Key": "pm_live_x"}

    success = caller.get("/pixee/products", headers=keyed | {"Sandbox-Fault": "html"})
    error = caller.get(PATH, headers=ERROR | {"Sandbox-Fault": "html@102400"})

    assert (success.status_code, success.headers["Content-Type"]) == (502, "text/html")
    assert success.text.startswith("<html>")
    assert (error.status_code, len(error.content)) == (404, 102_400)


def test_empty_has_no_body(caller: TestClient) -> None:
    """The status stays, the body is gone."""
    reply = caller.get(PATH, headers=ERROR | {"Sandbox-Fault": "empty"})

    assert (reply.status_code, reply.content, reply.headers["Content-Length"]) == (404, b"", "0")


def test_garbage_is_called_json(caller: TestClient) -> None:
    """The bytes are no UTF-8 and no JSON, whatever the header says."""
    reply = caller.get(PATH, headers=ERROR | {"Sandbox-Fault": "garbage"})

    assert (reply.content, reply.headers["Content-Type"]) == (GARBAGE, "application/json")
    with pytest.raises(UnicodeDecodeError):
        reply.content.decode()


def test_gzip_is_encoded(caller: TestClient) -> None:
    """The same body, encoded and said to be."""
    plain = caller.get(PATH, headers=ERROR)

    coded = caller.get(PATH, headers=ERROR | {"Sandbox-Fault": "gzip"})

    assert coded.headers["Content-Encoding"] == "gzip"
    assert coded.json() == plain.json()
    assert int(coded.headers["Content-Length"]) == len(gzip.compress(plain.content, mtime=0))


@pytest.mark.parametrize("fault", ["slow@0.01", "drip@0"])
def test_late_is_whole(caller: TestClient, fault: str) -> None:
    """Slow and dripping answers arrive as they would have."""
    plain = caller.get(PATH, headers=ERROR)

    late = caller.get(PATH, headers=ERROR | {"Sandbox-Fault": fault})

    assert (late.status_code, late.content) == (plain.status_code, plain.content)


@pytest.mark.parametrize("size", [0, 100, 200_000])
def test_huge_is_still_json(caller: TestClient, size: int) -> None:
    """The body is followed by spaces up to the size asked for, and never cut."""
    plain = caller.get(PATH, headers=ERROR)

    huge = caller.get(PATH, headers=ERROR | {"Sandbox-Fault": f"huge@{size}"})

    assert huge.json() == plain.json()
    assert len(huge.content) == int(huge.headers["Content-Length"]) == max(size, len(plain.content))


def test_a_fault_needs_a_body_to_spoil(caller: TestClient) -> None:
    """A 204 has none, so the fault comes in a 200."""
    path = "/pixee/products/550e8400-e29b-41d4-a716-446655440000"

    reply = caller.delete(path, headers={"X-API-Key": "pm_live_x", "Sandbox-Fault": "garbage"})

    assert (reply.status_code, reply.content) == (200, GARBAGE)


@pytest.mark.parametrize("fault", ["smoke", "", "HTML"])
def test_unknown_fault_lists_the_known_ones(caller: TestClient, fault: str) -> None:
    """A misspelt fault is said in plain JSON."""
    reply = caller.get(PATH, headers={"Sandbox-Fault": fault})

    assert (reply.status_code, reply.json()["known"]) == (400, sorted(FAULTS))


@pytest.mark.parametrize("fault", ["slow@61", "slow@-1", "slow@nan", "slow@", "stall@inf", "empty@1", "html@9e9"])
def test_amounts_are_bounded(caller: TestClient, fault: str) -> None:
    """Nobody can hold a connection or fill a wire without end."""
    reply = caller.get(PATH, headers={"Sandbox-Fault": fault})

    assert reply.status_code == 400
    assert "takes an amount" in reply.json()["sandbox"]


async def exchange(fault: str) -> list[Message]:
    """What a bare ASGI server is sent, one that closes after an incomplete answer."""
    sent: list[Message] = []
    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        for message in asked:
            return message
        # The caller waits for ever.
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"sandbox-fault", fault.encode()), (b"sandbox-error", b"JOB_NOT_FOUND")]
    scope = {"type": "http", "method": "GET", "path": PATH, "query_string": b"", "root_path": "", "headers": headers}
    await create_sandbox()(scope, receive, send)
    return sent


@pytest.mark.parametrize("fault", ["truncated", "stall@0", "reset"])
async def test_without_a_transport_the_answer_stays_incomplete(fault: str) -> None:
    """Where the connection cannot be reached, the head goes out and the body never ends: the server closes."""
    head, *body = await exchange(fault)

    length = int(dict(head["headers"])[b"content-length"])
    assert sum(len(message["body"]) for message in body) < length
    assert all(message["more_body"] for message in body)


async def test_a_caller_who_leaves_gets_no_more() -> None:
    """A slow or dripping answer stops when the caller has hung up."""
    sent: list[Message] = []
    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        return next(asked, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        sent.append(message)

    assert await Connection(receive, send).left_within(1)
    for fault in ("slow@1", "drip@1"):
        asked = iter([{"type": "http.request", "body": b"", "more_body": False}])
        scope = {"type": "http", "method": "GET", "path": PATH, "query_string": b"", "root_path": ""}
        await create_sandbox()(scope | {"headers": [(b"sandbox-fault", fault.encode())]}, receive, send)

    assert [message["type"] for message in sent] == ["http.response.start"]


@pytest.mark.parametrize("headers", [[], [(b"sandbox-error", b"JOB_NOT_FOUND")], [(b"sandbox-fault", b"empty")]])
async def test_a_caller_who_leaves_early_raises_nothing(headers: list[tuple[bytes, bytes]]) -> None:
    """A caller who hangs up within its own body is no error of the sandbox."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": PATH, "query_string": b"", "root_path": "", "headers": headers}
    await create_sandbox()(scope, receive, send)

    assert sent


def test_other_protocols_pass(caller: TestClient) -> None:
    """The lifespan of the server is none of the faults' business."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])
        await create_sandbox()(scope, receive, send)

    with TestClient(app):
        assert seen == ["lifespan"]
