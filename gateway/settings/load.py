"""
From a file to `Settings`, or to every fault in it.

1. YAML to plain values, with the place of every key.
2. `${NAME}` and `${file:PATH}` filled in.
3. The models: unknown keys, types, forms.
4. The normalizer of each vendor, and with it the names of its routes.
5. What only the whole file can tell: combinations, duplicates, what is not available yet.

A step works on what the earlier ones found whole, so that one run tells every fault.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from .checks import check
from .document import Document, parse
from .faults import Fault, SettingsError, dotted, printable
from .fill import Sources
from .models import Settings
from .resolve import describe_all, resolve
from .shape import validate
from .warn import warn


def load(path: Path, environ: Mapping[str, str] = os.environ, *, old: Settings | None = None) -> Settings:
    """
    Read a settings file; raises `SettingsError` with every fault.

    With `old`, a `${file:}` that is unreadable or empty for the moment keeps its old value, with a warning (reload).
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        mend = "write one, or name another with --config or ERRGATE_CONFIG"
        raise SettingsError([printable(f"{path}: the settings file cannot be read ({reason}); {mend}")]) from None
    return _settings(text, str(path), path.absolute(), environ, old)


def loads(text: str, *, name: str = "errgate.yaml", environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings from text; `name` stands in messages, its folder is where relative paths begin."""
    return _settings(text, name, None, environ, None)


def _settings(text: str, name: str, file: Path | None, environ: Mapping[str, str], old: Settings | None) -> Settings:
    document = parse(text)
    if document.data is None:
        raise SettingsError(_lines(document.faults, document, name))
    directory = (file or Path(name).absolute()).parent
    sources = Sources(environ, directory, old.contents if old else {})
    faults = list(document.faults)
    broken = set(document.broken)

    def add(found: Iterable[Fault]) -> None:
        spelled = (fault.spelled(document.spelled) for fault in found)
        faults.extend(fault for fault in spelled if not fault.explained_by(broken))

    data, unfilled = sources.fill(document.data)
    add(unfilled)
    broken |= {fault.path for fault in unfilled}

    settings, misshapen, about = validate(data, directory)
    add(misshapen)
    broken |= about

    unresolved = resolve(settings)
    add(unresolved)
    broken |= {fault.path for fault in unresolved}

    add(check(settings))
    faults = faults or describe_all(settings)
    if faults:
        raise SettingsError(_lines(faults, document, name))
    warnings = _lines([*sources.warnings, *warn(settings)], document, name)
    settings.remember(warnings=tuple(warnings), contents=sources.contents, file=file)
    return settings


def _lines(faults: Iterable[Fault], document: Document, name: str) -> list[str]:
    """Write each fault as `file:line: key: text`, in the order of the file."""
    placed = [(fault.place or document.place(fault.path, *fault.about), fault) for fault in faults]
    placed.sort(key=lambda pair: pair[0])
    return [printable(f"{name}:{line}: {dotted(fault.path) or 'file'}: {fault.text}") for (line, _), fault in placed]
