"""A vendor's reply in, the caller's envelope out, without a network: for a shell, a test, a ticket."""

import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import click

from gateway import codings, identity
from gateway.jobs import INSPECTED_LIMIT_BYTES
from gateway.replies import ERROR_LIMIT_BYTES
from gateway.settings import Credential, load
from normalizers import (
    Asked,
    JobReport,
    Problem,
    Reply,
    Routes,
    Scrubber,
    Vendor,
    error_in_success,
    inspect_job,
)
from normalizers import normalize as judge

from .say import Stop, complain, print_json
from .settings_file import refusing
from .vendors import known, unknown

FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Subject:
    """The vendor that replied, and what the settings say of its problems."""

    vendor: Vendor
    base_uri: str = "/-/problems/"
    own_credential: bool = False
    vendor_messages: Literal["always", "caller_faults", "never"] = "always"
    secrets: Sequence[str] = ()


@click.command()
@click.option("--vendor", "name", metavar="VENDOR", required=True, help="The vendor that replied.")
@click.option("--status", type=click.IntRange(200, 599), metavar="N", required=True, help="The status of the reply.")
@click.option("--header", "lines", multiple=True, metavar="'K: V'", help="A header line of the reply; repeatable.")
@click.option("--method", default="GET", show_default=True, help="The method of the request.")
@click.option("--path", default="", help="The path of the request at the vendor; tells the route.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="A settings file whose vendors count.")
@click.option("--explain", is_flag=True, help="Tell on stderr which rule decided.")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), metavar="[FILE|-]", required=False)
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
    reply = receive(status, headers, content(file))
    asked = Asked(
        method=method.upper(),
        own_credential=subject.own_credential,
        vendor_messages=subject.vendor_messages,
        scrub=Scrubber(subject.secrets),
    )
    found, why = decide(subject.vendor, reply, asked, path)
    if explain:
        complain(*why)
    problems = [found] if isinstance(found, Problem) else found.problems if found else ()
    envelopes = [
        problem.members(base_uri=subject.base_uri, instance=identity.instance(), request_id=identity.request_id(()))
        for problem in problems
    ]
    print_json(envelopes[0] if isinstance(found, Problem) else envelopes or None)


def fields(lines: Sequence[str]) -> Mapping[str, str]:
    """Header lines as a reply has them: lower-case names, repeated lines joined."""
    headers: dict[str, str] = {}
    for line in lines:
        field = FIELD.fullmatch(line)
        if field is None:
            raise click.BadParameter(f"{line!r} is not 'Name: value'.", param_hint="'--header'")
        key = field[1].lower()
        headers[key] = f"{headers[key]}, {field[2]}" if key in headers else field[2]
    return headers


def choose(name: str, config: Path | None) -> Subject:
    """The vendor of this name: of the settings, if they were given and have it, else one that needs none."""
    vendors = known()
    with refusing():
        settings = load(config) if config else None
    if settings and name in settings.vendors:
        mine = settings.vendors[name]
        credential = mine.credential
        return Subject(
            mine.vendor,
            settings.problems.base_uri,
            own_credential=credential == "passthrough",
            vendor_messages=settings.problems.vendor_messages,
            secrets=[credential.value.get_secret_value()] if isinstance(credential, Credential) else (),
        )
    if name not in vendors:
        raise unknown("normalize", name, {*vendors, *(settings.vendors if settings else ())})
    return Subject(vendors[name])


def content(file: Path | None) -> bytes:
    """The body: of the file, else of stdin; a terminal is not waited for unless `-` asks for it."""
    if file is None and sys.stdin.isatty():
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


def receive(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """The reply as the gateway would have read it: decoded, within bounds."""
    decoded = None
    if len(body) <= (ERROR_LIMIT_BYTES if status >= HTTPStatus.BAD_REQUEST else INSPECTED_LIMIT_BYTES):
        decoded = codings.decode(body, headers.get("content-encoding", ""))
    return Reply(status, headers, decoded or b"", time.time(), unreadable=decoded is None)


def decide(vendor: Vendor, reply: Reply, asked: Asked, path: str) -> tuple[Problem | JobReport | None, list[str]]:
    """What becomes of a reply, and why."""
    if reply.status >= HTTPStatus.BAD_REQUEST:
        problem = judge(vendor, reply, asked)
        return problem, [explain_rule(problem)]
    route = Routes(vendor.routes).match(asked.method, path.partition("?")[0])
    if route is None:
        asked_for = f"{asked.method} {path}" if path else "a request without --path"
        return None, [f"no route of {vendor.name} matches {asked_for}: a success, passed on untouched"]
    if status := error_in_success(vendor, route.name, reply):
        problem = judge(vendor, reply, asked, status=status)
        return problem, [
            f"route {route.name}: this success is an error, answered as status {status}",
            explain_rule(problem),
        ]
    if not route.job or asked.method != "GET" or reply.status != HTTPStatus.OK:
        return None, [f"route {route.name}: carries no job: a success, passed on untouched"]
    report = inspect_job(vendor, route, reply, asked)
    return report, [
        f"route {route.name}: the job's result is {report.result or 'not known yet'}",
        *map(explain_rule, report.problems),
    ]


def explain_rule(problem: Problem) -> str:
    """Tell which rule made this problem."""
    return f"{problem.job_pointer or 'reply'}: {problem.code} by {problem.rule}"
