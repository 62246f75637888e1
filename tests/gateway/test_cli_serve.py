"""
`errgate serve`, `sandbox` and `demo` as processes over real sockets.

One file, since the three are started and stopped alike.
"""

import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.cli.serve import url
from gateway.sandbox import EXAMPLES
from gateway.settings import SettingsError, loads
from gateway.settings.instead import Instead
from normalizers import problem_schema

SETTINGS = """\
server: {admin: {token: a-token-of-the-tests}, shutdown: {lameduck: 0s}}
vendors: {acme: {base_url: "http://127.0.0.1:9"}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file with a vendor that nobody answers for."""
    path = tmp_path / "errgate.yaml"
    path.write_text(SETTINGS)
    return path


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process, ended at the end whatever happens."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.terminate()
                running.communicate(timeout=10)


def run(*arguments: str) -> Result:
    """The command in this process, for what ends before anything is served."""
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def line_of(running: subprocess.Popen[str]) -> str:
    """The next line on the process's stdout."""
    assert running.stdout is not None
    line = running.stdout.readline()
    if not line:
        raise AssertionError(running.communicate()[1])
    return line


def end(running: subprocess.Popen[str], signal_number: signal.Signals) -> tuple[int, str]:
    """Send a signal: the exit code, and all that was said on stderr."""
    running.send_signal(signal_number)
    _, said = running.communicate(timeout=10)
    return running.returncode, said


def ask(base: str, path: str, method: str = "GET", body: str | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and body of one request."""
    place = urlsplit(base)
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=5)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()


def taken() -> Iterator[int]:
    """A port that is taken."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


taken_port = pytest.fixture(taken)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve(config: Path, number: signal.Signals) -> None:
    """The gateway says in its log when it is ready, answers on both ports, and leaves with 0 when it is told to."""
    with process("serve", "--config", str(config), "--port", "0", "--admin-port", "0") as running:
        ready = json.loads(line_of(running))
        status, body = ask(ready["traffic"], "/acme/x")
        healthy = run("healthcheck", "--admin-port", str(urlsplit(ready["admin"]).port))
        exit_code, said = end(running, number)

    assert (ready["message"], ready["level"]) == ("ready", "info")
    jsonschema.validate(json.loads(body), problem_schema())
    assert (status, healthy.stdout) == (502, "ready\n")
    assert (exit_code, said) == (0, "")


def test_warnings_are_logged(config: Path) -> None:
    """What the settings are warned about is in the log before anything else."""
    config.write_text(SETTINGS.replace("acme: {", "apixo: {"))

    with process("serve", "--config", str(config), "--port", "0", "--admin-port", "0") as running:
        first, second = json.loads(line_of(running)), json.loads(line_of(running))

    assert first["level"] == "warning"
    assert "vendors.apixo.credential" in first["message"]
    assert second["message"] == "ready"


def test_reload_keeps_the_command_line(config: Path) -> None:
    """A reload takes the file's changes, and what the command line said instead of it still stands."""
    with process("serve", "--config", str(config), "--port", "0", "--admin-port", "0") as running:
        ready = json.loads(line_of(running))
        config.write_text(SETTINGS.replace("acme:", "other:"))
        status, body = ask(ready["admin"], "/-/reload", "POST", Authorization="Bearer a-token-of-the-tests")
        known = json.loads(ask(ready["traffic"], "/nope/x")[1])["detail"]

    assert (status, json.loads(body)["faults"]) == (200, [])
    assert "other" in known


def test_serve_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a settings file there is one line with the mend, exit 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ERRGATE_CONFIG", raising=False)

    result = run("serve")

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith("errgate.yaml: ")


def test_serve_with_faults(config: Path) -> None:
    """Every fault of the settings is a line on stderr, exit 2."""
    config.write_text("server: {prt: 1}\nvendors: {x: {}}\n")

    result = run("serve", "--config", str(config))

    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["server.prt", "vendors.x.base_url"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "a b"], 'errgate serve: --host: "a b" is no host'),
        (["--host", "0.0.0.0"], "errgate serve: callers: is missing while server.host is 0.0.0.0"),
        (["--port", "7001", "--admin-port", "7001"], "errgate serve: server.admin.port: is 7001"),
    ],
)
def test_override_is_checked(config: Path, options: list[str], said: str) -> None:
    """What the command line says is held to the same rules as the file, exit 2."""
    config.write_text(
        'vendors: {acme: {base_url: "https://a.example", credential: {header: X-Key, value: hunter2hunter2}}}\n'
    )

    result = run("serve", "--config", str(config), *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(said)
    assert result.stderr.count("\n") == 1


def test_override() -> None:
    """What the command line says stands instead of the file; everything else stays."""
    settings = loads(SETTINGS)

    changed = Instead("::1", 7001, 7002, 2).of(settings)

    assert (changed.server.host, changed.server.port, changed.server.admin.port) == ("::1", 7001, 7002)
    assert changed.server.workers == 2
    assert changed.server.admin.token == settings.server.admin.token
    assert changed.server.shutdown == settings.server.shutdown
    assert changed.vendors is settings.vendors
    assert changed.warnings == settings.warnings


def test_nothing_instead() -> None:
    """Without options the settings are the file's."""
    settings = loads(SETTINGS)

    assert Instead(None, None, None, None).of(settings) is settings


def test_override_raises() -> None:
    """A refused option is a fault of the settings, so that a reload can tell it."""
    with pytest.raises(SettingsError, match="port"):
        Instead(None, 7001, 7001, None).of(loads(SETTINGS))


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
@pytest.mark.parametrize("command", ["serve", "demo"])
def test_taken_port(config: Path, taken_port: int, command: str, option: str) -> None:
    """A port that is taken is said in one sentence that names it and the option, exit 1."""
    ports = {"--port": "0", "--admin-port": "0"} | {option: str(taken_port)}
    file = ["--config", str(config)] if command == "serve" else []

    result = run(command, *file, *(word for pair in ports.items() for word in pair))

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"errgate: cannot listen on 127.0.0.1 port {taken_port}: address already in use")
    assert result.stderr.endswith(f"; choose another port with {option}\n")
    assert result.stderr.count("\n") == 1


def test_taken_sandbox_port(taken_port: int) -> None:
    """The sandbox says a taken port in one sentence, too."""
    result = run("sandbox", "--port", str(taken_port))

    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sandbox(number: signal.Signals) -> None:
    """The sandbox prints each vendor's base URL, answers there, and leaves with 0."""
    with process("sandbox", "--port", "0") as running:
        bases = dict(line_of(running).split() for _ in EXAMPLES)
        last = line_of(running)
        status, body = ask(bases["pixii"], "/pixii/v1/api/jobs/x", **{"Sandbox-Error": "JOB_NOT_FOUND"})
        ended = end(running, number)

    assert (set(bases), last) == (set(EXAMPLES), "Ctrl-C ends it.\n")
    assert (status, json.loads(body)["code"]) == (404, "JOB_NOT_FOUND")
    assert ended == (0, "")


def paste(line: str) -> tuple[int, bytes]:
    """What a shell and curl make of a printed line."""
    words = shlex.split(line)
    options: dict[str, list[str]] = {}
    target = ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-s":
            continue
        if word.startswith("-"):
            options.setdefault(word, []).append(next(rest))
        else:
            target = word
    headers = dict(header.split(": ", 1) for header in options["-H"])
    place = urlsplit(target)
    path = f"{place.path}?{place.query}" if place.query else place.path
    return ask(target, path, options["-X"][0], options.get("-d", [None])[0], **headers)


@pytest.mark.alone
def test_demo() -> None:
    """Within 5 s the demo runs and teaches in five lines; then every line to paste shows an envelope."""
    began = time.monotonic()
    with process("demo", "--port", "0", "--admin-port", "0") as running:
        lesson = [line_of(running) for _ in range(5)]
        took = time.monotonic() - began
        gap = line_of(running)
        curls = [line_of(running) for _ in EXAMPLES]
        answers = [paste(line) for line in curls]
        metrics = next(word for word in lesson[4].split() if word.endswith("/metrics"))
        counted = ask(metrics, "/metrics")[1].decode()
        ended = end(running, signal.SIGINT)

    assert took < 5
    assert gap == "\n"
    problems = [json.loads(body) for _, body in answers]
    for problem, (status, _) in zip(problems, answers, strict=True):
        jsonschema.validate(problem, problem_schema())
        assert (problem["status"], problem["source"]) == (status, "vendor")
    assert [problem["vendor"] for problem in problems] == list(EXAMPLES)
    assert 'errgate_errors_total{code="insufficient_credits",kind="http",source="vendor",vendor="pixii"' in counted
    assert ended == (0, "")


def test_demo_is_quiet(tmp_path: Path) -> None:
    """The demo reads no settings of the machine it runs on, and logs no requests between its lines."""
    (tmp_path / "errgate.yaml").write_text("broken: [")
    environ = os.environ | {"ERRGATE_CONFIG": str(tmp_path / "errgate.yaml")}

    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--port", "0", "--admin-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    ) as running:
        lines = [line_of(running) for _ in range(6 + len(EXAMPLES))]
        paste(lines[-1])
        running.send_signal(signal.SIGTERM)
        rest, said = running.communicate(timeout=10)

    assert (running.returncode, rest, said) == (0, "", "")


@pytest.mark.parametrize(("host", "text"), [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
def test_url(host: str, text: str) -> None:
    """A socket's URL can be clicked, IPv6 included."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.create_server((host, 0), family=family)) as listener:
        assert url(listener).startswith(text)
