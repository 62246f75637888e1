"""Inputs for Hypothesis: the seeds of a target, edited with its words, and bytes of no origin."""

from functools import cache

from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS


@cache
def inputs(name: str) -> st.SearchStrategy[bytes]:
    """What to try on a target."""
    target = TARGETS[name]
    pieces = st.one_of(st.sampled_from(target.words), st.binary(max_size=6))
    made = st.lists(pieces, max_size=12).map(b"".join)
    edited = st.builds(_edit, st.sampled_from([path.read_bytes() for path in target.seeds()]), _edits(pieces))
    return st.one_of(edited, made).map(lambda data: data[: target.longest])


def _edits(pieces: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[tuple[int, int, bytes]]]:
    """Where, how much is cut there, and what is put in its place."""
    return st.lists(st.tuples(st.integers(0, 4096), st.integers(0, 8), pieces), max_size=4)


def _edit(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for where, cut, piece in edits:
        at = where % (len(data) + 1)
        data = data[:at] + piece + data[at + cut :]
    return data
