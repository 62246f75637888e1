"""
Pixee PIM, product data. `/api/v1` may be left out.

Written from its API docs: Authentication, Products, Imports, Exports, AI Enrichment, External API, WinDev
Integration, Rate limiting, Errors.
Jobs go one state a poll. The catalogue holds one product; created ones are answered and not kept.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from . import bodies
from .allowances import Allowance
from .asking import Asked
from .catalogue import Example
from .jobs import Job, Jobs, ended
from .pixee_errors import BAD_EAN, ENDINGS, ERRORS, SHAPES, STRAY, moment, tell
from .simulator import Call, Endpoint, Refused, Simulator, simulate

BASE_PATH = "/api/v1"
CREDENTIAL = ("X-API-Key", "pm_live_sandbox")
EXAMPLE = Example("POST", "/products", "DUPLICATE_EAN", '{"ean":"3760000000001","name":"Produit exemple"}')
JOB_EXAMPLE = Example("GET", "/imports/550e8400-e29b-41d4-a716-446655440000", "failed")

PRODUCT = {
    "id": "550e8400-e29b-41d4-a716-446655440000",
    "ean": "3760000000001",
    "name": "Produit exemple",
    "price": 29.99,
    "is_active": True,
    "created_at": "2026-01-15T10:30:00Z",
    "updated_at": "2026-03-10T14:22:00Z",
}

# Kind → where it is created, where it is shown, and the states before its end. The first path is the house's own.
JOBS: Mapping[str, tuple[Sequence[str], Sequence[str], Sequence[str]]] = {
    "import": (
        ("/imports", "/imports/jobs", "/imports/upload"),
        ("/imports/{id}", "/imports/jobs/{id}"),
        ("pending", "analyzing", "processing"),
    ),
    "export": (
        ("/exports", "/exports/{format}/products"),
        ("/exports/{id}", "/exports/jobs/{id}"),
        ("processing", "processing"),
    ),
    "enrichment": (
        ("/enrichments", "/ai-enrichment/jobs"),
        ("/enrichments/{id}", "/ai-enrichment/jobs/{id}"),
        ("pending", "processing"),
    ),
}
ROWS = 1250
FAILED_ROWS = 5

# Requests a minute; the two tiers without endpoints here, READ_SENSITIVE and SEARCH, are left out.
AUTH, READ_STANDARD, WRITE_STANDARD, IMPORT_STANDARD, EXPORT_STANDARD = 5, 100, 50, 20, 10

# "Account locked after repeated failed login attempts"; the vendor's quarter of an hour is ten seconds here.
PASSWORD = "sandbox"
LOGINS = 5
LOCKED_SECONDS = 10


def create(clock: Callable[[], float]) -> Starlette:
    """Pixee PIM with no jobs and full allowances."""
    pixee = Pixee()
    return simulate(
        Simulator(
            shapes=SHAPES,
            errors=(*ERRORS, *ENDINGS),
            endpoints=(
                *(Endpoint("POST", path, pixee.create, jobs=True) for posts, _, _ in JOBS.values() for path in posts),
                *(Endpoint("GET", path, pixee.poll, jobs=True) for _, gets, _ in JOBS.values() for path in gets),
                *(Endpoint("GET", posts[0], pixee.list) for posts, _, _ in JOBS.values()),
                Endpoint("POST", "/auth/login", pixee.login, public=True),
                Endpoint("GET", "/products", products),
                Endpoint("POST", "/products", create_product),
                *(Endpoint(method, "/products/{id}", product) for method in ("GET", "PATCH", "DELETE")),
                Endpoint("GET", "/ext/status", ext),
                Endpoint("GET", "/ext/products", ext),
                Endpoint("GET", "/ext/products/{ean}", ext),
                Endpoint("GET", "/windev/status", windev, public=True),
                Endpoint("GET", "/windev/products", windev),
                Endpoint("GET", "/windev/products/{ean}", windev),
            ),
            tell=tell,
            authenticate=authenticate,
            stray=STRAY,
            clock=clock,
            surface=surface,
            headers=pixee.headers,
            prefixes=("", BASE_PATH),
        )
    )


def surface(path: str) -> str | None:
    """`/ext` and `/windev` word their errors each in their own way."""
    first = path.removeprefix(BASE_PATH).split("/")[1:2]
    return first[0] if first in (["ext"], ["windev"]) else None


def authenticate(request: Request, asked: Asked) -> None:
    """Any `X-API-Key: pm_live_…` (or `pm_test_…`) or user token will do; `pm_live_revoked…` will not."""
    key = request.headers.get("x-api-key")
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    if key is None and bearer.startswith("eyJ"):
        return
    if key is None and not bearer:
        raise Refused("401" if asked.surface else "AUTHENTICATION_REQUIRED")
    # Since v6.19 an API key in `Authorization` "is no longer valid".
    if key is None or not key.startswith(("pm_live_", "pm_test_")) or key[len("pm_live_") :].startswith("revoked"):
        raise Refused("401" if asked.surface else "INVALID_API_KEY")


class Pixee:
    """The endpoints that remember: jobs, requests per minute and tier, failed logins."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.tiers = {limit: Allowance(limit, 60) for limit in (AUTH, READ_STANDARD, WRITE_STANDARD, IMPORT_STANDARD)}
        self.tiers[EXPORT_STANDARD] = Allowance(EXPORT_STANDARD, 60)
        self.failed_logins = 0
        self.locked_until = 0.0

    def headers(self, asked: Asked, method: str, status: int) -> Mapping[str, str]:  # noqa: ARG002  (the signature)
        """Where the request's tier stands, on every answer."""
        tier = self.tiers[_tier(method, asked.path)]
        return {
            "X-RateLimit-Limit": str(tier.limit),
            "X-RateLimit-Remaining": str(tier.take(asked.at)),
            "X-RateLimit-Reset": str(tier.reset(asked.at)),
        }

    def create(self, call: Call) -> Response:
        """202 Accepted: the job runs."""
        kind = _kind(call)
        job = self.jobs.create(kind, call.asked.at, call.asked.ending)
        return bodies.answer({"id": job.id, "status": JOBS[kind][2][0]}, 202)

    def poll(self, call: Call) -> Response:
        """A job, one state further. A failure wished for is shown at once, whoever created the job."""
        job_id = call.request.path_params["id"]
        if call.asked.ending is not None:
            return bodies.answer(payload(ended(job_id, _kind(call), call.asked.at, call.asked.ending)))
        job = self.jobs.get(job_id)
        if job is None:
            raise Refused("NOT_FOUND")
        return bodies.answer(payload(job.polled()))

    def list(self, call: Call) -> Response:
        """The jobs of one kind, the latest first."""
        return bodies.answer(_page([payload(job) for job in self.jobs if job.kind == _kind(call)][::-1]))

    def login(self, call: Call) -> Response:
        """A user's token for the password "sandbox"; the fifth wrong one in a row locks the account."""
        if call.asked.at < self.locked_until:
            raise Refused("ACCOUNT_LOCKED")
        if call.body.text("password") == PASSWORD:
            self.failed_logins = 0
            return bodies.answer({"access_token": "eyJhbGciOiJub25lIn0.e30.", "token_type": "bearer"})
        self.failed_logins += 1
        if self.failed_logins >= LOGINS:
            self.failed_logins = 0
            self.locked_until = call.asked.at + LOCKED_SECONDS
        raise Refused("401", message="Incorrect email or password")


def payload(job: Job) -> dict[str, object]:
    """A job as its status endpoint shows it. No page shows an error code in a job."""
    ending = "completed" if job.ending is None else job.ending.code
    status = job.state(JOBS[job.kind][2], "completed" if ending == "partial" else ending)
    about: dict[str, object] = {"id": job.id, "status": status, "created_at": moment(job.created)}
    if job.kind != "import":
        return {**about, "format": "csv"} if job.kind == "export" else about
    good = {"completed": ROWS, "failed": 0}.get(status, 0)
    bad = FAILED_ROWS if ending == "partial" and status == "completed" else 0
    file = {"file_name": "catalog.csv", "file_type": "csv", "file_size": 1_024_000}
    return {**about, **file, "total_rows": ROWS, "successful_rows": good - bad, "failed_rows": bad}


def products(call: Call) -> Response:  # noqa: ARG001  (every endpoint takes its call)
    """The catalogue: one product."""
    return bodies.answer(_page([PRODUCT]))


def create_product(call: Call) -> Response:
    """A new product, or 409 for the EAN that the catalogue has."""
    if call.body.fields is None and not call.body.unread:
        raise Refused("422", shape="fastapi")
    ean = call.body.text("ean")
    if ean is None and not call.body.unread:
        raise Refused("VALIDATION_ERROR", message="The EAN field is required.", field=BAD_EAN)
    if ean == PRODUCT["ean"]:
        raise Refused("DUPLICATE_EAN")
    return bodies.answer({**PRODUCT, "id": str(uuid.uuid4()), "ean": ean}, 201)


def product(call: Call) -> Response:
    """The one product; deleting it answers 204 and forgets nothing."""
    if call.request.path_params["id"] != PRODUCT["id"]:
        raise Refused("NOT_FOUND")
    return Response(status_code=204) if call.request.method == "DELETE" else bodies.answer(PRODUCT)


def ext(call: Call) -> Response:
    """The External API: every answer in one envelope."""
    data = _data(call, {"status": "ok", "version": "1.0"})
    meta = {"total": 1, "page": 1, "page_size": 50, "updated_at": moment(call.asked.at)}
    return bodies.answer({"success": True, "data": data, "meta": meta, "errors": []})


def windev(call: Call) -> Response:
    """The WinDev API: its envelope repeats the status."""
    data = _data(call, {"status": "ok", "version": "1.0"})
    return bodies.answer({"success": True, "code": 200, "message": "1 produit trouvé", "data": data, "count": 1})


def _data(call: Call, status: Mapping[str, object]) -> object:
    if call.asked.path.endswith("/status"):
        return status
    ean = call.request.path_params.get("ean")
    if ean not in {None, PRODUCT["ean"]}:
        raise Refused("404")
    return [PRODUCT] if ean is None else PRODUCT


def _page(items: Sequence[object]) -> dict[str, object]:
    meta = {"total": len(items), "page": 1, "per_page": 50, "total_pages": 1, "has_next": False, "has_previous": False}
    return {"items": items, "meta": meta}


def _kind(call: Call) -> str:
    first = call.asked.path.removeprefix(BASE_PATH).split("/")[1]
    return {"imports": "import", "exports": "export"}.get(first, "enrichment")


def _tier(method: str, path: str) -> int:
    first = [*path.removeprefix(BASE_PATH).split("/"), ""][1]
    if first == "auth":
        return AUTH
    if method in {"GET", "HEAD"}:
        return READ_STANDARD
    return {"imports": IMPORT_STANDARD, "exports": EXPORT_STANDARD}.get(first, WRITE_STANDARD)
