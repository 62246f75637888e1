"""
Breaks the line that guards a rule of the wire, in a copy of the tree, and shows that a test of that rule fails.

    python -m tests.mutate [W-042 ...]

Thirty rules, drawn by a fixed seed from those that a line of ours guards: a rule that only a document or the parser
keeps (W-134, W-051) has none. Without names all of them run, two at a time; one that survives is exit code 1.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from tests.wire_rules import ROOT, by_name

SEED = 20261121
DRAWN = 30
AT_ONCE = 2

# A test that the mutant makes wait for ever has noticed it, too.
LIMIT_SECONDS = 240


@dataclass(frozen=True, slots=True)
class Mutant:
    """A line of a file, which stands there once, and what it is broken to."""

    path: str
    line: str
    broken: str


MUTANTS = {
    "W-001": Mutant("gateway/problems.py", '(b"content-type", b"application/problem+json")',
                    '(b"content-type", b"application/json")'),
    "W-002": Mutant("normalizers/_problem.py", '"status": self.code.status,', '"status": str(self.code.status),'),
    "W-007": Mutant("gateway/proxy.py", 'refuse(HouseCode.INTERNAL_ERROR, "The gateway made a mistake.",',
                    "refuse(HouseCode.INTERNAL_ERROR, repr(error),"),
    "W-019": Mutant("gateway/replies.py", '\n            if self._errors == "envelope":',
                    '\n            if self._errors == "never":'),
    "W-020": Mutant("normalizers/_normalize.py", "        Source.VENDOR,\n", "        Source.GATEWAY,\n"),
    "W-021": Mutant("gateway/server/protocol.py",
                    "        else:\n            self._refuse(HouseCode.INVALID_REQUEST, UNREADABLE)",
                    "        else:\n            self.transport.close()"),
    "W-022": Mutant("gateway/headers/names.py", 'return frozenset(names - {b"", b"close", b"keep-alive"})',
                    "return NOTHING"),
    "W-024": Mutant("gateway/headers/framing.py", "if options & _NEVER_NOMINATED:", "if False:"),
    "W-030": Mutant("gateway/headers/framing.py", "if len(hosts) != 1 or", "if not hosts or"),
    "W-034": Mutant("gateway/server/protocol.py", 'if method == b"CONNECT":', "if False:"),
    "W-039": Mutant("gateway/headers/request.py", 'b"content-length", b"expect", b"host"',
                    'b"content-length", b"host"'),
    "W-042": Mutant("gateway/headers/framing.py",
                    '    if lengths:\n        message = "The request has both',
                    '    if False:\n        message = "The request has both'),
    "W-043": Mutant("gateway/headers/framing.py", 're.compile(rb"[0-9]{1,19}")', 're.compile(rb"[0-9]+")'),
    "W-044": Mutant("gateway/headers/framing.py", 'if layers == [b"chunked"]:', 'if layers[-1] == b"chunked":'),
    "W-045": Mutant("gateway/headers/framing.py", 'return _CHUNKED_FIELDS if self.kind == "chunked" else ()',
                    "return _CHUNKED_FIELDS"),
    "W-047": Mutant("gateway/headers/reply.py", ' and b"transfer-encoding" not in noted:', ":"),
    "W-054": Mutant("gateway/server/protocol.py", "        if self._in_head:\n            name = name.lower()",
                    "        if True:\n            name = name.lower()"),
    "W-056": Mutant("gateway/server/cycle.py", "if self.more_body or says_close",
                    "if says_close"),
    "W-059": Mutant("gateway/target.py", "(_DOT_SEGMENT.search(decoded),", "(_DOT_SEGMENT.search(path),"),
    "W-060": Mutant("gateway/target.py", '(path.startswith(b"//"),', "(False,"),
    "W-063": Mutant("gateway/headers/framing.py", "if size > HEAD_LIMIT_BYTES or len(headers) > FIELD_LIMIT:",
                    "if size > HEAD_LIMIT_BYTES:"),
    "W-072": Mutant("gateway/upstream/dialling.py", "Reason.CONNECTION_REFUSED if refused",
                    "Reason.DNS_ERROR if refused"),
    "W-084": Mutant("gateway/headers/request.py", 'folded = name.replace(b"_", b"-").replace(b".", b"-") if',
                    "folded = name if"),
    "W-089": Mutant("gateway/headers/problem.py", '(b"ratelimit", b"x-ratelimit")', '(b"x-ratelimit",)'),
    "W-101": Mutant("gateway/codings.py", "in reversed(layers):", "in layers:"),
    "W-105": Mutant("gateway/headers/problem.py", 'frozenset({b"allow", b"deprecation"',
                    'frozenset({b"allow", b"etag", b"deprecation"'),
    "W-111": Mutant("gateway/sending.py", "and (not sent or access.repeatable)", ""),
    "W-121": Mutant("gateway/sending.py", "return self.retries.idempotency_key and any(", "return any("),
    "W-153": Mutant("gateway/server/cycle.py",
                    "                    self.transport.close()\n            self._on_resp",
                    '                    self._write(b"", more=False)\n            self._on_resp'),
    "W-156": Mutant("gateway/server/cycle.py", "if self.flow.write_paused and not self.disconnected:", "if False:"),
    "W-159": Mutant("gateway/replies.py", "async with asyncio.timeout(self._max_duration):",
                    "async with asyncio.timeout(None):"),
    "W-167": Mutant("gateway/server/serving.py", '(W-167)."""\n        self.asked.set()',
                    '(W-167)."""\n        self.interrupt()'),
    "W-168": Mutant("gateway/settings/values.py", 'extra="forbid"', 'extra="ignore"'),
    "W-170": Mutant("gateway/settings/server.py", "keep_alive: Duration = 75.0", "keep_alive: Duration = 5.0"),
}  # fmt: skip


def drawn() -> list[str]:
    """The thirty rules, in the order of the draw."""
    numbers = random.Random(SEED).sample(range(1, 172), 171)
    names = [f"W-{number:03d}" for number in numbers]
    return [name for name in names if name in MUTANTS][:DRAWN]


def broken(text: str, mutant: Mutant) -> str:
    """The file with its line broken. ValueError where the line does not stand there once."""
    if text.count(mutant.line) != 1:
        raise ValueError(f"{mutant.path}: {mutant.line!r} stands there {text.count(mutant.line)} times")
    return text.replace(mutant.line, mutant.broken)


def run(name: str, tree: Path) -> tuple[str, str, float]:
    """What became of a mutant: its name, the test that failed (nothing: it lives), and the seconds it took."""
    mutant = MUTANTS[name]
    path = tree / mutant.path
    sound = path.read_text(encoding="utf-8")
    tests = [keeper.id for keeper in by_name()[name]]
    began = time.monotonic()
    path.write_text(broken(sound, mutant), encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests],
            cwd=tree,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        failed = [
            line.split(" - ")[0].partition(" ")[2]
            for line in done.stdout.splitlines()
            if line.startswith(("FAILED ", "ERROR tests"))
        ]
        died = failed[0] if failed else "" if done.returncode == 0 else "the tests could not run"
    except subprocess.TimeoutExpired:
        died = "a test waits for ever"
    finally:
        path.write_text(sound, encoding="utf-8")
    return name, died, time.monotonic() - began


def main(names: Sequence[str]) -> int:
    """Run the mutants and print what became of each; how many survived."""
    ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", "htmlcov", ".coverage*")
    with tempfile.TemporaryDirectory() as folder:
        trees: Queue[Path] = Queue()
        for number in range(AT_ONCE):
            trees.put(Path(shutil.copytree(ROOT, Path(folder) / str(number), ignore=ignored)))

        def one(name: str) -> tuple[str, str, float]:
            tree = trees.get()
            try:
                return run(name, tree)
            finally:
                trees.put(tree)

        survivors = 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for name, died, seconds in pool.map(one, names):
                survivors += not died
                test = died.partition("::")[2] or died or "SURVIVED"
                sys.stdout.write(f"{name}  {MUTANTS[name].path:30}  {seconds:5.1f} s  {test}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{len(names) - survivors} of {len(names)} mutants died\n")
    return survivors


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:] or drawn()) else 0)
