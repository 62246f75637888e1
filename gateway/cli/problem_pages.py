"""A page per house code as plain HTML, for a documentation site that problems.base_uri can point to."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from normalizers import Fault, HouseCode, Row, Vendor

WHOSE_MOVE = {
    Fault.CALLER: "The caller's: the request has to change.",
    Fault.OPERATOR: "The operator's: whoever runs this gateway and holds the vendor account.",
    Fault.VENDOR: "The vendor's.",
}


def pages(vendors: Sequence[Vendor]) -> Mapping[str, str]:
    """File names and their content: an index, and a page for each house code."""
    index = [
        f'<li><a href="{h.code}.html"><code>{h.code}</code></a> {h.status}: {escape(h.title)}</li>' for h in HouseCode
    ]
    return {
        "index.html": document("Problems", ["<h1>Problems</h1>", "<ul>", *index, "</ul>"]),
        **{
            f"{house.code}.html": document(
                house.code, [*section(house, vendors), '<p><a href="index.html">All problems</a></p>']
            )
            for house in HouseCode
        },
    }


def one_page(vendors: Sequence[Vendor]) -> str:
    """Every house code on one page."""
    sections = [line for house in HouseCode for line in ["<section>", *section(house, vendors), "</section>"]]
    return document("Problems", sections)


def document(title: str, body: Iterable[str]) -> str:
    """A whole HTML document; `body` is already HTML."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
        ]
    )


def section(house: HouseCode, vendors: Sequence[Vendor]) -> list[str]:
    """What one house code means, whose move it is, what to do, and which vendor codes become it."""
    facts = {
        "Status": str(house.status),
        "What it means": house.meaning,
        "Whose move": WHOSE_MOVE[house.fault],
        "What to do": house.advice,
        "Send it again?": "Yes, after the delay in retry_after." if house.retryable else "Not as it is.",
    }
    rows = [(vendor, row) for vendor in vendors for row in vendor.rows if house in {row.house, row.without_credential}]
    return [
        f'<h1 id="{house.code}"><code>{house.code}</code></h1>',
        f"<p>{escape(house.title)}</p>",
        "<dl>",
        *(f"<dt>{term}</dt><dd>{escape(fact)}</dd>" for term, fact in facts.items()),
        "</dl>",
        *(vendor_table(rows) if rows else []),
    ]


def vendor_table(rows: Sequence[tuple[Vendor, Row]]) -> list[str]:
    """The vendor codes that become one house code, in the vendors' own words."""
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("Vendor", "Code", "The vendor says", "The vendor advises")
    )
    return [
        "<table>",
        "<caption>Vendor codes that become it</caption>",
        f"<thead><tr>{head}</tr></thead>",
        "<tbody>",
        *(
            f"<tr><td>{escape(vendor.title)}</td><td><code>{escape(row.code)}</code></td>"
            f"<td>{escape(row.description)}</td><td>{escape(row.advice)}</td></tr>"
            for vendor, row in rows
        ),
        "</tbody>",
        "</table>",
    ]
