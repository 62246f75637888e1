"""A reply as a value: JSON out of anything, and readers that survive it."""

import tracemalloc

import pytest

from normalizers import Reply
from normalizers._reply import at, strings, text

KIB = 1024


@pytest.mark.parametrize(
    ("body", "parsed"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b'{"a": -Infinity}', {"a": float("-inf")}),
        (b'{"a": 1e400}', {"a": float("inf")}),
        (b"[1]", [1]),
        (b" null ", None),
        (b"", None),
        (b"<html>", None),
        (b'{"a": 1', None),
        (b'{"a": ' + b"1" * 5_000 + b"}", None),
        (b"[" * 100_000, None),
        (b'{"a":' * 100_000, None),
        (b"\x00\xff\xfe", None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_json(body: bytes, parsed: object) -> None:
    """What is JSON is read, with every vendor's sins; anything else is None, and nothing raises (W-104)."""
    assert Reply(500, {}, body).json() == parsed


@pytest.mark.parametrize(
    "bomb",
    [b"[[[[]]]]," * (28 * KIB), b'{"":{"":{}}},' * (20 * KIB), b'{"a":[' + b"9," * (128 * KIB) + b"9]}"],
    ids=["lists", "objects", "numbers"],
)
def test_bomb(bomb: bytes) -> None:
    """256 KiB that would take many times that when parsed are not parsed."""
    tracemalloc.start()
    try:
        parsed = Reply(500, {}, b"[" + bomb + b"0]").json()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert parsed is None
    assert peak < KIB * KIB


def test_many_field_errors_are_no_bomb() -> None:
    """256 KiB of honest field errors are read."""
    error = b'{"loc":["body","items",0,"ean"],"msg":"Field required","type":"missing"}'
    body = b'{"detail":[' + b",".join([error] * 3_500) + b"]}"

    assert len(body) > 240 * KIB
    assert Reply(422, {}, body).json() is not None


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/a/b", 1),
        ("/l/1/c", 2),
        ("/x~1y/~01", 3),
        ("/", 4),
        ("/a", {"b": 1}),
        ("/l/2", None),
        ("/l/-1", None),
        ("/l/one", None),
        ("/l/\u0661", None),
        ("/a/b/c", None),
        ("/nothing", None),
    ],
)
def test_pointer(pointer: str, found: object) -> None:
    """A JSON Pointer is followed through objects and lists, escapes included; where it leads nowhere is None."""
    body = {"a": {"b": 1}, "l": [0, {"c": 2}], "x/y": {"~1": 3}, "": 4}

    assert at(body, pointer) == found


def test_text() -> None:
    """The first place with more than blanks in a string counts."""
    body = {"a": 1, "b": "  ", "c": ["x"], "d": " d ", "e": "e"}

    assert text(body, ("/a", "/b", "/c", "/d", "/e")) == " d "
    assert text(body, ("/a", "/b", "/c")) is None
    assert text(None, ("/a",)) is None


def test_strings() -> None:
    """All strings under a value are found, outermost first; under a huge one, some."""
    value = {"a": ["deep", {"b": "deeper"}], "c": "outer", "d": 5}

    assert [*strings(value)] == ["outer", "deep", "deeper"]
    assert len([*strings([["x"] * 1_000] * 1_000)]) <= 64
    assert [*strings({str(n): "x" for n in range(1_000)})] == ["x"] * 63


@pytest.mark.parametrize(
    ("date", "now"),
    [("Thu, 01 Jan 1970 00:01:00 GMT", 60.0), ("yesterday", 5.0), (None, 5.0)],
)
def test_now(date: str | None, now: float) -> None:
    """The moment of a reply is its own Date, else when we received it."""
    headers = {} if date is None else {"date": date}

    assert Reply(200, headers, received_at=5.0).now() == now
