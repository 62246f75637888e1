"""
A success that carries failures: what may be inspected, and the one member that is spliced in (contract 9).

Every byte of the vendor's stays as it was, `1e400`, duplicate keys and 40-digit numbers too: nothing is re-encoded.
"""

from collections import OrderedDict
from collections.abc import Sequence

from normalizers import Problem

# A body that is inspected is at most this long, on the wire and decoded; job payloads are a few KiB.
INSPECTED_LIMIT_BYTES = 1024 * 1024

# Recent failures that are not counted again: a failed job is seen on every poll. At about 150 bytes each: 1.5 MB.
REMEMBERED = 10_000


def annotate(body: bytes, problems: Sequence[bytes], *, taken: bool) -> bytes:
    """
    Splice the encoded problems into a JSON object, as its last member, before the closing brace.

    `taken`: the object already has a member `problems`, so ours is called `errgate_problems`.
    """
    end = body.rindex(b"}")
    member = b"errgate_problems" if taken else b"problems"
    comma = b"" if body[:end].rstrip(b" \t\r\n").endswith(b"{") else b","
    return b'%b%b"%b":[%b]%b' % (body[:end], comma, member, b",".join(problems), body[end:])


def codes_of(problems: Sequence[Problem]) -> bytes:
    """The value of `Errgate-Job-Codes`: each house code once, in order."""
    return ", ".join(dict.fromkeys(problem.code.code for problem in problems)).encode()


class RecentJobs:
    """
    Which jobs were counted already, as far as a bounded memory can tell.

    Mutable state: the table of what was seen last, changed in `first` alone.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: OrderedDict[tuple[str, ...], None] = OrderedDict()

    def first(self, *key: str) -> bool:
        """Whether this is seen for the first time."""
        if key in self._seen:
            self._seen.move_to_end(key)
            return False
        self._seen[key] = None
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        return True
