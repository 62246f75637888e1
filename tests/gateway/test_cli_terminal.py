"""The command line on a real terminal: colours, widths, words for who waits; and none of it in a pipe or a file."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from gateway.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
DIGEST = "0f867135b74930783a23d7d248cf07e081834d4e5214535e7386dbdf53e8fa5f"
SETTINGS = f"""\
callers:
  billing: {{key_sha256: ["{DIGEST}"], vendors: {{pixii: [submit, poll], acme: all}}}}
vendors:
  pixii: {{base_url: https://api.pixii.ai, credential: {{header: Authorization, value: Bearer pk_live_made_up}}}}
  pikzels: {{base_url: https://api.pikzels.com}}
  acme:
    base_url: https://a-vendor-with-a-name-that-is-longer-than-a-narrow-terminal.example/and/a/path
    normalizer: {{code: /error/code, codes: {{GONE: not_found}}}}
"""
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
TABLES = ["check", "codes", "codes --vendor pixii", "codes --vendor pikzels"]


class Shown(NamedTuple):
    """What a terminal showed, and the exit code."""

    text: str
    code: int

    @property
    def lines(self) -> list[str]:
        """The lines as a person sees them."""
        return ESCAPE.sub("", self.text).split("\n")


def show(folder: Path, line: str, columns: int, typed: str = "", **environ: str) -> Shown:
    """Run a command on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    settings = termios.tcgetattr(theirs)
    settings[1] &= ~termios.OPOST  # lines end as the command ends them
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR", "TERM"}}
    read = bytearray()
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", *line.split()],
        cwd=folder,
        env=kept | {"TERM": "xterm", "PYTHONPATH": str(ROOT)} | environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,  # so that nothing is asked of the terminal that the tests themselves may run on
    ) as running:
        os.close(theirs)
        try:
            while piece := os.read(ours, 65536):
                read += piece
                if typed and read.endswith(b": "):
                    os.write(ours, typed.encode())
                    typed = ""
        except OSError:
            pass  # EIO: the last one on the other side has left
        finally:
            os.close(ours)
    return Shown(read.decode(), running.returncode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with settings."""
    (tmp_path / "errgate.yaml").write_text(SETTINGS)
    return tmp_path


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("line", TABLES)
def test_tables_fit(folder: Path, line: str, columns: int) -> None:
    """No line of a table is longer than the terminal is wide, and headings are bold."""
    shown = show(folder, line, columns)

    assert shown.code == 0
    assert max(map(len, shown.lines)) <= columns
    assert "\x1b[1m" in shown.text


@pytest.mark.parametrize(("name", "columns"), [*((name, 40) for name in ["", *COMMANDS]), ("codes", 80), ("", 200)])
def test_help_fits(folder: Path, name: str, columns: int) -> None:
    """Help is as wide as the terminal, but never wider than a line can be read; an example to copy is never broken."""
    shown = show(folder, f"{name} --help", columns)

    examples = {example for entry in COMMANDS.values() for example in entry.examples}
    assert shown.code == 0
    assert [line for line in shown.lines if len(line) > min(columns, 100) and line.strip() not in examples] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(name: str) -> None:
    """Every help ends with lines to copy, each beginning with the command."""
    shown = CliRunner().invoke(main, [name, "--help"])

    examples = shown.stdout.partition("Examples:\n")[2].split("\n")
    assert [line.strip() for line in examples if line] == list(COMMANDS[name].examples)
    assert all(example.startswith(f"errgate {name}") for example in COMMANDS[name].examples)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_nothing_is_lost(folder: Path, columns: int) -> None:
    """However narrow, a table says every word that it says in a pipe."""
    piped = subprocess.run(
        [sys.executable, "-m", "gateway", "codes"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    shown = show(folder, "codes", columns)

    assert sorted("".join("".join(shown.lines).split())) == sorted("".join(piped.stdout.split()))


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_colours(folder: Path, environ: dict[str, str]) -> None:
    """NO_COLOR and a dumb terminal are obeyed; the table still fits."""
    shown = show(folder, "check", 80, **environ)

    assert "\x1b" not in shown.text
    assert max(map(len, shown.lines)) <= 80


@pytest.mark.parametrize("line", [*TABLES, "--help", "schema problem"])
def test_pipe_is_plain(folder: Path, line: str) -> None:
    """A pipe gets no colour, even where stderr is a terminal."""
    piped = subprocess.run(
        [sys.executable, "-m", "gateway", *line.split()],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "\x1b" not in piped.stdout


def test_key_is_not_shown(folder: Path) -> None:
    """At a terminal a key is asked for, and what is typed does not appear."""
    shown = show(folder, "hash-key", 80, typed="egk_0123456789abcdefghijABCDEFGHIJ\n")

    assert shown.code == 0
    assert shown.lines[0].startswith("Key: ")
    assert "0123456789" not in shown.text
    assert re.search(r"[0-9a-f]{64}", shown.text)


def test_new_key_says_where_to(folder: Path) -> None:
    """A person who makes a key is told what to do with the two lines."""
    shown = show(folder, "new-key", 80)

    assert "callers.NAME.key_sha256" in shown.text


def test_start_is_announced(folder: Path) -> None:
    """What takes a moment says so, to a person only."""
    shown = show(folder, "demo --port 1 --admin-port 99999", 80)
    begun = show(folder, "sandbox --host nowhere.invalid", 80)

    assert "Starting" not in shown.text  # a bad command line is told at once
    assert begun.lines[0] == "Starting the simulated vendors ..."
