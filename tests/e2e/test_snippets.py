"""
The programs of docs/callers.md, each against a gateway: that of `errgate demo`, and one with `errors: header`.

A program whose toolchain is missing is skipped with the reason. `.ci/run` brings the TypeScript compiler; Go, Node and
Java are large and used where they are.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness.gateway import ThreadGateway, settings_text, untraced
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, json_reply

PAGE = Path(__file__).parents[2] / "docs" / "callers.md"
NODE_MODULES = Path(__file__).parent / "typescript" / "node_modules"
TSC = "--strict --exactOptionalPropertyTypes --erasableSyntaxOnly --target es2022 --module nodenext --types node"


@dataclass(frozen=True, slots=True)
class Language:
    """One program: its fence on the page, its file, what it needs, how it is checked and how it is run."""

    fence: str
    file: str
    needs: Mapping[str, str]  # program → what brings it
    checks: Sequence[Sequence[str]]
    run: Sequence[str]


LANGUAGES = {
    "python": Language(
        "python",
        "call.py",
        {},
        [[sys.executable, "-m", "mypy", "--strict", "--cache-dir", ".mypy", "--config-file", os.devnull, "call.py"]],
        [sys.executable, "-W", "error", "call.py"],
    ),
    "typescript": Language(
        "ts",
        "call.mts",
        {"node": "nodejs", str(NODE_MODULES / ".bin" / "tsc"): "npm ci --prefix tests/e2e/typescript"},
        [[str(NODE_MODULES / ".bin" / "tsc"), *TSC.split(), "--typeRoots", str(NODE_MODULES / "@types"), "call.mts"]],
        ["node", "call.mjs"],
    ),
    "go": Language(
        "go",
        "call.go",
        {"go": "golang"},
        [["sh", "-c", 'test -z "$(gofmt -l call.go)"'], ["go", "build", "-o", "call", "call.go"]],
        ["./call"],
    ),
    "java": Language(
        "java",
        "Call.java",
        {"javac": "default-jdk-headless", "java": "default-jdk-headless"},
        [["javac", "-Xlint:all", "-Werror", "Call.java"]],
        # A small program is started faster than it is compiled well.
        ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "Call"],
    ),
}

SAYS = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
KEY = "egk_" + "Ab1Cd2Ef3Gh4" * 4
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()


def program(language: Language) -> str:
    """The program as the page shows it."""
    (found,) = re.findall(rf"^```{language.fence}\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running `errgate demo`."""
    output = tmp_path_factory.mktemp("demo") / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "demo", "--port", "0", "--admin-port", "0"],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=untraced(),
        )
    try:
        assert until(lambda: "http://" in output.read_text(), 30), output.read_text()
        found = re.search(r"http://[\d.]+:\d+", output.read_text())
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.wait()


def script(vendor: RogueVendor) -> None:
    """Refuse once, fail once, succeed, and show a failed job with a member `problems` of the vendor's own."""
    job = {"code": 200, "data": {"state": "failed", "failCode": "NSFW_DETECTED"}, "problems": ["its own", {"code": 1}]}
    vendor.forget()
    vendor.reply(
        json_reply(400, {"code": "VALIDATION_ERROR", "message": "wrong", "detail": None}),
        json_reply(503, {"code": "SERVICE_UNAVAILABLE", "message": "down"}, [("Retry-After", "1")]),
        json_reply(200, {"data": []}),
        json_reply(200, job),
    )


@contextmanager
def headers_only(vendor: RogueVendor, job_failures: str) -> Iterator[str]:
    """The URL of a gateway that asks for a key and leaves the bodies of the vendors' errors as they are."""
    script(vendor)
    own = {"base_url": vendor.url, "retries": {"max": 0}, "job_failures": job_failures}
    callers = {"billing": {"key_sha256": [DIGEST], "errors": "header"}}
    with ThreadGateway(settings_text({"pixii": own, "apixo": own}, callers=callers)) as running:
        yield "http://{}:{}".format(*running.address)


def asked(vendor: RogueVendor) -> list[str]:
    """What the vendor was asked for."""
    return [request.method for request in vendor.requests]


def run(command: Sequence[str], folder: Path, **environ: str) -> str:
    """What a command prints; its words are in the failure where it fails."""
    done = subprocess.run(command, cwd=folder, env=untraced() | environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", LANGUAGES)
def test_program(name: str, demo: str, vendor: RogueVendor, tmp_path: Path) -> None:
    """It compiles strictly, does what the page says, asks no more often than that, and reads headers as envelopes."""
    language = LANGUAGES[name]
    for needed, bringer in language.needs.items():
        if shutil.which(needed) is None:
            pytest.skip(f"{Path(needed).name} is not installed; `{bringer}` brings it")
    (tmp_path / language.file).write_text(program(language), encoding="utf-8")
    for check in language.checks:
        run(check, tmp_path)

    over_the_sandbox = run(language.run, tmp_path, ERRGATE_URL=demo)
    with headers_only(vendor, "annotate") as url:
        began = time.monotonic()
        by_headers = run(language.run, tmp_path, ERRGATE_URL=url, ERRGATE_KEY=KEY)
        took = time.monotonic() - began
    sent = asked(vendor)
    with headers_only(vendor, "header") as url:
        bare = run(language.run, tmp_path, ERRGATE_URL=url, ERRGATE_KEY=KEY)

    assert over_the_sandbox == SAYS
    assert by_headers == SAYS
    assert sent == ["POST", "GET", "GET", "GET"]
    assert took >= 1
    assert bare.splitlines() == [line for line in SAYS.splitlines() if not line.startswith("job: ")]
