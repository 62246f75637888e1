"""The Dockerfile, as far as it can be judged without building; `make image-test` builds and runs the image."""

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
ALLOWED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
# Without continued lines and comments: one instruction a line.
INSTRUCTIONS = [
    line.strip()
    for line in re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    if line.strip()
]
RULES = [line for line in ALLOWED if line and not line.startswith("#")]


def arguments(instruction: str) -> list[str]:
    """What each instruction of that name says."""
    return [line.partition(" ")[2].strip() for line in INSTRUCTIONS if line.startswith(f"{instruction} ")]


def copied() -> list[str]:
    """What is copied out of the checkout."""
    return [
        word for said in arguments("COPY") if "--from=" not in said for word in said.split()[:-1] if word[:2] != "--"
    ]


def test_linter_is_content() -> None:
    """Hadolint finds nothing, and nothing is hidden from it but that Debian's compiler has no fixed version."""
    hadolint = Path(sys.executable).parent / "hadolint"

    done = subprocess.run(
        [hadolint, "--failure-threshold", "style", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert re.findall("hadolint +(.*)", DOCKERFILE) == ["ignore=DL3008"]


def test_base_is_pinned() -> None:
    """The one base is named by digest, in an argument, and both stages that run Python stand on it."""
    (base,) = [said for said in arguments("ARG") if said.startswith("PYTHON_IMAGE=")]

    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    assert [said.partition(" ")[0] for said in arguments("FROM")] == ["${PYTHON_IMAGE}", "scratch", "${PYTHON_IMAGE}"]


def test_everything_copied_is_allowed() -> None:
    """What the Dockerfile copies is there and is on the list of what the build may see; nothing else is on it."""
    allowed = {rule.removeprefix("!").removesuffix("/") for rule in RULES if rule.startswith("!")}

    assert set(copied()) == allowed
    assert [name for name in allowed if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", [".git", ".env", "errgate.yaml", "tests", "docs", "gateway/__pycache__", "helm"])
def test_everything_else_is_kept_out(name: str) -> None:
    """The list begins by allowing nothing, so that no secret in a checkout gets into an image."""
    seen = True
    for rule in RULES:
        pattern = rule.removeprefix("!").removesuffix("/").removeprefix("**/")
        if any(fnmatch.fnmatch(part, pattern) for part in (name, Path(name).name, Path(name).parts[0])):
            seen = rule.startswith("!")

    assert RULES[0] == "*"
    assert not seen


def test_nobody_and_nothing_written() -> None:
    """It runs as a number that is nobody, and knows only commands that there are."""
    assert arguments("USER") == ["65532:65532"]
    assert arguments("ENTRYPOINT") == ['["errgate"]']
    assert arguments("CMD") == ['["serve"]']
    assert {"serve", "healthcheck"} <= set(COMMANDS)
    assert arguments("HEALTHCHECK")[0].endswith('CMD ["errgate", "healthcheck"]')


def test_compiled_and_no_compiler() -> None:
    """The image carries the compiled form; what compiles it is in the stage that is left behind."""
    stages = "\n".join(INSTRUCTIONS).split("FROM ${PYTHON_IMAGE}")
    (compiler,) = [said for said in arguments("RUN") if "apt-get" in said]

    assert [("apt-get" in stage, "ERRGATE_COMPILE=1" in stage) for stage in stages] == [
        (False, False),
        (True, True),
        (False, False),
    ]
    assert "--no-install-recommends gcc libc6-dev " in compiler
    assert compiler.endswith("rm -rf /var/lib/apt/lists/*")


def test_only_what_is_locked() -> None:
    """Whatever comes from an index comes by its hash, and no index is named."""
    installs = re.findall(r"pip(?: --python \S+)? install (.*?)(?= && |$)", "\n".join(arguments("RUN")), re.MULTILINE)

    assert installs
    assert all("--require-hashes" in said or "--no-index" in said for said in installs)
    assert "://" not in DOCKERFILE
