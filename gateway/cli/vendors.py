"""Which vendors there are, without or with a settings file, and which one a name means."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from normalizers import VENDORS, Vendor, plugins

from .say import Stop


def known() -> Mapping[str, Vendor]:
    """The vendors errgate knows without settings: the built-in ones and those of installed packages."""
    try:
        return {**VENDORS, **plugins()}
    except ValueError as broken:
        raise Stop(f"errgate: {broken}; mend or remove that package") from broken


def unknown(command: str, name: str, names: Iterable[str]) -> Stop:
    """The end of a command that was asked for a vendor nobody knows; names the likely one and all known."""
    names = sorted(names)
    likely = get_close_matches(name, names, n=1)
    meant = f"did you mean '{likely[0]}'? " if likely else ""
    return Stop(f"errgate {command}: no vendor '{name}'; {meant}known: {', '.join(names)}", exit_code=2)
