"""The pages for operators: links lead somewhere, settings are settings, commands are there."""

import re
import textwrap
from pathlib import Path

import pytest

from docs.generate import settings_keys
from gateway import settings
from gateway.cli import COMMANDS
from gateway.metrics.table import TABLE

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "docs" / f"{name}.md" for name in ("install", "settings", "metrics", "upgrading", "keys", "tracing")]
DIGESTS = {"billing-current": "5f" * 32, "billing-next": "6a" * 32}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language, without their indentation."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    """A link inside the repository has a file, and a heading where it names one, at its end."""
    links = re.findall(r"\]\(([^):]+)\)", page.read_text(encoding="utf-8"))

    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in headings(target)):
            broken.append(link)

    assert broken == []


def headings(page: Path) -> set[str]:
    """A page's headings as anchors."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_there(page: Path) -> None:
    """Every command of ours and every target of the Makefile that a page names is one."""
    text = page.read_text(encoding="utf-8")
    code = "\n".join([*blocks(page, "sh"), *re.findall(r"`([^`\n]+)`", text)])
    targets = re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    ours = set(re.findall(r"(?:^|[\s/])errgate ([a-z]+(?:-[a-z]+)?)(?=[\s`]|$)", code, re.MULTILINE))
    made = set(re.findall(r"(?:^|\s)make ([a-z-]+)", code, re.MULTILINE))

    assert ours <= set(COMMANDS)
    assert made <= set(targets)


def test_settings_of_keys_are_valid(tmp_path: Path) -> None:
    """Whoever copies the settings of docs/keys.md to where they belong gets settings."""
    vendor, callers = blocks(ROOT / "docs" / "keys.md", "yaml")
    for secret in ("pixii", *DIGESTS):
        (tmp_path / secret).write_text(DIGESTS.get(secret, "a-made-up-key"))
    text = "vendors:\n  pixii:\n    base_url: https://api.pixii.ai\n" + textwrap.indent(vendor, "    ") + callers

    loaded = settings.loads(text.replace("/etc/errgate/keys", str(tmp_path)), environ={})

    assert isinstance(loaded.vendors["pixii"].credential, settings.Credential)
    assert loaded.named_callers["billing"].key_sha256 == tuple(DIGESTS.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_are_those_of_the_code(page: Path) -> None:
    """A metric or a key of the server that a page names exists."""
    text = page.read_text(encoding="utf-8")
    metrics = {metric.name for metric in TABLE}
    keys = {key.path for key in settings_keys()}

    named = {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"\berrgate_[a-z_]+\b", text)}
    # `server.address` is OpenTelemetry's.
    server = set(re.findall(r"`(server\.(?!address)[a-z_.]+)", text))

    assert named <= metrics
    assert {name.rstrip(".:") for name in server} <= keys
