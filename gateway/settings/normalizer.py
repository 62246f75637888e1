"""
`normalizer` as a mapping: a vendor described by settings, and the routes of any vendor.

Only the shape is checked here; `normalizers` turns it into a vendor. Pointers are JSON Pointers, tried in order.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from normalizers import HouseCode

from .places import HeaderName, Method, Name
from .values import (
    MAPPING,
    NUMBER,
    ONE_OR_MANY,
    WORD,
    Duration,
    Flag,
    Many,
    Model,
    matching,
    shown,
    suggestion,
    text,
    word_or_mapping,
)

HOUSE_CODES = [house.code for house in HouseCode]


def _house_code(value: str) -> str:
    if value not in HOUSE_CODES:
        mend = suggestion(value, HOUSE_CODES) or "; `errgate codes` lists them"
        raise ValueError(f"{shown(value)} is no house code{mend}")
    return value


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{shown(value)} is no regular expression ({error}); see Python's `re`") from None
    return value


def _scalar(value: object) -> object:
    if isinstance(value, dict | list):
        raise ValueError("must be one value: text, a number, true, false or null")  # noqa: TRY004  (pydantic reads ValueError)
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
Regex: TypeAlias = Annotated[str, text(_regex)]
Words: TypeAlias = Annotated[Many[str], BeforeValidator(_words, json_schema_input_type=Scalar | list[Scalar])]
Status: TypeAlias = Annotated[int, Field(ge=100, le=599), NUMBER]
ErrorStatus: TypeAlias = Annotated[str, matching("[45][0-9][0-9]", "a status from 400 to 599")]
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


class FieldErrors(Model):
    """`errors`: where the vendor names the fields that it refused."""

    list: Pointers
    """Where the list is."""
    pointer: Pointers = ()
    """Inside an item, the field's name or path."""
    detail: Pointers = ()
    """Inside an item, what is wrong with the field."""


class CodeRow(Model):
    """A row of `codes`: what a vendor code becomes."""

    house: House
    """The house code."""
    without_credential: House | None = None
    """The house code instead where the caller's own credential was used."""
    kind: Literal["http", "job"] = "http"
    """Whether the code comes in an error reply or inside a job."""
    status: Status | None = None
    """The status the vendor documents for it."""
    description: str = ""
    """What the vendor says it means."""
    advice: str = ""
    """What the vendor says to do."""


class StatusRule(Model):
    """A row of `statuses`: what a bare status becomes."""

    house: House
    """The house code."""
    without_credential: House | None = None
    """The house code instead where the caller's own credential was used."""


class PatternRule(Model):
    """A row of `patterns`: what a text that matches becomes."""

    house: House
    """The house code."""
    at: Pointers = ()
    """Where the texts are; empty: the vendor's code, then its message."""
    statuses: Many[Status] = ()
    """Only for these statuses; empty: any."""


class SuccessErrorRule(Model):
    """A row of `errors_in_success`: a 2xx that is an error."""

    route: Name
    """The route whose successes are looked into."""
    at: Pointer
    """Where to look."""
    equals: Annotated[Scalar, BeforeValidator(_scalar)] = None
    """The value that means an error."""
    statuses: Flag = False
    """Whether a number of 400 to 599 there is the status to answer with."""


CodeMeaning: TypeAlias = Annotated[
    Annotated[House, Tag(WORD)] | Annotated[CodeRow, Tag(MAPPING)], Discriminator(word_or_mapping)
]
StatusMeaning: TypeAlias = Annotated[
    Annotated[House, Tag(WORD)] | Annotated[StatusRule, Tag(MAPPING)], Discriminator(word_or_mapping)
]
PatternMeaning: TypeAlias = Annotated[
    Annotated[House, Tag(WORD)] | Annotated[PatternRule, Tag(MAPPING)], Discriminator(word_or_mapping)
]


class Described(Model):
    """A vendor described by settings, or, with `extends`, what is added to a known one."""

    extends: str | None = None
    """The known vendor whose rows stand below these; null: none."""
    title: str | None = None
    """The vendor's name in sentences; null: its name in the settings."""
    code: Pointers = ()
    """Where the vendor's code is."""
    message: Pointers = ()
    """Where the vendor's message is."""
    detail: Pointers = ()
    """Where the error object is that goes into `vendor_error.details`."""
    retry_after: Pointers = ()
    """Where the delay in seconds is."""
    request_id: Pointers = ()
    """Where the vendor's request id is."""
    request_id_headers: Many[HeaderName] = ()
    """Headers with the vendor's request id; empty: X-Request-Id."""
    reset_headers: Many[HeaderName] = ()
    """Headers that say when a rate limit or quota is free again; empty: X-RateLimit-Reset."""
    errors: FieldErrors | None = None
    """Where the vendor names the fields that it refused."""
    codes: Mapping[str, CodeMeaning] = {}
    """What each vendor code becomes: a house code, or a mapping that says more."""
    patterns: Mapping[Regex, PatternMeaning] = {}
    """What a text that matches a regular expression becomes."""
    statuses: Mapping[ErrorStatus, StatusMeaning] = {}
    """What a bare status becomes."""
    routes: Many[RouteSettings] = ()
    """The vendor's routes."""
    errors_in_success: Many[SuccessErrorRule] = ()
    """Successes that are errors."""


def _name(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be the name of a normalizer, or a mapping")  # noqa: TRY004  (pydantic reads ValueError)
    return value


Normalizer: TypeAlias = Annotated[
    Annotated[str, BeforeValidator(_name), Tag(WORD)] | Annotated[Described, Tag(MAPPING)],
    Discriminator(word_or_mapping),
]
