"""
Plain values into the models; pydantic's errors into sentences with a mend.

What is wrong is taken out, or filled in where it is required, until the rest validates: the checks of combinations then
see all that is right.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .faults import Fault, KeyPath
from .keys import keys_at
from .models import Settings
from .values import MAPPING, WORD, closest, is_shown, shown, suggestion

# Steps of pydantic's path that no file has: the branch of a union, and "it is the key itself".
STEPS_OF_OURS = frozenset({WORD, MAPPING, "[key]"})

# Stand-ins for required keys that are missing or wrong, so that their siblings can still be checked.
STAND_INS: Mapping[str, object] = {
    "base_url": "https://stand-in.invalid",
    "name": "stand-in",
    "path": "/stand-in",
    "header": "X-Stand-In",
    "value": "stand-in",
    "key_sha256": "0" * 64,
    "failures": 1,
    "open_for": "1s",
    "house": "conflict",
    "at": "/stand-in",
    "equals": "stand-in",
    "list": "/stand-in",
    "route": "stand-in",
}
EXAMPLES = {
    "base_url": "write the vendor's URL, as in https://api.example.com",
    "key_sha256": "write the digests of the caller's keys; `errgate new-key` makes one",
}


def _but(what: str) -> Callable[[ErrorDetails], str]:
    """Say what it must be, and what it is instead, where that may be shown."""

    def tell(error: ErrorDetails) -> str:
        value = error["input"]
        instead = f", not {shown(value)}" if is_shown(value) else ""
        return f"must be {what.format_map(error.get('ctx', {}))}{instead}"

    return tell


def _mapping(error: ErrorDetails) -> str:
    if error["input"] is None:
        return "is empty; give it keys, or take it away"
    return "must be a mapping, as in {key: value}"


def _missing(error: ErrorDetails) -> str:
    key = str(error["loc"][-1])
    return f"is missing; {EXAMPLES.get(key, 'add it')}"


SENTENCES: Mapping[str, Callable[[ErrorDetails], str]] = {
    "missing": _missing,
    "value_error": lambda error: str(error["ctx"]["error"]),
    "literal_error": lambda error: _but("{expected}")(error).replace("'", ""),
    "string_type": lambda error: _but("text")(error) + "; put it in quotes",
    "int_type": _but("a whole number"),
    "bool_type": _but("true or false"),
    "greater_than_equal": _but("at least {ge}"),
    "less_than_equal": _but("at most {le}"),
    "too_short": lambda _: "must have at least one entry",
    "tuple_type": lambda _: "must be a list, as in [a, b]",
    **dict.fromkeys(("model_type", "dict_type", "mapping_type"), _mapping),
}


def validate(data: object, directory: Path) -> tuple[Settings, list[Fault], set[KeyPath]]:
    """
    Build the settings out of all that is right; the faults of the rest, and the keys they are about.

    `data` is used up; `directory` is where relative file names begin.
    """
    if not isinstance(data, dict):
        return Settings(), [Fault((), "must be a mapping that begins with a key, as in vendors:")], {()}
    faults: list[Fault] = []
    broken: set[KeyPath] = set()
    while True:
        try:
            return Settings.model_validate(data, context={"directory": directory}), faults, broken
        except ValidationError as refused:
            errors = [(_path(error["loc"], data), error) for error in refused.errors(include_url=False)]
        # The first round finds everything; later ones only meet the holes that it left.
        if not broken:
            broken = set(_meant(errors))
            faults = list(_faults(errors, broken))
        broken |= {path for path, _ in errors}
        if not [path for path, error in errors if _mend(data, path, missing=error["type"] == "missing")]:
            # Nothing of it can be used; no file is known to lead here.
            return Settings(), faults, {()}


def _path(steps: KeyPath, data: object) -> KeyPath:
    """Turn pydantic's path into the file's."""
    path: list[str | int] = []
    here: Any = data
    for step in steps:
        # One that stands for a list of one has no index; the branches of a union of scalars have names.
        if (
            step in STEPS_OF_OURS
            or not isinstance(here, dict | list)
            or isinstance(step, int) != isinstance(here, list)
        ):
            continue
        path.append(step)
        here = here[int(step)] if isinstance(here, list) else here.get(step)
    return tuple(path)


def _meant(errors: Sequence[tuple[KeyPath, ErrorDetails]]) -> Iterator[KeyPath]:
    """Find the keys that were misspelt: what they say is not known, but they are not missing."""
    for path, error in errors:
        close = closest(str(path[-1]), keys_at(Settings, path[:-1])) if error["type"] == "extra_forbidden" else None
        if close:
            yield (*path[:-1], close)


def _faults(errors: Sequence[tuple[KeyPath, ErrorDetails]], meant: Collection[KeyPath]) -> Iterator[Fault]:
    """Tell each error once."""
    for path, error in errors:
        # Of a list whose only entry is wrong, pydantic also says that it is too short.
        if error["type"] == "too_short" and sum(other[: len(path)] == path for other, _ in errors) > 1:
            continue
        if error["type"] != "missing" or path not in meant:
            yield Fault(path, _sentence(path, error))


def _sentence(path: KeyPath, error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        known = sorted(keys_at(Settings, path[:-1]))
        return f"unknown key{suggestion(str(path[-1]), known) or '; known here: ' + ', '.join(known)}"
    tell = SENTENCES.get(error["type"])
    return tell(error) if tell else f"cannot be used: {error['msg']}"


def _mend(data: object, path: KeyPath, *, missing: bool) -> bool:
    """
    Take out what is wrong, with the list it is in; a required key that is missing gets its stand-in.

    Tells whether there was something to take out: of two faults in one list the second finds the list gone.
    """
    *above, last = path
    parent: Any = data
    for step in above:
        try:
            parent = parent[step]
        except (KeyError, IndexError):
            return False
    if isinstance(parent, list):
        return _mend(data, tuple(above), missing=False)
    if missing and last in STAND_INS:
        parent[last] = STAND_INS[str(last)]
        return True
    return parent.pop(last, parent) is not parent
