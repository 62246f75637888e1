"""A vendor's words made fit to be seen: secrets out, control characters out, cut to length."""

import base64
import html
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator

from ._json import encode

REDACTED = "[redacted]"
# Contract 5.
TEXT_LIMIT = 1_024
DETAILS_LIMIT = 4 * 1024
# A secret that begins before the cut is only found if it is seen whole; no key that we know of is a quarter as long.
_WINDOW = 16 * 1024
# The documented error objects are three levels deep.
_DEEPEST = 16


def _word(regex: str, length: int) -> str:
    """A word at its beginning: "task-force" holds no "sk-", but an escape of URLs or of JSON may stand before one."""
    # Looking back from behind the word leaves the search its first letters to look for, which is ten times as fast.
    befores = ("<![A-Za-z0-9]", "<=%[0-9A-Fa-f]{2}", r"<=\\[bfnrt]", r"<=\\u[0-9A-Fa-f]{4}")
    return f"{regex}(?:{'|'.join(f'(?{before}.{{{length}}})' for before in befores)})"


# Whatever looks like a key: of these vendors, of this gateway, of others.
_KEY_SHAPE = re.compile(
    _word("[Bb][Ee][Aa][Rr][Ee][Rr]", 6) + r"""(?:\s|%20|\+)+[^\s"'<>,;]+"""
    r"|p[km]_(?:live|test)_[\w-]+"
    r"|(?:pkz|egk)_[\w-]+"
    "|" + _word("sk-", 3) + r"[\w-]{6,}"
)
# What stands in every one of them, in lower case.
_KEY_MARKS = ("bearer", "_live_", "_test_", "pkz_", "egk_", "sk-")
# What follows a space in a secret of several words is no token when it is shorter.
_SHORTEST_TOKEN = 4
# A shorter piece of base64 stands in too many texts by chance.
_SHORTEST_PIECE = 8

# What no spelling changes.
_PLAIN = re.compile("[A-Za-z0-9]+")

# Controls, bidirectional overrides, and lone surrogates, which no encoder takes.
_BREAKS = re.compile(r"[\t-\r\x85\u2028\u2029]+")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Scrubber:
    """
    Replaces secrets in a text by "[redacted]".

    Found are the secrets given, plain and in every encoding in which a vendor may echo them, and whatever looks like
    a key. Of an injected header value such as "Bearer …" the part after the scheme is a secret by itself.

    Nearly no text holds any of it, and that what all forms of a secret have in common is not there is soon seen.
    """

    __slots__ = ("_marks", "_pieces", "_spelled")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        values = {secret for secret in secrets if secret.strip()}
        values |= {rest for value in values if len(rest := value.partition(" ")[2].strip()) >= _SHORTEST_TOKEN}
        # The longest first, so that no rest of a longer one stays behind.
        self._spelled = [
            (len(value), re.compile(spelled))
            for value in sorted(values, key=len, reverse=True)
            for spelled in _spelled(value)
        ]
        pieces = {piece for value in values for piece in _pieces(value)}
        self._pieces = [
            (piece, re.compile(re.escape(piece) + r"[\w+/=-]*", re.ASCII)) for piece in sorted(pieces, key=len)
        ]
        marks = {mark.lower() for mark in (*_KEY_MARKS, *map(_unspelled, values), *pieces)}
        # One that holds another is only there where that is.
        self._marks = [mark for mark in sorted(marks) if not any(other in mark for other in marks - {mark})]

    def __call__(self, text: str) -> str:
        lowered = text.lower()
        for mark in self._marks:
            if mark in lowered:
                return self._redacted(text)
        return text

    def _redacted(self, text: str) -> str:
        for length, spelled in self._spelled:
            # No spelling of a secret is shorter than the secret.
            if len(text) >= length:
                text = spelled.sub(REDACTED, text)
        for piece, run in self._pieces:
            if len(piece) > len(text):
                break
            if piece in text:
                text = run.sub(REDACTED, text)
        return _KEY_SHAPE.sub(REDACTED, text)

    def bytes(self, text: bytes) -> bytes:
        """The same for bytes, such as a header value."""
        return self(text.decode("latin-1")).encode("latin-1")


def _spelled(secret: str) -> Iterator[str]:
    """
    A secret in every spelling, as regular expressions: plain or URL-encoded, JSON-escaped, HTML-escaped.

    Character by character, because no two encoders agree on which ones to leave: JavaScript keeps the "!" that Python
    writes as "%21". Each encoding by itself, and of one character no two spellings that the same text can be, because
    then there is one way to read a text, and the search is linear.
    """
    for encoding in (_in_url, _in_json, _in_html):
        yield "".join(sign if sign.isascii() and sign.isalnum() else f"(?:{encoding(sign)})" for sign in secret)
    if not secret.isascii():
        # What UTF-8 looks like to bytes().
        yield re.escape(_octets(secret).decode("latin-1"))


def _unspelled(secret: str) -> str:
    """The longest part of a secret that every spelling leaves as it is."""
    return max(_PLAIN.findall(secret), key=len, default="")


def _octets(text: str) -> bytes:
    return text.encode(errors="replace")


def _in_url(sign: str) -> str:
    # A form's plus; or the space that `cleaned` makes of a break.
    plain = r"\+|\s" if sign.isspace() else re.escape(sign)
    return "".join(f"%(?i:{octet:02x})" for octet in _octets(sign)) + f"|{plain}"


def _in_json(sign: str) -> str:
    raw = sign.encode("utf-16-be", "replace")
    spelled = "".join(rf"\\u(?i:{raw[at : at + 2].hex()})" for at in range(0, len(raw), 2))
    # A control has no other spelling, but for a few that have a letter.
    short = json.dumps(sign, ensure_ascii=False)[1:-1]
    others = [] if len(short) > len(r"\n") else [short, r"\/"] if sign == "/" else [short]
    return "|".join([spelled, *map(re.escape, others)])


def _in_html(sign: str) -> str:
    number = f"&#(?:0*{ord(sign)}|(?i:x0*{ord(sign):x}));"
    # Python names an apostrophe by that number.
    names = [name for name in (html.escape(sign),) if name not in {sign, "&#x27;"}]
    return "|".join([number, *names, re.escape(sign)])


def _pieces(secret: str) -> Iterator[str]:
    """
    What stands in every base64 text that holds the secret, also in the middle as in Basic's "name:secret".

    Three bytes become four characters, so there are three ways to fall; characters that mix with a neighbour are left.
    """
    raw = secret.encode(errors="replace")
    for offset, mixed in ((0, 0), (1, 2), (2, 3)):
        whole = (offset + len(raw)) // 3 * 4
        rest = (0, 1, 2)[(offset + len(raw)) % 3]
        piece = base64.b64encode(bytes(offset) + raw)[mixed : whole + rest].decode()
        if len(piece) >= _SHORTEST_PIECE:
            yield piece
            yield piece.replace("+", "-").replace("/", "_")


def cleaned(text: str, scrub: Callable[[str], str], limit: int = TEXT_LIMIT) -> str:
    """A vendor's text, safe to show and at most `limit` characters long."""
    return scrub(_visible(text[:_WINDOW]))[:limit].strip()


def _visible(text: str) -> str:
    """The text without what a terminal, a log viewer or a browser may obey."""
    # Most texts are printable, and this is a tenth of the work.
    return text if text.isprintable() else _UNSAFE.sub("\ufffd", _BREAKS.sub(" ", text))


class _Oversize(Exception):
    """A vendor's error object is larger or deeper than what is passed on."""


def _harmless(value: object, scrub: Callable[[str], str]) -> str:
    """Its JSON where one look at that says that a copy would be the same: small, flat, printable, without secrets."""
    try:
        text = encode(value) if value else ""
    # RecursionError: deeper than any encoder goes; the others: what JSON has no form for.
    except (TypeError, ValueError, RecursionError):
        return ""
    harmless = (
        len(text) <= DETAILS_LIMIT
        and (text.isascii() or len(text.encode(errors="replace")) <= DETAILS_LIMIT)
        # Behind a backslash may be a control; as many brackets at the most are as deep at the most.
        and "\\" not in text
        and text.isprintable()
        and text.count("{") + text.count("[") <= _DEEPEST
        and scrub(text) == text
    )
    return text if harmless else ""


def detailed(value: object, scrub: Callable[[str], str]) -> tuple[object, str]:
    """
    A safe copy of a vendor's error object; None where that is empty, too large or too deep.

    With its JSON where nothing had to be changed: a string that stands there, in its quotes, is safe by itself, since
    no key that we look for begins or ends otherwise than at a quote.
    """
    text = _harmless(value, scrub)
    return (value, text) if text else (_copied(value, scrub), "")


def _copied(value: object, scrub: Callable[[str], str]) -> object:
    left, texts = DETAILS_LIMIT, list[str]()

    def copied(value: object, change: Callable[[str], str], depth: int = 1) -> object:
        nonlocal left
        left -= len(value) if isinstance(value, str) else 1
        if left < 0 or depth > _DEEPEST:
            raise _Oversize
        match value:
            case str():
                texts.append(value)
                return change(value)
            case dict():
                return {copied(key, change): copied(member, change, depth + 1) for key, member in value.items()}
            case list():
                return [copied(member, change, depth + 1) for member in value]
            case float() if not math.isfinite(value):
                return None
            case _:
                return value

    try:
        copy = copied(value, _visible)
        # One look for secrets at all texts together; each by itself only where there are any.
        if scrub(together := "\n".join(texts)) != together:
            left = DETAILS_LIMIT
            copy = copied(copy, scrub)
        size = len(encode(copy).encode())
    # TypeError: a vendor with a finder of its own may put there what JSON has no form for.
    except (_Oversize, TypeError):
        return None
    return copy if copy and size <= DETAILS_LIMIT else None
