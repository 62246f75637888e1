"""
The compiled form, as far as it can be judged without compiling; `make test-compiled` runs the suites over it.

What mypyc cannot compile, or what would behave otherwise once compiled, is found here before the compiler is asked.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compiled import INTERPRETED, ROOT, compiled

COMPILED = compiled()
MODULES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for package in ("gateway", "normalizers")
    for path in sorted((ROOT / package).rglob("*.py"))
}
# Bases whose classes stay what they are in Python.
NOT_NATIVE = {"Protocol", "NamedTuple", "TypedDict", "Enum", "StrEnum", "IntEnum", "Flag"}
# Who tells a function from a class by looking at it, and is told wrong by a compiled one.
LOOKS_AT_FUNCTIONS = ("starlette.routing", "starlette.applications", "click", "pydantic", "inspect")


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """What is in a function, but not in one that is nested in it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield node
            yield from own_nodes(node)


def base_names(cls: ast.ClassDef) -> list[str]:
    """What a class derives from, by the last part of each name."""
    bare = (base.value if isinstance(base, ast.Subscript) else base for base in cls.bases)
    return [ast.unparse(base).rpartition(".")[2] for base in bare]


def origins(path: str, tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Everything imported from somewhere: the dotted module, the name there, and the name here."""
    parts = path.removesuffix(".py").split("/")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            above = parts[: len(parts) - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((module, alias.name, alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "", alias.asname or alias.name) for alias in node.names)


def dotted(path: str) -> str:
    """The name by which a module is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def unfit(path: str, source: str) -> list[str]:
    """Whatever in one module mypyc cannot compile, or would compile into something else."""
    tree = ast.parse(source, path)
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.AsyncFunctionDef() if any(isinstance(part, ast.Yield) for part in own_nodes(node)):
                found.append(f"{path}:{node.lineno}: {node.name} is an async generator")
            case ast.ClassDef() if "Enum" in " ".join(base_names(node)) and any(
                isinstance(part, ast.FunctionDef) and part.name in {"__init__", "__new__"} for part in node.body
            ):
                found.append(f"{path}:{node.lineno}: the Enum {node.name} has an __init__")
            case ast.Call(func=ast.Name(id="cast"), args=[_, ast.Constant(value=None)]):
                found.append(f"{path}:{node.lineno}: None is cast, and types are checked when it runs")
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found += [
                    f"{path}:{part.lineno}: {part.name} is a class inside of {node.name}"
                    for part in node.body
                    if isinstance(part, ast.ClassDef)
                ]
    found += [
        f"{path}: {module} looks at functions, and does not know a compiled one"
        for module, _, _ in origins(path, tree)
        if any(module == name or module.startswith(f"{name}.") for name in LOOKS_AT_FUNCTIONS)
    ]
    return found


def test_list_is_of_modules() -> None:
    """Each module of the list is there, once, in the order of the names."""
    assert set(COMPILED) <= set(MODULES)
    assert list(COMPILED) == sorted(set(COMPILED))


@pytest.mark.parametrize("path", COMPILED)
def test_module_can_be_compiled(path: str) -> None:
    """Nothing is in it of which is known that it does not compile, or not into the same."""
    assert unfit(path, MODULES[path]) == []


UNFIT = [
    ("async def f():\n    yield 1", "f is an async generator"),
    ("async def f():\n    async with x:\n        yield 1", "f is an async generator"),
    ("class A(Enum):\n    def __init__(self): ...", "the Enum A has an __init__"),
    ("class A(enum.StrEnum):\n    def __new__(cls): ...", "the Enum A has an __init__"),
    ("x = cast('bool', None)", "None is cast"),
    ("def f():\n    class B: ...", "B is a class inside of f"),
    ("from starlette.routing import Route", "starlette.routing looks at functions"),
    ("import inspect", "inspect looks at functions"),
]


@pytest.mark.parametrize(("source", "says"), UNFIT)
def test_unfit_is_seen(source: str, says: str) -> None:
    """Each of them is seen in a small source."""
    assert [says in fault for fault in unfit("gateway/x.py", source)] == [True]


def test_honest_source_is_fit() -> None:
    """A generator inside of a coroutine, a plain generator, and a dataclass are none of these."""
    source = "async def f():\n    def g():\n        yield 1\n    return cast('int', 1)\n\ndef h():\n    yield 2"

    assert unfit("gateway/x.py", source) == []


def native() -> set[tuple[str, str]]:
    """The classes that are compiled: the module and the name."""
    return {
        (dotted(path), node.name)
        for path in COMPILED
        for node in ast.parse(MODULES[path]).body
        if isinstance(node, ast.ClassDef) and not NOT_NATIVE & set(base_names(node))
    }


def test_nobody_interpreted_derives_from_a_compiled_class() -> None:
    """Python refuses that when an object is made, so both are compiled or neither is."""
    classes, found = native(), []
    for path, source in MODULES.items():
        if path in COMPILED:
            continue
        tree = ast.parse(source)
        here = {name for module, original, name in origins(path, tree) if (module, original) in classes}
        found += [
            f"{path}: {node.name} derives from {base}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            for base in base_names(node)
            if base in here
        ]

    assert found == []


@pytest.mark.parametrize("name", INTERPRETED)
def test_what_is_not_kept_compiled_is_there(name: str) -> None:
    """A test that only plain Python can keep exists, and the list says why it is on it."""
    path, _, function = name.partition("::")

    functions = {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if hasattr(node, "name")}

    assert function in functions
    assert INTERPRETED[name]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """What a wheel is made of, apart from the checkout."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("gateway", "normalizers"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return tmp_path


def build(package: Path, program: str, *, compiling: bool) -> subprocess.CompletedProcess[str]:
    """A few lines over the build backend, in the package's folder."""
    return subprocess.run(
        [sys.executable, "-c", f"from setuptools import build_meta\n{program}"],
        cwd=package,
        env={**os.environ, "ERRGATE_COMPILE": "1" if compiling else "", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_plain_wheel_is_plain(package: Path) -> None:
    """Whoever asks for nothing gets a wheel for every machine, with every module and no extension."""
    done = build(package, "print(build_meta.build_wheel('.'))", compiling=False)

    assert done.returncode == 0, done.stderr
    (wheel,) = package.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as held:
        names = held.namelist()
    assert [name for name in names if name.endswith(".so")] == []
    assert set(MODULES) <= set(names)


def test_compiler_is_asked_for(package: Path) -> None:
    """A build in an environment of its own asks for the compiler, of the version that the lock files pin."""
    plain = build(package, "print(build_meta.get_requires_for_build_wheel())", compiling=False)
    asked = build(package, "print(build_meta.get_requires_for_build_wheel())", compiling=True)

    assert plain.stdout.splitlines()[-1] == "[]"
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["build"]
    assert asked.stdout.splitlines()[-1] == str(wanted)
    pins = [
        re.findall(r"^mypy==(\S+)", (ROOT / f"requirements-{name}.lock").read_text(), re.MULTILINE)
        for name in ("build", "dev")
    ]
    assert pins[0] == pins[1]
    assert any(re.fullmatch(rf"mypy>={pins[0][0].rpartition('.')[0]},<.*", said) for said in wanted)


def test_missing_compiler_is_named(package: Path) -> None:
    """Without isolation and without mypyc the build says what is missing, and what to do."""
    done = build(package, "import sys\nsys.modules['mypyc.build'] = None\nbuild_meta.build_wheel('.')", compiling=True)

    assert done.returncode == 1
    assert "ERRGATE_COMPILE=1 needs mypyc" in done.stderr
    assert "requirements-build.lock" in done.stderr


def test_editable_and_compiled_exclude_each_other(package: Path) -> None:
    """What is edited is what runs; compiled beside its source it would not be."""
    done = build(package, "build_meta.build_editable('.')", compiling=True)

    assert done.returncode == 1
    assert "an editable install" in done.stderr
