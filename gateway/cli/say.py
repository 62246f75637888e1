"""What a person sees: error lines, tables that fit the terminal, colours only where there is one."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

import click

# Below this many columns a sentence in the last column is harder to read than on a line of its own.
NARROWEST_SENTENCE = 30
GAP = "  "


class Stop(Exception):
    """Ends the command with these lines on stderr and this exit code."""

    def __init__(self, *lines: str, exit_code: int = 1) -> None:
        super().__init__(*lines)
        self.lines = lines
        self.exit_code = exit_code


def complain(*lines: str) -> None:
    """Print each line to stderr."""
    for line in lines:
        click.echo(line, err=True)


def print_json(value: object) -> None:
    """Print a value as JSON, indented for people; JSON is UTF-8 (RFC 8259), whatever the terminal speaks."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False).encode())


def heading(text: str) -> str:
    """Make a heading, bold on a terminal."""
    return click.style(text, bold=True)


def width() -> int | None:
    """Columns of the terminal; None where there is none, so that a pipe gets one line per row."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(rows: Iterable[Sequence[str]], *, columns: int | None, indent: str = "") -> list[str]:
    """
    Align rows into lines of at most so many columns (None: any number).

    The last cell is the sentence: it wraps inside its column, or below the row where its column would be too narrow.
    """
    rows = [tuple(row) for row in rows]
    if not rows:
        return []
    widths = [max(map(len, cells)) for cells in list(zip(*rows, strict=True))[:-1]]
    start = len(indent) + sum(widths) + len(GAP) * len(widths)
    beside = columns is None or columns - start >= NARROWEST_SENTENCE
    margin = " " * start if beside else indent + GAP * 2
    lines: list[str] = []
    for *cells, sentence in rows:
        head = indent + "".join(cell.ljust(wide) + GAP for cell, wide in zip(cells, widths, strict=True))
        text = textwrap.wrap(sentence, max(columns - len(margin), 1)) if columns else [sentence]
        first, rest = (text[:1], text[1:]) if beside else ([], text)
        lines.append((head + "".join(first)).rstrip())
        lines.extend(margin + line for line in rest)
    return lines
