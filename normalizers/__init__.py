"""
The core: vendors' words in, house problems out. Pure: no I/O, no clock, no logger, nothing beyond the standard library.

This is the door; nobody outside imports the underscored modules behind it.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType

from . import apixo, pikzels, pixee, pixii
from ._codes import Fault, HouseCode, Source
from ._described import describe
from ._find import find
from ._jobs import JobReport, inspect_job
from ._normalize import STATUSES, Asked, error_in_success, normalize
from ._problem import FieldError, Limit, Problem, VendorError, problem_schema
from ._reply import Reply
from ._routes import Routes
from ._scrub import Scrubber
from ._vendor import (
    Failure,
    FieldPlaces,
    Finding,
    Pattern,
    Places,
    Route,
    Row,
    StatusRow,
    SuccessError,
    Vendor,
)

__all__ = [
    "GENERIC",
    "STATUSES",
    "VENDORS",
    "Asked",
    "Failure",
    "Fault",
    "FieldError",
    "FieldPlaces",
    "Finding",
    "HouseCode",
    "JobReport",
    "Limit",
    "Pattern",
    "Places",
    "Problem",
    "Reply",
    "Route",
    "Routes",
    "Row",
    "Scrubber",
    "Source",
    "StatusRow",
    "SuccessError",
    "Vendor",
    "VendorError",
    "describe",
    "error_in_success",
    "find",
    "inspect_job",
    "normalize",
    "plugins",
    "problem_schema",
]

VENDORS: Mapping[str, Vendor] = MappingProxyType(
    {module.VENDOR.name: module.VENDOR for module in (apixo, pikzels, pixee, pixii)}
)

# Where most error bodies have these.
_USUAL = Places(
    code=("/error/code", "/code", "/error_code"),
    message=("/error/message", "/message", "/detail", "/error_description", "/error"),
    retry_after=("/error/retry_after", "/retry_after"),
    request_id=("/request_id", "/error/request_id"),
)


def GENERIC(name: str) -> Vendor:  # noqa: N802  the one vendor that is made, not looked up
    """A vendor of which nothing is known: its statuses decide, its words are read where most put them."""
    return Vendor(name, name, places=_USUAL)


def plugins() -> Mapping[str, Vendor]:
    """
    The vendors of installed packages: each entry point of the group `errgate.normalizers` names a `Vendor`.

    Raises:
        ValueError: an entry point cannot be loaded or is no vendor; the message names it.

    """
    found = {}
    for entry in entry_points(group="errgate.normalizers"):
        try:
            found[entry.name] = _vendor(entry.load())
        except Exception as error:
            raise ValueError(f"entry point {entry.group}:{entry.name} = {entry.value}: {error}") from error
    return found


def _vendor(loaded: object) -> Vendor:
    if not isinstance(loaded, Vendor):
        raise TypeError("it is no normalizers.Vendor")
    return loaded
