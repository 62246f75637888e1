"""What the documents say is so: tables are what the code says, commands and examples run, links lead somewhere."""

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
from jsonschema import Draft202012Validator

from docs.generate import README, render, settings_keys
from gateway import __version__, settings
from gateway.cli import COMMANDS
from gateway.metrics.table import TABLE
from gateway.sandbox import FAULTS
from normalizers import VENDORS, HouseCode, problem_schema
from tests import shell
from tests.e2e.harness.gateway import free_port
from tests.e2e.harness.tools import tool

ROOT = README.parent
PAGE = README.read_text(encoding="utf-8")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
# Vendors' documents are data; what tools leave behind is nobody's page.
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(ROOT.rglob("*.md"))
    if not {part for part in path.relative_to(ROOT).parts[:-1] if part.startswith(".")}
    and not path.is_relative_to(ROOT / "tests")
}

# What the examples take from the environment.
ENVIRONMENT = {
    "PIXII_KEY": "pk_test_made_up",
    "PIKZELS_KEY": "pkz_made_up",
    "ACME_KEY": "made-up",
    "REDIS_PASSWORD": "made-up",
    "ERRGATE_ADMIN_TOKEN": "a-made-up-token-of-32-characters",
}


def blocks(language: str, page: str = PAGE) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


SETTINGS_EXAMPLES = [
    pytest.param(block, id=f"{name}-{number}")
    for name, page in DOCUMENTS.items()
    for number, block in enumerate(blocks("yaml", page))
    # The values of the chart are tests/test_helm.py's.
    if re.search("^vendors:", block, re.MULTILINE) and not name.startswith("helm/")
]


def test_tables_are_fresh() -> None:
    """README says what the code says; `make docs` makes it so."""
    fresh = render(PAGE)

    assert fresh == PAGE, "README.md is stale: run `make docs` and commit it"


def test_a_missing_marker_is_said() -> None:
    """A table whose place is gone from the page is an error, not a table less."""
    page = PAGE.replace("<!-- codes:end -->", "")

    with pytest.raises(ValueError, match="codes:start"):
        render(page)


@pytest.mark.parametrize("code", [house.code for house in HouseCode])
def test_house_code_is_documented(code: str) -> None:
    """Every house code has its row."""
    assert f"\n| `{code}` | " in PAGE


@pytest.mark.parametrize("name", sorted(VENDORS))
def test_vendor_is_documented(name: str) -> None:
    """Every vendor code stands in the table of its vendor."""
    section = PAGE.partition(f"(<code>{name}</code>)")[2].partition("</details>")[0]

    missing = [row.code for row in VENDORS[name].rows if f"| `{row.code}` | `{row.house.code}`" not in section]

    assert section
    assert missing == []


@pytest.mark.parametrize("key", [key.path for key in settings_keys()])
def test_key_is_documented(key: str) -> None:
    """Every key of the settings has its row."""
    assert f"\n| `{key}` | " in PAGE


@pytest.mark.parametrize("key", settings_keys(), ids=lambda key: key.path)
def test_key_says_what_it_is(key: object) -> None:
    """No key of the settings is without a sentence."""
    assert getattr(key, "description", "")


@pytest.mark.parametrize("name", [metric.name for metric in TABLE])
def test_metric_is_documented(name: str) -> None:
    """Every metric has its row."""
    assert f"\n| `{name}` | " in PAGE


HEADERS = sorted(
    {
        name.decode().lower()
        for path in (ROOT / "gateway").rglob("*.py")
        for name in re.findall(rb'b"(errgate-[a-z-]+)"', path.read_bytes())
    }
)


def test_headers_are_found() -> None:
    """The search below finds the headers of the contract."""
    assert {"errgate-code", "errgate-fault", "errgate-source", "errgate-instance", "errgate-job-codes"} <= set(HEADERS)


@pytest.mark.parametrize("name", HEADERS)
def test_header_is_documented(name: str) -> None:
    """Every header that the gateway reads or writes in its own name is in README."""
    assert f"`{name}" in PAGE.lower()


STEERING = ["Sandbox-Error", "Sandbox-Fault", "Sandbox-Once", "Sandbox-Retry-After", "Sandbox-Shape", *FAULTS]


@pytest.mark.parametrize("word", STEERING)
def test_sandbox_is_documented(word: str) -> None:
    """Whoever tests against the sandbox finds every header and every fault."""
    assert re.search(rf"`{word}\b", DOCUMENTS["docs/callers.md"])


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_documented(name: str) -> None:
    """Every command has its place in the list of commands."""
    assert f"`errgate {name}" in PAGE


@pytest.mark.parametrize("example", SETTINGS_EXAMPLES)
def test_settings_example_is_valid(example: str) -> None:
    """Whoever copies an example of settings, from any page, gets settings."""
    loaded = settings.loads(example, environ=ENVIRONMENT)

    assert loaded.vendors


def test_envelope_example_is_one() -> None:
    """The envelope that README shows is valid, and its fixed members are those of its code."""
    example = json.loads(blocks("json")[0])

    house = HouseCode.of(example["code"])

    Draft202012Validator(problem_schema()).validate(example)
    assert (house.status, house.title, house.fault, house.retryable) == (
        example["status"],
        example["title"],
        example["fault"],
        example["retryable"],
    )


def test_first_commands_are_targets() -> None:
    """The two commands on top are targets of the Makefile, and both are on the first screen."""
    commands = re.findall(r"^make (\w+)", blocks("sh")[0], re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert commands == ["demo", "test"]
    assert all(re.search(rf"^{command}:.* ## ", makefile, re.MULTILINE) for command in commands)


LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"")


def without_code(page: str) -> str:
    """A page without what is shown as it is."""
    return re.sub(r"^(```+).*?^\1$|`[^`\n]*`", "", page, flags=re.DOTALL | re.MULTILINE)


def anchors(page: str) -> set[str]:
    """What a link may point to: the headings, as forges spell them, and explicit ids."""
    headings = re.findall(
        r"^#{1,6} (.*)$", re.sub(r"^(```+).*?^\1$", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    slugs = [
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).lower()).replace(" ", "-")
        for text in headings
    ]
    numbered = {f"{slug}-{number}" for slug in slugs for number in range(1, slugs.count(slug))}
    return {*slugs, *numbered, *re.findall(r'\bid="([^"]+)"', page)}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    """A link inside the repository has a file at its end, and a heading where it names one."""
    broken = []

    for link in (next(filter(None, found)) for found in LINK.findall(without_code(DOCUMENTS[name]))):
        place, _, anchor = unquote(link).partition("#")
        if re.match(r"[a-z]+:", place):
            continue
        target = (ROOT / name).parent / place if place else ROOT / name
        there = target.exists() and target.resolve().is_relative_to(ROOT)
        if not there or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)

    assert broken == []


def test_dead_links_are_seen() -> None:
    """The test above would notice: it finds links and anchors where there are some."""
    page = "# One `two`: three\n\n[a](x.md#b) ![c](d.png) `[no](link)`\n\n```\n# no heading\n[no](link)\n```\n"

    found = [next(filter(None, link)) for link in LINK.findall(without_code(page))]

    assert found == ["x.md#b", "d.png"]
    assert anchors(page) == {"one-two-three"}


COMMANDED = {name: page for name, page in DOCUMENTS.items() if list(shell.blocks(page))}


@pytest.mark.parametrize("name", COMMANDED)
def test_commands_run(name: str, tmp_path: Path) -> None:
    """Every command of a page works, pasted one after the other into a shell."""
    page = COMMANDED[name]
    if all(block.needs for block in shell.blocks(page)):
        pytest.skip(f"needs {', '.join(sorted({block.needs or '' for block in shell.blocks(page)}))}")

    done = shell.run(page, tmp_path, tool("curl", "curl"), (free_port(), free_port()), **ENVIRONMENT)

    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    # Which rule decided is quoted where a command shows it.
    quoted = re.findall(r"`([^`]+ by the [^`]*row of [^`]+)`", page)
    assert [words for words in quoted if words not in done.stderr] == []


@pytest.mark.parametrize(
    "command", ["errgate schema nonsense", "make nonsense", "cat nowhere", "curl -sf localhost:8080"]
)
def test_failing_commands_are_seen(command: str, tmp_path: Path) -> None:
    """The test above would notice a command that does not run; one that needs a cluster it does not try."""
    page = f"```sh\nkubectl nonsense\n```\n\n```sh\n{command}\n```\n"

    done = shell.run(page, tmp_path, tool("curl", "curl"), (free_port(), free_port()))

    assert done.returncode != 0
    assert "kubectl" not in done.stderr


@pytest.mark.parametrize(
    ("name", "block"),
    [
        pytest.param(name, block, id=f"{name}-{block.line}")
        for name, page in COMMANDED.items()
        for block in shell.blocks(page)
        if block.language != "yaml"
    ],
)
def test_commands_are_shell(name: str, block: shell.Block) -> None:
    """Every block of commands is one for a shell, also where it cannot run here; those that can are known."""
    parsed = subprocess.run(["bash", "-n"], input=block.commands, capture_output=True, text=True, check=False)

    assert (parsed.returncode, parsed.stderr) == (0, "")
    assert block.commands


@pytest.mark.parametrize("path", DECISIONS, ids=[path.stem for path in DECISIONS])
def test_decision_is_one_page(path: Path) -> None:
    """A decision says what, why, what else was considered and what it costs, on one page."""
    text = path.read_text(encoding="utf-8")

    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)

    assert headings == ["What", "Why", "What else was considered", "What it costs"]
    assert len(text.split()) < 700


def test_changelog_knows_this_version() -> None:
    """The version that runs is in the changelog, released or about to be."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert f"## [{__version__}]" in changelog or "## [Unreleased]" in changelog
