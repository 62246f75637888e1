"""Each vendor's normalizer, found by name or built from its mapping; own routes first; every route's deadlines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from normalizers import GENERIC, VENDORS, Failure, HouseCode, Route, Vendor, describe, plugins

from .faults import Fault, KeyPath
from .models import Settings
from .routes import Job, RouteSettings
from .values import suggestion
from .vendors import Timeouts, VendorSettings

NOTHING_KNOWN = "generic"


class _Unknown(Exception):
    """Nobody has a normalizer of this name; says who has what."""


def resolve(settings: Settings) -> list[Fault]:
    """
    Settle every vendor with the routes it has, and with the rows of the vendor it is or extends.

    One that nobody knows is settled as `generic`, with a fault. What a mapping says beyond its routes comes with
    `describe_all`, when nothing is wrong with it.
    """
    faults: list[Fault] = []
    try:
        catalogue = {**VENDORS, **plugins()}
    except ValueError as broken:
        catalogue = dict(VENDORS)
        faults.append(Fault(("vendors",), f"an installed normalizer is broken ({broken}); mend or remove its package"))
    for name, vendor in settings.vendors.items():
        try:
            base = _base(name, vendor, catalogue)
        except _Unknown as unknown:
            path: KeyPath = ("vendors", name, "normalizer")
            faults.append(Fault((*path, "extends") if vendor.described else path, str(unknown)))
            base = GENERIC(name)
        routes = (*vendor.routes, *(vendor.described.routes if vendor.described else ()))
        whole = replace(base, name=name, routes=(*map(route_of, routes), *base.routes))
        vendor.settle(whole, dict(_deadlines(vendor, base.routes, whole.routes)))
    return faults


def describe_all(settings: Settings) -> list[Fault]:
    """Settle each vendor that is a mapping with all that it says."""
    faults: list[Fault] = []
    for name, vendor in settings.vendors.items():
        if vendor.described is None:
            continue
        known = replace(vendor.vendor, routes=())
        said = vendor.described.model_dump(exclude_unset=True)
        try:
            described = describe(name, said, known if vendor.described.extends else None)
        # What is left when every shape is right; no file is known to lead here.
        except ValueError as wrong:
            faults.append(Fault(("vendors", name, "normalizer"), f"cannot be used: {wrong}"))
        else:
            vendor.settle(replace(described, routes=vendor.vendor.routes))
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
        raise _Unknown(f"there is no normalizer of this name{mend}")
    return catalogue[asked]


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
