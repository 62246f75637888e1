"""
The command line of the contract, section 2: one module per group of commands.

A command's module is imported when the command runs, so that `errgate --help` and the health check of a container stay
fast. A command returns its exit code (none: 0) and raises `Stop` to end with lines on stderr; whatever else goes wrong
becomes one line there too, never a traceback.
"""

import errno
import io
import os
import sys
from collections.abc import Mapping, Sequence
from copy import copy
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

import click

from gateway import __version__
from gateway.log import where

from .say import Stop, complain, width


class Entry(NamedTuple):
    """A command: the module that holds it, its line in `errgate --help`, and lines to copy."""

    module: str
    line: str
    examples: tuple[str, ...]


COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "serve": Entry(
            "serve",
            "Run the gateway.",
            ("errgate serve --config errgate.yaml", "errgate serve --port 8000 --workers 2"),
        ),
        "check": Entry(
            "check",
            "Validate the settings and print what they mean; binds nothing.",
            ("errgate check --config errgate.yaml", "errgate check --json"),
        ),
        "demo": Entry(
            "demo",
            "Run four simulated vendors and the gateway over them: no keys, no files.",
            ("errgate demo", "errgate demo --port 0 --admin-port 0 --json"),
        ),
        "sandbox": Entry(
            "serve",
            "Run only the simulated vendors.",
            ("errgate sandbox --port 8090", "errgate sandbox --port 0 --json"),
        ),
        "normalize": Entry(
            "normalize",
            "Turn one vendor reply into the caller's envelope, offline.",
            (
                "errgate normalize --vendor pixii --status 503 </dev/null",
                "errgate normalize --vendor pixii --status 400 --explain reply.json",
            ),
        ),
        "codes": Entry(
            "codes",
            "List the house codes and every vendor's codes.",
            ("errgate codes --vendor pixii", "errgate codes --format html --output site/problems"),
        ),
        "schema": Entry(
            "schema",
            "Print the JSON Schema of the envelope or of the settings.",
            ("errgate schema problem", "errgate schema config >errgate.schema.json"),
        ),
        "new-key": Entry(
            "keys", "Print a fresh caller key and its digest.", ("errgate new-key", "errgate new-key --json")
        ),
        "hash-key": Entry(
            "keys",
            "Read a caller key on stdin and print its digest.",
            ("errgate hash-key", "errgate hash-key <key.txt"),
        ),
        "healthcheck": Entry(
            "healthcheck",
            "Ask a running gateway whether it is ready.",
            ("errgate healthcheck", "errgate healthcheck --admin-port 9091 --json"),
        ),
    }
)

# What helps where the operating system refuses.
MENDS: Mapping[int, str] = MappingProxyType(
    {
        errno.EACCES: "allow it, or name another place",
        errno.EPERM: "allow it, or name another place",
        errno.EROFS: "name a place that can be written to",
        errno.ENOENT: "make it, or name another",
        errno.ENOTDIR: "a part of this path is a file; name a folder",
        errno.EISDIR: "this is a folder; name a file",
        errno.ENOSPC: "make room, or name another place",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
    }
)

# What a shell reports for a program that Ctrl-C ended: 128 + SIGINT.
INTERRUPTED = 130
CLICKS_NARROWEST = 52


class Commands(click.Group):
    """The table above as a click group that turns every failure into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of the contract."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of this command and add its examples; None when there is no such command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        entry = COMMANDS[cmd_name]
        module = import_module(f"{__name__}.{entry.module}")
        command: click.Command = copy(getattr(module, cmd_name.replace("-", "_")))
        # To click, \b means: these lines stay as they are.
        command.epilog = "\n".join(("\b", "Examples:", *(f"  {example}" for example in entry.examples)))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of these arguments; a misspelt one is answered with the likely ones."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as unknown:
            raise click.NoSuchCommand(unknown.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in COMMANDS.items()])

    def main(  # type: ignore[override]  # click's own overloads differ by standalone_mode, which is ours to decide
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        **extra: Any,  # noqa: ANN401  # handed on to click as it came
    ) -> None:
        """Run a command and leave the process with its exit code."""
        del prog_name  # `python -m gateway` is the same command and says the same name
        # click colours by the terminal alone; NO_COLOR (https://no-color.org) counts when it is set and not empty, and
        # a terminal that calls itself dumb knows no colours.
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            extra.setdefault("color", False)
        # Left to itself click takes no terminal for narrower than this.
        if (columns := width()) is not None and columns < CLICKS_NARROWEST:
            extra.setdefault("terminal_width", columns)
        # A vendor's letter that this terminal cannot spell is no reason to fail.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            returned = super().main(args, "errgate", **extra | {"standalone_mode": False})
        except Exception as failed:  # noqa: BLE001  # the last line of defence: a person gets a line, whatever happened
            lines, exit_code = ending(failed)
            complain(*lines)
        else:
            exit_code = returned if isinstance(returned, int) else 0
        raise SystemExit(exit_code)


def ending(failed: Exception) -> tuple[tuple[str, ...], int]:
    """How a command ends that raised this: the lines for stderr, and the exit code."""
    match failed:
        case Stop():
            return failed.lines, failed.exit_code
        case click.Abort():
            return (), INTERRUPTED
        case click.ClickException():
            return (usage(failed),), failed.exit_code
        case OSError():
            return (system(failed),), 1
        case _:
            return (report(failed),), 1


def usage(wrong: click.ClickException) -> str:
    """One line for a command line that cannot be understood, ending in where to read how it goes."""
    context = getattr(wrong, "ctx", None)
    path = context.command_path if context else "errgate"
    message = " ".join(wrong.format_message().split())
    return f"{path}: {message} See `{path} --help`."


def system(failed: OSError) -> str:
    """One line for what the operating system refused, with the file if there was one, and the mend if it is known."""
    thing = f"{failed.filename}: " if failed.filename else ""
    mend = MENDS.get(failed.errno or 0)
    return f"errgate: {thing}{failed.strerror or failed}" + (f"; {mend}" if mend else "")


def report(bug: Exception) -> str:
    """One line for a bug: its class and the places a maintainer needs, never its text, which may quote a secret."""
    return f"errgate: a bug in errgate, please report it: {where(bug)}"


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="errgate %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Put one endpoint and one error envelope in front of vendor APIs.

    Start with `errgate demo`. `eval "$(_ERRGATE_COMPLETE=bash_source errgate)"` completes commands and options in
    bash; zsh and fish: zsh_source, fish_source.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
