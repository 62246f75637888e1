"""A vendor's reply in, the caller's envelope out, without a network: for a shell, a test, a ticket."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from gateway import explain as explaining
from gateway import identity
from gateway.explain import Subject, configured, decide, received
from gateway.jobs import INSPECTED_LIMIT_BYTES
from gateway.settings import load
from normalizers import Problem

from .say import Stop, complain, print_json
from .settings_file import FILE, refusing
from .vendors import known, unknown


@click.command()
@click.option("--vendor", "name", metavar="VENDOR", required=True, help="The vendor that replied.")
@click.option("--status", type=click.IntRange(200, 599), metavar="N", required=True, help="The status of the reply.")
@click.option("--header", "lines", multiple=True, metavar="'K: V'", help="A header line of the reply; repeatable.")
@click.option("--method", default="GET", show_default=True, help="The method of the request.")
@click.option("--path", default="", help="The path of the request at the vendor; tells the route.")
@click.option("--config", type=FILE, metavar="FILE", help="A settings file whose vendors count.")
@click.option("--explain", is_flag=True, help="Tell on stderr which rule decided.")
@click.argument("file", type=FILE, metavar="[FILE|-]", required=False)
def normalize(
    *,
    name: str,
    status: int,
    lines: tuple[str, ...],
    method: str,
    path: str,
    config: Path | None,
    explain: bool,
    file: Path | None,
) -> None:
    """Turn a vendor's reply into the envelope its caller gets, offline.

    The body comes from FILE or stdin. Prints the envelope; for a success an array with the envelopes of its failures,
    or null where there are none. Which successes can carry failures is told by the route: give --method and --path.
    """
    headers = fields(lines)
    subject = choose(name, config)
    found, why = decide(subject.vendor, received(status, headers, content(file)), subject.asked(method), path)
    if explain:
        complain(*why)
    problems = [found] if isinstance(found, Problem) else found.problems if found else ()
    envelopes = [
        problem.members(base_uri=subject.base_uri, instance=identity.instance(), request_id=identity.request_id(()))
        for problem in problems
    ]
    print_json(envelopes[0] if isinstance(found, Problem) else envelopes or None)


def fields(lines: Sequence[str]) -> Mapping[str, str]:
    """Header lines as a reply has them; one that is none ends the command."""
    try:
        return explaining.fields(lines)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong), param_hint="'--header'") from None


def choose(name: str, config: Path | None) -> Subject:
    """The vendor of this name: of the settings, if they were given and have it, else one that needs none."""
    vendors = known()
    with refusing():
        settings = load(config) if config else None
    if settings and name in settings.vendors:
        return configured(settings, name)
    if name not in vendors:
        raise unknown("normalize", name, {*vendors, *(settings.vendors if settings else ())})
    return Subject(vendors[name])


def content(file: Path | None) -> bytes:
    """The body: of the file, else of stdin; a terminal is not waited for unless `-` asks for it."""
    if file is None and (sys.stdin is None or sys.stdin.isatty()):
        return b""
    # One byte more than any reply may have, so that a longer one is known as such.
    most = INSPECTED_LIMIT_BYTES + 1
    if file is None or str(file) == "-":
        return sys.stdin.buffer.read(most)
    try:
        with file.open("rb") as opened:
            return opened.read(most)
    except OSError as failed:
        raise Stop(f"errgate normalize: {file}: {failed.strerror}; name a file or - for stdin", exit_code=2) from None
