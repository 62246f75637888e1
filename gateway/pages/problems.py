"""
What the problem pages say of each house code, gathered from the vendors that are in force (contract 16).

The same facts make the page of a browser, the JSON of a program, and the files of a documentation site.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway.settings import Settings
from normalizers import STATUSES, Fault, FieldError, HouseCode, Limit, Problem, Row, Source, Vendor, VendorError

from . import static

WHOSE_MOVE = {
    Fault.CALLER: ("The caller", "Whoever sent the request has to change it, or the order in which things are asked."),
    Fault.OPERATOR: ("The operator", "Whoever runs this gateway and holds the account at the vendor has to act."),
    Fault.VENDOR: ("The vendor", "The vendor has to recover. Nobody on this side has made a mistake."),
}

# What else a person may be looking for who has landed on a page; a code's neighbours differ in who must act.
RELATED = (
    ("unauthenticated", "permission_denied", "vendor_account_error", "vendor_access_denied"),
    ("rate_limited", "capacity_exhausted", "vendor_rate_limited", "quota_exhausted", "insufficient_credits"),
    ("vendor_failed", "vendor_unavailable", "vendor_unreachable", "vendor_timeout", "work_failed"),
    ("overloaded", "internal_error", "vendor_unavailable"),
    ("invalid_request", "unprocessable_input", "content_rejected", "payload_too_large", "unsupported_media_type"),
    ("not_found", "conflict", "cancelled", "precondition_failed"),
    ("method_not_allowed", "not_implemented", "misdirected_request"),
    ("request_timeout", "uri_too_long", "header_fields_too_large", "payload_too_large", "range_not_satisfiable"),
)

# Codes that the gateway gives itself, where no vendor's code becomes them: how an envelope of it comes to be.
_LIMITED = {
    HouseCode.RATE_LIMITED: Limit("minute", "caller"),
    HouseCode.CAPACITY_EXHAUSTED: Limit("minute", "vendor"),
}
_ON_THE_NETWORK = frozenset({HouseCode.VENDOR_UNREACHABLE})
_WITH_A_DELAY = {
    HouseCode.RATE_LIMITED: 12,
    HouseCode.CAPACITY_EXHAUSTED: 12,
    HouseCode.VENDOR_RATE_LIMITED: 47,
    HouseCode.QUOTA_EXHAUSTED: 28_800,
    HouseCode.OVERLOADED: 1,
    HouseCode.VENDOR_UNAVAILABLE: 30,
}

# What `type` begins with where the settings do not say otherwise.
BASE_URI = "/-/problems/"
INSTANCE = "urn:uuid:1b8e4a52-6a0e-4c3e-9f0b-0f6f0f3d6f6a"
REQUEST_ID = "0752c9674946f02ec5b8c871557c23d5"


class Links(NamedTuple):
    """
    How pages lead to each other, all of it relative: behind any prefix, and from any file server.

    `root` leads to where `pages/` is, `home` to the index, `before` and `after` stand around a code's name.
    """

    root: str
    home: str
    before: str
    after: str


# What the problem pages need beside themselves.
ASSETS = ("errgate.css", "icon.svg", "problems.js")

# As the gateway serves them: /-/problems and /-/problems/CODE, assets in /-/pages/.
INDEX_SERVED = Links("", "problems", "problems/", "")
CODE_SERVED = Links("../", "../problems", "", "")
# As files: index.html and CODE/index.html, so that every file server finds CODE by the path that `type` ends in.
INDEX_FILE = Links("", "index.html", "", "/index.html")
CODE_FILE = Links("../", "../index.html", "../", "/index.html")


def in_force(settings: Settings) -> list[Vendor]:
    """The vendors of the settings, each by the name that it has there."""
    return [replace(vendor.vendor, name=name) for name, vendor in settings.vendors.items()]


def facts(house: HouseCode, vendors: Sequence[Vendor], base_uri: str) -> dict[str, object]:
    """What is known of a house code, and which codes of which vendors become it."""
    whose, move = WHOSE_MOVE[house.fault]
    return {
        "type": base_uri + house.code,
        "code": house.code,
        "status": house.status,
        "title": house.title,
        "fault": house.fault.value,
        "retryable": house.retryable,
        "meaning": house.meaning,
        "advice": house.advice,
        "whose_move": whose,
        "move": move,
        "retry": retry(house),
        "statuses": [status for status, row in STATUSES.items() if house in {row.house, row.without_credential}],
        "vendors": {vendor.name: rows for vendor in vendors if (rows := _rows(vendor, house))},
        "titles": {vendor.name: vendor.title for vendor in vendors},
        "related": related(house),
        "example": example(house, vendors).members(base_uri=base_uri, instance=INSTANCE, request_id=REQUEST_ID),
    }


def retry(house: HouseCode) -> str:
    """Whether and how a request that met this code is sent again."""
    if not house.retryable:
        return "No. The same request meets the same answer; `X-Should-Retry: false` tells an SDK so."
    return (
        "Yes, if `retryable` is true in the envelope: it is false where a request that may have been carried out is "
        "not safe to repeat. Wait `retry_after` seconds where given; else wait one second and double it each time, "
        "with a random part. Stop after a few tries."
    )


def related(house: HouseCode) -> list[str]:
    """The house codes that are easily taken for this one."""
    together = (code for group in RELATED if house.code in group for code in group if code != house.code)
    return list(dict.fromkeys(together))


def example(house: HouseCode, vendors: Sequence[Vendor]) -> Problem:
    """An envelope of this code: of a vendor's documented error where one becomes it, else of the gateway's own."""
    for vendor in vendors:
        for row in vendor.rows:
            if row.kind == "http" and row.house is house:
                return _of_a_vendor(house, vendor, row)
    source = Source.NETWORK if house in _ON_THE_NETWORK else Source.GATEWAY
    title = vendors[0].title if vendors else "The vendor"
    return Problem(
        house,
        source,
        house.sentence.format(vendor=title),
        vendor=vendors[0].name if vendors else None,
        retry_after=_WITH_A_DELAY.get(house),
        limit=_LIMITED.get(house),
    )


def _of_a_vendor(house: HouseCode, vendor: Vendor, row: Row) -> Problem:
    message = row.description or None
    wrong = (FieldError("Field required", "#/size"),) if house is HouseCode.INVALID_REQUEST else ()
    sentence = house.sentence.format(vendor=vendor.title)
    return Problem(
        house,
        Source.VENDOR,
        message if message and house.fault is Fault.CALLER else sentence,
        vendor=vendor.name,
        vendor_error=VendorError(row.status or house.status, row.code, message),
        errors=wrong,
        retry_after=_WITH_A_DELAY.get(house),
    )


def _rows(vendor: Vendor, house: HouseCode) -> list[dict[str, object]]:
    return [
        {
            "code": row.code,
            "kind": row.kind,
            "status": row.status,
            "description": row.description,
            "advice": row.advice,
            "house_code": row.house.code,
            "with_own_credential": (row.without_credential or row.house).code,
        }
        for row in vendor.rows
        if house in {row.house, row.without_credential}
    ]


def export(vendors: Sequence[Vendor], base_uri: str = BASE_URI) -> Mapping[str, bytes]:
    """
    The pages as files of a documentation site: paths below its folder, and their content.

    `CODE/index.html` is what a file server answers with at `CODE`, the last part of an envelope's `type`.
    """
    from .rendering import fill  # noqa: PLC0415  (as in `render`: imported with the first page)

    problems = [facts(house, vendors, base_uri) for house in HouseCode]
    pages = {"index.html": fill("index.html", problems=problems, links=INDEX_FILE, console=False)}
    for problem in problems:
        pages[f"{problem['code']}/index.html"] = fill("problem.html", problem=problem, links=CODE_FILE, console=False)
    assets = {f"pages/{name}": static()[name] for name in ASSETS}
    return {path: text.encode() for path, text in pages.items()} | assets


def one_page(vendors: Sequence[Vendor]) -> str:
    """Every house code on one page that needs no other file."""
    from .rendering import fill  # noqa: PLC0415  (as in `render`: imported with the first page)

    problems = [facts(house, vendors, BASE_URI) for house in HouseCode]
    return fill("one.html", problems=problems, style=static()["errgate.css"].decode())
