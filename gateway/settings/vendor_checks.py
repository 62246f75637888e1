"""What of a vendor's keys does not go together."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from .faults import Fault, KeyPath
from .models import Settings
from .places import is_loopback
from .routes import RouteSettings
from .values import suggestion
from .vendors import VendorSettings


class Known(NamedTuple):
    """The routes that may be named at one place, and how a message says whose they are."""

    routes: frozenset[str]
    owner: str
    # Where the names come from.
    about: tuple[KeyPath, ...]

    @classmethod
    def of(cls, name: str, vendor: VendorSettings) -> Self:
        """Those of one vendor."""
        own: KeyPath = ("vendors", name, "routes")
        normalizer: KeyPath = ("vendors", name, "normalizer")
        described = vendor.described.routes if vendor.described else ()
        names = [(*own, index, "name") for index in range(len(vendor.routes))]
        names += [(*normalizer, "routes", index, "name") for index in range(len(described))]
        return cls(
            vendor.route_names, f"vendors.{name}", (own, (*normalizer, "extends"), (*normalizer, "routes"), *names)
        )


def unknown_route(path: KeyPath, route: str, known: Known) -> Fault:
    """Say that no route has this name, and which there are."""
    names = ", ".join(sorted(known.routes)) or "none"
    mend = suggestion(route, known.routes) or f"; it has {names}"
    return Fault(path, f'"{route}" is no route of {known.owner}{mend}', about=known.about)


def vendors(settings: Settings) -> Iterator[Fault]:
    """Check each vendor by itself."""
    for name, vendor in settings.vendors.items():
        path: KeyPath = ("vendors", name)
        yield from _plaintext(path, vendor)
        yield from _engine(path, vendor)
        yield from _jobs((*path, "routes"), vendor.routes)
        yield from _jobs((*path, "normalizer", "routes"), vendor.described.routes if vendor.described else ())
        yield from _errors_in_success(path, vendor, Known.of(name, vendor))


def _plaintext(path: KeyPath, vendor: VendorSettings) -> Iterator[Fault]:
    if vendor.scheme != "http":
        return
    about = ((*path, "base_url"),)
    if not vendor.plaintext and not is_loopback(vendor.host):
        yield Fault(
            (*path, "base_url"),
            "is http:// beyond loopback, readable by everyone on the way; write https://, or say `plaintext: true`",
            about=((*path, "plaintext"),),
        )
    for key in sorted(vendor.tls.model_fields_set):
        if getattr(vendor.tls, key) is not None:
            yield Fault((*path, "tls", key), "has no use with a base_url of http://; write https://", about=about)
    if vendor.http2:
        yield Fault((*path, "http2"), "needs TLS, and base_url is http://; write https://, or false", about=about)


def _engine(path: KeyPath, vendor: VendorSettings) -> Iterator[Fault]:
    if vendor.engine != "http1":
        return
    asked = {
        ("http2",): vendor.http2,
        ("proxy",): vendor.proxy is not None,
        ("tls", "certificate"): vendor.tls.certificate is not None,
    }
    for key, is_set in asked.items():
        if is_set:
            yield Fault(
                (*path, *key), "needs `engine: httpx`; change the engine or take this away", about=((*path, "engine"),)
            )


def _jobs(path: KeyPath, routes: Sequence[RouteSettings]) -> Iterator[Fault]:
    for index, route in enumerate(routes):
        for number, job in enumerate(route.job):
            if job.failed is None and not job.by_code:
                here: KeyPath = (*path, index, "job", number)
                about = ((*here, "failed"), (*here, "by_code"))
                yield Fault(here, "never says that the work failed; write `failed` or `by_code: true`", about=about)


def _errors_in_success(path: KeyPath, vendor: VendorSettings, known: Known) -> Iterator[Fault]:
    rules = vendor.described.errors_in_success if vendor.described else ()
    for index, rule in enumerate(rules):
        here: KeyPath = (*path, "normalizer", "errors_in_success", index)
        if rule.route not in known.routes:
            yield unknown_route((*here, "route"), rule.route, known)
        if rule.statuses == (rule.equals is not None):
            yield Fault(
                here,
                "must have either `equals` or `statuses: true`",
                about=((*here, "equals"), (*here, "statuses")),
            )
