"""
`${NAME}` and `${file:PATH}`: values from the environment and from files.

Either may be a part of a text; `$${` is a plain `${`. What is missing or empty is a fault that names it and never shows
a value.
"""

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .document import is_text
from .faults import Fault, KeyPath
from .values import Filled

REFERENCE = re.compile(r"\$\$\{|\$\{(?:file:(?P<path>[^}]*)|(?P<name>[A-Za-z_][A-Za-z0-9_]*))\}|(?P<bad>\$\{)")
# A secret is a line; a certificate bundle is not read this way.
LARGEST_BYTES = 64 * 1024


class _Missing(Exception):
    """What a reference names is not there; says what and the mend."""


@dataclass(slots=True)
class Sources:
    """Where values come from; remembers every file and what stood in it."""

    environ: Mapping[str, str]
    directory: Path
    # What files held at the last load: a reload keeps it where a secret is unreadable or empty for the moment.
    kept: Mapping[Path, str] = field(default_factory=dict)
    contents: dict[Path, str] = field(default_factory=dict)
    warnings: list[Fault] = field(default_factory=list)

    def fill(self, data: object) -> tuple[object, list[Fault]]:
        """Copy plain values with every reference replaced; what fails stays as it is and has a fault."""
        faults: list[Fault] = []
        return self._fill(data, (), faults), faults

    def _fill(self, data: object, path: KeyPath, faults: list[Fault]) -> object:
        if isinstance(data, dict):
            return {key: self._fill(value, (*path, key), faults) for key, value in data.items()}
        if isinstance(data, list):
            return [self._fill(value, (*path, index), faults) for index, value in enumerate(data)]
        if not isinstance(data, str) or "${" not in data:
            return data
        try:
            text = REFERENCE.sub(lambda found: self._replacement(found, path), data)
        except _Missing as missing:
            faults.append(Fault(path, str(missing)))
            return data
        return Filled(text) if any(found[0] != "$${" for found in REFERENCE.finditer(data)) else text

    def _replacement(self, found: re.Match[str], path: KeyPath) -> str:
        if found["bad"]:
            raise _Missing("has a ${ that begins nothing known; write ${NAME}, ${file:PATH}, or $${ for the characters")
        if found["name"]:
            value = self.environ.get(found["name"])
            if not value:
                state = "not set" if value is None else "empty"
                raise _Missing(f"the environment variable {found['name']} is {state}; set it where errgate starts")
            if not is_text(value):
                raise _Missing(f"the environment variable {found['name']} is not UTF-8; write it in UTF-8")
            return value
        return "${" if found["path"] is None else self._file(found["path"], path)

    def _file(self, name: str, path: KeyPath) -> str:
        file = self.directory / name
        try:
            text = _read(file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            if file not in self.kept:
                raise _Missing(
                    f"the file {name} cannot be used ({reason}); put the value there, readable by errgate"
                ) from None
            text = self.kept[file]
            self.warnings.append(Fault(path, f"the file {name} cannot be used ({reason}); kept the old value"))
        self.contents[file] = text
        return text


def _read(file: Path) -> str:
    """Read a file's text without its last newline; raises OSError or ValueError."""
    if "\0" in str(file):
        raise ValueError("its name has a NUL")
    # A pipe or a device could make a start wait for ever.
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("it is no file")
    with file.open("rb") as opened:
        octets = opened.read(LARGEST_BYTES + 1)
    if len(octets) > LARGEST_BYTES:
        raise ValueError("it is over 64 KiB")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("it is empty")
    return text
