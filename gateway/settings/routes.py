"""
Routes, own and described: methods, paths, deadlines, and how a payload says that a job failed.

Pointers are JSON Pointers, tried in order.
"""

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from normalizers import HouseCode

from .places import Method, Name
from .values import ONE_OR_MANY, Duration, Flag, Many, Model, matching, shown, suggestion, text

HOUSE_CODES = [house.code for house in HouseCode]


def _house_code(value: str) -> str:
    if value not in HOUSE_CODES:
        mend = suggestion(value, HOUSE_CODES) or "; `errgate codes` lists them"
        raise ValueError(f"{shown(value)} is no house code{mend}")
    return value


def _words(value: object) -> object:
    """Read a text, number or flag, or a list of them, as JSON would spell them in a string."""
    many = value if isinstance(value, list) else [] if value is None else [value]
    spelled = {True: "true", False: "false"}
    return [spelled[x] if isinstance(x, bool) else str(x) if isinstance(x, int | float) else x for x in many]


def _jobs(value: object) -> object:
    return [] if value is None else [value] if isinstance(value, dict) else value


Scalar: TypeAlias = str | int | float | bool | None
Pointer: TypeAlias = Annotated[str, matching("(/([^~/]|~[01])*)+", "a JSON Pointer, as in /error/code")]
Pointers: TypeAlias = Annotated[Many[Pointer], ONE_OR_MANY]
House: TypeAlias = Annotated[str, text(_house_code), WithJsonSchema({"type": "string", "enum": HOUSE_CODES})]
Words: TypeAlias = Annotated[Many[str], BeforeValidator(_words, json_schema_input_type=Scalar | list[Scalar])]
RoutePath: TypeAlias = Annotated[
    str,
    matching(
        r"(/(\*|(?:[A-Za-z0-9._~!$&'()+,;=:@-]|%[0-9A-Fa-f]{2})+))+/?",
        "a path such as /v1/jobs/*, in which * is one whole segment",
    ),
]


class RouteTimeouts(Model):
    """A route's own `timeouts`; null: the vendor's."""

    connect: Duration | None = None
    """Bounds the wait for a free connection, then the dialling."""
    first_byte: Duration | None = None
    """From the request's last byte to the first byte of the reply."""
    idle: Duration | None = None
    """The longest pause of a read or a write."""
    total: Duration | None = None
    """From the request to the reply's head."""
    max_duration: Duration | None = None
    """The whole exchange, the reply's body included."""

    def given(self) -> dict[str, float]:
        """Those that are set, in seconds."""
        return {key: seconds for key, seconds in self if seconds is not None}


class FailedWhen(Model):
    """`failed`: the state that says failed."""

    at: Pointers
    """Where the state is."""
    equals: Words
    """The states that mean failed."""


class Job(Model):
    """`job`: how a payload of this route says that the work failed."""

    failed: FailedWhen | None = None
    """The state that says failed."""
    id: Pointers = ()
    """Where the job's id is."""
    code: Pointers = ()
    """Where the failure's code is."""
    message: Pointers = ()
    """Where the failure's message is."""
    items: Pointers = ()
    """Lists inside each of whose items `at`, `code` and `message` are read."""
    by_code: Flag = False
    """Whether a code alone means that the work failed."""
    otherwise: House = "work_failed"
    """The house code of a failure without a known code."""
    done: Words = ()
    """The states that mean finished."""
    partial: Pointers = ()
    """Where a number above zero means that only a part failed."""


class RouteSettings(Model):
    """A named set of methods and paths."""

    name: Name
    """The route's name in limits, callers and metrics."""
    methods: Many[Method] = ()
    """Methods of the route, GET includes HEAD; empty: any."""
    path: Annotated[Many[RoutePath], Field(min_length=1), ONE_OR_MANY]
    """The end of the upstream path, or a list of such ends; `*` is one segment."""
    timeouts: RouteTimeouts = RouteTimeouts()
    """Deadlines of this route."""
    job: Annotated[Many[Job], BeforeValidator(_jobs, json_schema_input_type=Job | list[Job] | None)] = ()
    """How a payload of this route says that the work failed; one mapping or a list."""
    refused: Flag = False
    """Whether this route is refused with `permission_denied`."""
