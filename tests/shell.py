"""
A page's commands, run as a reader would: in one shell, in the page's order, in an empty folder.

A block that begins with a comment `# NAME.yaml` is saved under that name; a vendor at `*.example` in it is a port where
nothing listens, so that no name has to be looked up. What would take ports that others use, or run until Ctrl-C, is
wrapped: `make demo` and `errgate serve` go into the background on free ports, and `curl` finds them.
A block whose words stand in `NEEDS` cannot run here; it is parsed, and the reason stands in the table.
"""

import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Why a block with this word is parsed only: what it needs that a test has not.
NEEDS: Mapping[str, str] = {
    "helm": "a cluster",
    "kubectl": "a cluster",
    "kind": "a cluster",
    "docker": "a container engine",
    "podman": "a container engine",
    "systemctl": "systemd as the first process",
    "journalctl": "systemd as the first process",
    "sudo": "a machine of one's own",
    "apt-get": "a machine of one's own",
    "redis-cli": "a running Redis",
    "redis-server": "a port of its own",
    "prometheus": "a port of its own",
    "amtool": "a running Alertmanager",
    "terraform": "a cloud",
    "git": "the network",
    "pip": "an index",
    "npm": "an index",
    "wrk": "a load generator on another core",
    "ssh": "another machine",
}
# A hole that the reader fills, such as <name>: the block is no command yet.
HOLE = re.compile(r"<[a-z][a-z -]*>|\$\{?(?:NAMESPACE|RELEASE|POD)\b")

FENCED = re.compile(r"^```(sh|bash|console|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MADE_UP = re.compile(r"https://[\w.-]+\.example\b")
NAMED = re.compile(r"\A# ([\w.-]+\.ya?ml)\n")

ERRGATE = """\
#!/bin/sh
# `errgate serve` in the background, on the ports that curl asks; everything else as it is.
if [ "$1" != serve ]; then exec "$PYTHON" -m gateway "$@"; fi
shift
leave
"$PYTHON" -m gateway serve --port "$TRAFFIC" --admin-port "$ADMIN" "$@" >serve.log 2>&1 &
echo $! >"$PIDS"
stay
"""
MAKE = """\
#!/bin/sh
# A target must be one; `make demo` runs in the background, and the others are run by CI as they are.
for target in "$@"; do case $target in *=*) ;; *) grep -q "^$target:" "$ROOT/Makefile" || exit 2 ;; esac; done
if [ "$1" != demo ]; then exit 0; fi
leave
"$PYTHON" -m gateway demo --port "$TRAFFIC" --admin-port "$ADMIN" >demo.log 2>&1 &
echo $! >"$PIDS"
stay
"""
LEAVE = """\
#!/bin/sh
# Ctrl-C for whatever runs.
[ -s "$PIDS" ] || exit 0
kill -INT "$(cat "$PIDS")"
while kill -0 "$(cat "$PIDS")" 2>/dev/null; do sleep 0.05; done
: >"$PIDS"
"""
STAY = """\
#!/bin/sh
# Wait until it is ready; the log is shown if it never is.
tries=0
until "$CURL" -sf "127.0.0.1:$ADMIN/-/ready" >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -gt 300 ] || ! kill -0 "$(cat "$PIDS")"; then cat ./*.log >&2; exit 1; fi
  sleep 0.1
done
"""
CURL = """\
#!/bin/sh
# The same request, at the ports that are ours.
for word do
  shift
  set -- "$@" "$(printf %s "$word" | sed "s/\\(localhost\\|127\\.0\\.0\\.1\\):8080/127.0.0.1:$TRAFFIC/; \\
    s/\\(localhost\\|127\\.0\\.0\\.1\\):9090/127.0.0.1:$ADMIN/")"
done
exec "$CURL" "$@"
"""
WRAPPERS = {"errgate": ERRGATE, "make": MAKE, "leave": LEAVE, "stay": STAY, "curl": CURL}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, and the line of the page where it stands."""

    language: str
    text: str
    line: int

    @property
    def commands(self) -> str:
        """What a reader types: of a console, what follows the prompts."""
        if self.language != "console":
            return self.text
        return "".join(f"{line[2:]}\n" for line in self.text.splitlines() if line.startswith(("$ ", "> ")))

    @property
    def needs(self) -> str | None:
        """Why it cannot run here; None where it can."""
        if HOLE.search(self.commands):
            return "a hole that the reader fills"
        found = (NEEDS[word] for word in words(self.commands) if word in NEEDS)
        return next(found, None)


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page that are commands, or files that commands read."""
    for found in FENCED.finditer(page):
        language, text = found.groups()
        if language != "yaml" or NAMED.match(text):
            yield Block(language, text, page.count("\n", 0, found.start()) + 1)


def words(commands: str) -> Iterator[str]:
    """The first word of every command, as far as that can be told without a shell."""
    for line in re.split(r"[\n|;]|&&", commands):
        try:
            split = shlex.split(line, comments=True)
        except ValueError:  # a quotation that goes on in the next line
            split = line.split()
        while split and re.fullmatch(r"\w+=.*", split[0]):
            split.pop(0)
        if split:
            yield split[0]


def script(page: str) -> str:
    """All of a page that can run, as one script that says where it is."""
    parts = ["set -eu"]
    for block in blocks(page):
        if named := NAMED.match(block.text):
            text = MADE_UP.sub("http://127.0.0.1:9", block.text)
            parts.append(f"cat >{named[1]} <<'END OF THE FILE'\n{text}END OF THE FILE")
        elif block.needs is None:
            parts.append(f"echo '--- line {block.line}' >&2\n{block.commands}")
    return "\n".join([*parts, "leave", ""])


def run(page: str, folder: Path, curl: str, ports: tuple[int, int], **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a page's commands in this folder."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in WRAPPERS.items():
        program = programs / name
        program.write_text(text)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    own = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "ROOT": str(ROOT),
        "CURL": curl,
        "PIDS": str(programs / "pid"),
        "TRAFFIC": str(ports[0]),
        "ADMIN": str(ports[1]),
    }
    try:
        return subprocess.run(
            ["bash", "-c", script(page)],
            cwd=folder,
            env=os.environ | environ | own,
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    finally:
        subprocess.run([programs / "leave"], env=os.environ | own, check=False, capture_output=True)
