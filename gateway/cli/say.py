"""What a person sees: error lines, tables that fit the terminal, colours only where there is one."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO

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


def progress(line: str) -> None:
    """Tell a person what takes its time; a script is told nothing."""
    if is_terminal(sys.stderr):
        click.echo(line, err=True)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person reads or writes here; a stream that was closed before we began is None."""
    return stream is not None and stream.isatty()


def print_json(value: object) -> None:
    """Print a value as JSON, indented for people; JSON is UTF-8 (RFC 8259), whatever the terminal speaks."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False).encode())


def heading(text: str) -> str:
    """Make a heading, bold on a terminal."""
    return click.style(text, bold=True)


def width() -> int | None:
    """Columns of the terminal; None where there is none, so that a pipe gets one line per row."""
    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None


def paragraph(text: str, columns: int | None) -> list[str]:
    """Wrap a sentence to so many columns; without a terminal it is one line."""
    return textwrap.wrap(text, columns, break_on_hyphens=False, break_long_words=False) if columns else [text]


def table(rows: Iterable[Sequence[str]], *, columns: int | None, indent: str = "") -> list[str]:
    """
    Align rows into lines of at most so many columns (None: any number).

    The last cell is the sentence: it wraps inside its column, or below the row where its column would be too narrow.
    Where not even the other cells fit beside each other, all but the first go below.
    """
    rows = [tuple(row) for row in rows]
    if not rows:
        return []
    widths = [max(map(len, cells)) for cells in list(zip(*rows, strict=True))[:-1]]
    start = len(indent) + sum(widths) + len(GAP) * len(widths)
    if columns is not None and start - len(GAP) > columns:
        return [line for row in rows for line in stacked(row, columns, indent)]
    beside = columns is None or columns - start >= NARROWEST_SENTENCE
    margin = " " * start if beside else indent + GAP * 2
    lines: list[str] = []
    for *cells, sentence in rows:
        head = indent + "".join(cell.ljust(wide) + GAP for cell, wide in zip(cells, widths, strict=True))
        text = wrap(sentence, columns - len(margin)) if columns else [sentence]
        first, rest = (text[:1], text[1:]) if beside or not cells else ([], text)
        line = (head + "".join(first)).rstrip()
        # A row whose first cells are empty goes on with the sentence of the row above.
        lines.extend([line] if line or beside else [])
        lines.extend(margin + line for line in rest)
    return lines


def stacked(row: Sequence[str], columns: int, indent: str) -> list[str]:
    """Set a row as its first cell and, below it, the others."""
    first, *others = row
    margin = indent + GAP * 2
    heads = [indent + line for line in wrap(first, columns - len(indent))]
    return [*heads, *(margin + line for line in wrap(GAP.join(filter(None, others)), columns - len(margin)))]


def wrap(text: str, columns: int) -> list[str]:
    """Wrap text; what has no space to break at is cut."""
    return textwrap.wrap(text, max(columns, 1), break_on_hyphens=False)
