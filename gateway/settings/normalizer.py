"""
`normalizer` as a mapping: a vendor described by settings.

Only the shape is checked here; `normalizers` turns it into a vendor.
"""

import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag

from .places import HeaderName, Name
from .routes import House, Pointer, Pointers, RouteSettings, Scalar
from .values import MAPPING, NUMBER, WORD, Flag, Many, Model, matching, shown, text, word_or_mapping


def _regex(value: str) -> str:
    try:
        with warnings.catch_warnings():
            # What a later Python will read in another way is no rule to keep traffic by.
            warnings.simplefilter("error")
            re.compile(value)
    except (re.error, Warning, RecursionError, OverflowError) as error:
        raise ValueError(f"{shown(value)} is no regular expression ({error}); see Python's `re`") from None
    return value


def _scalar(value: object) -> object:
    if isinstance(value, dict | list):
        raise ValueError("must be one value: text, a number, true, false or null")  # noqa: TRY004  (pydantic reads ValueError)
    return value


Regex: TypeAlias = Annotated[str, text(_regex)]
Status: TypeAlias = Annotated[int, Field(ge=100, le=599), NUMBER]
ErrorStatus: TypeAlias = Annotated[str, matching("[45][0-9][0-9]", "a status from 400 to 599")]


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
