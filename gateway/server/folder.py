"""
The folder that the workers of one supervisor write their metrics to, and what a supervisor that was killed left behind.

A supervisor holds a lock on its folder (flock(2), on the folder itself: the system gives it up when the process ends,
however it does). A folder of ours that nobody holds is nobody's, and the next one to start takes it away.
"""

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "errgate-metrics-"
# Between the making of a folder and the lock on it lie microseconds.
YOUNG_SECONDS = 60.0


class Folder:
    """A fresh folder, held until it is removed. Mutable state: the descriptor that holds it."""

    def __init__(self, parent: Path | None = None) -> None:
        parent = parent or Path(tempfile.gettempdir())
        sweep(parent, time.time() - YOUNG_SECONDS)
        self.path = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        self._held = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Take it away with all that is in it; a second time does nothing."""
        if self._held >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._held)
            self._held = -1


def sweep(parent: Path, before: float) -> None:
    """Remove the folders in `parent` that nobody holds and that are older than `before`, in Unix seconds."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # gone meanwhile, or another user's
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(held).st_mtime < before:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # somebody holds it
        finally:
            os.close(held)
