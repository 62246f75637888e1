"""The command line as a whole: help, endings, and one line per failure."""

import io
import os
import subprocess
import sys
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from gateway import __version__
from gateway.cli import COMMANDS, Commands, main
from gateway.cli.say import Stop, heading, table


def run(*arguments: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def group(body: Callable[[], object]) -> click.Group:
    """The command line with one more command, `probe`, that does this."""
    commands = Commands(name="errgate")
    commands.get_command = lambda ctx, cmd_name: click.Command("probe", callback=body)  # type: ignore[method-assign]
    return commands


def end(body: Callable[[], object]) -> Result:
    """How the command line ends when a command does this."""
    return CliRunner().invoke(group(body), ["probe"], catch_exceptions=False)


def raising(error: BaseException) -> Callable[[], object]:
    """A command that raises this."""

    def body() -> object:
        raise error

    return body


def test_bare() -> None:
    """`errgate` alone shows the help, and that is no error."""
    result = run()

    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: errgate")
    assert result.stderr == ""


def test_help_lists_every_command() -> None:
    """The help names every command of the contract with its line."""
    result = run("--help")

    assert all(f"  {name} " in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_command_help(name: str) -> None:
    """Every command explains itself, and its own first sentence rhymes with the list's."""
    result = run(name, "--help")

    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: errgate {name}")


def test_help_is_fast() -> None:
    """`errgate --help` imports neither the server nor the settings."""
    code = "import sys, gateway.cli; print(sorted({'pydantic', 'uvicorn', 'starlette', 'asyncio'} & set(sys.modules)))"

    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert imported.stdout == "[]\n"


def test_version() -> None:
    """`--version` names the program and its version."""
    result = run("--version")

    assert result.stdout == f"errgate {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["sevre"], "errgate: No such command 'sevre'. Did you mean 'serve'?"),
        (["--cofnig"], "errgate: No such option '--cofnig'."),
        (
            ["new-key", "--jsn"],
            "errgate new-key: No such option '--jsn'. Did you mean '--json'?",
        ),
        (
            ["healthcheck", "--admin-port", "x"],
            "errgate healthcheck: Invalid value for '--admin-port': 'x' is not a valid integer range.",
        ),
        (
            ["schema", "x"],
            "errgate schema: Invalid value for '{problem|config}': 'x' is not one of 'problem', 'config'.",
        ),
    ],
)
def test_usage_error(arguments: list[str], line: str) -> None:
    """A command line that cannot be understood is one line on stderr, and exit 2."""
    result = run(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"{line} See `{line.partition(':')[0]} --help`.\n"


@pytest.mark.parametrize(
    ("error", "exit_code", "lines"),
    [
        (Stop("one", "two", exit_code=2), 2, "one\ntwo\n"),
        (Stop("over"), 1, "over\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (
            FileNotFoundError(2, "No such file or directory", "a.yaml"),
            1,
            "errgate: a.yaml: No such file or directory; make it, or name another\n",
        ),
        (OSError("odd"), 1, "errgate: odd\n"),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
        (click.ClickException("no"), 1, "errgate: no See `errgate --help`.\n"),
    ],
)
def test_ending(error: BaseException, exit_code: int, lines: str) -> None:
    """Whatever ends a command is said in lines, with the exit code that fits."""
    result = end(raising(error))

    assert (result.exit_code, result.stderr) == (exit_code, lines)


def test_bug() -> None:
    """A bug is one line with its place, without a traceback and without its text, which may quote a secret."""
    result = end(raising(KeyError("pk_live_secret")))

    assert result.exit_code == 1
    assert result.stderr.startswith("errgate: a bug in errgate, please report it: KeyError < test_cli.py:")
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.stderr


@pytest.mark.parametrize(("returned", "exit_code"), [(None, 0), (0, 0), (1, 1), (2, 2), ("text", 0)])
def test_returned(returned: object, exit_code: int) -> None:
    """What a command returns is its exit code."""
    assert end(lambda: returned).exit_code == exit_code


def test_narrow_output() -> None:
    """A stdout that cannot spell a letter gets an escape, not an exception."""
    code = (
        "import click, gateway.cli\n"
        "commands = gateway.cli.Commands()\n"
        "commands.get_command = lambda *_: click.Command('probe', callback=lambda: click.echo('\u2026'))\n"
        "commands.main(['probe'])\n"
    )

    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
    )

    assert printed.stdout == b"\\u2026\n"


@pytest.mark.parametrize(
    ("no_color", "coloured"), [(None, True), ("", True), ("1", False)], ids=["unset", "empty", "set"]
)
def test_colours(no_color: str | None, coloured: bool) -> None:
    """On a terminal headings are bold, unless NO_COLOR says otherwise."""
    commands = group(lambda: click.echo(heading("head")))

    result = CliRunner(env={"NO_COLOR": no_color}).invoke(commands, ["probe"], color=True)

    assert ("\x1b" in result.stdout) is coloured


def test_captured_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that captures stdout in its own way gets the words, too."""
    captured = io.StringIO()
    monkeypatch.setattr("sys.stdout", captured)

    with pytest.raises(SystemExit) as left:
        main.main(["--version"])

    assert (left.value.code, captured.getvalue()) == (0, f"errgate {__version__}\n")


def test_completion() -> None:
    """A shell that asks how a word goes on is told the commands."""
    asked = {"_ERRGATE_COMPLETE": "bash_complete", "COMP_WORDS": "errgate h", "COMP_CWORD": "1"}

    result = CliRunner(env=asked).invoke(main, [])

    assert result.stdout == "plain,hash-key\nplain,healthcheck\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_set_up(shell: str) -> None:
    """What `errgate --help` says to evaluate is a script that asks errgate."""
    result = CliRunner(env={"_ERRGATE_COMPLETE": f"{shell}_source"}).invoke(main, [])

    assert result.exit_code == 0
    assert f"_ERRGATE_COMPLETE={shell}_complete" in result.stdout


def test_module() -> None:
    """`python -m gateway` is the same command, under the same name."""
    done = subprocess.run([sys.executable, "-m", "gateway", "nope"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (2, "errgate: No such command 'nope'. See `errgate --help`.\n")


def test_broken_pipe() -> None:
    """A reader that has seen enough (`| head`) brings no message."""
    command = f"{sys.executable} -m gateway --help | head -n 1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)

    assert done.stdout == "Usage: errgate [OPTIONS] [COMMAND] [ARGS]...\n"
    assert done.stderr == ""


ROWS = [("a", "bb", "one two three"), ("cccc", "d", "four")]


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        (None, ["a     bb  one two three", "cccc  d   four"]),
        (50, ["a     bb  one two three", "cccc  d   four"]),
        (12, ["a     bb", "    one two", "    three", "cccc  d", "    four"]),
    ],
)
def test_table(columns: int | None, lines: list[str]) -> None:
    """A table is aligned; where it is too narrow for the sentence beside it, the sentence goes below."""
    assert table(ROWS, columns=columns) == lines


def test_table_wraps() -> None:
    """A long sentence wraps inside its column."""
    lines = table([("a", "word " * 12)], columns=45)

    assert lines == ["a  word word word word word word word word", "   word word word word"]


def test_table_of_nothing() -> None:
    """No rows are no lines."""
    assert table([], columns=80) == []
