"""
Tries the installed wheel as a user would: the help, the codes, and the demo: an envelope, a page, and Ctrl-C.

    python try_wheel.py path/to/errgate
"""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

# What the command line promises for `errgate demo`, in seconds.
READY_WITHIN = 5
# Ctrl-C lets running requests finish; there are none here.
ENDED_WITHIN = 15


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def run(*command: str) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def first_envelope(port: int) -> dict[str, object]:
    """Asks the demo for a failure of Pixii, and gives back what a caller sees."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/pixii/v1/api/jobs/1", headers={"Sandbox-Error": "INSUFFICIENT_CREDITS"}
    )
    try:
        urllib.request.urlopen(request, timeout=10)  # noqa: S310  # loopback
    except urllib.error.HTTPError as answer:
        with answer:
            envelope = json.load(answer)
    else:
        sys.exit("the sandbox was asked for INSUFFICIENT_CREDITS and the gateway answered a success")
    if not isinstance(envelope, dict) or envelope.get("code") != "insufficient_credits":
        sys.exit(f"the sandbox was asked for INSUFFICIENT_CREDITS and the gateway answered {envelope}")
    return envelope


def problem_page(port: int, admin_port: int) -> None:
    """Opens a problem page and the console: their templates and scripts are in the wheel, too."""
    pages = {
        f"http://127.0.0.1:{port}/-/problems/insufficient_credits": "What to do",
        f"http://127.0.0.1:{admin_port}/": 'data-vendor="pixii"',
        f"http://127.0.0.1:{admin_port}/-/pages/live.js": "use strict",
    }
    for url, words in pages.items():
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # loopback
            if words not in answer.read().decode():
                sys.exit(f"{url} does not say {words}")


def try_demo(errgate: str) -> None:
    """Starts the demo, waits until it is ready, asks, and ends it by Ctrl-C: exit 0 is the promise."""
    port, admin_port = free_port(), free_port()
    start = time.monotonic()
    demo = subprocess.Popen([errgate, "demo", "--port", str(port), "--admin-port", str(admin_port)])
    try:
        while subprocess.call(
            [errgate, "healthcheck", "--admin-port", str(admin_port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ):
            if demo.poll() is not None or time.monotonic() - start > READY_WITHIN:
                sys.exit(f"errgate demo was not ready within {READY_WITHIN} s")
            time.sleep(0.1)
        ready = time.monotonic() - start
        envelope = first_envelope(port)
        problem_page(port, admin_port)
        demo.send_signal(signal.SIGINT)
        code = demo.wait(ENDED_WITHIN)
    finally:
        demo.kill()
        demo.wait()
    print(json.dumps(envelope))
    print(f"errgate demo: ready after {ready:.1f} s, ended by Ctrl-C with {code}")
    if code != 0:
        sys.exit(f"errgate demo ended with {code} after Ctrl-C, 0 was promised")


if __name__ == "__main__":
    command = str(Path(sys.argv[1]).resolve())
    run(command, "--help")
    if "insufficient_credits" not in run(command, "codes"):
        sys.exit("errgate codes does not list insufficient_credits")
    try_demo(command)
