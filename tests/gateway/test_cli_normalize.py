"""
`errgate normalize`: a reply in, the caller's envelope out.

One file, as the command is one: its replies, and the command lines that are none.
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from normalizers import problem_schema

MINUTE = b'{"code":"RATE_LIMIT_MINUTE_EXCEEDED","message":"Too many requests in the current minute","retry_after":47}'
FAILED = b'{"id":"job_1","status":"failed","error_code":"CONTENT_MODERATION_ERROR"}'


def run(*arguments: str, stdin: bytes = b"", vendor: str = "pixii", status: int = 429) -> Result:
    """The command in this process."""
    words = ["normalize", "--vendor", vendor, "--status", str(status), *arguments]
    return CliRunner().invoke(main, words, input=stdin, catch_exceptions=False)


def envelope(result: Result) -> dict[str, object]:
    """What was printed, which must be an envelope."""
    printed = json.loads(result.stdout)
    jsonschema.validate(printed, problem_schema())
    assert result.exit_code == 0
    assert isinstance(printed, dict)
    return printed


def test_envelope() -> None:
    """A documented error becomes the envelope of the contract, and nothing else is said."""
    result = run(stdin=MINUTE)

    printed = envelope(result)
    assert (printed["code"], printed["retry_after"], printed["type"]) == (
        "vendor_rate_limited",
        47,
        "/-/problems/vendor_rate_limited",
    )
    assert result.stderr == ""


@pytest.mark.parametrize("argument", [[], ["-"]])
def test_stdin(argument: list[str]) -> None:
    """The body comes from stdin, with and without a dash."""
    assert envelope(run(*argument, stdin=MINUTE))["code"] == "vendor_rate_limited"


def test_file(tmp_path: Path) -> None:
    """The body comes from a file."""
    (tmp_path / "reply.json").write_bytes(MINUTE)

    result = run(str(tmp_path / "reply.json"), stdin=b"ignored")

    assert envelope(result)["code"] == "vendor_rate_limited"


def test_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal, without a file, the body is empty instead of waited for."""
    monkeypatch.setattr(
        "gateway.cli.normalize.sys", type("sys", (), {"stdin": type("tty", (), {"isatty": lambda: True})})
    )

    assert envelope(run())["code"] == "vendor_rate_limited"


@pytest.mark.parametrize("body", [b"<html>502</html>", b"\xff\xfe\x00", b"", b"[" * 5000, b'{"code":', b"null", b"7"])
def test_no_json(body: bytes) -> None:
    """Bytes that are no JSON become an envelope by the status."""
    assert envelope(run(stdin=body, status=502))["code"] == "vendor_failed"


@pytest.mark.parametrize(("size", "code"), [(200_000, "not_found"), (300_000, "vendor_failed")])
def test_bound(size: int, code: str) -> None:
    """As in the gateway, an error body over 256 KiB is not read."""
    body = b'{"code":"JOB_NOT_FOUND","message":"%b"}' % (b"x" * size)

    assert envelope(run(stdin=body, status=500))["code"] == code


def test_coded_body() -> None:
    """A coded body is decoded as the gateway does it."""
    result = run("--header", "Content-Encoding: gzip", stdin=gzip.compress(MINUTE))

    assert envelope(result)["retry_after"] == 47


def test_undecodable_body() -> None:
    """A body that cannot be decoded leaves the decision to the status."""
    result = run("--header", "content-encoding:gzip", stdin=MINUTE)

    assert envelope(result)["vendor_error"] == {"status": 429}


def test_headers() -> None:
    """Header lines are read whatever their case, repeated ones joined."""
    result = run("--header", "RETRY-AFTER:  9 ", "--header", "X-Request-Id: a", "--header", "x-request-id: b")

    printed = envelope(result)
    assert printed["retry_after"] == 9
    assert printed["vendor_error"] == {"status": 429, "request_id": "a, b"}


@pytest.mark.parametrize("line", ["Retry-After", ": 5", "Retry After: 5", ""])
def test_bad_header(line: str) -> None:
    """What is no header line is refused, exit 2."""
    result = run("--header", line)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"errgate normalize: Invalid value for '--header': {line!r} is not 'Name: value'.")


@pytest.mark.parametrize(("method", "retryable"), [("GET", True), ("POST", False), ("post", False)])
def test_method(method: str, retryable: bool) -> None:
    """The method decides whether a request that may have been applied can be sent again."""
    assert envelope(run("--method", method, status=502))["retryable"] is retryable


@pytest.mark.parametrize(
    ("vendor", "status", "arguments", "body"),
    [
        ("pixii", 200, [], b'{"job_id":"1"}'),
        ("pixii", 302, [], b""),
        ("pixii", 200, ["--path", "/v1/api/jobs/1"], b'{"status":"pending"}'),
        ("pixii", 200, ["--path", "/v1/api/jobs/1"], b"not JSON"),
        ("pixii", 202, ["--path", "/v1/api/jobs/1"], FAILED),
        ("pixii", 200, ["--path", "/v1/api/jobs/1", "--method", "HEAD"], FAILED),
        ("pixii", 200, ["--path", "/nowhere"], FAILED),
        ("pixii", 200, [], FAILED),
        ("apixo", 200, ["--path", "/generateTask/x", "--method", "POST"], b'{"code":200}'),
    ],
)
def test_success(vendor: str, status: int, arguments: list[str], body: bytes) -> None:
    """A success without failures is null."""
    result = run(*arguments, stdin=body, vendor=vendor, status=status)

    assert (result.exit_code, result.stdout, result.stderr) == (0, "null\n", "")


@pytest.mark.parametrize("path", ["/v1/api/jobs/1", "/pixii/v1/api/jobs/1?verbose=1"])
def test_failed_job(path: str) -> None:
    """A failed job is the array of its envelopes, as the gateway would splice them in."""
    result = run("--path", path, stdin=FAILED, status=200)

    [problem] = json.loads(result.stdout)
    jsonschema.validate(problem, problem_schema())
    assert (problem["code"], problem["job_pointer"]) == ("content_rejected", "/error_code")
    assert problem["vendor_error"]["request_id"] == "job_1"


def test_error_in_success() -> None:
    """An error that its vendor answers with 200 is the envelope of the status it means."""
    body = b'{"code":429,"message":"Too many requests"}'

    result = run("--path", "/generateTask/x", "--method", "POST", stdin=body, vendor="apixo", status=200)

    printed = envelope(result)
    assert (printed["code"], printed["status"]) == ("vendor_rate_limited", 429)


@pytest.mark.parametrize(
    ("vendor", "status", "arguments", "body", "said"),
    [
        ("pixii", 429, [], MINUTE, ["reply: vendor_rate_limited by the row of RATE_LIMIT_MINUTE_EXCEEDED"]),
        ("pixii", 503, [], b"<html>", ["reply: vendor_unavailable by the general row of status 503"]),
        (
            "apixo",
            200,
            ["--path", "/generateTask/x", "--method", "POST"],
            b'{"code":429}',
            [
                "route submit: this success is an error, answered as status 429",
                "reply: vendor_rate_limited by the general row of status 429",
            ],
        ),
        (
            "pixii",
            200,
            ["--path", "/v1/api/jobs/1"],
            FAILED,
            [
                "route poll: the job's result is failed",
                "/error_code: content_rejected by the row of CONTENT_MODERATION_ERROR",
            ],
        ),
        (
            "pixii",
            200,
            ["--path", "/v1/api/jobs/1"],
            b'{"status":"pending"}',
            ["route poll: the job's result is not known yet"],
        ),
        (
            "pixii",
            200,
            ["--path", "/v1/api/jobs"],
            b"{}",
            ["route list: carries no job: a success, passed on untouched"],
        ),
        (
            "pixii",
            200,
            [],
            b"{}",
            ["no route of pixii matches a request without --path: a success, passed on untouched"],
        ),
        ("pixii", 200, ["--path", "/x"], b"{}", ["no route of pixii matches GET /x: a success, passed on untouched"]),
    ],
)
def test_explain(vendor: str, status: int, arguments: list[str], body: bytes, said: list[str]) -> None:
    """--explain tells on stderr which rule decided; stdout stays JSON."""
    result = run("--explain", *arguments, stdin=body, vendor=vendor, status=status)

    assert result.stderr.splitlines() == said
    json.loads(result.stdout)


def test_unknown_vendor() -> None:
    """An unknown vendor is answered with the likely one and all known, exit 2."""
    result = run(vendor="pixi")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "errgate normalize: no vendor 'pixi'; did you mean 'pixii'? known: apixo, pikzels, pixee, pixii\n"
    )


def test_no_likely_vendor() -> None:
    """A name that is like none is answered with those that are known."""
    assert run(vendor="zzzzzz").stderr == "errgate normalize: no vendor 'zzzzzz'; known: apixo, pikzels, pixee, pixii\n"


@pytest.mark.parametrize("status", [99, 199, 600])
def test_status_out_of_range(status: int) -> None:
    """A status that ends no reply is refused, exit 2."""
    result = run(status=status)

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("missing", ["--vendor", "--status"])
def test_required(missing: str) -> None:
    """Without the vendor or the status there is nothing to decide, exit 2."""
    arguments = {"--vendor": "pixii", "--status": "404"}
    del arguments[missing]

    result = CliRunner().invoke(main, ["normalize", *(word for pair in arguments.items() for word in pair)])

    assert result.exit_code == 2
    assert result.stderr == f"errgate normalize: Missing option '{missing}'. See `errgate normalize --help`.\n"


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named with the mend, exit 2."""
    result = run(str(tmp_path / "nope"))

    assert result.exit_code == 2
    assert result.stderr == (
        f"errgate normalize: {tmp_path}/nope: No such file or directory; name a file or - for stdin\n"
    )


SETTINGS = """
problems: {base_uri: "https://errors.example/", vendor_messages: always}
vendors:
  acme:
    base_url: https://api.acme.example
    credential: {header: X-Acme, value: hunter2hunter2}
    normalizer: {code: [/error/code], message: [/error/message], codes: {OUT_OF_STOCK: conflict}}
  mine:
    base_url: https://eu.pixii.example
    normalizer: pixii
    credential: passthrough
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A settings file with a described vendor and one whose callers bring their own credential."""
    path = tmp_path / "errgate.yaml"
    path.write_text(SETTINGS)
    return str(path)


def test_described_vendor(config: str) -> None:
    """With --config a vendor that only the settings know is read by them, its credential kept out."""
    body = b'{"error":{"code":"OUT_OF_STOCK","message":"key hunter2hunter2 has none"}}'

    result = run("--config", config, stdin=body, vendor="acme", status=400)

    printed = envelope(result)
    assert printed["type"] == "https://errors.example/conflict"
    assert "hunter2" not in result.stdout


def test_passthrough_of_config(config: str) -> None:
    """With --config the credential of the settings counts: a caller's own key that is refused is its own matter."""
    body = b'{"code":"UNAUTHORIZED"}'

    own = run("--config", config, stdin=body, vendor="mine", status=401)
    ours = run("--config", config, stdin=body, vendor="pixii", status=401)

    assert envelope(own)["code"] == "unauthenticated"
    assert envelope(ours)["code"] == "vendor_account_error"


def test_unknown_vendor_with_config(config: str) -> None:
    """The vendors of the settings are among those that are known."""
    assert run("--config", config, vendor="acm").stderr == (
        "errgate normalize: no vendor 'acm'; did you mean 'acme'? known: acme, apixo, mine, pikzels, pixee, pixii\n"
    )


def test_bad_config(tmp_path: Path) -> None:
    """Faults of the settings are lines on stderr, exit 2."""
    (tmp_path / "bad.yaml").write_text("vendors: {pixii: {base_ur: https://x.example}}\n")

    result = run("--config", str(tmp_path / "bad.yaml"))

    assert result.exit_code == 2
    assert "bad.yaml:1: vendors.pixii.base_ur: unknown key" in result.stderr


def test_pipe() -> None:
    """In a shell's pipe the body goes in as it is, bytes that are no text included."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "normalize", "--vendor", "pixii", "--status", "404"],
        input=b'{"code":"JOB_NOT_FOUND","message":"\xff\xe2\x82"}',
        capture_output=True,
        check=True,
    )

    assert json.loads(done.stdout)["code"] == "not_found"
    assert done.stderr == b""
