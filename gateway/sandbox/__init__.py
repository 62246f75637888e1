"""
The sandbox: the four vendors, simulated from their documents, on one port under `/{vendor}/…`.

It imports nothing of `normalizers` and nothing else of `gateway`, so that it can contradict them. Any key of the right
form opens it, nothing leaves it, and it forgets everything when it ends. Five request headers steer it:

    Sandbox-Error: CODE           that documented error, on any path, with or without a key
    Sandbox-Error: CODE@STATUS    the same by another HTTP status (200 to 599)
    Sandbox-Error: JOBCODE        where a job is created: the job will end so; where it is shown: it has ended so
    Sandbox-Error: failed         a job that fails by its state alone; Pixee PIM also knows `cancelled`, `partial`,
                                  `ready` and `awaiting_mapping`
    Sandbox-Shape: SHAPE          how the vendor words it; `SHAPES` lists each vendor's, its module explains them
    Sandbox-Fault: FAULT          the answer gone wrong: html, empty, truncated, garbage, slow, stall, reset, drip, gzip
                                  or huge; `FAULT@AMOUNT` for other seconds or bytes (`slow@0.5`, `html@102400`)
    Sandbox-Once: WORD            the error or fault comes for the first request with this word only: the next succeeds
    Sandbox-Retry-After: VALUE    an error says when to come back

What it cannot do it says in plain JSON, status 400: {"sandbox": "unknown error code 'X'", "known": […]}.
"""

import time
from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from . import apixo, apixo_errors, bodies, pikzels, pikzels_errors, pixee, pixee_errors, pixii, pixii_errors
from .catalogue import DocumentedError, Example, Kind
from .faults import FAULTS, Faults
from .rehearsal import Rehearsal

VENDORS = {"pixii": pixii, "pixee": pixee, "apixo": apixo, "pikzels": pikzels}

ERRORS: Mapping[str, tuple[DocumentedError, ...]] = {
    "pixii": pixii_errors.ERRORS,
    "pixee": pixee_errors.ERRORS,
    "apixo": apixo_errors.ERRORS,
    "pikzels": pikzels_errors.ERRORS,
}
"""Every error the documents know, in every shape. Send `error.headers` to any path, for a job to `JOB_EXAMPLES`' ."""

SHAPES: Mapping[str, tuple[str, ...]] = {
    "pixii": pixii_errors.SHAPES,
    "pixee": pixee_errors.SHAPES,
    "apixo": apixo_errors.SHAPES,
    "pikzels": pikzels_errors.SHAPES,
}
"""What `Sandbox-Shape` may be, the usual one first."""

BASE_PATHS: Mapping[str, str] = {name: f"/{name}{vendor.BASE_PATH}" for name, vendor in VENDORS.items()}
"""The path of a vendor's `base_url`."""

CREDENTIALS: Mapping[str, tuple[str, str]] = {name: vendor.CREDENTIAL for name, vendor in VENDORS.items()}
"""A made-up credential that opens a vendor: header name and value."""

EXAMPLES: Mapping[str, Example] = {name: vendor.EXAMPLE for name, vendor in VENDORS.items()}
"""One error to copy and paste for each vendor; the path is below `BASE_PATHS`."""

JOB_EXAMPLES: Mapping[str, Example] = {name: vendor.JOB_EXAMPLE for name, vendor in VENDORS.items()}
"""One failed job for each vendor, inside a 200; with another `Sandbox-Error`, the request for every job failure."""


def create_sandbox(*, clock: Callable[[], float] = time.time) -> Starlette:
    """A sandbox with no jobs. `clock` gives Unix seconds, for timestamps and rate-limit headers."""
    routes: list[Route | Mount] = []
    for name, vendor in VENDORS.items():
        app = vendor.create(clock)
        # `/pixii` itself is Pixii's as well.
        routes += [Route(f"/{name}", app), Mount(f"/{name}", app)]
    sandbox = Starlette(
        routes=routes,
        # A fault spoils what everything within has answered; a rehearsal decides whether there is one.
        middleware=[Middleware(Rehearsal), Middleware(Faults)],
        exception_handlers={HTTPException: _no_vendor},
    )
    sandbox.router.redirect_slashes = False
    return sandbox


def _no_vendor(request: Request, problem: Exception) -> Response:  # noqa: ARG001  (the signature of a handler)
    return bodies.answer({"sandbox": "no such vendor", "known": list(VENDORS)}, 404)


__all__ = [
    "BASE_PATHS",
    "CREDENTIALS",
    "ERRORS",
    "EXAMPLES",
    "FAULTS",
    "JOB_EXAMPLES",
    "SHAPES",
    "DocumentedError",
    "Example",
    "Kind",
    "create_sandbox",
]
