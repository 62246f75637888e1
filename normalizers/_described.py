"""
A vendor from a mapping, as the settings have it under `normalizer` (contract 3).

    title                                            the vendor's name in sentences
    code, message, retry_after, request_id, detail   where a reply says what: a JSON Pointer or a list of them
    errors                                           {list, pointer, detail}, the latter two inside a member of the list
    request_id_headers, reset_headers                names of header fields
    codes, statuses, patterns                        {code, status or regex: a house code, or a mapping that says more}
    routes                                           [{name, methods, path, job, refused, timeouts}]
    errors_in_success                                [{route, at, equals} or {route, at, statuses: true}]

One small reader per part; together they mirror `_vendor`. The settings check shapes and name every fault in one run;
the checks here are for a package that calls this itself.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from ._codes import HouseCode
from ._vendor import Failure, FieldPlaces, Pattern, Places, Route, Row, StatusRow, SuccessError, Vendor

_Value = TypeVar("_Value")
_KINDS: Mapping[type, str] = {str: "text", int: "a whole number", bool: "true or false"}


def describe(name: str, mapping: Mapping[str, object], base: Vendor | None = None) -> Vendor:
    """
    The vendor that a mapping describes; with `base` that vendor, with rows added or overridden.

    Own rows, patterns, routes and errors in a success come before those of the base; a place that is given replaces
    the base's.

    Raises:
        ValueError: the first thing that is wrong, as "codes.NEW: 'x' is no house code".

    """
    said, known = _Part("", mapping), base or Vendor(name, name)
    said.has_only(
        "extends title code message retry_after request_id detail errors request_id_headers reset_headers "
        "codes statuses patterns routes errors_in_success"
    )
    rows = {code.lower(): _row(code, row, known) for code, row in said.table("codes")}
    statuses = {_status(row, status): _status_row(row) for status, row in said.table("statuses")}
    return replace(
        known,
        name=name,
        title=said.one("title", str, known.title),
        rows=(*rows.values(), *(row for row in known.rows if row.code.lower() not in rows)),
        places=_places(said, known.places),
        patterns=(*(_pattern(regex, row) for regex, row in said.table("patterns")), *known.patterns),
        statuses={**known.statuses, **statuses},
        routes=(*map(_route, said.parts("routes")), *known.routes),
        errors_in_success=(*map(_success_error, said.parts("errors_in_success")), *known.errors_in_success),
    )


class _Part:
    """A mapping inside the description, with its path for messages."""

    def __init__(self, path: str, value: object) -> None:
        self.path = path
        if not isinstance(value, Mapping):
            raise ValueError(f"{path}: must be a mapping")  # noqa: TRY004  the one kind of fault that callers expect
        self.members: Mapping[object, object] = value

    def key(self, key: object) -> str:
        """The path of a member."""
        return f"{self.path}.{key}" if self.path else str(key)

    def has_only(self, keys: str) -> None:
        """Refuse any other key."""
        for key in self.members:
            if key not in keys.split():
                raise ValueError(f"{self.key(key)}: is unknown; known are {', '.join(sorted(keys.split()))}")

    def one(self, key: str, kind: type[_Value], default: _Value) -> _Value:
        """A member of this type; the default where it is missing or null."""
        value = self.members.get(key)
        return default if value is None else _checked(self.key(key), value, kind)

    def many(self, key: str, kind: type[_Value]) -> tuple[_Value, ...]:
        """A member of this type, or a list of them."""
        value = self.members.get(key)
        values = value if isinstance(value, list | tuple) else () if value is None else (value,)
        return tuple(_checked(self.key(key), value, kind) for value in values)

    def pointers(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A JSON Pointer or a list of them."""
        pointers = self.many(key, str)
        for pointer in pointers:
            if not pointer.startswith("/"):
                raise ValueError(f"{self.key(key)}: {pointer!r} is no JSON Pointer; write it as /error/code")
        return pointers or default

    def house(self, key: str) -> HouseCode | None:
        """A house code, or None where it is not said."""
        spelled = self.one(key, str, "")
        try:
            return HouseCode.of(spelled) if spelled else None
        except KeyError:
            raise ValueError(f"{self.key(key)}: {spelled!r} is no house code") from None

    def becomes(self) -> HouseCode:
        """The house code that a row must have."""
        house = self.house("house")
        if house is None:
            raise ValueError(f"{self.key('house')}: is missing")
        return house

    def parts(self, key: str) -> tuple["_Part", ...]:
        """A mapping, or a list of them."""
        return tuple(_Part(self.key(f"{key}.{index}"), part) for index, part in enumerate(self.many(key, object)))

    def table(self, key: str) -> tuple[tuple[str, "_Part"], ...]:
        """The rows of a table, by their keys; a row that is only a text is its house code."""
        table = _Part(self.key(key), self.one(key, object, {}))
        rows = ((name, {"house": row} if isinstance(row, str) else row) for name, row in table.members.items())
        return tuple((str(name), _Part(table.key(name), row)) for name, row in rows)


def _checked(path: str, value: object, kind: type[_Value]) -> _Value:
    # true is no number, though bool is an int in Python.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind not in {bool, object}):
        raise ValueError(f"{path}: must be {_KINDS[kind]}")
    return value


def _places(said: _Part, known: Places) -> Places:
    errors = _Part(said.key("errors"), said.one("errors", object, {}))
    errors.has_only("list pointer detail")
    return Places(
        code=said.pointers("code", known.code),
        message=said.pointers("message", known.message),
        detail=said.pointers("detail", known.detail),
        retry_after=said.pointers("retry_after", known.retry_after),
        request_id=said.pointers("request_id", known.request_id),
        errors=FieldPlaces(
            errors.pointers("list", known.errors.list),
            errors.pointers("pointer", known.errors.pointer),
            errors.pointers("detail", known.errors.detail),
        ),
        request_id_headers=_lower(said.many("request_id_headers", str)) or known.request_id_headers,
        reset_headers=_lower(said.many("reset_headers", str)) or known.reset_headers,
    )


def _row(code: str, row: _Part, known: Vendor) -> Row:
    row.has_only("house without_credential kind status description advice")
    # What the vendor says about a code does not change with what the house makes of it.
    old = next((old for old in known.rows if old.code.lower() == code.lower()), None)
    kind = row.one("kind", str, old.kind if old else "http")
    if kind not in {"http", "job"}:
        raise ValueError(f"{row.key('kind')}: {kind!r} is neither http nor job")
    return Row(
        code,
        row.becomes(),
        "job" if kind == "job" else "http",
        row.one("description", str, old.description if old else ""),
        row.one("advice", str, old.advice if old else ""),
        row.house("without_credential"),
        row.one("status", int, old.status if old else None),
    )


def _status(row: _Part, status: str) -> int:
    if not (status.isascii() and status.isdigit()):
        raise ValueError(f"{row.path}: {status!r} is no status")
    return int(status)


def _status_row(row: _Part) -> StatusRow:
    row.has_only("house without_credential")
    return StatusRow(row.becomes(), row.house("without_credential"))


def _pattern(regex: str, row: _Part) -> Pattern:
    row.has_only("house at statuses")
    at = row.pointers("at")
    try:
        compiled = re.compile(regex)
    except re.error as error:
        raise ValueError(f"{row.path}: is no regular expression ({error})") from None
    return Pattern(compiled, row.becomes(), at, frozenset(row.many("statuses", int)), message=not at)


def _route(route: _Part) -> Route:
    route.has_only("name methods path job refused timeouts")
    timeouts = _Part(route.key("timeouts"), route.one("timeouts", object, {}))
    return Route(
        route.one("name", str, ""),
        frozenset(route.many("methods", str)),
        route.pointers("path"),
        tuple(map(_failure, route.parts("job"))),
        route.one("refused", bool, default=False),
        {str(key): seconds for key, seconds in timeouts.members.items() if isinstance(seconds, int | float)},
    )


def _failure(job: _Part) -> Failure:
    job.has_only("failed id code message items by_code otherwise done partial")
    failed = _Part(job.key("failed"), job.one("failed", object, {}))
    failed.has_only("at equals")
    return Failure(
        at=failed.pointers("at"),
        equals=frozenset(failed.many("equals", str)),
        code=job.pointers("code"),
        message=job.pointers("message"),
        id=job.pointers("id"),
        items=job.pointers("items"),
        by_code=job.one("by_code", bool, default=False),
        otherwise=job.house("otherwise") or HouseCode.WORK_FAILED,
        done=frozenset(job.many("done", str)),
        partial=job.pointers("partial"),
    )


def _success_error(entry: _Part) -> SuccessError:
    entry.has_only("route at equals statuses")
    at = entry.pointers("at")
    if len(at) != 1:
        raise ValueError(f"{entry.key('at')}: must be one JSON Pointer")
    if entry.members.get("equals") is None and not entry.one("statuses", bool, default=False):
        raise ValueError(f"{entry.path}: needs `equals`, or `statuses: true`")
    return SuccessError(
        entry.one("route", str, ""), at[0], entry.members.get("equals"), entry.one("statuses", bool, default=False)
    )


def _lower(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)
