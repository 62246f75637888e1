"""The sandbox on a real port: what only a connection shows."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest
import uvicorn

from gateway.sandbox import BASE_PATHS, CREDENTIALS, EXAMPLES, create_sandbox

ERROR = {"Sandbox-Error": "JOB_NOT_FOUND"}
PATH = "/pixii/v1/api/jobs/1"


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A sandbox on loopback, under each event loop."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_sandbox(), loop=request.param, lifespan="off", log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    listener.close()
    assert not thread.is_alive()


def connect(port: int, *headers: str) -> socket.socket:
    """A connection on which one request was sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    lines = [f"GET {PATH} HTTP/1.1", "Host: sandbox", "Sandbox-Error: JOB_NOT_FOUND", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def read(connection: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    received = b""
    while piece := connection.recv(65_536):
        received += piece
    return received


def test_a_vendor_is_served(port: int) -> None:
    """Every vendor answers its example, and a success with the made-up credential."""
    paths = {"pixii": "/v1/api/jobs?asin=B000000001", "pixee": "/products", "apixo": "/apikeys/current-balance"}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        for vendor, example in EXAMPLES.items():
            path = BASE_PATHS[vendor] + example.path
            reply = client.request(example.method, path, headers=dict(example.headers), content=example.body)
            assert reply.json()
        good = [client.get(BASE_PATHS[v] + path, headers=dict([CREDENTIALS[v]])) for v, path in paths.items()]
        name, value = CREDENTIALS["pikzels"]
        good.append(client.post("/pikzels/v2/title/text", headers={name: value}, json={"prompt": "x"}))

    assert [reply.status_code for reply in good] == [200] * 4


def test_a_status_outside_the_registry_is_sent(port: int) -> None:
    """499 and 599 reach the wire."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        statuses = [
            client.get("/pikzels/x", headers={"Sandbox-Error": f"CONFLICT@{n}"}).status_code for n in (499, 599)
        ]

    assert statuses == [499, 599]


def test_reset_resets(port: int) -> None:
    """Not one byte comes: the connection is reset."""
    with connect(port, "Sandbox-Fault: reset") as connection, pytest.raises(ConnectionResetError):
        read(connection)


def test_truncated_ends_early(port: int) -> None:
    """The body is shorter than its length, and the connection ends."""
    with connect(port, "Sandbox-Fault: truncated") as connection:
        reply = http.client.HTTPResponse(connection)
        reply.begin()

        with pytest.raises(http.client.IncompleteRead) as cut:
            reply.read()

    assert reply.status == 404
    assert cut.value.partial.startswith(b'{"code":"JOB_NOT_FOUND"')


def test_stall_sends_its_head_alone(port: int) -> None:
    """The head comes at once and then nothing, until time is up or the caller leaves."""
    with connect(port, "Sandbox-Fault: stall@0.2") as connection:
        received = read(connection)
    with connect(port, "Sandbox-Fault: stall") as left:
        head = left.recv(65_536)

    assert received.startswith(b"HTTP/1.1 404 ")
    assert received.endswith(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")


def test_slow_comes_before_the_head(port: int) -> None:
    """Not even the head comes before its time."""
    with connect(port, "Sandbox-Fault: slow@0.3", "Connection: close") as connection:
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(5)
        received = read(connection)

    assert received.startswith(b"HTTP/1.1 404 ")


def test_drip_comes_byte_by_byte(port: int) -> None:
    """The body is whole in the end and took its time."""
    begun = time.monotonic()

    with connect(port, "Sandbox-Fault: drip@0.002", "Connection: close") as connection:
        received = read(connection)

    assert received.endswith(b'{"code":"JOB_NOT_FOUND","message":"Job not found","detail":null}')
    assert time.monotonic() - begun > 0.1


def test_the_server_lives_on(port: int) -> None:
    """After every fault the same server answers the next caller."""
    for fault in ("reset", "truncated", "garbage", "empty"):
        with connect(port, f"Sandbox-Fault: {fault}", "Connection: close") as connection:
            try:
                read(connection)
            except ConnectionResetError:
                assert fault == "reset"

    with httpx2.Client(trust_env=False) as client:
        assert client.get(f"http://127.0.0.1:{port}{PATH}", headers=ERROR).status_code == 404
