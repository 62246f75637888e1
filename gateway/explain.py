"""
What becomes of one vendor reply, and which rule decided: for `errgate normalize` and the console's explain page.

Nothing is sent: a reply that somebody has seen goes in, decoded and bounded as if it had come over the wire.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

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
    normalize,
)

from . import codings
from .jobs import INSPECTED_LIMIT_BYTES
from .replies import ERROR_LIMIT_BYTES
from .settings import Credential, Settings

FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Subject:
    """The vendor that replied, and what the settings say of its problems."""

    vendor: Vendor
    base_uri: str = "/-/problems/"
    own_credential: bool = False
    vendor_messages: Literal["always", "caller_faults", "never"] = "always"
    secrets: Sequence[str] = ()

    def asked(self, method: str) -> Asked:
        """A request of this method to it."""
        return Asked(
            method=method.upper(),
            own_credential=self.own_credential,
            vendor_messages=self.vendor_messages,
            scrub=Scrubber(self.secrets),
        )


def configured(settings: Settings, name: str) -> Subject:
    """The vendor of this name, as the settings have it. Raises KeyError where they have none."""
    mine = settings.vendors[name]
    credential = mine.credential
    return Subject(
        mine.vendor,
        settings.problems.base_uri,
        own_credential=credential == "passthrough",
        vendor_messages=settings.problems.vendor_messages,
        secrets=[credential.value.get_secret_value()] if isinstance(credential, Credential) else (),
    )


def fields(lines: Iterable[str]) -> Mapping[str, str]:
    """
    Header lines as a reply has them: lower-case names, repeated lines joined.

    Raises:
        ValueError: a line is none; the message quotes it.

    """
    headers: dict[str, str] = {}
    for line in lines:
        field = FIELD.fullmatch(line)
        if field is None:
            raise ValueError(f"{line!r} is not 'Name: value'.")
        key = field[1].lower()
        headers[key] = f"{headers[key]}, {field[2]}" if key in headers else field[2]
    return headers


def received(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """The reply as the gateway would have read it: decoded, within bounds."""
    decoded = None
    if len(body) <= (ERROR_LIMIT_BYTES if status >= HTTPStatus.BAD_REQUEST else INSPECTED_LIMIT_BYTES):
        decoded = codings.decode(body, headers.get("content-encoding", ""))
    return Reply(status, headers, decoded or b"", time.time(), unreadable=decoded is None)


def decide(vendor: Vendor, reply: Reply, asked: Asked, path: str) -> tuple[Problem | JobReport | None, list[str]]:
    """What becomes of a reply, and why, a line for each step; None: it goes on untouched."""
    if reply.status >= HTTPStatus.BAD_REQUEST:
        problem = normalize(vendor, reply, asked)
        return problem, [rule(problem)]
    route = Routes(vendor.routes).match(asked.method, path.partition("?")[0])
    if route is None:
        asked_for = f"{asked.method} {path}" if path else "a request without --path"
        return None, [f"no route of {vendor.name} matches {asked_for}: a success, passed on untouched"]
    if status := error_in_success(vendor, route.name, reply):
        problem = normalize(vendor, reply, asked, status=status)
        return problem, [f"route {route.name}: this success is an error, answered as status {status}", rule(problem)]
    if not route.job or asked.method != "GET" or reply.status != HTTPStatus.OK:
        return None, [f"route {route.name}: carries no job: a success, passed on untouched"]
    report = inspect_job(vendor, route, reply, asked)
    return report, [
        f"route {route.name}: the job's result is {report.result or 'not known yet'}",
        *map(rule, report.problems),
    ]


def rule(problem: Problem) -> str:
    """Tell which rule made this problem."""
    return f"{problem.job_pointer or 'reply'}: {problem.code} by {problem.rule}"
