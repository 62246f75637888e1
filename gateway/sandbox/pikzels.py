"""
Pikzels, thumbnails and titles. `/v2` speaks the current error envelope, `/v1` the older one.

Written from its docs: Thumbnails, Titles, Pikzonalities, Errors, and the v1 pages of its API reference.
Thumbnails and titles are answered at once; personas and styles train, one state a poll.
"""

import re
import uuid
from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from . import bodies
from .asking import Asked
from .catalogue import Example
from .jobs import Job, Jobs, ended
from .pikzels_errors import BAD_PROMPT, ERRORS, OLD_SHAPES, SHAPES, STRAY, tell
from .simulator import Call, Endpoint, Field, Refused, Simulator, simulate

BASE_PATH = ""
CREDENTIAL = ("X-Api-Key", "pkz_sandbox")
EXAMPLE = Example(
    "POST",
    "/v2/thumbnail/text",
    "CONTENT_POLICY",
    '{"prompt":"I bought my own island","model":"pkz_4","format":"16:9"}',
)
JOB_EXAMPLE = Example("GET", "/v2/pikzonality/18b2ad5e-2a9e-4d3f-b9a8-9f2a1e0b1234", "failed")

# What a key is refused as, by how it begins; "any other `pkz_…`" is good.
REFUSED_KEYS = {"pkz_unknown": "INVALID_API_KEY", "pkz_inactive": "API_KEY_INACTIVE", "pkz_deleted": "API_KEY_DELETED"}

# A 10 MB image in base64, and the fields around it.
MOST_BODY_BYTES = 14 * 1024 * 1024

RUNNING = ("processing", "processing")
RUNNING_V1 = ("Queued", "Analyzing", "Training")
NAME = re.compile(r"[a-zA-Z0-9\s_-]{1,25}", re.ASCII)
RESERVED = "pikzels"
INSTRUCTIONS_CHARACTERS = 300


def create(clock: Callable[[], float]) -> Starlette:
    """Pikzels with nothing trained."""
    pikzels = Pikzels()
    return simulate(
        Simulator(
            shapes=SHAPES,
            errors=ERRORS,
            endpoints=(
                *(
                    Endpoint("POST", f"/v2/thumbnail/{what}", thumbnail)
                    for what in ("text", "image", "edit", "faceswap")
                ),
                Endpoint("POST", "/v2/thumbnail/score", score),
                Endpoint("POST", "/v2/title/text", title),
                *(
                    Endpoint("POST", f"/v2/pikzonality/{mode}", pikzels.train, jobs=True)
                    for mode in ("persona", "style")
                ),
                Endpoint("GET", "/v2/pikzonality/{id}", pikzels.show, jobs=True),
                Endpoint("PATCH", "/v2/pikzonality/{id}", pikzels.update),
                Endpoint("DELETE", "/v2/pikzonality/{id}", pikzels.delete),
                *(Endpoint("POST", f"/v1/{what}", thumbnail) for what in ("thumbnail", "edit", "recreate", "faceswap")),
                Endpoint("POST", "/v1/title", title),
                *(Endpoint("POST", f"/v1/{mode}", pikzels.train_v1, jobs=True) for mode in ("persona", "style")),
                *(Endpoint("GET", f"/v1/{mode}", pikzels.show_v1, jobs=True) for mode in ("persona", "style")),
            ),
            tell=tell,
            authenticate=authenticate,
            stray=STRAY,
            clock=clock,
            surface=surface,
            headers=headers,
        )
    )


def surface(path: str) -> str | None:
    """`/v1` speaks as the older document has it."""
    return "older" if path.startswith("/v1/") else None


def headers(asked: Asked, method: str, status: int) -> Mapping[str, str]:  # noqa: ARG001  (the signature of the hook)
    """The request id, which neither v1 nor the older envelope knows."""
    shape = asked.shape or (asked.error and asked.error.shape) or asked.surface
    return {"X-Request-Id": asked.request_id} if asked.path.startswith("/v2/") and shape not in OLD_SHAPES else {}


def authenticate(request: Request, asked: Asked) -> None:  # noqa: ARG001  (every vendor's takes both)
    """Any `X-Api-Key: pkz_…` will do, but for those that begin as `REFUSED_KEYS`."""
    key = request.headers.get("x-api-key")
    if key is None:
        raise Refused("MISSING_API_KEY")
    if not key.startswith("pkz_"):
        raise Refused("INVALID_API_KEY_FORMAT")
    for beginning, code in REFUSED_KEYS.items():
        if key.startswith(beginning):
            raise Refused(code)


class Pikzels:
    """The endpoints that remember: personas and styles."""

    def __init__(self) -> None:
        self.trained = Jobs()

    def train(self, call: Call) -> Response:
        """A new persona or style; v2."""
        job = self._train(call)
        return bodies.answer({"id": job.id, "request_id": call.asked.request_id})

    def train_v1(self, call: Call) -> Response:
        """A new persona or style; v1."""
        return bodies.answer({"status": "queued", "id": self._train(call).id})

    def _train(self, call: Call) -> Job:
        _checked(call)
        mode = call.asked.path.rpartition("/")[2]
        name = call.body.text("name") or ("Unread" if call.body.unread else "")
        if not NAME.fullmatch(name):
            raise Refused(
                "VALIDATION_ERROR", field=Field("name", "1 to 25 letters, numbers, spaces, hyphens, underscores")
            )
        if name.lower() == RESERVED:
            raise Refused("NAME_RESERVED")
        if any((other.kind, other.facts["name"]) == (mode, name) for other in self.trained):
            raise Refused("NAME_ALREADY_EXISTS")
        job = self.trained.create(mode, call.asked.at, call.asked.ending)
        job.facts = {"name": name, "special_instructions": None}
        return job

    def show(self, call: Call) -> Response:
        """A persona or style, one state further; v2."""
        return bodies.answer(payload(self._shown(call, call.request.path_params["id"], "persona")))

    def show_v1(self, call: Call) -> Response:
        """A persona or style, one state further; v1."""
        mode = call.asked.path.rpartition("/")[2]
        return bodies.answer(payload_v1(self._shown(call, call.request.query_params.get("id", ""), mode)))

    def _shown(self, call: Call, job_id: str, mode: str) -> Job:
        """The job. A failure wished for is shown at once, whoever created the job."""
        if call.asked.ending is not None:
            job = ended(job_id, mode, call.asked.at, call.asked.ending)
            job.facts = {"name": "Creator Studio", "special_instructions": None}
            return job
        return self._existing(job_id, mode).polled()

    def update(self, call: Call) -> Response:
        """New special instructions."""
        job = self._existing(call.request.path_params["id"], "persona")
        _checked(call)
        text = call.body.text("special_instructions")
        if text is not None and len(text) > INSTRUCTIONS_CHARACTERS:
            raise Refused("VALIDATION_ERROR", field=Field("special_instructions", "at most 300 characters"))
        job.facts["special_instructions"] = text
        return bodies.answer({"name": job.facts["name"], "id": job.id, "special_instructions": text})

    def delete(self, call: Call) -> Response:
        """Gone, unless it trains. What the vendor answers then is on no page; nothing says the least."""
        job = self._existing(call.request.path_params["id"], "persona")
        if job.state(RUNNING, "") in RUNNING:
            raise Refused("CANNOT_DELETE_PROCESSING")
        self.trained.remove(job.id)
        return Response(status_code=204)

    def _existing(self, job_id: str, mode: str) -> Job:
        if not _is_uuid(job_id):
            raise Refused("INVALID_STYLE" if mode == "style" else "INVALID_PERSONA")
        job = self.trained.get(job_id)
        if job is None:
            raise Refused("NOT_FOUND")
        return job


def payload(job: Job) -> dict[str, object]:
    """A persona or style; v2. A failed one says no more than that."""
    status = job.state(RUNNING, "completed" if job.ending is None else "failed")
    done = status == "completed"
    return {
        "name": job.facts["name"],
        "id": job.id,
        "mode": job.kind,
        "portrait_url": f"https://cdn.pikzels.example/{job.id}.png" if done else None,
        "progress": 100 if done else 50,
        "reference": [f"https://cdn.pikzels.example/{job.id}/1.png"] if done else None,
        "special_instructions": job.facts["special_instructions"],
        "status": status,
    }


def payload_v1(job: Job) -> dict[str, object]:
    """A persona or style; v1. No page shows a failed one."""
    status = job.state(RUNNING_V1, "Ready" if job.ending is None else "failed")
    about = {"id": job.id, "created": int(job.created), "name": job.facts["name"], "status": status}
    if status != "Ready":
        return {**about, "progress": 50}
    return {**about, "progress": 100, "temp_portrait_url": f"https://cdn.pikzels.example/temp/{job.id}.jpg"}


def thumbnail(call: Call) -> Response:
    """A picture, at once. A persona or style in the request must be a UUID."""
    _checked(call)
    for field, code in (("persona", "INVALID_PERSONA"), ("style", "INVALID_STYLE")):
        value = call.body.text(field)
        if value is not None and not _is_uuid(value):
            raise Refused(code)
    return _output(call, f"https://cdn.pikzels.example/{call.asked.request_id}.png")


def title(call: Call) -> Response:
    """A title, at once."""
    _checked(call)
    return _output(call, "I Bought My Own Island (And Regret It)")


def score(call: Call) -> Response:
    """A score, at once."""
    _checked(call)
    subscores = {"clarity": 82, "curiosity": 85, "emotion": 76, "idea": 79, "virality": 88}
    result = {"main_score": 84, "subscores": subscores, "suggestion": "Increase contrast in the center."}
    return bodies.answer({**result, "request_id": call.asked.request_id})


def _checked(call: Call) -> None:
    if call.body.size > MOST_BODY_BYTES:
        raise Refused("IMAGE_TOO_LARGE")
    if call.body.fields is None and not call.body.unread:
        raise Refused("VALIDATION_ERROR", field=Field("body", "Expected an object"))
    if call.asked.path.endswith("/text") and not call.body.unread and not call.body.text("prompt"):
        raise Refused("VALIDATION_ERROR", field=BAD_PROMPT)


def _output(call: Call, output: str) -> Response:
    known = {"request_id": call.asked.request_id} if call.asked.surface is None else {}
    return bodies.answer({"output": output, **known})


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
