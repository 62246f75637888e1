"""
Entries by key in a segment: a hash table with a chain for each bucket, and a pool that entries come from and go to.

An entry has a serial number, which no entry had before or will have again. Whoever remembers where an entry lies, and
its number, sees with one look whether it is still there.

State: entries in use, entries ever used, the first free one, and the hand that goes round in search of old entries;
then the buckets; then the entries, each a header (serial number, 0 where it is free; two halves of the key's hash; the
next in the chain; three cells for whoever owns the table; one to spare) and a body.
"""

from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct
from typing import Final

from .segment import PAGE, Segment

# The table's own cells.
USED: Final = 0
FRESH: Final = 1
FREE: Final = 2
HAND: Final = 3
BUCKETS: Final = 8

# An entry's.
NUMBER: Final = 0
LOW: Final = 1
HIGH: Final = 2
NEXT: Final = 3
NOTES: Final = 4
BODY: Final = 8

Hash = tuple[int, int]
_HALVES: Final = Struct("=2q")


def hash_of(key: str, secret: bytes) -> Hash:
    """128 bits that stand for the key."""
    low, high = _HALVES.unpack(blake2b(key.encode(), digest_size=16, key=secret).digest())
    return low, high


class Table:
    """
    A table at `base`, for `capacity` entries (a power of two) with a body of `size` cells.

    All its methods need the segment's lock; what they change is undone with the rest of the change.
    """

    def __init__(self, segment: Segment, base: int, capacity: int, size: int) -> None:
        self._segment = segment
        self._base = base
        self._capacity = capacity
        self._stride = BODY + size
        self._entries = base + BUCKETS + capacity

    @staticmethod
    def cells(capacity: int, size: int) -> int:
        """How much such a table takes: whole pages."""
        return -(-(BUCKETS + capacity + capacity * (BODY + size)) // PAGE) * PAGE

    @property
    def used(self) -> int:
        """How many entries there are."""
        return self._segment.cells[self._base + USED]

    def find(self, key: Hash) -> int:
        """Where the entry of a key lies; 0: it has none."""
        cells = self._segment.cells
        low, high = key
        at = cells[self._bucket(low)]
        while at and not (cells[at + LOW] == low and cells[at + HIGH] == high):
            at = cells[at + NEXT]
        return at

    def insert(self, key: Hash) -> int:
        """Where the new entry of a key lies, whose body says nothing yet; 0: there is no room."""
        segment, cells, base = self._segment, self._segment.cells, self._base
        at = cells[base + FREE]
        if at:
            segment.write(base + FREE, cells[at + NEXT])
        elif cells[base + FRESH] < self._capacity:
            at = self._entries + cells[base + FRESH] * self._stride
            segment.write(base + FRESH, cells[base + FRESH] + 1)
        else:
            return 0
        segment.save(at, cells[at : at + BODY])
        bucket = self._bucket(key[0])
        cells[at + LOW], cells[at + HIGH] = key
        cells[at + NEXT] = cells[bucket]
        cells[at + NUMBER] = segment.serial()
        segment.write(bucket, at)
        segment.write(base + USED, cells[base + USED] + 1)
        return at

    def remove(self, at: int) -> None:
        """Take an entry out."""
        segment, cells, base = self._segment, self._segment.cells, self._base
        link = self._bucket(cells[at + LOW])
        while cells[link] != at:
            link = cells[link] + NEXT
        segment.write(link, cells[at + NEXT])
        # All of it: the place may be written to before this change stands.
        segment.save(at, cells[at : at + self._stride])
        cells[at + NUMBER] = 0
        cells[at + NEXT] = cells[base + FREE]
        segment.write(base + FREE, at)
        segment.write(base + USED, cells[base + USED] - 1)

    def entries(self) -> list[int]:
        """Where all entries lie."""
        return [self._entries + number * self._stride for number, serial in enumerate(self.column(NUMBER)) if serial]

    def column(self, offset: int) -> list[int]:
        """The same cell of all entries, the free ones among them."""
        first = self._entries + offset
        last = first + self._segment.cells[self._base + FRESH] * self._stride
        return self._segment.cells[first : last : self._stride].tolist()

    def place(self, number: int) -> int:
        """Where the entry lies whose cell has that number in a column."""
        return self._entries + number * self._stride

    def turn(self, steps: int) -> Iterator[int]:
        """Where the next entries lie, round and round."""
        cells, base = self._segment.cells, self._base
        for _ in range(min(steps, cells[base + FRESH])):
            hand = cells[base + HAND] % cells[base + FRESH]
            cells[base + HAND] = hand + 1
            at = self._entries + hand * self._stride
            if cells[at + NUMBER]:
                yield at

    def turn_to(self, at: int) -> None:
        """Go on after that entry."""
        self._segment.cells[self._base + HAND] = (at - self._entries) // self._stride + 1

    def _bucket(self, low: int) -> int:
        return self._base + BUCKETS + (low & (self._capacity - 1))
