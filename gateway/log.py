"""
One JSON line per event, on stdout.

Nothing is logged that could carry a secret or a person's data: no path, query, body, credential or cookie
(contract 15). Values are JSON-encoded, so that no vendor's text can forge a line (W-147).
"""

import json
import logging
import sys
import time
import traceback
from typing import TextIO

LOGGER = logging.getLogger("errgate")


def _time(created: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    milliseconds = int(created * 1000) % 1000
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(created))}.{milliseconds:03d}Z"


def where(error: BaseException) -> str:
    """An exception's class and the places it came through; never its text, which may quote a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(
        [type(error).__name__, *(f"{f.filename.rpartition('/')[2]}:{f.lineno}" for f in reversed(frames))]
    )


class JsonFormatter(logging.Formatter):
    """A record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Encode the time, the level, the message and the record's fields."""
        line: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **{key: value for key, value in getattr(record, "fields", {}).items() if value is not None},
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = where(record.exc_info[1])
        return json.dumps(line, ensure_ascii=True, default=str, separators=(",", ":"))


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send errgate's own log to `stream` (stdout), and leave every other library's log alone but for warnings."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter())
    LOGGER.handlers = [handler]
    set_level(level)
    LOGGER.propagate = False


def set_level(level: str) -> None:
    """Write what is at least of that level from now on."""
    LOGGER.setLevel(level.upper())


def event(level: int, message: str, *, error: BaseException | None = None, **fields: object) -> None:
    """Log an event with its fields; those that are None are left out."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, message, extra={"fields": fields}, exc_info=error)
