"""
The problem: one failure as a caller reads it (RFC 9457), and the JSON Schema of that envelope.

The text in a problem is safe already; whoever builds one from a vendor's words has cleaned, cut and scrubbed them.
Those words are for its caller and for the operator who asks, so none shows in the repr that a log or a debugger takes.
The schema is the longer half of this file; it stays beside the members that it describes.
"""

import json
from dataclasses import dataclass, field, fields

from ._codes import Fault, HouseCode, Source


@dataclass(frozen=True, slots=True)
class VendorError:
    """What the vendor said, in its own words. `status` is the one on its status line, also for an error in a 200."""

    status: int
    code: str | None = field(default=None, repr=False)
    message: str | None = field(default=None, repr=False)
    request_id: str | None = field(default=None, repr=False)
    details: object | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong in the request, and where: `pointer` is a URI fragment such as "#/profile/age"."""

    detail: str = field(repr=False)
    pointer: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of ours that refused; `scope` is "caller" or "vendor"."""

    name: str
    scope: str


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One failure. The house code decides status, title and fault.

    `retry_after` is in whole seconds. `retryable` is the code's own unless given. `job_pointer` is a plain JSON Pointer
    into the job payload that carries the problem. The last three are for logs and metrics and never reach a caller:
    `rule` names what decided, `label` is the vendor's code as its table spells it, else "other", else "none", and
    `unreadable` says that the body was neither empty nor a JSON object.
    """

    code: HouseCode
    source: Source
    detail: str = field(repr=False)
    vendor: str | None = None
    vendor_error: VendorError | None = None
    errors: tuple[FieldError, ...] = ()
    retry_after: int | None = None
    retryable: bool | None = None  # None stands for the code's own, which __post_init__ puts in its place
    limit: Limit | None = None
    job_pointer: str | None = None
    rule: str = ""
    label: str = "none"
    unreadable: bool = False

    def __post_init__(self) -> None:
        if self.retryable is None:
            object.__setattr__(self, "retryable", self.code.retryable)

    def members(self, *, base_uri: str, instance: str, request_id: str) -> dict[str, object]:
        """The envelope, in the order of contract 5. `instance` is the whole URI; absent members are left out."""
        always = {
            "type": base_uri + self.code.code,
            "title": self.code.title,
            "status": self.code.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code.code,
            "source": self.source.value,
            "fault": self.code.fault.value,
            "retryable": self.retryable,
        }
        known = {
            "retry_after": self.retry_after,
            "request_id": request_id,
            "vendor": self.vendor,
            "vendor_error": self.vendor_error and _present(self.vendor_error),
            "errors": [_present(error) for error in self.errors] or None,
            "limit": self.limit and _present(self.limit),
            "job_pointer": self.job_pointer,
        }
        return always | {name: value for name, value in known.items() if value is not None}

    def encode(self, *, base_uri: str, instance: str, request_id: str) -> bytes:
        """The envelope as strict JSON in UTF-8."""
        members = self.members(base_uri=base_uri, instance=instance, request_id=request_id)
        # replace: a surrogate that slipped into a text of ours costs one character, not the whole answer.
        return _ENCODE(members).encode(errors="replace")


def problem_schema() -> dict[str, object]:
    """
    The envelope as JSON Schema 2020-12.

    It is open: members are only ever added, and a caller ignores those that it does not know.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "errgate problem",
        "type": "object",
        "required": [*_ALWAYS],
        "properties": _ALWAYS | _SOMETIMES,
        # A house code owns its title, status and fault.
        "allOf": [
            {
                "if": {"properties": {"code": {"const": code.code}}},
                "then": {
                    "properties": {
                        "title": {"const": code.title},
                        "status": {"const": code.status},
                        "fault": {"const": code.fault.value},
                    }
                },
            }
            for code in HouseCode
        ],
    }


_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

_NAMES = {kind: tuple(each.name for each in fields(kind)) for kind in (VendorError, FieldError, Limit)}


def _present(part: VendorError | FieldError | Limit) -> dict[str, object]:
    return {name: value for name in _NAMES[type(part)] if (value := getattr(part, name)) is not None}


def _part(required: str, **properties: object) -> dict[str, object]:
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


_TEXT: dict[str, object] = {"type": "string"}
# The bound of contract 5 on every text of a vendor.
_CUT = {"type": "string", "maxLength": 1024}
_ALWAYS: dict[str, object] = {
    "type": {"type": "string", "format": "uri-reference"},
    "title": _TEXT,
    "status": {"type": "integer", "minimum": 400, "maximum": 599},
    "detail": _CUT | {"minLength": 1},
    "instance": {"type": "string", "pattern": "^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
    "code": {"enum": [code.code for code in HouseCode]},
    "source": {"enum": [source.value for source in Source]},
    "fault": {"enum": [fault.value for fault in Fault]},
    "retryable": {"type": "boolean"},
    "request_id": _TEXT,
}
_SOMETIMES: dict[str, object] = {
    # A day by the clock has 25 hours where summer time ends, and a `margin` makes a window longer.
    "retry_after": {"type": "integer", "minimum": 1},
    "vendor": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,31}$"},
    "vendor_error": _part(
        "status",
        status={"type": "integer", "minimum": 100, "maximum": 599},
        code={"type": "string", "maxLength": 128},
        message=_CUT,
        request_id={"type": "string", "maxLength": 128},
        details={"type": ["object", "array", "string", "number", "boolean"]},
    ),
    "errors": {
        "type": "array",
        "minItems": 1,
        "maxItems": 50,
        "items": _part("detail", detail=_CUT, pointer={"type": "string", "pattern": "^#(/.*)?$"}),
    },
    "limit": _part("name scope", name=_TEXT, scope={"enum": ["caller", "vendor"]}),
    "job_pointer": {"type": "string", "pattern": "^/"},
}
