"""`errgate healthcheck` against real sockets."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main


@contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """The port of a server that answers one request with these bytes; None: it never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=serve, args=(server, answer))
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def serve(server: socket.socket, answer: bytes | None) -> None:
    """Answer one request."""
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        if answer is None:
            connection.recv(4096)
        else:
            connection.sendall(answer)


def run(port: int, *arguments: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(main, ["healthcheck", "--admin-port", str(port), *arguments], catch_exceptions=False)


def free_port() -> int:
    """A port nothing listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def test_ready() -> None:
    """A ready gateway is exit 0."""
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as port:
        result = run(port)

    assert (result.exit_code, result.stdout, result.stderr) == (0, "ready\n", "")


def test_not_ready() -> None:
    """A draining gateway is exit 1, and the line says so."""
    with answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n") as port:
        result = run(port)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"errgate healthcheck: 127.0.0.1:{port} is not ready (status 503)")


def test_nobody() -> None:
    """A port nobody listens on is exit 1."""
    port = free_port()

    result = run(port)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"errgate healthcheck: nothing listens on 127.0.0.1:{port};")


def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that hangs is exit 1 after a short wait."""
    monkeypatch.setattr("gateway.cli.healthcheck.TIMEOUT_SECONDS", 0.1)

    with answering(None) as port:
        result = run(port)

    assert result.exit_code == 1
    assert result.stderr == f"errgate healthcheck: 127.0.0.1:{port} did not answer within 0.1 s\n"


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b""])
def test_no_http(answer: bytes) -> None:
    """A port that speaks something else is exit 1."""
    with answering(answer) as port:
        result = run(port)

    assert result.exit_code == 1
    assert "did not answer in HTTP" in result.stderr


def test_json() -> None:
    """A script gets the verdict, the status and the reason as JSON."""
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as port:
        good = run(port, "--json")
    bad = run(free_port(), "--json")

    assert json.loads(good.stdout) == {"ready": True, "status": 200, "reason": None}
    assert json.loads(bad.stdout)["ready"] is False
    assert (bad.exit_code, bad.stderr) == (1, "")
