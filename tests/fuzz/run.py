"""
Coverage-guided fuzzing with atheris: `python -m tests.fuzz.run [--seconds 60] [TARGET [FILE ...]]`.

Each target (or the one named) runs in a process of its own for that many seconds, from its committed seeds and from
what earlier runs found worth keeping in `.hypothesis/fuzz/`. It ends by itself: 0 when every promise held, 1 with the
input of each finding, which `python -m tests.fuzz.run TARGET FILE` tries again, without atheris.
"""

import argparse
import importlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Ignored by git, and cleaned away with Hypothesis' own.
KEPT = ROOT / ".hypothesis" / "fuzz"

# No input takes this long or this much; what does is a finding (contract 18: nothing hangs, nothing grows).
SLOWEST_SECONDS = 10
MOST_MEGABYTES = 1024
# What libFuzzer needs at most, after its time is over, to end by itself.
GRACE_SECONDS = 30

STATISTIC = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
COVERAGE = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")
PROGRESS = re.compile(r"#\d|INFO:")
ARTIFACT = re.compile(r"Test unit written to (\S+)")


def main() -> int:
    """Run what the command line asks for; the exit code."""
    asked = _arguments()
    if asked.inside:
        return _fuzz(asked.target, asked.files)
    if asked.files:
        return _again(asked.target, [Path(file) for file in asked.files])
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write("atheris is not installed; `make fuzz` installs it, on the Pythons that it has wheels for\n")
        return 2
    targets = importlib.import_module("tests.fuzz.targets").TARGETS
    if asked.target and asked.target not in targets:
        sys.stderr.write(f"there is no target {asked.target}; there are {', '.join(targets)}\n")
        return 2
    found = [_run(targets[name], asked.seconds) for name in ([asked.target] if asked.target else targets)]
    return int(any(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description="Fuzz errgate's rules with atheris.")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("target", nargs="?", help="one target; all, one after the other, if none is named")
    parser.add_argument("files", nargs="*", help="inputs to try once, without fuzzing")
    # libFuzzer's own arguments begin with one dash, and are none of ours.
    known, more = parser.parse_known_args()
    known.files += more
    return known


def _again(name: str, files: Sequence[Path]) -> int:
    """Try inputs once; a broken promise shows as its traceback."""
    check = importlib.import_module("tests.fuzz.targets").TARGETS[name].check
    for file in files:
        check(file.read_bytes())
        sys.stdout.write(f"{file}: every promise holds\n")
    return 0


def _run(target: Any, seconds: int) -> bool:  # noqa: ANN401  (a Target, whose module must be imported instrumented)
    """Fuzz one target in a process of its own and tell the result in a line; whether something was found."""
    corpus = KEPT / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        words = Path(scratch, "words")
        words.write_text("".join(f'"{_quoted(word)}"\n' for word in target.words))
        began = time.monotonic()
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.run", "--inside", target.name),
                *(f"-max_total_time={seconds}", f"-timeout={SLOWEST_SECONDS}", f"-rss_limit_mb={MOST_MEGABYTES}"),
                *(
                    f"-max_len={target.longest}",
                    f"-dict={words}",
                    f"-artifact_prefix={corpus}-",
                    "-print_final_stats=1",
                ),
                *(str(corpus), str(target.seeds()[0].parent)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds + SLOWEST_SECONDS + GRACE_SECONDS,
        )
    took = time.monotonic() - began
    said = ended.stdout + ended.stderr
    tried = int((STATISTIC.findall(said) or ["0"])[-1])
    edges, features, kept = (COVERAGE.findall(said) or [("0", "0", "0")])[-1]
    sys.stdout.write(
        f"{target.name:13} {tried:>9,} inputs in {took:4.0f} s, {edges} edges, {features} features, {kept} kept: "
        f"{'ok' if ended.returncode == 0 else 'BROKEN'}\n"
    )
    if ended.returncode:
        told = [line for line in said.splitlines() if not PROGRESS.match(line)]
        sys.stdout.write("\n".join(told[-60:]) + "\n")
        for artifact in ARTIFACT.findall(said):
            sys.stdout.write(f"again: python -m tests.fuzz.run {target.name} {artifact}\n")
    sys.stdout.flush()
    return ended.returncode != 0


def _quoted(word: bytes) -> str:
    return "".join(chr(byte) if 0x20 < byte < 0x7F and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word)


def _fuzz(name: str, arguments: Sequence[str]) -> int:
    """Inside the process: import our packages instrumented, and hand over to libFuzzer, which never returns."""
    atheris: Any = importlib.import_module("atheris")
    # What the targets themselves look at is no code of ours to cover.
    with atheris.instrument_imports(
        include=["gateway", "normalizers"], exclude=["gateway.server", "gateway.upstream.httpx"]
    ):
        targets = importlib.import_module("tests.fuzz.targets").TARGETS
    atheris.Setup([sys.argv[0], *arguments], targets[name].check)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
