"""Failures inside a success: a job payload that says that the work failed (contract 9)."""

from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal

from ._find import code_at, id_at
from ._normalize import Asked, Verdict, by_words, worded
from ._problem import Problem
from ._reply import Reply, found, text
from ._vendor import Failure, Finding, Route, Vendor

# The documented jobs have a dozen parts. More failures than this in one payload say nothing new.
_PROBLEMS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class JobReport:
    """
    What a job payload says.

    `result` is None while the job is not finished, and for one that was cancelled. `id` is the vendor's id of the job.
    `problems` holds one for the job as a whole, if that failed, and one for each part that did.
    """

    result: Literal["ok", "failed", "partial"] | None = None
    id: str | None = None
    problems: tuple[Problem, ...] = ()


def inspect_job(vendor: Vendor, route: Route, reply: Reply, asked: Asked) -> JobReport:
    """The failures inside a job payload of this route. Never raises; what is no JSON object reports nothing."""
    body = reply.json()
    if not isinstance(body, dict):
        return JobReport()
    job_id = id_at(body, tuple(chain.from_iterable(failure.id for failure in route.job)))

    def problem(failure: Failure, part: object, prefix: str = "") -> Problem | None:
        pointer, code = _failed(failure, part)
        if pointer is None:
            return None
        finding = Finding(code, text(part, failure.message), job_id, body=part)
        verdict = by_words(vendor, finding, reply.status, own_credential=asked.own_credential)
        if verdict is None:
            verdict = Verdict(failure.otherwise, None, f"the failure at {prefix}{pointer}")
        return worded(vendor, asked, reply.status, finding, verdict, job_pointer=prefix + pointer)

    # That the whole failed is one failure, in however many places it is told.
    wholes = (problem(failure, body) for failure in route.job if not failure.items)
    parts = (problem(failure, *part) for failure in route.job for part in _parts(failure, body))
    whole, partial = tuple(islice(filter(None, wholes), 1)), tuple(islice(filter(None, parts), _PROBLEMS_LIMIT))
    return JobReport("failed" if whole else _result(route.job, body, failures=bool(partial)), job_id, whole + partial)


def _failed(failure: Failure, part: object) -> tuple[str | None, str | None]:
    """Where a job or a part of it says that it failed, by its code if it has one, and the code."""
    where, code = code_at(part, failure.code)
    state = next((pointer for pointer, said in found(part, failure.at) if _state(said) in failure.equals), None)
    if state is None and not (code and (failure.by_code or not failure.at)):
        return None, None
    return where or state, code


def _parts(failure: Failure, body: object) -> list[tuple[object, str]]:
    """The members of the first list that there is, each with its pointer."""
    for pointer, members in found(body, failure.items):
        if isinstance(members, list) and members:
            return [(member, f"{pointer}/{index}") for index, member in enumerate(members)]
    return []


def _state(value: object) -> str | None:
    """A state as settings and vendor files spell it: "failed", "false", "3"."""
    if isinstance(value, str):
        return value.strip().lower()
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None


def _result(job: tuple[Failure, ...], body: object, *, failures: bool) -> Literal["ok", "partial"] | None:
    """How a job ended that did not fail as a whole. While it tells a state that is not the end, None."""
    states = {_state(said) for failure in job if not failure.items for _, said in found(body, failure.at)} - {None}
    done = any(not states.isdisjoint(failure.done) for failure in job)
    if states and not done:
        return None
    if failures or any(_positive(number) for failure in job for _, number in found(body, failure.partial)):
        return "partial"
    return "ok" if done else None


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
