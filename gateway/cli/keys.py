"""Caller keys: make one, or digest one that exists. Only the digest goes into the settings."""

import hashlib
import math
import re
import secrets
import string
import sys

import click

from .say import Stop, is_terminal, print_json, progress

PREFIX = "egk_"
BASE62 = string.ascii_letters + string.digits
# 62 ** 43 is the first power of 62 above 2 ** 256.
NEW_KEY_LETTERS = 43

# Shorter ones can be found by trying (contract, section 2).
LEAST_BITS = 128
# A random key of 128 bits has more different letters than this all but never; "aaaa…" and "abcabc…" have fewer.
LEAST_DIFFERENT_LETTERS = 8
# No key is longer than a header field may be.
LONGEST = 8192

# What a key is written in, and how many letters that alphabet has; the first that fits counts. A key that lacks digits
# by chance must not look weaker than it is, so that the mixed ones are one row.
ALPHABETS = (
    (re.compile(r"[0-9]*"), 10),
    (re.compile(r"[0-9a-f]*|[0-9A-F]*"), 16),
    (re.compile(r"[0-9a-z_-]*|[0-9A-Z_-]*"), 32),
    (re.compile(r"[!-~]*"), 62),
)


@click.command("new-key")
@click.option("--json", "as_json", is_flag=True, help="Print {key, key_sha256} as JSON.")
def new_key(*, as_json: bool) -> None:
    """Print a fresh caller key and its digest.

    The key goes to the caller, who sends it as `Errgate-Key`; the digest goes into the settings, under
    callers.NAME.key_sha256. The key is kept nowhere.
    """
    key = PREFIX + "".join(secrets.choice(BASE62) for _ in range(NEW_KEY_LETTERS))
    if as_json:
        print_json({"key": key, "key_sha256": digest(key)})
        return
    click.echo(f"key:        {key}")
    click.echo(f"key_sha256: {digest(key)}")
    progress("Give the key to the caller; the digest goes under callers.NAME.key_sha256. The key is kept nowhere.")


@click.command("hash-key")
@click.option("--json", "as_json", is_flag=True, help="Print {key_sha256} as JSON.")
def hash_key(*, as_json: bool) -> None:
    """Read a caller key on stdin and print its digest.

    At a terminal the key is asked for and not shown. It needs 128 bits: 32 random hex digits or 22 random letters and
    digits at least.
    """
    key = read()
    if weakness := judge(key):
        raise Stop(f"errgate hash-key: {weakness}; make one with `errgate new-key`", exit_code=2)
    if as_json:
        print_json({"key_sha256": digest(key)})
    else:
        click.echo(digest(key))


def digest(key: str) -> str:
    """Digest a key as the settings want it: SHA-256 of its bytes, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def read() -> str:
    """Read the key: one line of stdin, without the line's end; at a terminal it is not echoed."""
    if is_terminal(sys.stdin):
        return str(click.prompt("Key", hide_input=True, err=True, default="", show_default=False))
    line = sys.stdin.buffer.read(LONGEST + 1) if sys.stdin else b""
    return line.decode("latin-1").removesuffix("\n").removesuffix("\r")


def judge(key: str) -> str | None:
    """Say what is wrong with a key, without showing any of it; None for a good one."""
    if not key:
        return "stdin holds no key"
    if len(key) > LONGEST:
        return f"the key is longer than the {LONGEST} bytes a header can carry"
    if not re.fullmatch(r"[!-~]*", key):
        return "a key is one line of visible ASCII without spaces, for it travels in a header"
    if (bits := estimate(key)) < LEAST_BITS:
        return f"the key is worth about {bits} bits and needs {LEAST_BITS}"
    return None


def estimate(key: str) -> int:
    """Estimate the bits of a key from its length and alphabet; a repetition counts once."""
    secret = key.removeprefix(PREFIX)
    secret = secret[: (secret + secret).find(secret, 1)]
    if len(set(secret)) < LEAST_DIFFERENT_LETTERS:
        return len(set(secret))
    letters = next(letters for alphabet, letters in ALPHABETS if alphabet.fullmatch(secret))
    return math.floor(len(secret) * math.log2(letters))
