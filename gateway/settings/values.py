"""
The words a settings file is written in: durations, sizes, shares, secrets, authorities, pointers.

Each type reads what YAML gave, says in one sentence what is wrong with it, and writes itself back for `/-/config`.
A sentence never repeats a value that came from the environment or a file.

One file: each type is a dozen lines, and they are looked up together.
"""

import json
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path, PosixPath
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    Strict,
    ValidationInfo,
    WithJsonSchema,
)

Item = TypeVar("Item")

DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)")
SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB)")
PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

# Branches of a union, as they stand in pydantic's path of an error; no key of a file looks like these.
WORD, MAPPING = "\0word", "\0mapping"

# A month: nothing here waits longer, and a timer of the event loop overflows far above it.
LONGEST_SECONDS = 31 * 24 * 3600.0
# Above the largest body of any vendor by orders of magnitude; below what a C `ssize_t` holds.
LARGEST_BYTES = 1 << 50

# Longer than any sensible value; a person recognises the rest.
SHOWN_CHARACTERS = 40


class Filled(str):
    """A string with something from the environment or a file in it: never repeated in a message."""

    __slots__ = ()


class FilledPath(PosixPath):
    """The name of a file with something from the environment or a file in it."""

    __slots__ = ()


class Model(BaseModel):
    """One mapping of the settings file: closed, frozen, no guessing of types."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


def is_shown(value: object) -> bool:
    """Whether a message may repeat a value: one scalar of the file, nothing that came from elsewhere."""
    return value is None or (isinstance(value, str | bool | int | float) and not isinstance(value, Filled))


def shown(value: object) -> str:
    """Show a value in a message, cut; or say that there is one."""
    if not is_shown(value):
        return "the value"
    if not isinstance(value, str):
        # As YAML writes them: true, false, null, 5, 1.5.
        return json.dumps(value)
    return f'"{value}"' if len(value) <= SHOWN_CHARACTERS else f'"{value[:SHOWN_CHARACTERS]}…"'


def shown_file(file: Path) -> str:
    """Name a file in a message; or say that there is one."""
    return "the file" if isinstance(file, FilledPath) else str(file)


def _quantity(value: object, form: re.Pattern[str], scales: dict[str, Any]) -> float | None:
    """Read a number and its unit; None for anything else."""
    found = form.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) * scales[found[2]] if found else None


def read_duration(value: object) -> float:
    """Read a duration as seconds, zero included."""
    seconds = _quantity(value, DURATION, SECONDS)
    if seconds is None:
        raise ValueError(f"{shown(value)} is no duration; write a number with its unit, as in 250ms, 5s, 2m or 1h")
    if seconds > LONGEST_SECONDS:
        raise ValueError(f"{shown(value)} is too long; at most {write_duration(LONGEST_SECONDS)}")
    return seconds


def read_positive_duration(value: object) -> float:
    """Read a duration as seconds, zero refused."""
    seconds = read_duration(value)
    if not seconds:
        raise ValueError(f"{shown(value)} would never let anything happen; write a duration above zero, as in 5s")
    return seconds


def write_duration(seconds: float) -> str:
    """Write seconds as the settings do: 250ms, 5s, 300s, 1h."""
    if seconds >= SECONDS["h"] and seconds % SECONDS["h"] == 0:
        return f"{seconds / SECONDS['h']:.0f}h"
    return f"{seconds:.0f}s" if seconds % 1 == 0 else f"{round(seconds * 1000, 3):g}ms"


def read_size(value: object) -> int:
    """Read a size as bytes; a plain whole number is bytes."""
    if isinstance(value, Filled) and value.isdecimal():
        value = int(value[:20])
    found = None if isinstance(value, bool) else value if isinstance(value, int) else _quantity(value, SIZE, BYTES)
    if found is None:
        raise ValueError(f"{shown(value)} is no size; write a whole number with its unit, as in 64KiB or 20MiB")
    if not 0 < found <= LARGEST_BYTES:
        raise ValueError(f"{shown(value)} is out of range; write a size from 1B to {write_size(LARGEST_BYTES)}")
    return int(found)


def write_size(octets: int) -> str:
    """Write bytes as the settings do: 64KiB, 32MiB, 700B."""
    unit = next(unit for unit in ("GiB", "MiB", "KiB", "B") if octets % BYTES[unit] == 0)
    return f"{octets // BYTES[unit]}{unit}"


def read_share(value: object) -> float:
    """Read a percentage as a number from 0 to 1."""
    found = PERCENT.fullmatch(value) if isinstance(value, str) else None
    if found is None or float(found[1]) > 100:  # noqa: PLR2004  (per cent)
        raise ValueError(f"{shown(value)} is no share; write a percentage from 0% to 100%, as in 10%")
    return float(found[1]) / 100


def write_share(share: float) -> str:
    """Write a share as the settings do: 10%."""
    return f"{round(share * 100, 3):g}%"


def read_number(value: object) -> object:
    """Take a whole number out of an environment variable, which can only hold text."""
    return int(value) if isinstance(value, Filled) and re.fullmatch("-?[0-9]{1,18}", value) else value


def read_flag(value: object) -> object:
    """Take true or false out of an environment variable, which can only hold text."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, Filled) else value


def one_or_many(value: object) -> object:
    """Read one string as a list of one."""
    return [value] if isinstance(value, str) else [] if value is None else value


def text(read: Callable[[str], object]) -> BeforeValidator:
    """
    Read a string by this function, which sees whether it came from elsewhere; what is no string stays as it is.

    Before pydantic's own check of the type, because that makes a plain string of a `Filled` one.
    """
    return BeforeValidator(lambda value: read(value) if isinstance(value, str) else value)


def read_file_name(value: object, info: ValidationInfo) -> Path:
    """Read a file's name, relative to the folder of the settings file; whether it is there is asked later."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("must be the name of a file")
    kind = FilledPath if isinstance(value, Filled) else Path
    return kind((info.context or {}).get("directory", ""), value)


def matching(pattern: str, what: str) -> BeforeValidator:
    """Accept only strings of this form; `what` ends the sentence "… must be"."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"{shown(value)} must be {what}")
        return value

    return text(check)


def read_network(value: object) -> IPv4Network | IPv6Network:
    """Read a network in CIDR notation."""
    try:
        return ip_network(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{shown(value)} is no network; write a CIDR such as 10.0.0.0/8, host bits zero") from None


def _text(pattern: re.Pattern[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern.pattern}$"})


def word_or_mapping(value: object) -> str:
    """Tell which of the two a value means to be, so that its faults are told for that one only."""
    return MAPPING if isinstance(value, dict | BaseModel) else WORD


def closest(word: str, known: Iterable[str]) -> str | None:
    """Find what a misspelt word was probably meant to be."""
    return next(iter(get_close_matches(word, sorted(known), n=1)), None)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Ask "did you mean", where something known is close."""
    close = closest(word, known)
    return f"; did you mean `{close}`?" if close else ""


def one_of(*words: str, mapping: str = "") -> BeforeValidator:
    """Accept only these words; `mapping` names what else the key may hold."""

    def check(value: object) -> object:
        if value not in words:
            raise ValueError(f"must be {', '.join(words)} or {mapping}")
        return value

    return BeforeValidator(check)


ANY_TEXT = WithJsonSchema({"type": "string"})
SIZE_SCHEMA = WithJsonSchema({"anyOf": [{"type": "string", "pattern": f"^{SIZE.pattern}$"}, {"type": "integer"}]})

Many: TypeAlias = Annotated[tuple[Item, ...], Strict(strict=False)]
NUMBER = BeforeValidator(read_number)
# Last in its type, so that what comes before it is checked by pydantic and stands in the schema.
ONE_OR_MANY = BeforeValidator(one_or_many, json_schema_input_type=str | list[str] | None)

Number: TypeAlias = Annotated[int, NUMBER]
Flag: TypeAlias = Annotated[bool, BeforeValidator(read_flag)]
Duration: TypeAlias = Annotated[
    float, PlainValidator(read_positive_duration), PlainSerializer(write_duration, when_used="json"), _text(DURATION)
]
DurationOrZero: TypeAlias = Annotated[
    float, PlainValidator(read_duration), PlainSerializer(write_duration, when_used="json"), _text(DURATION)
]
Share: TypeAlias = Annotated[
    float, PlainValidator(read_share), PlainSerializer(write_share, when_used="json"), _text(PERCENT)
]
Size: TypeAlias = Annotated[int, PlainValidator(read_size), PlainSerializer(write_size, when_used="json"), SIZE_SCHEMA]
Network: TypeAlias = Annotated[IPv4Network | IPv6Network, PlainValidator(read_network), PlainSerializer(str), ANY_TEXT]
File: TypeAlias = Annotated[Path, PlainValidator(read_file_name), PlainSerializer(str, when_used="json"), ANY_TEXT]
