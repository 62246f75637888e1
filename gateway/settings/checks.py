"""
What only the whole file can tell: what must not be open, names twice, names that nothing has.

Each rule is one function, in the order of contract section 3; `check` lists them.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from .certificates import certificates
from .faults import Fault, KeyPath
from .limit_checks import limits
from .models import CALLER_NAME, VENDOR_NAME, Settings
from .places import is_loopback
from .values import suggestion
from .vendor_checks import Known, unknown_route, vendors
from .vendors import Credential

# Labels say `none` where there is no vendor or no caller, and `other` where no route matched (contract 14).
NOBODY, NO_ROUTE = "none", "other"


def check(settings: Settings) -> Iterator[Fault]:
    """Find every fault of settings whose keys are each right by themselves."""
    for rule in RULES:
        yield from rule(settings)


def _admin(settings: Settings) -> Iterator[Fault]:
    server, admin = settings.server, settings.server.admin
    if admin.token is None and not is_loopback(admin.host):
        yield Fault(
            ("server", "admin", "token"),
            f"is missing while server.admin.host is {admin.host}, beyond loopback; "
            "set a token, best as ${file:PATH}, or write `token: none` to leave the port open",
            about=(("server", "admin", "host"),),
        )
    wild = {"0.0.0.0", "::"}  # noqa: S104  (compared with, not bound)
    shared = admin.host == server.host or wild & {admin.host, server.host}
    if admin.port and admin.port == server.port and shared:
        yield Fault(
            ("server", "admin", "port"),
            f"is {admin.port}, which is server.port too; give the admin port a number of its own",
            about=(("server", "port"), ("server", "host"), ("server", "admin", "host")),
        )


def _exposure(settings: Settings) -> Iterator[Fault]:
    if settings.callers is not None or is_loopback(settings.server.host):
        return
    shared = [name for name, vendor in settings.vendors.items() if isinstance(vendor.credential, Credential)]
    if shared:
        yield Fault(
            ("callers",),
            f"is missing while server.host is {settings.server.host}, beyond loopback, and vendors.{shared[0]} has a "
            "credential that anyone could use; list the callers, or write `callers: open` to let anyone in",
            about=(("server", "host"), ("vendors", shared[0], "credential")),
        )


def _names(settings: Settings) -> Iterator[Fault]:
    for name in settings.vendors:
        if not VENDOR_NAME.fullmatch(name):
            yield Fault(
                ("vendors", name),
                "is no name for a vendor; write up to 32 small letters, digits, _ and -, a letter or digit first",
            )
        elif name == NOBODY:
            yield Fault(("vendors", name), "is what metrics say where there is no vendor; choose another name")
    for name in settings.named_callers:
        if not CALLER_NAME.fullmatch(name):
            yield Fault(
                ("callers", name),
                "is no name for a caller; write up to 64 letters, digits, . _ and -, a letter or digit first",
            )
        elif name == NOBODY:
            yield Fault(("callers", name), "is what metrics say where there is no caller; choose another name")


def _routes(settings: Settings) -> Iterator[Fault]:
    for name, vendor in settings.vendors.items():
        own: KeyPath = ("vendors", name, "routes")
        yield from _route_names(own, [route.name for route in vendor.routes])
        if vendor.described:
            yield from _route_names(
                ("vendors", name, "normalizer", "routes"), [route.name for route in vendor.described.routes]
            )


def _route_names(path: KeyPath, names: Sequence[str]) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            text = f'"{name}" is already the name of route {names.index(name) + 1} of this list; '
            first = ((*path, names.index(name), "name"),)
            yield Fault((*path, index, "name"), text + "give both paths to one route, or rename one", about=first)
        if name == NO_ROUTE:
            yield Fault((*path, index, "name"), '"other" is what metrics say where no route matched; rename it')


def _hosts(settings: Settings) -> Iterator[Fault]:
    seen: dict[str, list[tuple[str, KeyPath]]] = {}
    lists: list[tuple[KeyPath, Sequence[str]]] = [(("server", "hosts"), settings.server.hosts)]
    lists += [(("vendors", name, "hosts"), vendor.hosts) for name, vendor in settings.vendors.items()]
    for path, hosts in lists:
        for index, host in enumerate(hosts):
            name, here = re.sub(r":[0-9]+$", "", host), (*path, index)
            for other, there in seen.setdefault(name, []):
                # One without a port stands for every port.
                if host == other or name in {host, other}:
                    owner = "server.hosts" if there[0] == "server" else f"vendors.{there[1]}.hosts"
                    yield Fault(here, f'"{host}" is already in {owner}; keep it in one place', about=(there,))
            seen[name].append((host, here))


def _callers(settings: Settings) -> Iterator[Fault]:
    if settings.callers == {}:
        yield Fault(("callers",), "names nobody, so that nobody could call; list a caller, or write `callers: open`")
    keys: dict[str, KeyPath] = {}
    for name, caller in settings.named_callers.items():
        for index, digest in enumerate(caller.key_sha256):
            path: KeyPath = ("callers", name, "key_sha256", index)
            if digest in keys:
                text = f"is the digest of a key of {keys[digest][1]} already; a key belongs to one caller, once"
                yield Fault(path, text, about=(keys[digest],))
            keys.setdefault(digest, path)
        for vendor, routes in (caller.vendors or {}).items():
            path = ("callers", name, "vendors", vendor)
            yield from _allowed(settings, path, vendor, () if isinstance(routes, str) else routes)


def _allowed(settings: Settings, path: KeyPath, vendor: str, routes: Sequence[str]) -> Iterator[Fault]:
    if vendor not in settings.vendors:
        mend = suggestion(vendor, settings.vendors) or "; name one that stands under `vendors`"
        yield Fault(path, f"there is no vendor of this name{mend}", about=(("vendors",),))
        return
    known = Known.of(vendor, settings.vendors[vendor])
    for index, route in enumerate(routes):
        if route not in known.routes:
            yield unknown_route((*path, index), route, known)


RULES: Sequence[Callable[[Settings], Iterator[Fault]]] = (
    _admin,
    _exposure,
    _names,
    _callers,
    _hosts,
    _routes,
    vendors,
    limits,
    certificates,
)
