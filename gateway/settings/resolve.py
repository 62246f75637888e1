"""Each vendor's normalizer, found by name or built from its mapping; own routes first; every route's deadlines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from normalizers import GENERIC, VENDORS, Failure, HouseCode, Route, Vendor, describe, plugins

from .faults import Fault, KeyPath
from .models import Settings
from .normalizer import Described, Job, RouteSettings
from .values import suggestion
from .vendors import Timeouts, VendorSettings

NOTHING_KNOWN = "generic"


class _Unresolved(Exception):
    """Why a normalizer cannot be had: the key below `normalizer`, and what is wrong with it."""

    def __init__(self, path: KeyPath, text: str) -> None:
        super().__init__(text)
        self.path, self.text = path, text


def resolve(settings: Settings) -> list[Fault]:
    """Settle every vendor; one whose normalizer cannot be had is settled as `generic`, with a fault."""
    faults: list[Fault] = []
    try:
        catalogue = {**VENDORS, **plugins()}
    except ValueError as broken:
        catalogue = dict(VENDORS)
        faults.append(Fault(("vendors",), f"an installed normalizer is broken ({broken}); mend or remove its package"))
    for name, vendor in settings.vendors.items():
        try:
            base = _base(name, vendor, catalogue)
            known = _described(name, vendor.described, base) if vendor.described else base
        except _Unresolved as why:
            faults.append(Fault(("vendors", name, "normalizer", *why.path), why.text))
            base = known = GENERIC(name)
        own = tuple(map(route_of, vendor.routes))
        whole = replace(known, name=name, routes=own + known.routes)
        vendor.settle(whole, dict(_deadlines(vendor, base.routes, whole.routes)))
    return faults


def _base(name: str, vendor: VendorSettings, catalogue: Mapping[str, Vendor]) -> Vendor:
    """Find the known vendor that is meant, or the one that knows nothing."""
    described = vendor.described
    asked = described.extends if described else vendor.normalizer
    if not isinstance(asked, str):
        return GENERIC(name) if described else catalogue.get(name, GENERIC(name))
    if asked == NOTHING_KNOWN:
        return GENERIC(name)
    if asked not in catalogue:
        known = sorted([NOTHING_KNOWN, *catalogue])
        mend = suggestion(asked, known) or f"; known are {', '.join(known)}"
        raise _Unresolved(("extends",) if described else (), f"there is no normalizer of this name{mend}")
    return catalogue[asked]


def _described(name: str, described: Described, base: Vendor) -> Vendor:
    try:
        return describe(name, _plain(described), base if described.extends else None)
    except ValueError as wrong:
        key, colon, text = str(wrong).partition(": ")
        raise _Unresolved(tuple(key.split(".")) if colon else (), text if colon else key) from None


def _plain(described: Described) -> Mapping[str, object]:
    """Give back what the file says, its numbers read: durations in seconds, statuses as numbers."""
    said = described.model_dump(exclude_unset=True)
    if "statuses" in said:
        said["statuses"] = {int(status): meaning for status, meaning in said["statuses"].items()}
    return said


def route_of(route: RouteSettings) -> Route:
    """Make an own route into one that matches."""
    return Route(
        name=route.name,
        methods=frozenset(route.methods),
        paths=route.path,
        job=tuple(map(_failure, route.job)),
        refused=route.refused,
        timeouts=route.timeouts.given(),
    )


def _failure(job: Job) -> Failure:
    return Failure(
        at=job.failed.at if job.failed else (),
        equals=frozenset(job.failed.equals) if job.failed else frozenset(),
        code=job.code,
        message=job.message,
        id=job.id,
        items=job.items,
        by_code=job.by_code,
        otherwise=HouseCode.of(job.otherwise),
        done=frozenset(job.done),
        partial=job.partial,
    )


def _deadlines(
    vendor: VendorSettings, documented: Sequence[Route], routes: Sequence[Route]
) -> Iterator[tuple[str, Timeouts]]:
    """Each route's deadlines; see `VendorSettings.timeouts_for` for which one counts."""
    known = {route.name: route.timeouts for route in reversed(documented)}
    given = [*(vendor.described.routes if vendor.described else ()), *vendor.routes]
    for name in {route.name for route in routes}:
        values = dict(vendor.timeouts)
        for key, seconds in known.get(name, {}).items():
            values[key] = max(values[key], seconds) if key in vendor.timeouts.model_fields_set else seconds
        for route in given:
            values |= route.timeouts.given() if route.name == name else {}
        yield name, vendor.timeouts.model_copy(update=values)
