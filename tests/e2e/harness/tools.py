"""Tools of the machine that a test needs: without one it is skipped, or fails where tools are required."""

import os
import shutil

import pytest


def tool(name: str, package: str) -> str:
    """The path of a tool; `package` is the Debian package that brings it. `ERRGATE_REQUIRE_TOOLS=1` requires it."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed; Debian's package `{package}` brings it"
        if os.environ.get("ERRGATE_REQUIRE_TOOLS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path
