"""
The layers of the house, kept by reading every import: no rule here is a promise only.

1. `normalizers` is pure: values in, values out. No I/O, no clock, no logger, no third party, nothing of `gateway`.
2. `gateway` decides when, `normalizers` what it means: no vendor's name is compared in `gateway`.
3. One door per dependency: replacing one is one file's work.
4. Arrows point inwards: server, app, proxy, the rest, settings. Vendors never import each other.

One file: the rules, and a small source that breaks each.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Rule 1: what of the standard library is a function of its arguments. A module that is missing here may be added
# if it reads no file, no clock, no environment and no network.
PURE = frozenset(
    """
    __future__ abc base64 binascii bisect calendar codecs collections contextlib copy dataclasses datetime
    decimal email enum fractions functools hashlib html http.HTTPStatus itertools json math numbers operator re
    string struct textwrap types typing unicodedata urllib.parse
    """.split()  # noqa: SIM905  (a paragraph of names, not forty lines)
)
# The door of `normalizers` may ask the installed packages for vendors, once, when it is told to.
ENTRY_POINTS = "importlib.metadata"
CLOCKS = frozenset({"now", "utcnow", "today"})
WORLD = frozenset({"open", "print", "input", "breakpoint", "exec", "eval"})

# Rule 3: the package, and the only modules (or folders of that name) through which it comes in.
DOORS = {
    "httpx2": ("gateway.upstream.httpx",),
    "httpcore2": ("gateway.upstream.httpx",),
    "h11": ("gateway.upstream.httpx",),
    "h2": ("gateway.upstream.httpx",),
    "prometheus_client": ("gateway.metrics",),
    "uvicorn": ("gateway.server",),
    "httptools": ("gateway.server", "gateway.upstream.http1.reply"),
    "uvloop": ("gateway.server",),
    "click": ("gateway.cli",),
    "yaml": ("gateway.settings",),
    "pydantic": ("gateway.settings",),
    "pydantic_core": ("gateway.settings",),
    "brotli": ("gateway.codings",),
    "zstandard": ("gateway.codings",),
    "zlib": ("gateway.codings", "gateway.sandbox"),
    "gzip": ("gateway.codings", "gateway.sandbox"),
    "redis": ("gateway.limits.redis",),
    "jinja2": ("gateway.pages",),
    "opentelemetry": ("gateway.tracing",),
    # W-152: the forwarding path speaks ASGI messages; Starlette carries our own endpoints and the simulators.
    "starlette": ("gateway.app", "gateway.own", "gateway.admin", "gateway.pages", "gateway.sandbox"),
    "gateway.sandbox": ("gateway.cli", "gateway.sandbox"),
}
# Type aliases of ASGI, no behaviour.
OPEN_TO_ALL = ("starlette.types",)

# Rule 4: outermost first. What is not named stands between proxy and settings.
LAYERS = (("__main__",), ("cli",), ("server",), ("app", "own", "admin", "reload"), ("proxy",), (), ("settings",))
BETWEEN = LAYERS.index(())

# What decodes, buffers or trusts where the gateway must pass bytes; each with the rule it would break.
BANNED_NAMES = {
    "BaseHTTPMiddleware": "it buffers and breaks disconnects; write a plain ASGI callable (W-152)",
    "StreamingResponse": "it hides the vendor's connection from the forwarding path; send ASGI messages (W-152)",
}
# `request.url` and its kin are built from the Host header (W-003); `body` and `form` read without a bound.
BANNED_OF_REQUEST = frozenset({"url", "url_for", "base_url", "body", "form", "json"})
MAY_READ_REQUESTS = ("gateway.sandbox", "gateway.admin")

VAGUE = frozenset(
    {"utils", "util", "helpers", "helper", "common", "base", "manager", "handler", "processor", "data", "info"}
)


def modules() -> list[Path]:
    """Every module of the two packages."""
    return sorted(path for package in ("gateway", "normalizers") for path in (ROOT / package).rglob("*.py"))


def is_vendor(module: str) -> bool:
    """In `normalizers` a plain name is a vendor, an underscored one machinery."""
    package, _, name = module.partition(".")
    return package == "normalizers" and name != "" and not name.startswith("_")


VENDOR_NAMES = frozenset(path.stem for path in modules() if is_vendor(f"{path.parent.name}.{path.stem}"))


def within(name: str, *places: str) -> bool:
    """Whether a dotted name is one of the places, or inside one."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


@dataclass(frozen=True, slots=True)
class Module:
    """One file, as the rules see it: a path relative to the root and its parsed source."""

    path: str
    tree: ast.Module

    @property
    def parts(self) -> tuple[str, ...]:
        """`gateway/cli/__init__.py` is ("gateway", "cli", "__init__")."""
        return tuple(self.path.removesuffix(".py").split("/"))

    @property
    def name(self) -> str:
        """Its dotted name; a package's is the folder's."""
        return ".".join(self.parts).removesuffix(".__init__")

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full dotted name of each thing imported, relative imports resolved."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = ".".join(self.parts[: len(self.parts) - node.level]) if node.level else ""
                origin = ".".join(part for part in (above, node.module) if part)
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def layer(module: str) -> int:
    """The depth of a module of `gateway`, 0 being the outermost."""
    top = module.removeprefix("gateway.").split(".")[0]
    return next((depth for depth, names in enumerate(LAYERS) if top in names), BETWEEN)


def impure(module: Module) -> Iterator[tuple[int, str]]:
    """Rule 1."""
    if not within(module.name, "normalizers"):
        return
    for line, name in module.imports():
        door = module.name == "normalizers" and within(name, ENTRY_POINTS)
        if not (within(name, "normalizers", *PURE) or door):
            yield line, f"normalizers is pure and imports {name} (rule 1)"
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Name(id="datetime" | "date") | ast.Attribute(attr="datetime" | "date"), attr=attribute
                )
            ) if attribute in CLOCKS:
                yield node.lineno, f"normalizers has no clock and calls {attribute}() (rule 1)"
            case ast.Call(func=ast.Name(id=name)) if name in WORLD:
                yield node.lineno, f"normalizers does no I/O and calls {name}() (rule 1)"


def knows_a_vendor(module: Module) -> Iterator[tuple[int, str]]:
    """Rule 2."""
    if not within(module.name, "gateway") or within(module.name, "gateway.sandbox"):
        return
    for node in ast.walk(module.tree):
        compared: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            compared = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            compared = [node.value]
        for value in compared:
            for part in ast.walk(value):
                if isinstance(part, ast.Constant) and part.value in VENDOR_NAMES:
                    yield part.lineno, f"gateway compares with {part.value!r}; the fact belongs in normalizers (rule 2)"


def wrong_door(module: Module) -> Iterator[tuple[int, str]]:
    """Rule 3."""
    for line, name in module.imports():
        if within(name, *OPEN_TO_ALL):
            continue
        for package, doors in DOORS.items():
            if within(name, package) and not within(module.name, *doors):
                yield line, f"{name} comes in through {' or '.join(doors)} only (rule 3)"


def outward(module: Module) -> Iterator[tuple[int, str]]:
    """Rule 4."""
    for line, name in module.imports():
        if within(module.name, "gateway.sandbox"):
            if within(name, "gateway", "normalizers") and not within(name, "gateway.sandbox"):
                yield line, f"the sandbox is written from the vendors' documents alone and imports {name} (rule 4)"
        elif within(module.name, "gateway") and module.name != "gateway" and name.startswith("gateway."):
            if name != "gateway.__version__" and layer(name) < layer(module.name):
                yield line, f"arrows point inwards, and {module.name} imports {name} (rule 4)"
        elif is_vendor(module.name) or module.name.startswith("normalizers._"):
            imported = ".".join(name.split(".")[:2])
            if is_vendor(imported) and imported.removeprefix("normalizers.") in VENDOR_NAMES:
                yield line, f"only the door of normalizers knows its vendors, and {module.name} imports {name} (rule 4)"


def hidden(module: Module) -> Iterator[tuple[int, str]]:
    """An import by a computed name cannot be checked; only the command line may put off an import."""
    if within(module.name, "gateway.cli"):
        return
    for node in ast.walk(module.tree):
        match node:
            case (
                ast.Call(func=ast.Name(id="__import__" | "import_module"))
                | ast.Call(func=ast.Attribute(attr="import_module"))
            ):
                yield node.lineno, "an import by a computed name hides an arrow from this test"


def banned(module: Module) -> Iterator[tuple[int, str]]:
    """Names whose use would break a rule of the wire."""
    if not within(module.name, "gateway"):
        return
    for node in ast.walk(module.tree):
        match node:
            case ast.alias(name=name) | ast.Name(id=name) | ast.Attribute(attr=name) if name in BANNED_NAMES:
                if name == "BaseHTTPMiddleware" or not within(module.name, *MAY_READ_REQUESTS):
                    yield node.lineno, f"{name}: {BANNED_NAMES[name]}"
            case ast.Attribute(value=ast.Name(id="request"), attr=attribute) if attribute in BANNED_OF_REQUEST:
                if not within(module.name, *MAY_READ_REQUESTS):
                    yield (
                        node.lineno,
                        f"request.{attribute} is built from what the caller says, or reads without a bound",
                    )


def vague(module: Module) -> Iterator[tuple[int, str]]:
    """A file's name says what is in it."""
    for part in module.parts:
        if part in VAGUE:
            yield 1, f"{part!r} says nothing; name the one idea"


RULES = (impure, knows_a_vendor, wrong_door, outward, hidden, banned, vague)


def faults(path: str, source: str) -> list[str]:
    """Every breach in one file, as `path:line: what`."""
    module = Module(path, ast.parse(source, path))
    return [f"{path}:{line}: {fault}" for rule in RULES for line, fault in rule(module)]


@pytest.mark.parametrize("path", [path.relative_to(ROOT).as_posix() for path in modules()])
def test_module_keeps_the_rules(path: str) -> None:
    """No module of the house breaks a rule."""
    source = (ROOT / path).read_text(encoding="utf-8")

    found = faults(path, source)

    assert not found, "\n".join(found)


BREACHES = [
    ("normalizers/_reply.py", "import time", "normalizers is pure and imports time"),
    ("normalizers/_reply.py", "import logging as log", "imports logging"),
    ("normalizers/_reply.py", "def f():\n    import socket", "imports socket"),
    ("normalizers/_reply.py", "from urllib import request", "imports urllib.request"),
    ("normalizers/_reply.py", "import pydantic", "imports pydantic"),
    ("normalizers/pixii.py", "from gateway import metrics", "imports gateway.metrics"),
    ("normalizers/_reply.py", "from importlib import metadata", "imports importlib.metadata"),
    ("normalizers/_reply.py", "from datetime import datetime\ndatetime.now()", "calls now()"),
    ("normalizers/_reply.py", "import datetime\ndatetime.date.today()", "calls today()"),
    ("normalizers/_reply.py", "print('x')", "calls print()"),
    ("gateway/proxy.py", "if vendor == 'pixii':\n    pass", "compares with 'pixii'"),
    ("gateway/proxy.py", "if vendor in {'apixo', 'pixee'}:\n    pass", "compares with 'apixo'"),
    ("gateway/proxy.py", "match vendor:\n    case 'pikzels':\n        pass", "compares with 'pikzels'"),
    ("gateway/proxy.py", "import httpx2", "httpx2 comes in through gateway.upstream.httpx only"),
    ("gateway/upstream/__init__.py", "from httpcore2 import Request", "httpcore2.Request comes in through"),
    ("gateway/upstream/http1.py", "import h11", "h11 comes in through"),
    ("gateway/app.py", "import prometheus_client.exposition", "gateway.metrics only"),
    ("gateway/app.py", "import uvicorn.config", "gateway.server only"),
    ("gateway/server_side.py", "import httptools", "gateway.server"),
    ("gateway/settings/server.py", "import click", "gateway.cli only"),
    ("gateway/cli/check.py", "import yaml", "gateway.settings only"),
    ("gateway/proxy.py", "import zlib", "zlib comes in through gateway.codings"),
    ("normalizers/_reply.py", "import brotli", "brotli comes in through gateway.codings only"),
    ("gateway/proxy.py", "from starlette.responses import Response", "starlette.responses.Response comes in through"),
    ("gateway/app.py", "from . import sandbox", "gateway.sandbox comes in through gateway.cli"),
    ("gateway/sandbox/pixii.py", "from normalizers import VENDORS", "the sandbox is written from"),
    ("gateway/sandbox/pixii.py", "from .. import settings", "the sandbox is written from"),
    ("gateway/sandbox/pixii.py", "from gateway.settings import load", "the sandbox is written from"),
    ("gateway/settings/server.py", "from gateway import metrics", "gateway.settings.server imports gateway.metrics"),
    ("gateway/metrics.py", "from .proxy import Proxy", "gateway.metrics imports gateway.proxy.Proxy"),
    ("gateway/upstream/httpx.py", "from ..app import create_app", "imports gateway.app.create_app"),
    ("gateway/proxy.py", "from . import server", "gateway.proxy imports gateway.server"),
    ("gateway/server/__init__.py", "from ..cli import main", "gateway.server imports gateway.cli.main"),
    ("normalizers/pixii.py", "from .apixo import VENDOR", "normalizers.pixii imports normalizers.apixo.VENDOR"),
    ("normalizers/pixii.py", "from . import apixo", "normalizers.pixii imports normalizers.apixo"),
    ("normalizers/_described.py", "from .pixii import VENDOR", "normalizers._described imports normalizers.pixii"),
    ("gateway/proxy.py", "import importlib\nimportlib.import_module(x)", "hides an arrow"),
    ("gateway/proxy.py", "__import__('httpx2')", "hides an arrow"),
    ("gateway/sandbox/x.py", "from starlette.middleware.base import BaseHTTPMiddleware", "BaseHTTPMiddleware: "),
    ("gateway/app.py", "from starlette.responses import StreamingResponse", "StreamingResponse: "),
    ("gateway/app.py", "def f(request):\n    return request.url", "gateway/app.py:2: request.url is built"),
    ("gateway/app.py", "async def f(request):\n    await request.body()", "request.body is built"),
    ("gateway/utils.py", "", "'utils' says nothing"),
    ("gateway/common/x.py", "", "'common' says nothing"),
]


@pytest.mark.parametrize(("path", "source", "says"), BREACHES, ids=[f"{path}-{says}" for path, _, says in BREACHES])
def test_breach_is_seen(path: str, source: str, says: str) -> None:
    """Each rule fails on a small source that breaks it, and says where."""
    found = faults(path, source)

    assert any(says in fault for fault in found), found
    assert all(fault.startswith(f"{path}:") for fault in found)


ALLOWED = [
    ("normalizers/_reply.py", "import json\nfrom urllib.parse import quote\nfrom datetime import datetime"),
    ("normalizers/__init__.py", "from importlib.metadata import entry_points\nfrom . import apixo, pixii"),
    ("normalizers/pixii.py", "from ._codes import HouseCode\nfrom ._normalize import Vendor"),
    ("gateway/proxy.py", "from starlette.types import Send\nfrom normalizers import normalize\nfrom . import headers"),
    ("gateway/upstream/httpx.py", "import h11\nimport httpcore2\nfrom . import Reply"),
    ("gateway/app.py", "from starlette.applications import Starlette\nfrom .proxy import Proxy"),
    ("gateway/cli/__init__.py", "import click\nfrom gateway import __version__\nfrom ..sandbox import create_sandbox"),
    ("gateway/sandbox/pixii.py", "from starlette.responses import StreamingResponse\nfrom .faults import fault"),
    ("gateway/sandbox/pixii.py", "async def f(request):\n    return await request.json(), request.url"),
    ("gateway/settings/vendors.py", "import yaml\nfrom normalizers import Vendor\nfrom .values import Seconds"),
]


@pytest.mark.parametrize(("path", "source"), ALLOWED, ids=[f"{n}-{path}" for n, (path, _) in enumerate(ALLOWED)])
def test_honest_source_passes(path: str, source: str) -> None:
    """What the house does is no breach: the rules bind nothing else."""
    found = faults(path, source)

    assert found == []


def test_the_walk_sees_the_house() -> None:
    """The walk finds both packages and the four vendors: it cannot pass by finding nothing."""
    names = {Module(path.relative_to(ROOT).as_posix(), ast.Module([], [])).name for path in modules()}

    assert {"gateway", "gateway.cli", "gateway.metrics", "gateway.upstream.httpx", "normalizers"} <= names
    assert {"apixo", "pikzels", "pixee", "pixii"} <= VENDOR_NAMES


# House rule: a file beyond this is not forbidden, its docstring then says why it is one file.
LONG_LINES = 300


def test_long_file_says_why() -> None:
    """A file of more than 300 lines says in its docstring why it is one."""
    sources = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in ("gateway", "normalizers", "tests", "docs", ".ci")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }

    silent = [
        path
        for path, source in sources.items()
        if source.count("\n") > LONG_LINES and "One file" not in (ast.get_docstring(ast.parse(source)) or "")
    ]

    assert silent == []
