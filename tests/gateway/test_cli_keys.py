"""`errgate new-key` and `errgate hash-key`."""

import hashlib
import json
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

HEX_128 = "9f86d081884c7d659a2feaa0c55ad015"


def run(*arguments: str, stdin: bytes = b"") -> Result:
    """The command in this process."""
    return CliRunner().invoke(main, arguments, input=stdin, catch_exceptions=False)


def test_new_key() -> None:
    """A fresh key has 256 bits behind `egk_`, and comes with its SHA-256 digest."""
    result = run("new-key")

    match = re.fullmatch(r"key:        (egk_[A-Za-z0-9]{43})\nkey_sha256: ([0-9a-f]{64})\n", result.stdout)
    assert match is not None
    assert match[2] == hashlib.sha256(match[1].encode()).hexdigest()
    assert result.stderr == ""


def test_new_keys_differ() -> None:
    """No key comes twice."""
    assert run("new-key").stdout != run("new-key").stdout


def test_new_key_json() -> None:
    """A script gets the key and the digest as JSON."""
    made = json.loads(run("new-key", "--json").stdout)

    assert made["key_sha256"] == hashlib.sha256(made["key"].encode()).hexdigest()


def test_new_key_can_be_hashed() -> None:
    """What new-key makes, hash-key accepts, and both say the same digest."""
    made = json.loads(run("new-key", "--json").stdout)

    result = run("hash-key", stdin=made["key"].encode())

    assert result.stdout == made["key_sha256"] + "\n"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "key",
    [
        HEX_128,
        HEX_128.upper(),
        "aZ3" * 5 + "kLmN0pQ",
        "mfrggzdfmztwq2lknnwg23tpob",
        "1234567890" * 3 + "987654321",
        "Kq-7_pW.x~Tb4Yd+uE/r9A=h",
    ],
)
def test_hash_key(key: str, end: bytes) -> None:
    """A key's digest is that of its bytes, without the end of the line it came on."""
    result = run("hash-key", stdin=key.encode() + end)

    assert result.exit_code == 0
    assert result.stdout == hashlib.sha256(key.encode()).hexdigest() + "\n"
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (b"", "stdin holds no key"),
        (b"\n", "stdin holds no key"),
        (b"hunter2", "the key is worth about 7 bits"),
        (HEX_128[:-1].encode(), "the key is worth about 124 bits and needs 128"),
        (b"aZ3kLmN0pQrStUvWxYz12", "the key is worth about 125 bits and needs 128"),
        (b"a" * 64, "the key is worth about 1 bits and needs 128"),
        (HEX_128[:16].encode() * 4, "the key is worth about 64 bits and needs 128"),
        (b"egk_" + HEX_128[:28].encode(), "the key is worth about 112 bits and needs 128"),
        (b"egk_", "the key is worth about 0 bits and needs 128"),
        (HEX_128.encode() + b"\nsecond", "a key is one line of visible ASCII"),
        (b"correct horse battery staple and more", "a key is one line of visible ASCII"),
        ("schlüssel".encode() * 5, "a key is one line of visible ASCII"),
        (HEX_128.encode() * 300, "the key is longer than the 8192 bytes a header can carry"),
    ],
)
def test_hash_key_refuses(key: bytes, why: str) -> None:
    """A weak or impossible key is refused in one line that shows none of it."""
    result = run("hash-key", stdin=key)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"errgate hash-key: {why}")
    assert result.stderr.endswith("; make one with `errgate new-key`\n")
    assert not key.strip() or key.strip().decode() not in result.stderr or key == b"egk_"


def at_a_terminal(command: str, typed: str) -> str:
    """What a person sees who types this as soon as something is asked."""
    session = (
        "import os, pty, sys\n"
        "child, terminal = pty.fork()\n"
        f"if not child: os.execv(sys.executable, [sys.executable, '-m', 'gateway', '{command}'])\n"
        "seen = b''\n"
        "while b':' not in seen: seen += os.read(terminal, 1000)\n"
        f"os.write(terminal, b'{typed}\\n')\n"
        "try:\n"
        "    while chunk := os.read(terminal, 1000): seen += chunk\n"
        "except OSError: pass\n"
        "os.waitpid(child, 0)\n"
        "print(seen.decode())\n"
    )
    done = subprocess.run([sys.executable, "-c", session], capture_output=True, text=True, check=True)
    return done.stdout


def test_hash_key_at_a_terminal() -> None:
    """At a terminal the key is asked for and never shown."""
    seen = at_a_terminal("hash-key", HEX_128)

    assert hashlib.sha256(HEX_128.encode()).hexdigest() in seen
    assert HEX_128 not in seen


def test_new_key_at_a_terminal() -> None:
    """At a terminal a person is told what goes where."""
    seen = at_a_terminal("new-key", "")

    assert "Give the key to the caller; the digest goes under callers.NAME.key_sha256." in seen
