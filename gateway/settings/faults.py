"""
What is wrong with a settings file: one line per fault, in the order of the file.

    errgate.yaml:12: vendors.pixii.timeout: unknown key; did you mean "timeouts"?
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]  # line and column, from 1

START: Place = (1, 1)


class SettingsError(Exception):
    """The settings cannot be used; `faults` has a line for each reason."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: with which key, what, and the mend."""

    path: KeyPath
    text: str
    # What else was read to find it: a fault of those keys explains this one.
    about: tuple[KeyPath, ...] = ()
    # Where it stands, where that is not the key's own place.
    place: Place | None = None

    def spelled(self, spell: Callable[[KeyPath], KeyPath]) -> Self:
        """Give the same fault with its paths as the file spells them."""
        return replace(self, path=spell(self.path), about=tuple(map(spell, self.about)))

    def explained_by(self, broken: Collection[KeyPath]) -> bool:
        """Whether another fault, at or above a key that this one is about, explains it."""
        return any(path[:length] in broken for path in (self.path, *self.about) for length in range(len(path) + 1))


def dotted(path: KeyPath) -> str:
    """Write a path as a person does: vendors.pixii.routes[0].path."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def printable(text: str) -> str:
    """Keep a message on its one line, whatever a key, a value or a file is called."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
