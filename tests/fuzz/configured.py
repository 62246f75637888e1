"""What an operator writes: any text is settings, or faults that quote no value from elsewhere."""

import json
import tempfile
from pathlib import Path

from gateway import settings
from tests.fuzz.message import has_control

SECRET = "canary-7f3a9c51"
# With characters that URLs, headers, YAML and JSON each write differently.
ODD = 'canary-7f3a9c51 @:/?#[]"%'
ENVIRON = {"SECRET": SECRET, "ODD": ODD, "URL": f"https://user:{SECRET}@vendor.example", "EMPTY": "", "NUMBER": "5"}
FOLDER = Path(tempfile.gettempdir(), "errgate-fuzz")
# What a text may read: settings name files, and a random text shall find none but this.
FILES = {"secret": SECRET + "\n", "odd": ODD, "empty": "\n", "key.pem": f"-----BEGIN {SECRET}\n"}


def _folder() -> Path:
    FOLDER.mkdir(exist_ok=True)
    for name, content in FILES.items():
        (FOLDER / name).write_text(content)
    return FOLDER


def check_settings(data: bytes) -> None:
    """Any text: `Settings`, or a `SettingsError` with a line for each fault and no value from elsewhere in any."""
    text = data.decode("utf-8", "surrogateescape")
    name = str((FOLDER if FOLDER.is_dir() else _folder()) / "errgate.yaml")
    try:
        read = settings.loads(text, name=name, environ=ENVIRON)
    except settings.SettingsError as refused:
        faults = refused.faults
        _are_lines(faults, name)
        _tells_nothing(text, [*faults, str(refused), repr(refused)])
        return
    _tells_nothing(text, read.warnings)
    json.dumps(read.masked(), allow_nan=False)
    assert read.grace_seconds >= 0
    for vendor in read.vendors.values():
        assert vendor.vendor.name
        assert vendor.base_path.isascii()
        assert vendor.authority
        assert vendor.timeouts_for(None).total > 0


def _are_lines(faults: list[str], name: str) -> None:
    assert faults
    for fault in faults:
        assert fault.startswith(name + ":"), fault
        assert "\n" not in fault
        assert not has_control(fault.encode())


def _tells_nothing(text: str, told: list[str] | tuple[str, ...]) -> None:
    """No value from the environment or a file in what an operator is told, unless the settings have it in clear."""
    if "canary" not in text:
        assert not [line for line in told if "canary" in line]
