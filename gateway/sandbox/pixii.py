"""
Pixii, product images.

Written from its API docs: Authentication, Listing Builder, A+ Content, Scale, Jobs, List jobs, Rate limiting, Errors.
A job is pending, then processing, then completed or failed, one state a poll. A `pk_test_` key's job is done at once.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from . import bodies
from .allowances import Allowance
from .asking import Asked
from .catalogue import Example
from .jobs import Job, Jobs, ended
from .pixii_errors import BAD_ASIN, ERRORS, SHAPES, STRAY, is_wrapped, tell
from .simulator import Call, Endpoint, Refused, Simulator, simulate

BASE_PATH = ""
CREDENTIAL = ("Authorization", "Bearer pk_live_sandbox")
EXAMPLE = Example(
    "POST", "/v1/api/listing_builder", "INSUFFICIENT_CREDITS", '{"asin":"B000000001","country_code":"US"}'
)
JOB_EXAMPLE = Example("GET", "/v1/api/jobs/demo", "CONTENT_MODERATION_ERROR")

# Path → what the job is called, and its price in credits.
SUBMISSIONS = {
    "/v1/api/listing_builder": ("Listing Builder", 30),
    "/v1/api/a_plus": ("A+ Content", 70),
    "/v1/api/scale": ("Scale", 30),
}
COSTS = dict(SUBMISSIONS.values())

RUNNING = ("pending", "processing")
IMAGES = 3
PAGE = 20
ASIN_CHARACTERS = range(5, 16)


def create(clock: Callable[[], float]) -> Starlette:
    """Pixii with no jobs and full allowances."""
    pixii = Pixii()
    return simulate(
        Simulator(
            shapes=SHAPES,
            errors=ERRORS,
            endpoints=(
                *(Endpoint("POST", path, pixii.submit, jobs=True) for path in SUBMISSIONS),
                Endpoint("GET", "/v1/api/jobs/{job_id}", pixii.poll, jobs=True),
                Endpoint("GET", "/v1/api/jobs", pixii.list),
            ),
            tell=tell,
            authenticate=authenticate,
            stray=STRAY,
            clock=clock,
            headers=pixii.headers,
        )
    )


def authenticate(request: Request, asked: Asked) -> None:  # noqa: ARG001  (every vendor's takes both)
    """Any `Bearer pk_live_…` or `pk_test_…` will do; `pk_live_revoked…` will not."""
    key = _key(request)
    if not key.startswith(("pk_live_", "pk_test_")) or key[len("pk_live_") :].startswith("revoked"):
        raise Refused("UNAUTHORIZED")


class Pixii:
    """The endpoints, and what they remember: jobs, and requests per window and organization."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.minute = Allowance(10, 60)
        self.day = Allowance(500, 86_400)

    def headers(self, asked: Asked, method: str, status: int) -> Mapping[str, str]:  # noqa: ARG002  (the signature)
        """What a submission's answer tells about the limits; polling is not limited."""
        if method != "POST" or asked.path not in SUBMISSIONS:
            return {}
        return {
            "X-RateLimit-Limit-Minute": str(self.minute.limit),
            "X-RateLimit-Remaining-Minute": str(self.minute.take(asked.at)),
            "X-RateLimit-Limit-Day": str(self.day.limit),
            "X-RateLimit-Remaining-Day": str(self.day.take(asked.at)),
        }

    def submit(self, call: Call) -> Response:
        """A new job. The endpoint's page says 200; the errors document, 202 "Job accepted and queued"."""
        asin = None if call.body.unread else _asin(call.body.text("asin"))
        kind, _ = SUBMISSIONS[call.asked.path]
        job = self.jobs.create(kind, call.asked.at, call.asked.ending)
        job.facts = {"asin": asin}
        if _key(call.request).startswith("pk_test_"):
            job.polls = len(RUNNING)
        accepted = {"job_id": job.id, "job_type": kind, "status": "pending", "created_at": _moment(job.created)}
        return _answer(call, accepted, 202)

    def poll(self, call: Call) -> Response:
        """A job, one state further. A failure wished for is shown at once, whoever created the job."""
        job_id = call.request.path_params["job_id"]
        if call.asked.ending is not None:
            return _answer(call, payload(ended(job_id, "Listing Builder", call.asked.at, call.asked.ending)))
        job = self.jobs.get(job_id)
        if job is None:
            raise Refused("JOB_NOT_FOUND")
        return _answer(call, payload(job.polled()))

    def list(self, call: Call) -> Response:
        """The jobs of one ASIN, the latest first."""
        asin = _asin(call.request.query_params.get("asin"))
        found = [job for job in self.jobs if job.facts["asin"] == asin][::-1]
        data = [
            {"id": job.id, "job_type": job.kind, "status": _status(job), "created_at": _moment(job.created)}
            for job in found[:PAGE]
        ]
        return _answer(call, {"data": data, "total": len(found), "page": 1, "limit": PAGE})


def payload(job: Job) -> dict[str, object]:
    """A job as `GET /v1/api/jobs/{job_id}` shows it."""
    status = _status(job)
    cost = COSTS[job.kind]
    over = status in {"completed", "failed"}
    failure = job.ending if over else None
    images: list[dict[str, object]] = [
        {"preview_url": f"https://cdn.pixii.example/{job.id}/{number}.png", "error": None} for number in range(IMAGES)
    ]
    if failure is not None and status == "completed":
        images[1] = {"preview_url": None, "error": {"code": failure.code, "message": failure.message}}
    refunds = {"failed": cost, "completed": cost // IMAGES}
    return {
        "id": job.id,
        "job_type": job.kind,
        "status": status,
        "created_at": _moment(job.created),
        "started_at": None if status == "pending" else _moment(job.created + 1),
        "completed_at": _moment(job.created + 2) if over else None,
        "credit_cost": cost,
        "credits_refunded": 0 if failure is None else refunds[status],
        "output": {"ads": images} if status == "completed" else None,
        "error_code": failure.code if failure is not None and (status, failure.kind) == ("failed", "job") else None,
    }


def _status(job: Job) -> str:
    done = "completed" if job.ending is None or _one_image_fails(job) else "failed"
    return job.state(RUNNING, done)


def _one_image_fails(job: Job) -> bool:
    """Whether the failure is one image's: "the job status is still completed"."""
    return job.ending is not None and job.ending.shape in {"image", "wrapped-image"}


def _asin(asin: str | None) -> str:
    if asin is None or len(asin) not in ASIN_CHARACTERS:
        raise Refused("VALIDATION_ERROR", field=BAD_ASIN)
    return asin


def _key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _answer(call: Call, value: object, status: int = 200) -> Response:
    if is_wrapped(call.asked.shape):
        value = {"success": True, "data": value, "error": None}
    return bodies.answer(value, status)
