"""
What there is to know about a vendor: its table, where its replies say what, its routes.

All of it is data, so that a vendor described in the settings can say everything that a built-in one can. Pointers are
JSON Pointers, tried in order. It is one file because it is one vocabulary: types, hardly a line of code.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast

from ._codes import HouseCode
from ._problem import FieldError
from ._reply import Reply

Kind = Literal["http", "job"]
# A house code and, after it, what the same answer means where the credential is the caller's own.
Houses = HouseCode | tuple[HouseCode, HouseCode]

# The key itself is refused; the account behind it is; the key lacks a right.
KEY_REFUSED = HouseCode.VENDOR_ACCOUNT_ERROR, HouseCode.UNAUTHENTICATED
ACCOUNT_REFUSED = HouseCode.VENDOR_ACCOUNT_ERROR, HouseCode.PERMISSION_DENIED
RIGHT_MISSING = HouseCode.VENDOR_ACCESS_DENIED, HouseCode.PERMISSION_DENIED


class Record:
    """What is frozen, and goes from process to process all the same: it is made anew of what it was made of."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type["Record"], tuple[object, ...]]:
        made_of = [each.name for each in fields(cast("Any", self)) if each.init]
        return type(self), tuple([getattr(self, name) for name in made_of])


@dataclass(frozen=True, slots=True)
class Row(Record):
    """
    A row of a vendor's table: its code as it spells it, and the house code that it becomes.

    `description` and `advice` are the vendor's own words. `without_credential` replaces `house` where the credential
    is the caller's own. `status` is the documented HTTP status, if any.
    """

    code: str
    house: HouseCode
    kind: Kind
    description: str
    advice: str = ""
    without_credential: HouseCode | None = None
    status: int | None = None


def http(status: int | None, code: str, houses: Houses, description: str, advice: str = "") -> Row:
    """A row for an answer with an error status, in the order of the vendors' pages."""
    house, own = houses if isinstance(houses, tuple) else (houses, None)
    return Row(code, house, "http", description, advice, own, status)


def job(code: str, house: HouseCode, description: str, advice: str = "") -> Row:
    """A row for a failure inside a job payload."""
    return Row(code, house, "job", description, advice)


@dataclass(frozen=True, slots=True)
class StatusRow(Record):
    """What a bare status becomes, and what where the credential is the caller's own."""

    house: HouseCode
    without_credential: HouseCode | None = None


@dataclass(frozen=True, slots=True)
class Pattern(Record):
    """
    A house code for what the table does not know.

    The regex is searched in the vendor's code, with `message` in its message too, and in the strings at or under `at`;
    with `statuses` only in answers of these.
    """

    regex: re.Pattern[str]
    house: HouseCode
    at: tuple[str, ...] = ()
    statuses: frozenset[int] = frozenset()
    message: bool = False


@dataclass(frozen=True, slots=True)
class FieldPlaces(Record):
    """Where the list of wrong fields is and, inside one of its members, which field it is and what is wrong with it."""

    list: tuple[str, ...] = ()
    pointer: tuple[str, ...] = ("/pointer", "/field", "/path", "/loc", "/name", "/param")
    detail: tuple[str, ...] = ("/message", "/detail", "/msg", "/why", "/error")


@dataclass(frozen=True, slots=True)
class Places(Record):
    """
    Where a vendor's error body says what.

    `detail` is its error object; where that is not said, the member `error` if it is an object, else the whole body.
    Header names are in lower case. `reset_headers` count for a rate or quota code only.
    """

    code: tuple[str, ...] = ()
    message: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()
    retry_after: tuple[str, ...] = ()
    request_id: tuple[str, ...] = ()
    errors: FieldPlaces = FieldPlaces()
    request_id_headers: tuple[str, ...] = ("x-request-id",)
    reset_headers: tuple[str, ...] = ("x-ratelimit-reset",)


@dataclass(frozen=True, slots=True)
class Failure(Record):
    """
    How a job payload says that it failed.

    The state `at` is one of `equals`; or there is a code, which counts `by_code` and where no state is looked at. With
    `items` (pointers to lists) this is asked of each member of the first list. `otherwise` is the house code of a
    failure whose code says nothing. `done` are the states of a job that ended well, and `partial` points to a number
    that is above 0 when only a part did.
    """

    at: tuple[str, ...] = ()
    equals: frozenset[str] = frozenset()
    code: tuple[str, ...] = ()
    message: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    by_code: bool = False
    otherwise: HouseCode = HouseCode.WORK_FAILED
    done: frozenset[str] = frozenset()
    partial: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # States are compared in any case, as codes are.
        for name in ("equals", "done"):
            object.__setattr__(self, name, frozenset(map(str.lower, getattr(self, name))))


@dataclass(frozen=True, slots=True)
class Route(Record):
    """
    A named set of a vendor's methods and paths.

    In a path `*` is one segment, and the whole matches the end of the upstream path. No methods: any; GET includes
    HEAD. `timeouts` are in seconds by the names of the settings. `refused`: nobody may use it through the gateway.
    """

    name: str
    methods: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    job: tuple[Failure, ...] = ()
    refused: bool = False
    timeouts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SuccessError(Record):
    """
    A 200 on this route that is an error.

    With `statuses`, the integer or digits at the pointer are the status (400..599) that the vendor meant. Else the
    reply is an error when the value there is `equals`; it names no status, so unless code or pattern decide it counts
    as a 400: a vendor that answers 200 works, and what it refuses is the request.
    """

    route: str
    at: str
    equals: object | None = None
    statuses: bool = False


@dataclass(slots=True, init=False, repr=False)
class Finding:
    """
    What a vendor said, in its own words, unsafe still. Every part may be missing.

    `retry_after` comes from the header or the body, `reset_after` from a reset header; both in seconds. `details` is
    the vendor's error object and `body` the whole of it, parsed. `unreadable`: neither empty nor a JSON object.
    """

    code: str | None
    message: str | None
    request_id: str | None
    retry_after: int | None
    reset_after: int | None
    errors: tuple[FieldError, ...]
    details: object | None
    body: object | None
    unreadable: bool

    # Written out: each error makes one, and what `dataclass` writes is slow and never compiled.
    def __init__(  # noqa: PLR0913  (a record)
        self,
        code: str | None = None,
        message: str | None = None,
        request_id: str | None = None,
        *,
        retry_after: int | None = None,
        reset_after: int | None = None,
        errors: tuple[FieldError, ...] = (),
        details: object = None,
        body: object = None,
        unreadable: bool = False,
    ) -> None:
        self.code = code
        self.message = message
        self.request_id = request_id
        self.retry_after = retry_after
        self.reset_after = reset_after
        self.errors = errors
        self.details = details
        self.body = body
        self.unreadable = unreadable


@dataclass(frozen=True, slots=True)
class Vendor(Record):
    """
    A vendor, whole.

    `name` is its key in settings and metrics, `title` how a person writes it. `credential_hint` is the header that
    carries its key and the form of the value, `source` where its facts come from and when they were read. `finder`
    replaces the reading of `places` for a vendor whose replies pointers cannot describe; it must survive any body.
    """

    name: str
    title: str
    rows: tuple[Row, ...] = ()
    places: Places = Places()
    patterns: tuple[Pattern, ...] = ()
    statuses: Mapping[int, StatusRow] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    errors_in_success: tuple[SuccessError, ...] = ()
    credential_hint: tuple[str, str] | None = None
    base_url: str = ""
    source: str = ""
    finder: Callable[[Reply], Finding] | None = None
    _index: Mapping[str, Row] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Of two rows with one spelling the first, the current document's, counts.
        index = {_spelling(row.code): row for row in reversed(self.rows)}
        object.__setattr__(self, "_index", index)

    def row(self, code: str | None) -> Row | None:
        """The row of a vendor code: unescaped, trimmed, in any case; else that of its part before the first dot."""
        if code is None:
            return None
        spelling = _spelling(code)
        return self._index.get(spelling) or self._index.get(spelling.partition(".")[0])


def _spelling(code: str) -> str:
    """What two spellings of a code have in common. Some documents escape underscores, and some servers copied them."""
    return code.replace("\\", "").strip().lower()
