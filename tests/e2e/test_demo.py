"""`errgate demo` as a person meets it: lines to paste into a shell, and Ctrl-C."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.documented import HOUSE
from tests.e2e.harness.gateway import untraced
from tests.e2e.harness.oracle import until
from tests.e2e.harness.tools import tool

READY_SECONDS = 5.0


@pytest.mark.alone
def test_demo_lines_pasted_into_a_shell(tmp_path: Path) -> None:
    """Ready within 5 s; each printed line, given to a shell as it stands, shows an envelope; Ctrl-C ends all with 0."""
    tool("curl", "curl")
    output = tmp_path / "output"
    began = time.monotonic()
    with output.open("wb") as file:
        demo = subprocess.Popen(
            [sys.executable, "-m", "gateway", "demo", "--port", "0", "--admin-port", "0"],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=untraced(),
        )
    try:
        assert until(lambda: output.read_text().count("curl ") == 4, READY_SECONDS), output.read_text()
        took = time.monotonic() - began
        lines = [line for line in output.read_text().splitlines() if line.startswith("curl ")]
        shown = [
            subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True, timeout=10).stdout
            for line in lines
        ]
        ports = {int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", output.read_text())}
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        demo.send_signal(signal.SIGINT)
        code = demo.wait(5)
    finally:
        demo.kill()
        demo.wait()

    problems = [json.loads(text) for text in shown]
    assert [problem["vendor"] for problem in problems] == ["pixii", "pixee", "apixo", "pikzels"]
    assert all(problem["status"] == HOUSE[problem["code"]].status for problem in problems)
    assert code == 0
    assert "Traceback" not in output.read_text()
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    print(f"demo ready in {took:.1f} s")  # noqa: T201 - measured
