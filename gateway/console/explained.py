"""
A vendor reply, pasted by a person, and what callers would get for it: the facts of the console's explain page.

The reply is judged as the settings in force would have it judged, by the same code as `errgate normalize --explain`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gateway import identity, problems
from gateway.explain import configured, decide, fields, received
from gateway.jobs import INSPECTED_LIMIT_BYTES
from gateway.settings import Settings
from normalizers import Problem

# A body of the greatest length that the gateway looks into, percent-encoded by a browser in the main; and the rest.
ASKED_LIMIT_BYTES = 2 * INSPECTED_LIMIT_BYTES

STATUSES = range(200, 600)


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands in the form."""

    vendor: str = ""
    status: str = ""
    headers: str = ""
    body: str = ""
    method: str = "GET"
    path: str = ""
    wrong: str = ""

    @classmethod
    def of(cls, form: Mapping[str, str]) -> "Asked":
        """The fields of a form, those it lacks left as they are at first."""
        return cls(**{name: form[name] for name in FIELDS if name in form})


FIELDS = ("vendor", "status", "headers", "body", "method", "path")
NOTHING = Asked()


def explain(settings: Settings, asked: Asked) -> dict[str, Any]:
    """
    What becomes of a reply, for a page or for a program.

    Returns:
        The form as it was filled; what is wrong with it, by field; and the verdict, once it can be given: whether the
        reply goes on untouched, which rules decided, and the answers that callers get.
    """
    wrong = {} if asked == NOTHING else _wrong(settings, asked)
    verdict = None if wrong or asked == NOTHING else _verdict(settings, asked)
    return {
        "vendors": {name: vendor.vendor.title for name, vendor in settings.vendors.items()},
        "asked": {name: getattr(asked, name) for name in FIELDS},
        "wrong": wrong,
        "verdict": verdict,
    }


def _wrong(settings: Settings, asked: Asked) -> dict[str, str]:
    wrong = {"body": asked.wrong} if asked.wrong else {}
    if asked.vendor not in settings.vendors:
        wrong["vendor"] = "Choose one of the vendors in the settings."
    if not asked.status.strip().isdecimal() or int(asked.status.strip()[:4]) not in STATUSES:
        wrong["status"] = "A status is a number from 200 to 599."
    try:
        fields(_lines(asked.headers))
    except ValueError as line:
        wrong["headers"] = f"{line} Write one field a line."
    return wrong


def _lines(headers: str) -> list[str]:
    return [line.strip() for line in headers.splitlines() if line.strip()]


def _verdict(settings: Settings, asked: Asked) -> dict[str, object]:
    subject = configured(settings, asked.vendor)
    # A browser sends each line of a form with CR LF, whatever was pasted.
    body = asked.body.replace("\r\n", "\n").strip().encode("utf-8", "replace")
    reply = received(int(asked.status), fields(_lines(asked.headers)), body)
    found, why = decide(subject.vendor, reply, subject.asked(asked.method.strip() or "GET"), asked.path.strip())
    is_error = isinstance(found, Problem)
    failures = [found] if isinstance(found, Problem) else [] if found is None else list(found.problems)
    request_id = identity.request_id(())
    return {
        "kind": "error" if is_error else "job" if failures else "untouched",
        "status": failures[0].code.status if is_error else reply.status,
        "phrase": _phrase(failures[0].code.status if is_error else reply.status),
        "why": why,
        "headers": _headers(failures[0], request_id) if is_error else _codes(failures),
        "envelopes": [
            problem.members(base_uri=settings.problems.base_uri, instance=identity.instance(), request_id=request_id)
            for problem in failures
        ],
    }


def _headers(problem: Problem, request_id: str) -> list[list[str]]:
    fields = problems.headers_of(problem, request_id=request_id.encode())
    return [[name.decode().title(), value.decode()] for name, value in fields]


def _codes(failures: list[Problem]) -> list[list[str]]:
    codes = ", ".join(dict.fromkeys(problem.code.code for problem in failures))
    return [["Errgate-Job-Codes", codes]] if codes else []


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in {known.value for known in HTTPStatus} else ""
