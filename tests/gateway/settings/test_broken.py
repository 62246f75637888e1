"""
Settings files with a mistake each, named after it, and what is said about them.

The first lines of each file, `# expect: LINE: KEY: TEXT`, are the messages; FOLDER stands for the folder of the files.
"""

import re
from pathlib import Path

import pytest

from gateway.settings import SettingsError, load

FOLDER = Path(__file__).parent / "broken"
FILES = sorted(FOLDER.glob("*.yaml"))
# What the files take from the environment; `canary` marks what no message may repeat.
ENVIRON = {
    "KEY": "canary-from-the-environment",
    "EMPTY": "",
    "BAD": "canary bad\nvalue",
    "LATIN": "canary\udce4",
    "PORT": "eighty-canary",
    "URL": "https://canary:canary@example.com",
}


def expected(file: Path) -> list[str]:
    """The messages that a file announces."""
    announced = re.findall("^# expect: (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return [f"{file}:{text.replace('FOLDER', str(FOLDER))}" for text in announced]


def faults(file: Path) -> list[str]:
    """The messages that a file brings."""
    with pytest.raises(SettingsError) as refused:
        load(file, ENVIRON)
    return refused.value.faults


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_mistake(file: Path) -> None:
    """Every fault of a file is one line with file, line, key, what is wrong and the mend, in the order of the file."""
    said = faults(file)

    assert said == expected(file)
    assert said


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_secret_is_repeated(file: Path) -> None:
    """No message repeats what came from the environment or a file, or stands where a secret does."""
    assert not [line for line in faults(file) if "canary" in line]


def test_eight_faults_are_eight_lines() -> None:
    """A file with eight different faults brings eight lines."""
    assert len(faults(FOLDER / "eight_faults.yaml")) == 8
