"""What is allowed and still worth a line: said at start, by `errgate check` and after a reload."""

import re
from collections.abc import Iterator

from .faults import Fault, KeyPath
from .models import Settings
from .places import is_loopback
from .vendors import Credential, VendorSettings

# AWS, nginx and Envoy keep a connection to us for 60 s or more; who closes first must not be the gateway (W-170).
BALANCER_SECONDS = 60.0
# 16 characters of hex are 64 bits, the least that nobody tries out over a network.
SHORTEST_TOKEN = 16
TEST_KEY = re.compile(r"\b(pk_test)_")


def warn(settings: Settings) -> Iterator[Fault]:
    """Find what an operator should know."""
    yield from _server(settings)
    if settings.callers == "open" and not is_loopback(settings.server.host):
        yield Fault(("callers",), f"anyone who reaches {settings.server.host} may use every vendor and its credential")
    if not settings.vendors:
        yield Fault(("vendors",), "there is none, so that every request is answered not_found")
    for name, vendor in settings.vendors.items():
        path: KeyPath = ("vendors", name)
        yield from _credential(path, vendor)
        yield from _deadlines(path, vendor)
        if vendor.only_routes and not vendor.route_names:
            yield Fault((*path, "only_routes"), "is true and there are no routes: every request is refused")
        if vendor.scheme == "http" and not is_loopback(vendor.host):
            yield Fault((*path, "plaintext"), f"everything to and from {vendor.host} can be read on the way")


def _server(settings: Settings) -> Iterator[Fault]:
    server = settings.server
    token = server.admin.token
    if token == "none" and not is_loopback(server.admin.host):  # noqa: S105  (the word that says so)
        yield Fault(("server", "admin", "token"), "anyone who reaches the admin port may read status and reload")
    if server.admin.secret and len(server.admin.secret) < SHORTEST_TOKEN:
        yield Fault(
            ("server", "admin", "token"), f"is short enough to be guessed; use {SHORTEST_TOKEN} characters or more"
        )
    for index, network in enumerate(server.trusted_proxies):
        if network.prefixlen == 0:
            yield Fault(("server", "trusted_proxies", index), "believes everyone's X-Forwarded-For")
    if server.timeouts.keep_alive <= BALANCER_SECONDS and not is_loopback(server.host):
        yield Fault(
            ("server", "timeouts", "keep_alive"),
            "is not longer than the 60 s for which load balancers commonly keep a connection; they would send into a "
            "closed one",
        )
    grace = server.shutdown.grace
    if grace is not None and grace < settings.longest_total:
        yield Fault(
            ("server", "shutdown", "grace"),
            f"is shorter than the longest `total` of a vendor or route, {settings.longest_total:g} s; running requests "
            "may be cut at a stop",
        )


def _credential(path: KeyPath, vendor: VendorSettings) -> Iterator[Fault]:
    path = (*path, "credential")
    hint = vendor.vendor.credential_hint
    if vendor.credential == "none" and hint:
        yield Fault(
            path,
            f"is none: callers' keys are dropped and {vendor.vendor.title} gets none; it expects {hint[0]}: {hint[1]}",
        )
    if isinstance(vendor.credential, Credential):
        found = TEST_KEY.search(vendor.credential.value.get_secret_value())
        if found:
            yield Fault((*path, "value"), f"is a test key ({found[1]}_…): the vendor answers it with made-up results")
        if vendor.forward.cookies:
            yield Fault(
                (*path[:-1], "forward", "cookies"),
                "lets the cookies of one caller's session at the vendor reach others that share the credential",
            )


def _deadlines(path: KeyPath, vendor: VendorSettings) -> Iterator[Fault]:
    if vendor.timeouts.first_byte > vendor.timeouts.total:
        yield Fault((*path, "timeouts", "first_byte"), "is longer than `total`, which ends the wait before")
    for index, route in enumerate(vendor.routes):
        timeouts = vendor.timeouts_for(route.name)
        if route.timeouts.given() and timeouts.first_byte > timeouts.total:
            yield Fault(
                (*path, "routes", index, "timeouts"),
                "make `first_byte` longer than `total`, which ends the wait before",
            )
