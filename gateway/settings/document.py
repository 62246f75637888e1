"""
A settings file as plain values, each with the line where its key stands.

YAML as a person means it: `true` and `false` are the only flags (`errors: off` is a word), numbers are decimal (010 and
12:30 are not 8 and 750), every key is text. What YAML can do beyond that is refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import yaml
from yaml.reader import ReaderError

from .faults import START, Fault, KeyPath, Place

# A settings file with a thousand vendors is below a tenth of these; aliases inside aliases go far beyond.
LONGEST_CHARACTERS = 4 << 20
MOST_NODES = 200_000
DEEPEST = 50
# Two quotes and a sign of YAML such as "-" or "\t", escaped.
LONGEST_SIGN = 4


class Loader(yaml.SafeLoader):
    """PyYAML's composer with the plain words of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (PyYAML declares it so)


STR, NULL, BOOL, INT, FLOAT = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "null", "bool", "int", "float"))
MERGE = "tag:yaml.org,2002:merge"
FORMS = {
    NULL: (r"~|null|Null|NULL|", [*"~nN", ""]),
    BOOL: (r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    # Not 010 and not +1; beyond 18 digits nothing is a number of ours.
    INT: (r"0|-?[1-9][0-9]{0,17}", [*"-0123456789"]),
    FLOAT: (r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}", [*"-0123456789"]),
    MERGE: ("<<", ["<"]),
}
for _tag, (_form, _first) in FORMS.items():
    Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_form})\Z"), _first)

SCALARS: Mapping[str, Callable[[str], object]] = {
    STR: str,
    NULL: lambda _: None,
    BOOL: lambda word: word.lower() == "true",
    INT: int,
    FLOAT: float,
}
COLLECTIONS = {"tag:yaml.org,2002:map": yaml.MappingNode, "tag:yaml.org,2002:seq": yaml.SequenceNode}


@dataclass(slots=True)
class Document:
    """What a file says: plain values, the place of every key, and what is wrong with it as YAML."""

    data: Any = None
    places: dict[KeyPath, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    # Keys whose value is not known, so that nothing more can be said of them.
    broken: list[KeyPath] = field(default_factory=list)

    def place(self, path: KeyPath, *about: KeyPath) -> Place:
        """Where a key stands; of one that is missing the mapping that should have it, or else what it is about."""
        for each in (path, *about):
            for length in range(len(each), 0, -1):
                if each[:length] in self.places:
                    return self.places[each[:length]]
        return START

    def spelled(self, path: KeyPath) -> KeyPath:
        """Write a path as the file does, which may have one value where a list is meant."""
        spelled: KeyPath = ()
        for step in path:
            if not isinstance(step, int) or (*spelled, step) in self.places:
                spelled = (*spelled, step)
        return spelled

    def refuse(self, text: str, place: Place = START) -> Self:
        """Note that the text as a whole cannot be read."""
        self.faults.append(Fault(("yaml",), text, place=place))
        return self


class _Endless(Exception):
    """Aliases inside aliases, or nesting, beyond any settings file."""


def parse(text: str) -> Document:
    """Read a file's text; never raises, whatever the text is."""
    document = Document()
    if len(text) > LONGEST_CHARACTERS:
        return document.refuse("is over 4 MiB; settings are not that long")
    try:
        root = yaml.compose(text, Loader)
        data = _Walk(document).value(root, ()) if root else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else START
        return document.refuse(f"is no YAML: {_words(error)}; look at the quotes and the indentation here", place)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return document.refuse("is no YAML: there is a character that text does not have; take it away", (line, 1))
    except (RecursionError, _Endless):
        return document.refuse("is nested too deeply, or repeats itself by aliases; write it out")
    except (ValueError, OverflowError):
        # PyYAML on "\UFFFFFFFF" and on a directive with a number of thousands of digits.
        return document.refuse("is no YAML: it has a number or an escape out of range; take it away")
    # An empty file, or one with nothing but comments, says nothing wrong.
    document.data = {} if data is None and not document.faults else data
    return document


def _words(error: yaml.MarkedYAMLError) -> str:
    """Tell what the parser says, without the words it quotes: a forgotten quote makes them a part of a secret."""
    said = " ".join(part for part in (error.context, error.problem) if part)
    return re.sub("'[^']*'|\"[^\"]*\"", _short, said.splitlines()[0] if said else "it cannot be read")


def _short(quoted: re.Match[str]) -> str:
    """Keep a quoted sign, leave a quoted word out."""
    return quoted[0] if len(quoted[0]) <= LONGEST_SIGN else "'…'"


class _Walk:
    """From PyYAML's nodes to plain values, bounded; notes places and faults on the way."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nodes = 0

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        self.nodes += 1
        if self.nodes > MOST_NODES or len(path) > DEEPEST:
            raise _Endless
        if COLLECTIONS.get(node.tag) not in {type(node), None} or node.tag not in {*SCALARS, *COLLECTIONS, MERGE}:
            self.unknown(path, "has a YAML tag (!…) that settings do not have; take it away")
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.item(item, (*path, index)) for index, item in enumerate(node.value)]
        if not is_text(node.value):
            self.unknown(path, "has half of a character (a lone surrogate); take it away")
            return None
        try:
            return SCALARS.get(node.tag, str)(node.value)
        except ValueError:
            self.unknown(path, "does not fit its YAML tag (!!…); take the tag away")
            return None

    def item(self, node: yaml.Node, path: KeyPath) -> object:
        self.document.places[path] = _place(node)
        return self.value(node, path)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, value in node.value:
            place = _place(key)
            if not isinstance(key, yaml.ScalarNode) or not is_text(key.value):
                self.wrong(path, "has a key that is no text; write it as key: value", place)
            elif key.tag == MERGE:
                self.wrong((*path, "<<"), "merging is not supported; write the keys out", place)
            elif key.value in values:
                first = self.document.places[*path, key.value][0]
                self.wrong((*path, key.value), f"is already set in line {first}; keep one of the two", place)
            else:
                self.document.places[*path, key.value] = place
                values[key.value] = self.value(value, (*path, key.value))
        return values

    def wrong(self, path: KeyPath, text: str, place: Place | None = None) -> None:
        self.document.faults.append(Fault(path, text, place=place))

    def unknown(self, path: KeyPath, text: str) -> None:
        self.wrong(path, text)
        self.document.broken.append(path)


def is_text(value: str) -> bool:
    """Whether every character is a whole one: YAML can escape halves of a pair, and UTF-8 has none."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _place(node: yaml.Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1
