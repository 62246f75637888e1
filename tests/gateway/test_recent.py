"""The short memory of failures: bounded in number and in size, and never touched by a success."""

from dataclasses import replace

import pytest

from gateway import settings
from gateway.access import Access
from gateway.app import Gateway, create_app
from gateway.metrics import Outcome
from gateway.recent import REMEMBERED_CODES, REMEMBERED_ERRORS, REMEMBERED_FAILURES, Recent
from normalizers import FieldError, HouseCode, Problem, Source, VendorError

PROBLEM = Problem(
    HouseCode.NOT_FOUND,
    Source.VENDOR,
    "Job not found",
    vendor="pixii",
    vendor_error=VendorError(404, "JOB_NOT_FOUND", "Job not found"),
    rule="the row of JOB_NOT_FOUND",
    label="JOB_NOT_FOUND",
)


def fail(recent: Recent, problem: Problem | None = PROBLEM, request_id: str = "r", instance: str | None = None) -> None:
    """A request that failed."""
    recent.failed(
        problem,
        vendor="pixii",
        route="poll",
        caller="billing",
        method="GET",
        status=404,
        vendor_status=404,
        outcome="caller_fault",
        request_id=request_id,
        instance=instance,
    )


def unknown(recent: Recent, code: str, *, kind: str = "http", vendor: str = "pixii") -> None:
    """A reply with a code that is in no table."""
    recent.unmapped(vendor, replace(PROBLEM, vendor_error=VendorError(404, code), label="other"), kind)


def test_a_failure_as_a_row() -> None:
    """A row tells what the table shows, and holds the envelope that the caller got."""
    recent = Recent()

    fail(recent, instance="urn:uuid:1")

    row = next(recent.since(0)).row("/-/problems/")
    assert (row["vendor"], row["code"], row["vendor_code"], row["caller"]) == (
        "pixii",
        "not_found",
        "JOB_NOT_FOUND",
        "billing",
    )
    assert row["envelope"] == PROBLEM.members(base_uri="/-/problems/", instance="urn:uuid:1", request_id="r")


def test_a_failed_job_has_no_instance_here() -> None:
    """The envelopes spliced into a job have instances of their own on each poll; the memory claims none."""
    recent = Recent()

    fail(recent)

    envelope = next(recent.since(0)).row("/-/problems/")["envelope"]
    assert isinstance(envelope, dict)
    assert "instance" not in envelope
    assert envelope["code"] == "not_found"


def test_an_answer_that_was_cut_off() -> None:
    """What broke off in the middle of its answer is remembered, too; it has no envelope."""
    recent = Recent()

    fail(recent, None)

    row = next(recent.since(0)).row("/")
    assert (row["code"], row["envelope"], row["status"]) == (None, None, 404)


def test_failures_are_bounded() -> None:
    """The memory keeps the newest and forgets the rest, and a reader goes on where it was."""
    recent = Recent()

    for number in range(REMEMBERED_FAILURES + 50):
        fail(recent, request_id=str(number))

    kept = list(recent.since(0))
    assert len(kept) == REMEMBERED_FAILURES
    assert kept[-1].request_id == str(REMEMBERED_FAILURES + 49)
    assert [failure.number for failure in recent.since(recent.last - 2)] == [recent.last - 1, recent.last]


def test_a_problem_is_kept_small() -> None:
    """A vendor that names many fields fills no more than a few of each remembered problem."""
    recent = Recent()

    fail(recent, replace(PROBLEM, errors=(FieldError("x" * 1024),) * 50))

    problem = next(recent.since(0)).problem
    assert problem is not None
    assert len(problem.errors) == REMEMBERED_ERRORS


def test_unknown_codes_are_counted() -> None:
    """A code that no table knows is remembered once, with how often it came and what it became."""
    recent = Recent()

    for code in ("NEW", "NEW", "NEWER"):
        unknown(recent, code)
    unknown(recent, "NEW", kind="job")

    assert [(code.code, code.kind, code.count) for code in recent.unknown()] == [
        ("NEW", "job", 1),
        ("NEWER", "http", 1),
        ("NEW", "http", 2),
    ]
    assert recent.unknown()[2].row()["house_code"] == "not_found"


def test_unknown_codes_are_bounded() -> None:
    """A vendor that makes up codes fills its own small memory, and no other vendor's."""
    recent = Recent()
    unknown(recent, "OTHER", vendor="apixo")

    for number in range(REMEMBERED_CODES + 20):
        unknown(recent, f"CODE_{number}")

    codes = {code.code for code in recent.unknown()}
    assert len(codes) == REMEMBERED_CODES + 1
    assert {"OTHER", f"CODE_{REMEMBERED_CODES + 19}"} <= codes
    assert "CODE_0" not in codes


def test_no_code_is_no_unknown_code() -> None:
    """A problem in which the vendor named no code tells nothing of the table."""
    recent = Recent()

    recent.unmapped("pixii", replace(PROBLEM, vendor_error=None), "http")
    recent.unmapped("pixii", replace(PROBLEM, vendor_error=VendorError(500)), "http")

    assert recent.unknown() == []


@pytest.fixture
def gateway() -> Gateway:
    """A gateway to one vendor."""
    return create_app(settings.loads("vendors: {pixii: {base_url: http://127.0.0.1:9}}", environ={}))


def finished(gateway: Gateway, *, problem: Problem | None = None, outcome: Outcome | None = None) -> Recent:
    """What is remembered of a request that ended so."""
    access = Access(metrics=gateway.runtime.lanes["pixii"].metrics, method="GET", request_id="r-1")
    access.vendor = "pixii"
    access.problem, access.outcome, access.status = problem, outcome, 200
    access.finish(logged=False)
    return gateway.metrics.recent


@pytest.mark.parametrize("outcome", [None, Outcome.CALLER_GONE])
async def test_a_success_is_not_remembered(gateway: Gateway, outcome: Outcome | None) -> None:
    """A request that did not fail leaves nothing behind."""
    assert finished(gateway, outcome=outcome).last == 0


@pytest.mark.parametrize(
    ("problem", "outcome", "told"),
    [(PROBLEM, None, "caller_fault"), (PROBLEM, Outcome.REFUSED, "refused"), (None, Outcome.ABORTED, "aborted")],
)
async def test_a_failure_is_remembered(
    gateway: Gateway, problem: Problem | None, outcome: Outcome | None, told: str
) -> None:
    """A request that failed, was refused or was cut off is remembered with how it ended."""
    (failure,) = finished(gateway, problem=problem, outcome=outcome).since(0)

    assert (failure.outcome, failure.vendor, failure.request_id) == (told, "pixii", "r-1")


async def test_an_unmapped_code_is_remembered_where_it_is_counted(gateway: Gateway) -> None:
    """What the counter of unmapped codes counts is what the drift page names."""
    metrics = gateway.runtime.lanes["pixii"].metrics

    metrics.error(replace(PROBLEM, label="other"))
    metrics.error(PROBLEM)

    (code,) = gateway.metrics.recent.unknown()
    assert (code.vendor, code.code, code.count) == ("pixii", "JOB_NOT_FOUND", 1)
