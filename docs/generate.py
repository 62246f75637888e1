"""
Writes the tables of README.md from the code: house codes, vendors' codes, keys of the settings, metrics.

    make docs

Each stands between two markers, `<!-- NAME:start -->` and `<!-- NAME:end -->`; `tests/test_docs.py` finds a stale one.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gateway import settings
from gateway.metrics.table import TABLE
from normalizers import VENDORS, HouseCode, Route, Row, Vendor

README = Path(__file__).resolve().parent.parent / "README.md"


def cell(text: str) -> str:
    """Text that stays inside its cell and says what it said; in backticks `<` needs no escape."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


def code(text: str) -> str:
    """A word of the machine's, as code; the empty word is empty."""
    return f"`{' '.join(text.split()).replace('|', chr(92) + '|')}`" if text else ""


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Rows of finished cells as a Markdown table."""
    names = list(header)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def yes(flag: bool) -> str:  # noqa: FBT001  (there is nothing else to say)
    """Say a flag as a person does."""
    return "yes" if flag else "no"


# --- The house codes -------------------------------------------------------------------------------------------------


def codes() -> str:
    """The vocabulary, in the order of its table."""
    return table(
        ("code", "status", "fault", "retryable", "what it means"),
        (
            (code(house.code), str(house.status), house.fault.value, yes(house.retryable), cell(house.meaning))
            for house in HouseCode
        ),
    )


# --- The vendors -----------------------------------------------------------------------------------------------------


def vendors() -> str:
    """Each built-in vendor: where it is, its routes, its codes."""
    return "\n\n".join(vendor(VENDORS[name]) for name in sorted(VENDORS))


def vendor(vendor: Vendor) -> str:
    """One vendor, folded."""
    return "\n".join(
        (
            "<details>",
            f"<summary>{cell(vendor.title)} (<code>{vendor.name}</code>): {len(vendor.rows)} codes</summary>\n",
            f"Base URL {code(vendor.base_url)}. Source: {cell(vendor.source)}.\n",
            table(("route", "methods", "paths", ""), map(route, vendor.routes)) + "\n",
            table(("vendor code", "becomes", "status there", "what the vendor says"), map(vendor_code, vendor.rows)),
            "\n</details>",
        )
    )


def route(route: Route) -> tuple[str, ...]:
    """A route: whether it is refused, and whether its successes can carry failures."""
    remark = "refused: `permission_denied`" if route.refused else "job" if route.job else ""
    return (
        code(route.name),
        " ".join(sorted(route.methods)) or "any",
        " ".join(code(path) for path in route.paths),
        remark,
    )


def vendor_code(row: Row) -> tuple[str, ...]:
    """A vendor's code and what it becomes, with the injected credential and with the caller's own."""
    becomes = code(row.house.code)
    if row.without_credential is not None:
        becomes += f", with the caller's own credential {code(row.without_credential.code)}"
    status = "in a job" if row.kind == "job" else str(row.status or "")
    return code(row.code), becomes, status, cell(row.description)


# --- The settings ----------------------------------------------------------------------------------------------------


class Key(NamedTuple):
    """A key of the settings file; no default: it must be given."""

    path: str
    default: str
    description: str
    node: Mapping[str, Any]


def settings_keys() -> list[Key]:
    """Every key, in the order of the schema; what several places share is told at the first."""
    schema = settings.schema()
    return list(_keys(schema, schema.get("$defs", {}), "", {}))


def _keys(node: Mapping[str, Any], defs: Mapping[str, Any], path: str, told: dict[str, str]) -> Iterator[Key]:
    for name, child in node.get("properties", {}).items():
        here = f"{path}{name}"
        required = name in node.get("required", ())
        below = list(_below(child, defs, here))
        shared = next((told[title] for title, _, _ in below if title in told), None)
        description = child.get("description") or next((model.get("description", "") for _, model, _ in below), "")
        yield Key(
            here,
            "required" if required else _default(child),
            description + (f" As `{shared}`." if shared else ""),
            child,
        )
        for title, model, inside in below:
            if title not in told:
                told[title] = here
                yield from _keys(model, defs, f"{inside}.", told)


def _below(node: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Find the models that a value can be, each with its title and the path of its keys."""
    if reference := node.get("$ref"):
        yield from _below(defs[reference.rpartition("/")[2]], defs, path)
    for choice in ("anyOf", "oneOf", "allOf"):
        for variant in node.get(choice, ()):
            yield from _below(variant, defs, path)
    if "properties" in node:
        yield node.get("title", path), node, path
    if isinstance(values := node.get("additionalProperties"), dict):
        yield from _below(values, defs, f"{path}.<name>")
    if isinstance(items := node.get("items"), dict):
        yield from _below(items, defs, f"{path}[]")


def _default(node: Mapping[str, Any]) -> str:
    """Spell a default as the file spells it; a mapping's stands at its keys."""
    value = node.get("default", {})
    if isinstance(value, dict):
        return ""
    return code(value if isinstance(value, str) else json.dumps(value))


def settings_table() -> str:
    """The complete list of keys."""
    rows = ((code(key.path), key.default, cell(key.description)) for key in settings_keys())
    return table(("key", "default", ""), rows)


# --- The metrics -----------------------------------------------------------------------------------------------------


def metrics_table() -> str:
    """What a scrape of the admin port sees."""
    rows = (
        (code(metric.name), metric.kind.__name__.lower(), " ".join(map(code, metric.labels)), cell(metric.help))
        for metric in TABLE
    )
    return table(("metric", "type", "labels", ""), rows)


TABLES = {"codes": codes, "vendors": vendors, "settings": settings_table, "metrics": metrics_table}


def render(page: str) -> str:
    """Give back the page with every table written anew. Raises ValueError when a marker is missing."""
    for name, make in TABLES.items():
        page = splice(page, name, make())
    return page


def splice(page: str, name: str, content: str) -> str:
    """Put content between the page's two markers of that name. Raises ValueError when one is missing."""
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    block = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if len(block.findall(page)) != 1:
        message = f"the page needs {start} and {end} once each"
        raise ValueError(message)
    return block.sub(lambda _: f"{start}\n{content}\n{end}", page)


if __name__ == "__main__":
    README.write_text(render(README.read_text(encoding="utf-8")), encoding="utf-8")
