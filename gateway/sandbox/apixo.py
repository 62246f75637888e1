"""
APIXO, one API for many generation models. `/api/v1` may be left out.

Written from its docs: Authentication, Generate Task, Status Task, Response Format, System, both pages of error codes.
A task is pending, then processing, then success or failed, one state a poll. Times are Unix milliseconds.
"""

import json
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from . import bodies
from .apixo_errors import ERRORS, SHAPES, STRAY, tell
from .asking import Asked
from .catalogue import Example
from .jobs import Job, Jobs, ended
from .simulator import Call, Endpoint, Field, Refused, Simulator, simulate

BASE_PATH = "/api/v1"
CREDENTIAL = ("Authorization", "Bearer sandbox")
# An error that the vendor hides in an HTTP 200.
EXAMPLE = Example("POST", "/generateTask/nano-banana", "400@200", '{"request_type":"async","input":{"prompt":""}}')
JOB_EXAMPLE = Example("GET", "/statusTask/nano-banana?taskId=task_demo", "NSFW_DETECTED")

RUNNING = ("pending", "processing")
COST_MILLISECONDS = 12_500
BALANCE_USD = 74.87


def create(clock: Callable[[], float]) -> Starlette:
    """APIXO with no tasks."""
    apixo = Apixo()
    return simulate(
        Simulator(
            shapes=SHAPES,
            errors=ERRORS,
            endpoints=(
                Endpoint("POST", "/generateTask/{model}", apixo.generate, jobs=True),
                Endpoint("GET", "/statusTask/{model}", apixo.status, jobs=True),
                Endpoint("GET", "/apikeys/current-balance", balance),
            ),
            tell=tell,
            authenticate=authenticate,
            stray=STRAY,
            clock=clock,
            prefixes=("", BASE_PATH),
        )
    )


def authenticate(request: Request, asked: Asked) -> None:  # noqa: ARG001  (every vendor's takes both)
    """Any `Bearer` key will do, since no prefix is documented; one that begins with "revoked" will not."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip() or key.strip().startswith("revoked"):
        raise Refused("401")


class Apixo:
    """The endpoints that remember their tasks."""

    def __init__(self) -> None:
        self.tasks = Jobs()

    def generate(self, call: Call) -> Response:
        """A new task."""
        fields = call.body.fields or {}
        if not call.body.unread and not isinstance(fields.get("input"), dict):
            raise Refused("400", field=Field("input", "must be an object"))
        if fields.get("request_type", "async") not in ("async", "callback"):
            raise Refused("400", field=Field("request_type", "must be async or callback"))
        task = self.tasks.create("task", call.asked.at, call.asked.ending, prefix="task_")
        return _answer({"taskId": task.id})

    def status(self, call: Call) -> Response:
        """A task, one state further. A failure wished for is shown at once, whoever created the task."""
        task_id = call.request.query_params.get("taskId", "")
        if call.asked.ending is not None:
            return _answer(payload(ended(task_id, "task", call.asked.at, call.asked.ending)))
        if not task_id:
            raise Refused("400", field=Field("taskId", "is required"))
        task = self.tasks.get(task_id)
        if task is None:
            raise Refused("404")
        return _answer(payload(task.polled()))


def payload(task: Job) -> dict[str, object]:
    """`data` of a task: each state has members of its own."""
    state = task.state(RUNNING, "success" if task.ending is None else "failed")
    created = int(task.created * 1000)
    data: dict[str, object] = {"taskId": task.id, "state": state, "createTime": created}
    if state == "success":
        urls = {"resultUrls": [f"https://cdn.apixo.example/output/{task.id}.jpg"]}
        data |= {"resultJson": json.dumps(urls), "costTime": COST_MILLISECONDS}
    if state == "failed" and task.ending is not None:
        code = task.ending.code if task.ending.kind == "job" else None
        data |= {"failCode": code, "failMsg": task.ending.message}
    return data if state in RUNNING else {**data, "completeTime": created + COST_MILLISECONDS}


def balance(call: Call) -> Response:  # noqa: ARG001  (every endpoint takes its call)
    """US dollars; here `data` is a number."""
    return _answer(BALANCE_USD)


def _answer(data: object) -> Response:
    return bodies.answer({"code": 200, "message": "success", "data": data})
