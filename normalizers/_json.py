"""Values as JSON, for bodies that are encoded by the thousand."""

import json
from collections.abc import Callable
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]  # typeshed knows neither

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
# What it makes anew for each value, which takes longer than a small value. Not every interpreter has one.
_MADE = c_make_encoder and c_make_encoder(
    None, _ENCODER.default, encode_basestring, None, ":", ",", sort_keys=False, skipkeys=False, allow_nan=False
)
# A text as JSON; JSON in UTF-8 leaves most of its characters as they are.
encode_text: Callable[[str], str] = encode_basestring


def encode(value: object) -> str:
    """
    The value as strict JSON, without blanks.

    Raises:
        ValueError: a number is not finite.
        TypeError: JSON has no form for it.
        RecursionError: it is too deep, or holds itself.

    """
    return "".join(_MADE(value, 0)) if _MADE else _ENCODER.encode(value)
