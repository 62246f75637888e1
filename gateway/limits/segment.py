"""
Memory that the workers of one gateway share: flat cells of 64 bits, a lock, and a journal that undoes half a change.

A worker may die at any instruction. The lock is then free at once: it is an `flock` on an open file of the worker's
own, and the kernel closes that. What the dead one had half done is undone by whoever takes the lock next: before a cell
is changed, the old content is saved in the journal, and the journal's end is moved after that; leaving the lock sets it
back to 0. A journal that is not empty thus belongs to somebody who never left.

The segment is an anonymous file, so it takes no name, no folder and no service; its pages cost memory once they are
written to, so it is large from the start and never grows.
"""

import fcntl
import mmap
import os
import struct
from pathlib import Path
from typing import Final

CELL_BYTES: Final = 8
PAGE: Final = mmap.PAGESIZE // CELL_BYTES

# The header: the end of the journal (0: it is empty), the last serial number given, a secret of two cells, with which
# keys are hashed (nobody outside can make keys that fall into one bucket), which process had the lock last, and when
# the last decision was, by the steady clock that all processes of a machine share.
END: Final = 0
SERIAL: Final = 1
SECRET: Final = 2
SECRET_END: Final = 4
HOLDER: Final = 4
CLOCK: Final = 5

# The lock is taken or it is not: nobody waits for it in the kernel.
_TAKE: Final = fcntl.LOCK_EX | fcntl.LOCK_NB

# How `/proc` calls a process that a signal or a debugger has stopped.
STOPPED: Final = frozenset({"T", "t"})

# Which workers live.
ALIVE: Final = 8
WORKERS_LIMIT: Final = 256

# A decision saves the counters of all its limits: 2,600 cells at most for each, most have a hundred.
JOURNAL: Final = 1024
JOURNAL_END: Final = JOURNAL + (1 << 20)

# From kernel 6.3 on a memory file should say that nobody will run it; some systems refuse one that does not.
_NO_EXECUTION: Final = 0x0008


def create_file(cells: int) -> int:
    """The descriptor of a new segment with that many cells, all zero but the secret."""
    try:
        file = os.memfd_create("errgate-limits", os.MFD_CLOEXEC | _NO_EXECUTION)
    except OSError:
        file = os.memfd_create("errgate-limits", os.MFD_CLOEXEC)
    os.ftruncate(file, cells * CELL_BYTES)
    os.pwrite(file, os.urandom((SECRET_END - SECRET) * CELL_BYTES), SECRET * CELL_BYTES)
    return file


class Segment:
    """
    One worker's view of the segment behind a descriptor.

    Between `enter` and `leave` nobody else reads or writes: `cells` may be changed, each after it was saved.
    """

    def __init__(self, file: int) -> None:
        # A description of our own: the lock belongs to that, and one that was inherited is everybody's.
        self._file = os.open(f"/proc/self/fd/{file}", os.O_RDWR | os.O_CLOEXEC)
        self._process = os.getpid()
        self._memory = mmap.mmap(self._file, 0)
        self.cells = memoryview(self._memory).cast("q")
        self.secret = struct.pack("=2q", *self.cells[SECRET:SECRET_END])

    def close(self) -> None:
        """Let go of the lock, if it is held; the memory goes with the last who looks at it."""
        os.close(self._file)

    def enter(self, attempts: int = 1) -> bool:
        """Take the lock, unless somebody has it; then what a dead worker left half done is undone."""
        for _ in range(attempts):
            try:
                fcntl.flock(self._file, _TAKE)
            except BlockingIOError:
                continue
            self.cells[HOLDER] = self._process
            if self.cells[END]:
                self.undo()
            return True
        return False

    def is_stopped(self) -> bool:
        """Whether the process that holds the lock is stopped, and not merely slow."""
        try:
            stat = Path(f"/proc/{self.cells[HOLDER]}/stat").read_text("ascii", "replace")
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] in STOPPED

    def stand(self) -> None:
        """Let the changes so far stand, whatever comes."""
        self.cells[END] = 0

    def leave(self) -> None:
        """Let all changes stand, and give the lock back."""
        self.cells[END] = 0
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def save(self, at: int, cells: memoryview) -> None:
        """Remember `cells`, which lie at `at`, until `leave`. Raises `MemoryError` where there is no room."""
        begin = self.cells[END] or JOURNAL
        place = begin + len(cells)
        if place + 2 > JOURNAL_END:
            raise MemoryError("the journal is full")
        self.cells[begin:place] = cells
        self.cells[place] = at
        self.cells[place + 1] = len(cells)
        self.cells[END] = place + 2

    def write(self, at: int, value: int) -> None:
        """Save one cell and change it."""
        self.save(at, self.cells[at : at + 1])
        self.cells[at] = value

    def undo(self) -> None:
        """Take back all changes since `enter`, the last first."""
        cells = self.cells
        end = cells[END]
        while end > JOURNAL:
            at, length = cells[end - 2], cells[end - 1]
            begin = end - 2 - length
            cells[at : at + length] = cells[begin : end - 2]
            end = begin
        cells[END] = 0

    def serial(self) -> int:
        """A number that nothing in the segment has had. It is not taken back: a number that is lost harms nobody."""
        number = self.cells[SERIAL] = self.cells[SERIAL] + 1
        return number

    def discard(self, begin: int, end: int) -> None:
        """Make the cells of whole pages zero and give their memory back; this is not undone."""
        self._memory.madvise(mmap.MADV_REMOVE, begin * CELL_BYTES, (end - begin) * CELL_BYTES)
