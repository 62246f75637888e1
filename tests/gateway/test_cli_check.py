"""`errgate check`: what the settings mean, or every fault in them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.cli.check import gateway_rows, limit_rows, normalizer, vendor_rows
from gateway.settings import loads

DIGEST = "0f867135b74930783a23d7d248cf07e081834d4e5214535e7386dbdf53e8fa5f"

GOOD = f"""\
callers:
  billing: {{key_sha256: ["{DIGEST}"], vendors: {{pixii: [submit, poll], apixo: all}}}}
  ops: {{key_sha256: ["{DIGEST[::-1]}", "{"0" * 64}"], errors: header}}
vendors:
  pixii:
    base_url: https://api.pixii.ai
    credential: {{header: Authorization, value: "Bearer pk_live_secret"}}
    routes: [{{name: bulk, methods: [POST, PUT], path: "/v1/bulk", timeouts: {{first_byte: 200s, idle: 5s}}}}]
    only_routes: true
  apixo: {{base_url: "https://api.apixo.ai/api/v1"}}
  pixee: {{base_url: "https://api.pixeepim.com/api/v1", credential: passthrough, errors: "off"}}
  acme: {{base_url: "https://acme.example", normalizer: {{code: /error/code, codes: {{GONE: not_found}}}}}}
"""

REPORT = """\
errgate.yaml: valid

Gateway
  traffic   127.0.0.1 port 8080
  admin     127.0.0.1 port 9090, no token
  bounds    2000 requests at once, bodies up to 32MiB
  limits    counted in this process
  problems  /-/problems/CODE, vendor messages always

Vendors (4)
  pixii  https://api.pixii.ai
         normalizer pixii, credential Authorization, errors envelope, job_failures annotate
         timeouts connect 5s, first_byte 120s, idle 60s, total 300s, max_duration 1h
         hold max 60s, max_quota 1h
  apixo  https://api.apixo.ai/api/v1
         normalizer apixo, credential none, errors envelope, job_failures annotate
         timeouts connect 5s, first_byte 120s, idle 60s, total 300s, max_duration 1h
         hold max 60s, max_quota 1h
  pixee  https://api.pixeepim.com/api/v1
         normalizer pixee, credential passthrough, errors off, job_failures annotate
         timeouts connect 5s, first_byte 120s, idle 60s, total 300s, max_duration 1h
         hold max 60s, max_quota 1h
  acme   https://acme.example
         normalizer described here, credential none, errors envelope, job_failures annotate
         timeouts connect 5s, first_byte 120s, idle 60s, total 300s, max_duration 1h
         hold max 60s, max_quota 1h

Routes of pixii, the first that matches
  bulk    POST PUT  first_byte 200s, idle 5s, total 300s  /v1/bulk
  submit  POST      first_byte 120s, total 300s           /v1/api/listing_builder /v1/api/a_plus /v1/api/scale
  poll    GET       first_byte 120s, total 300s           /v1/api/jobs/* (job)
  list    GET       first_byte 120s, total 300s           /v1/api/jobs
  other   any       -                                     refused (only_routes)
"""

FAULTY = """\
server: {prot: 8080, host: "not a host"}
callers: {billing: {key_sha256: ["abc"]}}
vendors:
  pixii:
    base_url: ftp://api.pixii.ai
    timeouts: {total: 5}
    errors: envelop
  apixo: {base_url: "https://api.apixo.ai", credential: {header: Authorization, value: "${NOT_SET_ANYWHERE}"}}
  acme: {normalizer: pixii}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the working directory, and no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ERRGATE_CONFIG", raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(main, ["check", *arguments], catch_exceptions=False)


def test_report(folder: Path) -> None:
    """Valid settings are told part by part, every line in the words of the file."""
    (folder / "errgate.yaml").write_text(GOOD)

    result = run()

    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.startswith(REPORT)
    assert "\n\nLimits\n  none\n\nCallers\n" in result.stdout
    assert (
        "\n  billing  1 key   pixii: submit poll; apixo: all\n  ops      2 keys  every vendor; errors header\n"
        in result.stdout
    )
    assert "\nRoutes of pixee, the first that matches\n" in result.stdout
    assert "auth" in next(line for line in result.stdout.splitlines() if line.endswith("(refused)"))


def test_warnings(folder: Path) -> None:
    """What is allowed and still dangerous is listed with its line, and is no failure."""
    (folder / "errgate.yaml").write_text(GOOD)

    result = run()

    head, _, warnings = result.stdout.partition("\nWarnings (1)\n")
    assert head
    assert warnings.startswith("  errgate.yaml:10: vendors.apixo.credential: ")


def test_no_secret_is_shown(folder: Path) -> None:
    """No credential is printed, in text or JSON."""
    (folder / "errgate.yaml").write_text(GOOD)

    assert "pk_live_secret" not in run().output + run("--json").output


@pytest.mark.parametrize(
    ("callers", "line"),
    [("null", "  none: no key is asked for\n"), ("open", "  open: anyone who reaches the port\n")],
)
def test_nobody_is_named(folder: Path, callers: str, line: str) -> None:
    """Without named callers the report says who may call."""
    (folder / "errgate.yaml").write_text(f"callers: {callers}\nvendors: {{x: {{base_url: https://x.example}}}}\n")

    result = run()

    assert f"\nCallers\n{line}" in result.stdout
    assert "normalizer generic (by status alone)" in result.stdout
    assert result.stdout.endswith("\nWarnings (0)\n  none\n")


def test_extension() -> None:
    """A vendor that extends another says which."""
    settings = loads("vendors: {eu: {base_url: https://e.example, normalizer: {extends: pixii}}}")

    assert normalizer("eu", settings.vendors["eu"]) == "extends pixii"


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ("", "in this process"),
        ("server: {workers: 3}", "in memory that 3 workers share"),
        ("limit_store: {url: 'redis://:canary@r.example/1'}", "in Redis at r.example port 6379, when_away share"),
        (
            "server: {workers: 2}\nlimit_store: {url: 'rediss://r:7', when_away: refuse}",
            "in Redis at r port 7, when_away refuse",
        ),
    ],
)
def test_where_limits_are_counted(sections: str, said: str) -> None:
    """W-094: the report says who keeps a limit together."""
    rows = dict(row for row in gateway_rows(loads(sections, environ={})) if len(row) == 2)

    assert rows["limits"] == f"counted {said}"


def test_a_429_that_is_ignored() -> None:
    """Where a vendor's 429 holds nothing the report says so."""
    settings = loads("vendors: {x: {base_url: 'https://x.example', on_vendor_limit: ignore}}", environ={})

    assert ("", "on_vendor_limit ignore") in list(vendor_rows("x", settings.vendors["x"]))


def test_limits() -> None:
    """A limit is told with its owner, its name, and what was given."""
    settings = loads("vendors: {x: {base_url: https://x.example}}")
    limits = settings.vendors["x"].model_validate(
        {
            "base_url": "https://x.example",
            "limits": [{"requests": 10, "per": "minute", "routes": ["a", "b"], "wait": "2s"}],
        }
    )
    limited = settings.model_copy(update={"vendors": {"x": limits}})

    assert list(limit_rows(limited)) == [("x", "minute", "requests 10, per minute, routes a b, wait 2s")]


def test_json(folder: Path) -> None:
    """A script gets the settings, the routes with their deadlines, and the warnings."""
    (folder / "errgate.yaml").write_text(GOOD)

    result = run("--json")

    told = json.loads(result.stdout)
    assert (result.exit_code, told["valid"], told["file"], told["faults"]) == (0, True, "errgate.yaml", [])
    assert told["settings"]["vendors"]["pixii"]["credential"]["header"] == "Authorization"
    assert told["routes"]["pixii"][0] == {
        "name": "bulk",
        "methods": ["POST", "PUT"],
        "paths": ["/v1/bulk"],
        "job": False,
        "refused": False,
        "timeouts": {"connect": "5s", "first_byte": "200s", "idle": "5s", "total": "300s", "max_duration": "1h"},
    }
    assert len(told["warnings"]) == 1


def test_eight_faults(folder: Path) -> None:
    """Eight different faults are eight lines, each with file, line and key; stdout stays empty, exit 2."""
    (folder / "errgate.yaml").write_text(FAULTY)

    result = run()

    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["errgate.yaml:1", "server.prot"],
        ["errgate.yaml:1", "server.host"],
        ["errgate.yaml:2", "callers.billing.key_sha256[0]"],
        ["errgate.yaml:5", "vendors.pixii.base_url"],
        ["errgate.yaml:6", "vendors.pixii.timeouts.total"],
        ["errgate.yaml:7", "vendors.pixii.errors"],
        ["errgate.yaml:8", "vendors.apixo.credential.value"],
        ["errgate.yaml:9", "vendors.acme.base_url"],
    ]
    assert re.search("did you mean .port.", lines[0])


def test_faults_as_json(folder: Path) -> None:
    """A script gets the faults as a list, with the same exit code."""
    (folder / "errgate.yaml").write_text(FAULTY)

    result = run("--json")

    told = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (2, "")
    assert (told["valid"], len(told["faults"])) == (False, 8)


def test_which_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config comes before $ERRGATE_CONFIG, and that before ./errgate.yaml; empty counts as unset."""
    for name in ("errgate.yaml", "variable.yaml", "option.yaml"):
        (folder / name).write_text("vendors: {x: {base_url: https://x.example}}\n")

    monkeypatch.setenv("ERRGATE_CONFIG", "")
    assert run().stdout.startswith("errgate.yaml: valid\n")
    monkeypatch.setenv("ERRGATE_CONFIG", "variable.yaml")
    assert run().stdout.startswith("variable.yaml: valid\n")
    assert run("--config", "option.yaml").stdout.startswith("option.yaml: valid\n")


def test_no_file(folder: Path) -> None:
    """A settings file that is not there is one line with the mend, exit 2."""
    result = run()

    assert result.exit_code == 2
    assert result.stderr.startswith("errgate.yaml: ")
    assert "--config" in result.stderr
    assert result.stderr.count("\n") == 1


def test_process(tmp_path: Path) -> None:
    """As a process: the report on stdout, nothing on stderr, no colours in a pipe."""
    config = tmp_path / "errgate.yaml"
    config.write_text(GOOD)

    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "--config", str(config)], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith(REPORT.replace("errgate.yaml", str(config)))
    assert done.stderr == ""
