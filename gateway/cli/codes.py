"""List the house codes and every vendor's table: for a terminal, a script, a README, or a site of problem pages."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from gateway.pages.problems import BASE_URI, export, in_force, one_page
from gateway.settings import load
from normalizers import HouseCode, Row, Vendor

from .say import heading, table, width
from .settings_file import FILE, refusing
from .vendors import known, unknown

# How each format is called as a file; html is a page per code instead.
FILES = {"table": "codes.txt", "json": "codes.json", "markdown": "codes.md"}


@click.command()
@click.option("--vendor", "only", metavar="VENDOR", help="Only this vendor's codes.")
@click.option(
    "--format",
    "layout",
    type=click.Choice([*FILES, "html"]),
    metavar="FORMAT",
    default="table",
    show_default=True,
    help="table, json, markdown or html.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write into DIR, made if need be; html is then a page per house code.",
)
@click.option(
    "--config",
    type=FILE,
    metavar="FILE",
    help="A settings file: its vendors instead of the built-in ones, described ones included.",
)
def codes(*, only: str | None, layout: str, as_json: bool, output: Path | None, config: Path | None) -> None:
    """List the house codes and every vendor's codes.

    Each vendor code stands with the house code it becomes and the vendor's own description and advice. The pages of
    `--format html --output DIR` can be served from where problems.base_uri points: any file server will do.
    """
    layout = "json" if as_json else layout
    vendors, base_uri = registry(config)
    if only is not None and only not in vendors:
        raise unknown("codes", only, vendors)
    chosen = [vendors[name] for name in sorted(vendors) if only in {None, name}]
    if output is None:
        click.echo(render(layout, chosen, whole=only is None, columns=width()))
        return
    if layout == "html":
        files = export(chosen, base_uri)
    else:
        files = {FILES[layout]: f"{click.unstyle(render(layout, chosen, whole=only is None))}\n".encode()}
    for name, content in files.items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(content)
    click.echo(f"{output}: {len(files)} {'file' if len(files) == 1 else 'files'} written")


def registry(config: Path | None) -> tuple[Mapping[str, Vendor], str]:
    """The vendors by name, and what a `type` begins with: of the settings where they are given."""
    if config is None:
        return known(), BASE_URI
    with refusing():
        settings = load(config)
    return {vendor.name: vendor for vendor in in_force(settings)}, settings.problems.base_uri


def render(layout: str, vendors: Sequence[Vendor], *, whole: bool, columns: int | None = None) -> str:
    """Everything as one text; the house codes head the tables when they are wanted whole."""
    match layout:
        case "html":
            return one_page(vendors)
        case "json":
            return json.dumps(catalogue(vendors), indent=2)
        case "markdown":
            return "\n".join([*(markdown_house() if whole else []), *(line for v in vendors for line in markdown(v))])
        case _:
            return "\n".join(
                [*(text_house(columns) if whole else []), *(line for v in vendors for line in text(v, columns))]
            )


def catalogue(vendors: Sequence[Vendor]) -> dict[str, object]:
    """The house codes, and the codes of these vendors, as JSON has them."""
    return {
        "codes": [
            {
                "code": house.code,
                "status": house.status,
                "fault": house.fault,
                "retryable": house.retryable,
                "title": house.title,
                "meaning": house.meaning,
                "advice": house.advice,
            }
            for house in HouseCode
        ],
        "vendors": {
            vendor.name: {
                "title": vendor.title,
                "source": vendor.source,
                "codes": [
                    {
                        "code": row.code,
                        "kind": row.kind,
                        "status": row.status,
                        "house_code": row.house.code,
                        "with_own_credential": (row.without_credential or row.house).code,
                        "description": row.description,
                        "advice": row.advice,
                    }
                    for row in vendor.rows
                ],
            }
            for vendor in vendors
        },
    }


HOUSE_COLUMNS = ("code", "status", "fault", "retry", "title")
VENDOR_COLUMNS = ("vendor code", "reply", "house code", "what the vendor says")


def house_rows() -> list[tuple[str, ...]]:
    """The house codes as cells."""
    return [(h.code, str(h.status), h.fault, "yes" if h.retryable else "no", h.title) for h in HouseCode]


def vendor_row(row: Row) -> tuple[str, ...]:
    """One row of a vendor's table as cells; a code that comes in a finished job has no status of its own."""
    reply = "job" if row.kind == "job" else str(row.status or "any")
    own = f"With the caller's own credential: {row.without_credential.code}" if row.without_credential else ""
    says = " ".join(sentence(part) for part in (row.description, row.advice, own) if part)
    return row.code, reply, row.house.code, says


def sentence(text: str) -> str:
    """A vendor's words on one line, with the full stop that their page leaves out."""
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def text_house(columns: int | None) -> list[str]:
    """The house codes for a terminal of so many columns."""
    first, *rest = table([HOUSE_COLUMNS, *house_rows()], columns=columns)
    return [heading(first), *rest, ""]


def text(vendor: Vendor, columns: int | None) -> list[str]:
    """A vendor's table for a terminal of so many columns."""
    title = heading(f"{vendor.title} ({vendor.name}), {len(vendor.rows)} codes")
    first, *rest = table([VENDOR_COLUMNS, *map(vendor_row, vendor.rows)], columns=columns)
    return [title, heading(first), *rest, ""]


def markdown_house() -> list[str]:
    """The house codes as a Markdown table."""
    return ["## House codes", "", *markdown_table([HOUSE_COLUMNS, *house_rows()], code_columns={0}), ""]


def markdown(vendor: Vendor) -> list[str]:
    """A vendor's codes as a Markdown table."""
    rows = [VENDOR_COLUMNS, *map(vendor_row, vendor.rows)]
    return [f"## {vendor.title} (`{vendor.name}`)", "", *markdown_table(rows, code_columns={0, 2}), ""]


def markdown_table(rows: Sequence[Sequence[str]], code_columns: set[int]) -> list[str]:
    """Rows as a Markdown table, the first one its head; no cell can end its column or start a tag."""
    head, *body = [[cell.replace("|", "\\|").replace("<", "&lt;") for cell in row] for row in rows]
    marked = [[f"`{cell}`" if place in code_columns else cell for place, cell in enumerate(row)] for row in body]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *marked)]
