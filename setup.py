"""
Builds errgate: as plain Python, or with the path of a request compiled.

    pip install .                      plain Python; no compiler is needed
    ERRGATE_COMPILE=1 pip install .    the modules of `COMPILED` as extension modules, beside their sources

mypyc compiles the same typed source (docs/decisions/0009-compiled.md). All else that is to be said of the package is in
pyproject.toml.
"""

import os
import sys
import tomllib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

# What a request passes through, from the socket to the vendor and back. A class stands here with those that derive from
# it; an ASGI endpoint does not, since Starlette tells a function from a class by what a compiled one no longer says.
COMPILED = (
    "gateway/access.py",
    "gateway/admission.py",
    "gateway/answers.py",
    "gateway/bad_input.py",
    "gateway/callers.py",
    "gateway/codings.py",
    "gateway/gates.py",
    "gateway/headers/framing.py",
    "gateway/headers/location.py",
    "gateway/headers/names.py",
    "gateway/headers/problem.py",
    "gateway/headers/reply.py",
    "gateway/headers/request.py",
    "gateway/identity.py",
    "gateway/jobs.py",
    "gateway/known.py",
    "gateway/lanes.py",
    "gateway/limits/calendar.py",
    "gateway/limits/decision.py",
    "gateway/limits/fields.py",
    "gateway/limits/hold.py",
    "gateway/limits/in_flight.py",
    "gateway/limits/ledger.py",
    "gateway/limits/limit.py",
    "gateway/limits/memory.py",
    "gateway/limits/queue.py",
    "gateway/limits/rule.py",
    "gateway/limits/segment.py",
    "gateway/limits/shared.py",
    "gateway/limits/shares.py",
    "gateway/limits/table.py",
    "gateway/limits/window.py",
    "gateway/metrics/__init__.py",
    "gateway/metrics/limits.py",
    "gateway/metrics/tally.py",
    "gateway/problems.py",
    "gateway/proxy.py",
    "gateway/recent.py",
    "gateway/replies.py",
    "gateway/resilience.py",
    "gateway/sending.py",
    "gateway/server/cycle.py",
    "gateway/server/guard.py",
    "gateway/server/protocol.py",
    "gateway/streams.py",
    "gateway/target.py",
    "gateway/upstream/call.py",
    "gateway/upstream/http1/__init__.py",
    "gateway/upstream/http1/connection.py",
    "gateway/upstream/http1/content.py",
    "gateway/upstream/http1/exchange.py",
    "gateway/upstream/http1/pool.py",
    "gateway/upstream/http1/reply.py",
    "gateway/upstream/http1/tls.py",
    "normalizers/_delay.py",
    "normalizers/_find.py",
    "normalizers/_jobs.py",
    "normalizers/_json.py",
    "normalizers/_normalize.py",
    "normalizers/_problem.py",
    "normalizers/_reply.py",
    "normalizers/_routes.py",
    "normalizers/_scrub.py",
    "normalizers/_vendor.py",
)

# All of them are one library, so that a call from one to another is a call in C. What comes of them depends on these
# sources and on mypy alone, not on what else is installed where they are compiled.
LIBRARY = "errgate"
FLAGS = ("--config-file=", "--no-site-packages", "--ignore-missing-imports", "--follow-imports=silent")


class Compile(build_ext):  # type: ignore[misc]  # setuptools ships no types
    """Makes the extension modules when they are built: whoever asks for the metadata alone does not wait for them."""

    def run(self) -> None:
        """Write the C, and compile it."""
        if self.editable_mode:
            sys.exit("ERRGATE_COMPILE=1 and an editable install: what is edited would not be what runs. Leave out one.")
        try:
            from mypyc.build import mypycify  # noqa: PLC0415  (only who compiles has it)
        except ImportError:
            sys.exit(
                "ERRGATE_COMPILE=1 needs mypyc, which is not here: `pip install -r requirements-build.lock`, "
                "or build without --no-build-isolation."
            )
        self.distribution.ext_modules = mypycify(
            [*FLAGS, *COMPILED], opt_level="3", debug_level="0", group_name=LIBRARY
        )
        # Its options were read when there was nothing to build yet.
        self.reinitialize_command("build_ext", inplace=self.inplace)
        self.ensure_finalized()
        # Nearly all the time is the library's; the rest is compiled beside it.
        self.parallel = True
        try:
            super().run()
        except CompileError as error:
            sys.exit(f"ERRGATE_COMPILE=1 needs gcc and Python's headers (gcc libc6-dev python3-dev): {error}")


if os.environ.get("ERRGATE_COMPILE", "0") not in {"", "0"}:
    pyproject = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8"))
    setup(
        # What the lock file pins, for a build that has nothing but what it asks for.
        setup_requires=pyproject["dependency-groups"]["build"],
        # A name for what `Compile` makes: with it the wheel is one for this kind of machine and this Python.
        ext_modules=[Extension(f"{LIBRARY}__mypyc", sources=[])],
        cmdclass={"build_ext": Compile},
    )
else:
    setup()
