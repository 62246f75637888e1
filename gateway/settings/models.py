"""
The whole settings file as one frozen value. Attribute names are the keys of the file.

Durations are seconds, sizes bytes, shares numbers from 0 to 1; secrets show themselves nowhere.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, JsonValue, PrivateAttr, Tag

from .limits import LimitSettings, LimitStore
from .places import Name
from .server import Problems, Server
from .values import MAPPING, ONE_OR_MANY, WORD, Flag, Many, Model, one_of, text, word_or_mapping
from .vendors import VendorSettings

# What a reply's last bytes and a `Connection: close` need after the longest `total` (contract 3).
DRAIN_SECONDS = 5.0
VENDOR_NAME = re.compile("[a-z0-9][a-z0-9_-]{0,31}")
# What a script hashes whose variable was not set.
NO_KEY = sha256().hexdigest()
CALLER_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def named(pattern: re.Pattern[str]) -> dict[str, JsonValue]:
    """Say in the schema of a mapping which names its keys may have; `checks` says it to people."""
    return {"propertyNames": {"pattern": f"^{pattern.pattern}$"}}


def _digest(value: str) -> str:
    # Not shown: it may be the key itself.
    if not re.fullmatch("[0-9a-fA-F]{64}", value):
        raise ValueError("must be 64 hex digits: the key's SHA-256, as `errgate hash-key` prints it")
    if value.lower() == NO_KEY:
        raise ValueError("is the digest of an empty key, which anyone has; `errgate new-key` makes a good one")
    return value.lower()


Digest: TypeAlias = Annotated[str, text(_digest)]
RouteChoice: TypeAlias = Annotated[
    Annotated[Literal["all"], one_of("all", mapping="a list of routes"), Tag(WORD)]
    | Annotated[Many[Name], Tag(MAPPING)],
    Discriminator(lambda value: MAPPING if isinstance(value, list | tuple) else WORD),
]


class CallerSettings(Model):
    """`callers.<name>`: one caller, what it proves itself with and what it may do."""

    key_sha256: Annotated[Many[Digest], Field(min_length=1), ONE_OR_MANY]
    """SHA-256 digests of the caller's keys, several for rotation."""
    vendors: Mapping[str, RouteChoice] | None = None
    """Vendors that the caller may use, each with its routes or `all`; null: all vendors."""
    limits: Many[LimitSettings] = ()
    """Limits of this caller, over all vendors."""
    errors: Literal["envelope", "header", "off"] | None = None
    """What becomes of the vendors' errors for this caller; null: what the vendor's settings say."""


CallersChoice: TypeAlias = Annotated[
    Annotated[Literal["open"], one_of("open", mapping="a mapping of callers"), Tag(WORD)]
    | Annotated[Mapping[str, CallerSettings], Field(json_schema_extra=named(CALLER_NAME)), Tag(MAPPING)],
    Discriminator(word_or_mapping),
]


class Log(Model):
    """`log`: what is written to stdout."""

    format: Literal["json"] = "json"
    """One JSON object per line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is written."""
    requests: Flag = True
    """Whether each request is one line."""


class Settings(Model):
    """The settings of a gateway."""

    server: Server = Server()
    """Towards callers and operators."""
    problems: Problems = Problems()
    """What the envelope says."""
    callers: CallersChoice | None = None
    """Who may call: null, refused off loopback when a credential is configured; `open`, anyone; or a mapping."""
    vendors: Annotated[Mapping[str, VendorSettings], Field(json_schema_extra=named(VENDOR_NAME))] = {}
    """The vendors, by the name that is the first segment of a path."""
    limit_store: LimitStore = LimitStore()
    """Where limits are counted."""
    log: Log = Log()
    """What is logged."""

    _warnings: tuple[str, ...] = PrivateAttr(default=())
    _contents: Mapping[Path, str] = PrivateAttr(default={})
    _file: Path | None = PrivateAttr(default=None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an operator should know though it is allowed, one line each."""
        return self._warnings

    @property
    def files(self) -> frozenset[Path]:
        """The settings file and every `${file:}`: what a watch looks at."""
        return frozenset(self._contents) | ({self._file} if self._file else frozenset())

    @property
    def named_callers(self) -> Mapping[str, CallerSettings]:
        """The callers by name; empty without callers and with `open`."""
        return self.callers if isinstance(self.callers, Mapping) else {}

    @property
    def grace_seconds(self) -> float:
        """How long running requests may take after the lame-duck time."""
        if self.server.shutdown.grace is not None:
            return self.server.shutdown.grace
        return self.longest_total + DRAIN_SECONDS

    @property
    def longest_total(self) -> float:
        """The longest `total` of any vendor or route, in seconds; 0 without vendors."""
        return max((vendor.longest_total for vendor in self.vendors.values()), default=0.0)

    @property
    def contents(self) -> Mapping[Path, str]:
        """What stood in every `${file:}`: kept by a reload that cannot read one for the moment. Secrets."""
        return self._contents

    def remember(self, *, warnings: tuple[str, ...], contents: Mapping[Path, str], file: Path | None) -> None:
        """Note how these settings came to be; once, while they are loaded."""
        self._warnings, self._contents, self._file = warnings, contents, file

    def masked(self) -> dict[str, Any]:
        """Everything as JSON values in the file's own words, secrets as ***."""
        return self.model_dump(mode="json")
