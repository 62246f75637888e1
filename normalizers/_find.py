"""The finder: reads what a vendor's reply says from its places. One for all vendors."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from urllib.parse import quote, unquote

from ._delay import retry_after, seconds
from ._problem import FieldError
from ._reply import Reply, found, text
from ._vendor import FieldPlaces, Finding, Places, Vendor

# Contract 5.
CODE_LIMIT = 128
ERRORS_LIMIT = 50
# A vendor request id longer than a code is none.
_ID_LIMIT = CODE_LIMIT
# No form has deeper fields or longer names; both bound the work on hostile ones.
_STEPS_LIMIT = 32
_POINTER_LIMIT = 1_024
# Where the vendor's error object is, if the places do not say.
_USUAL_DETAIL = ("/error",)
# What RFC 3986 lets stand in a fragment, but for "/", which separates the steps.
_FRAGMENT = "~!$&'()*+,;=:@?"


def find(vendor: Vendor, reply: Reply) -> Finding:
    """What the vendor said. Never raises, whatever the reply holds."""
    if vendor.finder is not None:
        try:
            return vendor.finder(reply)
        except Exception:  # noqa: BLE001  a package's finder must not cost the status that the vendor did give
            return Finding(unreadable=True)
    parsed = reply.json()
    body = parsed if isinstance(parsed, dict) else {}
    places, headers = vendor.places, reply.headers
    message = text(body, places.message)
    return Finding(
        code=code_at(body, places.code)[1],
        message=message,
        request_id=_header_id(headers, places) or id_at(body, places.request_id),
        retry_after=_retry_after(body, places, reply),
        reset_after=_longest([seconds(headers[name], reply.now) for name in places.reset_headers if name in headers]),
        errors=_errors(body, places, message),
        details=_error_object(body, places),
        body=body,
        unreadable=reply.unreadable or (bool(reply.body) and not isinstance(parsed, dict)),
    )


def code_at(value: object, pointers: tuple[str, ...]) -> tuple[str | None, str | None]:
    """The first of these places that holds a code, and the code: a string of 1 to 128 characters between its blanks."""
    for pointer, member in found(value, pointers):
        if isinstance(member, str) and 0 < len(code := member.strip()) <= CODE_LIMIT:
            return pointer, code
    return None, None


def id_at(value: object, pointers: tuple[str, ...]) -> str | None:
    """The first of these places that holds an id: an integer, or a string that is not too long for one."""
    for _, member in found(value, pointers):
        if isinstance(member, str | int) and not isinstance(member, bool) and 0 < len(str(member)) <= _ID_LIMIT:
            return str(member)
    return None


def _header_id(headers: Mapping[str, str], places: Places) -> str | None:
    for name in places.request_id_headers:
        if name in headers and 0 < len(headers[name]) <= _ID_LIMIT:
            return headers[name]
    return None


def _retry_after(body: object, places: Places, reply: Reply) -> int | None:
    delays = [seconds(member, reply.now) for _, member in found(body, places.retry_after)]
    if "retry-after" in reply.headers:
        delays.append(retry_after(reply.headers["retry-after"], reply.now))
    return _longest(delays)


def _longest(delays: list[int | None]) -> int | None:
    return max((delay for delay in delays if delay is not None), default=None) if delays else None


def _error_object(body: object, places: Places) -> object:
    """The vendor's error object; the whole body where errors are flat."""
    for _, member in found(body, places.detail or _USUAL_DETAIL):
        if isinstance(member, dict | list):
            return member
    return body


def _errors(body: object, places: Places, message: str | None) -> tuple[FieldError, ...]:
    """The wrong fields, from the first place that names any."""
    for _, value in found(body, places.errors.list):
        # What the message has said already is no second error.
        if value != message and (errors := tuple(islice(_fields(value, places.errors), ERRORS_LIMIT))):
            return errors
    return ()


def _fields(value: object, places: FieldPlaces) -> Iterator[FieldError]:
    """Wrong fields in every form that vendors use: a text, an object, {field: text or texts}, a list of any of them."""
    for member in value[:ERRORS_LIMIT] if isinstance(value, list) else [value]:
        if isinstance(member, str) and member.strip():
            yield FieldError(member)
        elif detail := text(member, places.detail):
            where = (_pointer(place) for _, place in found(member, places.pointer))
            yield FieldError(detail, next((pointer for pointer in where if pointer), None))
        elif isinstance(member, dict):
            for name, said in islice(member.items(), ERRORS_LIMIT):
                for one in said[:ERRORS_LIMIT] if isinstance(said, list) else [said]:
                    if detail := one if isinstance(one, str) and one.strip() else text(one, places.detail):
                        yield FieldError(detail, _pointer(name))


def _pointer(place: object) -> str | None:
    """The URI fragment of a JSON Pointer to a field that is named "age", "a.0.b", "a[0].b", "#/a/0/b" or in a list."""
    if isinstance(place, str):
        steps = _steps(place.strip()[:_POINTER_LIMIT])
    elif isinstance(place, list):
        steps = [str(step) for step in place[: _STEPS_LIMIT + 2] if isinstance(step, str | int)]
        # FastAPI's first step says where the field came from; alone it is the body as a whole.
        if steps[:1] == ["body"]:
            return _fragment(steps[1:])
    else:
        return None
    return _fragment(steps) if steps else None


def _steps(name: str) -> list[str]:
    plain = unquote(name[1:]) if name.startswith("#") else name
    if plain.startswith("/"):
        return [step.replace("~1", "/").replace("~0", "~") for step in plain[1:].split("/")]
    return [step for step in re.split(r"[.\[\]]+", plain) if step not in {"", "$"}]


def _fragment(steps: list[str]) -> str | None:
    """The steps, escaped for the pointer and for the URI. Half a pointer points elsewhere, so a long one is none."""
    escaped = (quote(step.replace("~", "~0").replace("/", "~1"), _FRAGMENT, errors="replace") for step in steps)
    fragment = "#" + "".join(f"/{step}" for step in escaped) if len(steps) <= _STEPS_LIMIT else ""
    return fragment if 0 < len(fragment) <= _POINTER_LIMIT else None
