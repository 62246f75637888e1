"""What the documents say is so: tables are what the code says, examples run, links lead somewhere."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from docs.generate import README, render, settings_keys
from gateway import __version__, settings
from gateway.cli import COMMANDS
from gateway.metrics.table import TABLE
from normalizers import VENDORS, HouseCode, problem_schema

ROOT = README.parent
PAGE = README.read_text(encoding="utf-8")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DECISIONS])

# What the examples of README take from the environment.
ENVIRONMENT = {
    "PIXII_KEY": "pk_test_made_up",
    "PIKZELS_KEY": "pkz_made_up",
    "ERRGATE_ADMIN_TOKEN": "a-made-up-token-of-32-characters",
}


def blocks(language: str) -> list[str]:
    """The fenced blocks of README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


SETTINGS_EXAMPLES = [block for block in blocks("yaml") if re.search("^vendors:", block, re.MULTILINE)]


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


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_documented(name: str) -> None:
    """Every command has its place in the list of commands."""
    assert f"`errgate {name}" in PAGE


@pytest.mark.parametrize("number", range(len(SETTINGS_EXAMPLES)))
def test_settings_example_is_valid(number: int) -> None:
    """Whoever copies an example of settings gets settings."""
    example = SETTINGS_EXAMPLES[number]

    loaded = settings.loads(example, environ=ENVIRONMENT)

    assert loaded.vendors


# What the section "What it does not do" says is not there yet, each with settings that ask for it.
NOT_YET = {
    "limit_store": "vendors: {pixii: {base_url: https://api.pixii.ai}}\nlimit_store: {url: redis://localhost}",
}


@pytest.mark.parametrize("key", NOT_YET)
def test_what_is_not_there_is_refused(key: str) -> None:
    """README says that a key is not available yet exactly as long as the settings refuse it with those words."""
    section = PAGE.partition("## What it does not do")[2].partition("By design:")[0]

    with pytest.raises(settings.SettingsError) as refused:
        settings.loads(NOT_YET[key], environ={})

    assert f"`{key}`" in section
    assert any("not available yet" in fault for fault in refused.value.faults)


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


@pytest.mark.parametrize("path", DOCUMENTS, ids=[path.name for path in DOCUMENTS])
def test_links_lead_somewhere(path: Path) -> None:
    """A link inside the repository has a file at its end."""
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))

    broken = [link for link in links if not (path.parent / link).exists()]

    assert broken == []


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
