"""Which settings file a command means, and how its faults end the command: a line each, exit 2."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from gateway.settings import SettingsError

from .say import Stop

VARIABLE = "ERRGATE_CONFIG"
DEFAULT = "errgate.yaml"

# A file that cannot be read is told by whoever reads it, with the mend; click would only say that it cannot.
FILE = click.Path(path_type=Path, readable=False, allow_dash=True)

config_option = click.option(
    "--config",
    type=FILE,
    metavar="FILE",
    help=f"The settings file; otherwise ${VARIABLE}, otherwise ./{DEFAULT}.",
)


def choose(config: Path | None) -> Path:
    """The settings file: the one that was named, else $ERRGATE_CONFIG, else ./errgate.yaml."""
    return config or Path(os.environ.get(VARIABLE) or DEFAULT)


@contextmanager
def refusing() -> Iterator[None]:
    """End the command with a line for each fault of the settings that are read inside."""
    try:
        yield
    except SettingsError as wrong:
        raise Stop(*wrong.faults, exit_code=2) from wrong
