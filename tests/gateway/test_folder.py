"""The folder of the workers' metrics: held while its supervisor lives, swept by the next one when it was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from gateway.server.folder import PREFIX, Folder, sweep

LONG_AGO = 1_000_000_000.0
FUTURE = 10_000_000_000.0


def test_folder_is_private_and_removed(tmp_path: Path) -> None:
    """Nobody else may read it; removing it removes what is in it, and once more does nothing."""
    folder = Folder(tmp_path)
    (Path(folder.path) / "counter_1.db").write_text("x")

    mode = Path(folder.path).stat().st_mode & 0o777
    folder.remove()
    folder.remove()

    assert mode == 0o700
    assert list(tmp_path.iterdir()) == []


def test_held_folder_stays(tmp_path: Path) -> None:
    """A supervisor that starts beside another leaves that one's folder alone, however old it is."""
    one = Folder(tmp_path)
    os.utime(one.path, (LONG_AGO, LONG_AGO))

    two = Folder(tmp_path)

    assert sorted(map(str, tmp_path.iterdir())) == sorted([one.path, two.path])
    one.remove()
    two.remove()


def test_left_folder_goes(tmp_path: Path) -> None:
    """What a supervisor that was killed left behind is gone after the next start."""
    code = (
        "import signal, sys, os\nfrom pathlib import Path\nfrom gateway.server.folder import Folder\n"
        "folder = Folder(Path(sys.argv[1]))\n(Path(folder.path) / 'counter_1.db').write_text('x')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    (left,) = tmp_path.iterdir()
    os.utime(left, (LONG_AGO, LONG_AGO))

    folder = Folder(tmp_path)

    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == [Path(folder.path)]
    folder.remove()


def test_young_folder_stays(tmp_path: Path) -> None:
    """A folder that was made a moment ago may not be held yet."""
    young = tmp_path / f"{PREFIX}young"
    young.mkdir()

    Folder(tmp_path).remove()

    assert young.exists()


def test_other_things_stay(tmp_path: Path) -> None:
    """Only folders of ours are taken away: no file, no link, no other name."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"{PREFIX}file").write_text("x")
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "elsewhere")

    sweep(tmp_path, FUTURE)

    assert len(list(tmp_path.iterdir())) == 3
