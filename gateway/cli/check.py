"""Validate the settings and tell what they mean, in the words of the file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import click

from gateway.settings import CallerSettings, Credential, Settings, VendorSettings, load
from gateway.settings.normalizer import Described
from gateway.settings.values import write_duration, write_size

from .say import Stop, heading, paragraph, print_json, table, width
from .settings_file import choose, config_option, refusing

# The two deadlines that routes differ in; the others are shown where a route has its own.
HEAD_DEADLINES = ("first_byte", "total")


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print {valid, settings, routes, warnings, faults} as JSON.")
def check(*, config: Path | None, as_json: bool) -> int:
    """Validate everything that `errgate serve` would, and bind nothing.

    Prints vendors, routes with the timeouts that are in force, limits, callers and warnings. Exit 2 when something is
    wrong; every fault is a line with its file, line and key.
    """
    path = choose(config)
    try:
        with refusing():
            settings = load(path)
    except Stop as wrong:
        if not as_json:
            raise
        print_json({"file": str(path), "valid": False, "faults": wrong.lines})
        return wrong.exit_code
    if as_json:
        print_json(facts(path, settings))
        return 0
    click.echo(f"{path}: valid")
    columns = width()
    for title, rows in sections(settings):
        click.echo("\n" + "\n".join(map(heading, paragraph(title, columns))))
        for line in table(rows, columns=columns, indent="  "):
            click.echo(line)
    return 0


def facts(path: Path, settings: Settings) -> dict[str, object]:
    """What the file says and what follows from it, secrets masked."""
    return {
        "file": str(path),
        "valid": True,
        "faults": [],
        "warnings": list(settings.warnings),
        "settings": settings.masked(),
        "routes": {
            name: [
                {
                    "name": route.name,
                    "methods": sorted(route.methods),
                    "paths": list(route.paths),
                    "job": bool(route.job),
                    "refused": route.refused,
                    "timeouts": vendor.timeouts_for(route.name).model_dump(mode="json"),
                }
                for route in vendor.vendor.routes
            ]
            for name, vendor in settings.vendors.items()
        },
    }


def sections(settings: Settings) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Every part of the report: its title and its rows."""
    yield "Gateway", list(gateway_rows(settings))
    yield f"Vendors ({len(settings.vendors)})", [row for item in settings.vendors.items() for row in vendor_rows(*item)]
    for name, vendor in settings.vendors.items():
        yield f"Routes of {name}, the first that matches", list(route_rows(vendor))
    yield "Limits", list(limit_rows(settings)) or [("none",)]
    yield "Callers", list(caller_rows(settings.callers))
    yield f"Warnings ({len(settings.warnings)})", [(line,) for line in settings.warnings] or [("none",)]


def gateway_rows(settings: Settings) -> Iterator[tuple[str, ...]]:
    """Where the gateway listens, and its own bounds."""
    server, admin = settings.server, settings.server.admin
    yield "traffic", f"{server.host} port {server.port}{', TLS' if server.tls.certificate else ''}"
    guarded = "guarded by a token" if admin.secret else "no token"
    yield "admin", f"{admin.host} port {admin.port}, {guarded}"
    yield "bounds", f"{server.max_in_flight} requests at once, bodies up to {write_size(server.max_request_body)}"
    yield "limits", f"counted {place(settings)}"
    yield "problems", f"{settings.problems.base_uri}CODE, vendor messages {settings.problems.vendor_messages}"


def place(settings: Settings) -> str:
    """Where limits are counted, and so who keeps them together."""
    url = urlsplit(settings.limit_store.url.get_secret_value())
    if url.hostname:
        return f"in Redis at {url.hostname} port {url.port or 6379}, when_away {settings.limit_store.when_away}"
    workers = settings.server.workers
    return "in this process" if workers == 1 else f"in memory that {workers} workers share"


def vendor_rows(name: str, vendor: VendorSettings) -> Iterator[tuple[str, ...]]:
    """One vendor: where it is, and how it is treated."""
    credential = vendor.credential.header if isinstance(vendor.credential, Credential) else vendor.credential
    yield name, vendor.base_url
    treatment = {
        "normalizer": normalizer(name, vendor),
        "credential": credential,
        "errors": vendor.errors,
        "job_failures": vendor.job_failures,
    }
    yield "", ", ".join(f"{key} {value}" for key, value in treatment.items())
    yield "", f"timeouts {spell(dict(vendor.timeouts))}"
    held = f"hold {spell(dict(vendor.hold))}" if vendor.on_vendor_limit == "hold" else "on_vendor_limit ignore"
    yield "", held


def normalizer(name: str, vendor: VendorSettings) -> str:
    """How the vendor's errors are read."""
    if isinstance(vendor.normalizer, Described):
        return f"extends {vendor.normalizer.extends}" if vendor.normalizer.extends else "described here"
    return vendor.normalizer or (name if vendor.vendor.rows else "generic (by status alone)")


def route_rows(vendor: VendorSettings) -> Iterator[tuple[str, ...]]:
    """Each route with the deadlines that are in force on it: those of the reply's head, and what it has of its own."""
    usual = dict(vendor.timeouts)
    for route in vendor.vendor.routes:
        mine = dict(vendor.timeouts_for(route.name))
        shown = {key: mine[key] for key in mine if key in HEAD_DEADLINES or mine[key] != usual[key]}
        marks = [mark for mark, is_so in (("job", route.job), ("refused", route.refused)) if is_so]
        yield (
            route.name,
            " ".join(sorted(route.methods)) or "any",
            "-" if route.refused else spell(shown),
            " ".join([*route.paths, *(f"({mark})" for mark in marks)]),
        )
    rest = "refused (only_routes)" if vendor.only_routes else "everything else"
    yield "other", "any", "-" if vendor.only_routes else spell({key: usual[key] for key in HEAD_DEADLINES}), rest


def spell(timeouts: Mapping[str, float]) -> str:
    """Write deadlines as the settings do."""
    return ", ".join(f"{key} {write_duration(seconds)}" for key, seconds in timeouts.items())


def limit_rows(settings: Settings) -> Iterator[tuple[str, ...]]:
    """Every limit: whose, its name, and what it says."""
    owners = [
        *((name, vendor.limits) for name, vendor in settings.vendors.items()),
        *((name, caller.limits) for name, caller in settings.named_callers.items()),
    ]
    for name, owned in owners:
        for limit in owned:
            given = limit.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
            said = (f"{key} {' '.join(value) if isinstance(value, list) else value}" for key, value in given.items())
            yield name, limit.label, ", ".join(said)


def caller_rows(callers: Mapping[str, CallerSettings] | str | None) -> Iterator[tuple[str, ...]]:
    """Every caller and what it may use."""
    if not isinstance(callers, Mapping):
        yield ("open: anyone who reaches the port" if callers else "none: no key is asked for",)
        return
    for name, caller in callers.items():
        keys = f"{len(caller.key_sha256)} key{'s' if len(caller.key_sha256) > 1 else ''}"
        if caller.vendors is None:
            may = "every vendor"
        else:
            may = "; ".join(
                f"{vendor}: {may if may == 'all' else ' '.join(may)}" for vendor, may in caller.vendors.items()
            )
        yield name, keys, may + (f"; errors {caller.errors}" if caller.errors else "")
