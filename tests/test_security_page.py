"""docs/security.md promises nothing that is not there: every test, rule and target that it names exists."""

import re
from pathlib import Path

from gateway import settings
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_paths_exist() -> None:
    """Every file and folder that the page names is there."""
    named = re.findall(r"`((?:tests|docs|gateway|normalizers)/[^`*]*)`", PAGE) + re.findall(r"\]\(([^)]+)\)", PAGE)

    missing = [path for path in named if not (ROOT / path).exists() and not (ROOT / "docs" / path).exists()]

    assert len(named) > 30
    assert missing == []


def test_rules_exist() -> None:
    """Every rule that the page names is one of the wire's."""
    rules = {line.split("\t")[0] for line in (ROOT / "tests" / "wire_rules.tsv").read_text().splitlines()}

    unknown = set(re.findall(r"W-[0-9]{3}", PAGE)) - rules

    assert unknown == set()


def test_every_target_is_named() -> None:
    """The page names every fuzz target, and none that is not there."""
    named = {name for row in re.findall(r"fuzz ((?:`[a-z_]+`(?:, )?)+)", PAGE) for name in re.findall("[a-z_]+", row)}

    assert named == set(TARGETS) - {"identity"}


def test_limits_are_told_truthfully() -> None:
    """The page says that limits are not in force for as long as the settings refuse them, and no longer."""
    limited = "vendors: {a: {base_url: https://a.example, limits: [{requests: 1, per: day}]}}\n"

    try:
        settings.loads(limited, environ={})
        refused = False
    except settings.SettingsError:
        refused = True

    assert refused == ("Limits are not in force yet" in PAGE)
