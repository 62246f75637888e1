"""
A success that carries failures: what may be inspected, and the one member that is spliced in (contract 9).

Every byte of the vendor's stays as it was, `1e400`, duplicate keys and 40-digit numbers too: nothing is re-encoded.
"""

from collections import OrderedDict
from collections.abc import Collection, Sequence

from normalizers import Problem

# A body that is inspected is at most this long, on the wire and decoded; job payloads are a few KiB.
INSPECTED_LIMIT_BYTES = 1024 * 1024

# What the spliced member is called: the second name where the vendor has the first.
MEMBERS = (b"problems", b"errgate_problems")

# Recent failures that are not counted again: a failed job is seen on every poll. At about 150 bytes each: 1.5 MB.
REMEMBERED = 10_000


def annotate(body: bytes, problems: Sequence[bytes], member: bytes) -> bytes:
    """Splice the encoded problems into a JSON object, as its last member, before the closing brace."""
    end = body.rindex(b"}")
    comma = b"" if body[:end].rstrip(b" \t\r\n").endswith(b"{") else b","
    return b'%b%b"%b":[%b]%b' % (body[:end], comma, member, b",".join(problems), body[end:])


def free_member(body: Collection[object]) -> bytes | None:
    """What our member may be called beside those of the vendor; None where both names are taken."""
    return next((name for name in MEMBERS if name.decode() not in body), None)


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
