"""One JSON line per event, and nothing in it that could be a secret."""

import io
import json
import logging

import pytest

from gateway import log


@pytest.fixture
def stream() -> io.StringIO:
    """A place to log to."""
    stream = io.StringIO()
    log.configure("info", stream)
    return stream


def test_an_event_is_one_json_line(stream: io.StringIO) -> None:
    """No text of a vendor can forge a second line (W-147)."""
    log.event(logging.INFO, "request", vendor_code='A"\r\n{"level":"error"}', route=None)

    (line,) = stream.getvalue().splitlines()
    fields = json.loads(line)
    assert fields["vendor_code"] == 'A"\r\n{"level":"error"}'
    assert "route" not in fields


def test_an_exception_is_its_class_and_place(stream: io.StringIO) -> None:
    """An exception's text may quote a secret, so it is never written (W-151)."""
    try:
        int("pk_live_canary")
    except ValueError as error:
        log.event(logging.ERROR, "internal error", error=error)

    written = stream.getvalue()
    assert "canary" not in written
    assert json.loads(written)["error"].startswith("ValueError < test_log.py:")


def test_a_level_that_is_off_costs_no_line(stream: io.StringIO) -> None:
    """Below the configured level nothing is written."""
    log.event(logging.DEBUG, "detail")

    assert stream.getvalue() == ""


def test_the_time_is_rfc_3339(stream: io.StringIO) -> None:
    """A line's time is in UTC with milliseconds."""
    log.event(logging.INFO, "request")

    time = json.loads(stream.getvalue())["time"]
    assert len(time) == len("2026-11-21T08:57:00.000Z")
    assert time.endswith("Z")
