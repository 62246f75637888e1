"""
How every command ends: asked well, asked badly, without its file, without permission, without a reader, by Ctrl-C.

The table has a cell for each command and each of these; a cell without a case says why there can be none.

One file, since it is one table.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from gateway.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]

GOOD = """\
vendors:
  pixii: {base_url: https://api.pixii.ai, credential: {header: Authorization, value: Bearer pk_live_made_up}}
"""
BAD = "vendors: {pixii: {base_ulr: https://api.pixii.ai}}\nlgo: {}\n"
REPLY = '{"code": "JOB_NOT_FOUND", "message": "no such job", "detail": null}'
KEY = "egk_0123456789abcdefghijABCDEFGHIJ"

ANY = ""
NONE = r"\A\Z"
ONE_LINE = r"\A[^\n]+\n\Z"


class Case(NamedTuple):
    """A command line, its exit code, and what stdout and stderr look like."""

    line: str
    code: int
    out: str = NONE
    err: str = NONE
    given: str = ""  # on stdin


class Without(NamedTuple):
    """Why a command cannot end so."""

    reason: str


READS_NOTHING = Without("it reads no file")
WRITES_NOTHING = Without("it opens no file and no port that could be forbidden")
AT_ONCE = Without("it is over before a finger can move")
SERVES = Without("it runs until a signal; the column of Ctrl-C is how it ends well")
UNREADABLE = r"\A[^\n]*locked[^\n]*Permission denied[^\n]*\n\Z"
MISSING = r"\A[^\n]*nowhere[^\n]*No such file or directory[^\n]*\n\Z"

ENDINGS: dict[str, dict[str, tuple[Case, ...] | Without]] = {
    "serve": {
        "good": SERVES,
        "argument": (
            Case("serve --port x", 2, err=r"\Aerrgate serve: .*'x' is not a valid integer range.*--help`\.\n\Z"),
            Case("serve --workers 0", 2, err=r"\Aerrgate serve: .*--workers.*\n\Z"),
            Case("serve --config bad.yaml", 2, err=r"\Abad\.yaml:1: .*base_ulr.*did you mean.*\n"),
            Case("serve --port {taken}", 1, err=r"\A[^\n]*{taken}[^\n]*--port[^\n]*\n\Z"),
        ),
        "missing": (Case("serve --config nowhere.yaml", 2, err=MISSING),),
        "permission": (Case("serve --config locked.yaml", 2, err=UNREADABLE),),
        "pipe": Without("its lines are a log; a reader that leaves it is seen by the process that started it"),
        "interrupt": (Case("serve --port 0 --admin-port 0", 0, out=r'"ready"'),),
    },
    "check": {
        "good": (
            Case("check", 0, out=r"\Aerrgate\.yaml: valid\n"),
            Case("check --json", 0, out=r'\A\{\n.*"valid": true'),
        ),
        "argument": (
            Case("check --cofnig x", 2, err=r"\Aerrgate check: .*--cofnig.*\n\Z"),
            Case("check --config bad.yaml", 2, err=r"\Abad\.yaml:1: .*\nbad\.yaml:2: .*\n\Z"),
            Case("check --config bad.yaml --json", 2, out=r'"valid": false'),
        ),
        "missing": (
            Case("check --config nowhere.yaml", 2, err=MISSING),
            Case("check --config nowhere.yaml --json", 2, out=r'"valid": false'),
        ),
        "permission": (Case("check --config locked.yaml", 2, err=UNREADABLE),),
        "pipe": (Case("check", 1),),
        "interrupt": AT_ONCE,
    },
    "demo": {
        "good": SERVES,
        "argument": (
            Case("demo --port 99999", 2, err=r"\Aerrgate demo: .*99999.*\n\Z"),
            Case("demo --port {taken}", 1, err=r"\A[^\n]*{taken}[^\n]*--port[^\n]*\n\Z"),
        ),
        "missing": READS_NOTHING,
        "permission": WRITES_NOTHING,
        "pipe": (Case("demo --port 0 --admin-port 0", 1),),
        "interrupt": (
            Case("demo --port 0 --admin-port 0", 0, out=r"curl "),
            Case("demo --port 0 --admin-port 0 --json", 0, out=r'\A\{"traffic": "http://.*\}\n\Z'),
        ),
    },
    "sandbox": {
        "good": SERVES,
        "argument": (
            Case("sandbox --port -1", 2, err=r"\Aerrgate sandbox: .*-1.*\n\Z"),
            Case("sandbox --port {taken}", 1, err=r"\A[^\n]*{taken}[^\n]*--port[^\n]*\n\Z"),
            Case("sandbox --host nowhere.invalid", 1, err=ONE_LINE),
        ),
        "missing": READS_NOTHING,
        "permission": WRITES_NOTHING,
        "pipe": (Case("sandbox --port 0", 1),),
        "interrupt": (
            Case("sandbox --port 0", 0, out=r"\Apixii +http://"),
            Case("sandbox --port 0 --json", 0, out=r'\A\{"vendors": \{"pixii": "http://.*\}\n\Z'),
        ),
    },
    "normalize": {
        "good": (
            Case("normalize --vendor pixii --status 404", 0, out=r'"code": "not_found"', given=REPLY),
            Case("normalize --vendor pixii --status 404 reply.json", 0, out=r'"code": "not_found"'),
            Case("normalize --vendor pixii --status 200", 0, out=r"\Anull\n\Z"),
        ),
        "argument": (
            Case("normalize --status 404", 2, err=r"\Aerrgate normalize: .*--vendor.*\n\Z"),
            Case("normalize --vendor pixi --status 404", 2, err=r"no vendor 'pixi'; did you mean 'pixii'\?.*\n\Z"),
            Case("normalize --vendor pixii --status 99", 2, err=r"\Aerrgate normalize: .*99.*\n\Z"),
            Case("normalize --vendor pixii --status 404 --config bad.yaml", 2, err=r"\Abad\.yaml:1: "),
        ),
        "missing": (
            Case("normalize --vendor pixii --status 404 nowhere.json", 2, err=MISSING),
            Case("normalize --vendor pixii --status 404 --config nowhere.yaml", 2, err=MISSING),
        ),
        "permission": (
            Case("normalize --vendor pixii --status 404 locked.json", 2, err=UNREADABLE),
            Case("normalize --vendor pixii --status 404 --config locked.yaml", 2, err=UNREADABLE),
        ),
        "pipe": (Case("normalize --vendor pixii --status 404 reply.json", 1),),
        "interrupt": (Case("normalize --vendor pixii --status 404 -", 130, err=r"\A\n\Z"),),
    },
    "codes": {
        "good": (
            Case("codes --vendor pixii", 0, out=r"\APixii \(pixii\), \d+ codes\n"),
            Case("codes --json", 0, out=r"\A\{"),
            Case("codes --format markdown --output out", 0, out=r"\Aout: 1 file written\n\Z"),
        ),
        "argument": (
            Case("codes --vendor pixi", 2, err=r"\Aerrgate codes: no vendor 'pixi'; did you mean 'pixii'\?.*\n\Z"),
            Case("codes --config bad.yaml", 2, err=r"\Abad\.yaml:1: "),
            Case("codes --format yaml", 2, err=r"\Aerrgate codes: .*'yaml'.*\n\Z"),
            Case("codes --output reply.json", 2, err=r"\Aerrgate codes: .*reply\.json.*\n\Z"),
            Case("codes --output reply.json/x", 1, err=r"\Aerrgate: reply\.json/x: Not a directory; .*a folder\n\Z"),
        ),
        "missing": (Case("codes --config nowhere.yaml", 2, err=MISSING),),
        "permission": (
            Case("codes --output locked/x", 1, err=UNREADABLE),
            Case("codes --config locked.yaml", 2, err=UNREADABLE),
        ),
        "pipe": (Case("codes", 1), Case("codes --json", 1)),
        "interrupt": AT_ONCE,
    },
    "schema": {
        "good": (Case("schema problem", 0, out=r"\A\{"), Case("schema config", 0, out=r"\A\{")),
        "argument": (
            Case("schema", 2, err=r"\Aerrgate schema: .*\n\Z"),
            Case("schema envelope", 2, err=r"\Aerrgate schema: .*'envelope'.*'problem', 'config'.*\n\Z"),
        ),
        "missing": READS_NOTHING,
        "permission": WRITES_NOTHING,
        "pipe": (Case("schema config", 1),),
        "interrupt": AT_ONCE,
    },
    "new-key": {
        "good": (
            Case("new-key", 0, out=r"\Akey: +egk_\w{43}\nkey_sha256: [0-9a-f]{64}\n\Z"),
            Case("new-key --json", 0, out=r'"key_sha256": "[0-9a-f]{64}"'),
        ),
        "argument": (Case("new-key billing", 2, err=r"\Aerrgate new-key: .*billing.*\n\Z"),),
        "missing": READS_NOTHING,
        "permission": WRITES_NOTHING,
        "pipe": (Case("new-key", 1),),
        "interrupt": AT_ONCE,
    },
    "hash-key": {
        "good": (
            Case("hash-key", 0, out=r"\A[0-9a-f]{64}\n\Z", given=KEY),
            Case("hash-key --json", 0, out=r'"key_sha256": "[0-9a-f]{64}"', given=KEY),
        ),
        "argument": (
            Case("hash-key", 2, err=r"\Aerrgate hash-key: stdin holds no key; .*\n\Z"),
            Case("hash-key", 2, err=r"\Aerrgate hash-key: .* needs 128; .*\n\Z", given="password"),
            Case("hash-key --key x", 2, err=r"\Aerrgate hash-key: .*--key.*\n\Z"),
        ),
        "missing": READS_NOTHING,
        "permission": WRITES_NOTHING,
        "pipe": (Case("hash-key", 1, given=KEY),),
        "interrupt": (Case("hash-key", 130, err=r"\A\n\Z"),),
    },
    "healthcheck": {
        "good": Without("it needs a gateway: tests/gateway/test_cli_healthcheck.py"),
        "argument": (
            Case("healthcheck --admin-port 0", 2, err=r"\Aerrgate healthcheck: .*0.*\n\Z"),
            Case("healthcheck --admin-port {free}", 1, err=r"\Aerrgate healthcheck: nothing listens on .*\n\Z"),
            Case("healthcheck --admin-port {free} --json", 1, out=r'"ready": false'),
        ),
        "missing": READS_NOTHING,
        "permission": WRITES_NOTHING,
        "pipe": (Case("healthcheck --admin-port {free} --json", 1),),
        "interrupt": (Case("healthcheck --admin-port {taken}", 130, err=r"\A\n\Z"),),
    },
}


def cases(*columns: str) -> list[object]:
    """Every case of these columns, called by its command line."""
    return [
        pytest.param(case, id=f"{column}: {case.line}")
        for row in ENDINGS.values()
        for column in columns
        for case in (row[column] if isinstance(row[column], tuple) else ())
        if isinstance(case, Case)
    ]


class Place(NamedTuple):
    """A folder with the files that the cases name, a port that is taken (and silent) and one that is free."""

    folder: Path
    silent: socket.socket
    free: str

    def line(self, case: Case) -> list[str]:
        """The command line of a case."""
        return shlex.split(self.fill(case.line))

    def fill(self, text: str) -> str:
        """Put the ports in their places."""
        return text.replace("{taken}", str(self.silent.getsockname()[1])).replace("{free}", self.free)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Where a case runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ERRGATE_CONFIG", raising=False)
    for name, text in {"errgate.yaml": GOOD, "bad.yaml": BAD, "reply.json": REPLY}.items():
        (tmp_path / name).write_text(text)
    for name in ("locked.yaml", "locked.json"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0)
    (tmp_path / "locked").mkdir(mode=0o500)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        silent.settimeout(30)
        yield Place(tmp_path, silent, str(nobody.getsockname()[1]))


def test_table_is_whole() -> None:
    """Every command has a cell for every ending."""
    columns = {command: tuple(row) for command, row in ENDINGS.items()}

    assert columns == dict.fromkeys(COMMANDS, ("good", "argument", "missing", "permission", "pipe", "interrupt"))


@pytest.mark.parametrize("case", cases("good", "argument", "missing"))
def test_ending(place: Place, case: Case) -> None:
    """A command ends with the exit code of the contract; what is wrong is a line on stderr that names it."""
    result = CliRunner().invoke(main, place.line(case), input=case.given, catch_exceptions=False)

    assert result.exit_code == case.code
    assert re.search(place.fill(case.out), result.stdout, re.DOTALL)
    assert re.search(place.fill(case.err), result.stderr)


def start(place: Place, arguments: list[str], *before: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """The command as a process."""
    return subprocess.Popen(
        [*before, sys.executable, "-m", "gateway", *arguments],
        cwd=place.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("case", cases("permission"))
def test_no_permission(place: Place, case: Case) -> None:
    """What the system refuses is one line with the file and the reason."""
    before = []
    if os.geteuid() == 0:
        # Root may read everything unless it gives that up.
        before = [shutil.which("setpriv") or "/bin/false", "--bounding-set=-dac_override,-dac_read_search"]
        if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
            pytest.skip("root reads every file, and there is no setpriv (util-linux) that may forbid it")

    with start(place, place.line(case), *before) as running:
        out, err = running.communicate(timeout=30)

    assert (running.returncode, out) == (case.code, "")
    assert re.search(case.err, err)


@pytest.mark.parametrize("case", cases("pipe"))
def test_broken_pipe(place: Place, case: Case) -> None:
    """A reader that has left brings no message, and ends the command."""
    reader, writer = os.pipe()
    os.close(reader)

    with start(place, place.line(case), stdout=writer) as running:
        os.close(writer)
        _, err = running.communicate(case.given, timeout=30)

    assert (running.returncode, err) == (case.code, "")


@pytest.mark.parametrize("case", cases("interrupt"))
def test_ctrl_c(place: Place, case: Case) -> None:
    """Ctrl-C ends what runs with 0 and what has not answered yet with 130, without a traceback."""
    said = threading.Event()
    out: list[str] = []
    with start(place, place.line(case)) as running, ExitStack() as until_the_end:

        def read() -> None:
            assert running.stdout is not None
            for line in running.stdout:
                out.append(line)
                said.set()

        reader = threading.Thread(target=read)
        reader.start()
        if case.code == 0:
            said.wait(30)
        elif "{taken}" in case.line:
            until_the_end.enter_context(place.silent.accept()[0])
        else:
            settle(running.pid)
        running.send_signal(signal.SIGINT)
        # One that does not hear it must not hold up the others for ever.
        late = threading.Timer(30, running.kill)
        late.start()
        assert running.stderr is not None
        err = running.stderr.read()
        code = running.wait()
        late.cancel()
        reader.join()

    assert code == case.code
    assert re.search(case.out, "".join(out), re.DOTALL)
    assert re.search(case.err, err)


# What runs until Ctrl-C, or asks a gateway: of these it is seen that the options are some.
NOT_RUN = ("serve", "demo", "sandbox", "healthcheck")


@pytest.mark.parametrize(
    ("name", "example"), [(name, example) for name, entry in COMMANDS.items() for example in entry.examples]
)
def test_examples_of_the_help_run(place: Place, name: str, example: str) -> None:
    """Whoever copies a line from the help has a line that works."""
    (place.folder / "key.txt").write_text(KEY)
    asked = f"{example} --help" if name in NOT_RUN else example
    shell = f'errgate() {{ {shlex.quote(sys.executable)} -m gateway "$@"; }}; {asked}'

    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=place.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input=KEY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr


def settle(pid: int) -> None:
    """Wait until a process has nothing left to do but wait."""
    end = time.monotonic() + 30
    idle = 0
    while idle < 5 and time.monotonic() < end:
        time.sleep(0.1)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        idle = idle + 1 if state == "S" else 0
