"""
The problem: one failure as a caller reads it (RFC 9457), and the JSON Schema of that envelope.

The text in a problem is safe already; whoever builds one from a vendor's words has cleaned, cut and scrubbed them.
Those words are for its caller and for the operator who asks, so none shows in the repr that a log or a debugger takes.
The schema is the longer half of this file; it stays beside the members that it describes.
"""

import json
from dataclasses import dataclass, field
from functools import cache

from ._codes import Fault, HouseCode, Source
from ._json import encode, encode_text


@dataclass(slots=True, init=False)
class VendorError:
    """
    What the vendor said, in its own words. `status` is the one on its status line, also for an error in a 200.

    `spelled` is `details` as JSON, where that is known.
    """

    status: int
    code: str | None = field(repr=False)
    message: str | None = field(repr=False)
    request_id: str | None = field(repr=False)
    details: object | None = field(repr=False)
    spelled: str = field(repr=False, compare=False)

    # Written out, here and below: each error makes one, and what `dataclass` writes is slow and never compiled.
    def __init__(
        self,
        status: int,
        code: str | None = None,
        message: str | None = None,
        request_id: str | None = None,
        details: object = None,
        spelled: str = "",
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.details = details
        self.spelled = spelled

    def encode(self) -> str:
        """What is known of it as JSON."""
        code = f',"code":{encode_text(self.code)}' if self.code is not None else ""
        message = f',"message":{encode_text(self.message)}' if self.message is not None else ""
        request_id = f',"request_id":{encode_text(self.request_id)}' if self.request_id is not None else ""
        details = f',"details":{self.spelled or encode(self.details)}' if self.details is not None else ""
        return f'{{"status":{self.status}{code}{message}{request_id}{details}}}'


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong in the request, and where: `pointer` is a URI fragment such as "#/profile/age"."""

    detail: str = field(repr=False)
    pointer: str | None = field(default=None, repr=False)

    def encode(self) -> str:
        """What is known of it as JSON."""
        pointer = f',"pointer":{encode_text(self.pointer)}' if self.pointer is not None else ""
        return f'{{"detail":{encode_text(self.detail)}{pointer}}}'


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of ours that refused; `scope` is "caller" or "vendor"."""

    name: str
    scope: str


@dataclass(slots=True, init=False)
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
    vendor: str | None
    vendor_error: VendorError | None
    errors: tuple[FieldError, ...]
    retry_after: int | None
    retryable: bool
    limit: Limit | None
    job_pointer: str | None
    rule: str
    label: str
    unreadable: bool

    def __init__(  # noqa: PLR0913  (a record)
        self,
        code: HouseCode,
        source: Source,
        detail: str,
        *,
        vendor: str | None = None,
        vendor_error: VendorError | None = None,
        errors: tuple[FieldError, ...] = (),
        retry_after: int | None = None,
        retryable: bool | None = None,
        limit: Limit | None = None,
        job_pointer: str | None = None,
        rule: str = "",
        label: str = "none",
        unreadable: bool = False,
    ) -> None:
        self.code = code
        self.source = source
        self.detail = detail
        self.vendor = vendor
        self.vendor_error = vendor_error
        self.errors = errors
        self.retry_after = retry_after
        self.retryable = code.retryable if retryable is None else retryable
        self.limit = limit
        self.job_pointer = job_pointer
        self.rule = rule
        self.label = label
        self.unreadable = unreadable

    def members(self, *, base_uri: str, instance: str, request_id: str) -> dict[str, object]:
        """The envelope, in the order of contract 5. `instance` is the whole URI; absent members are left out."""
        members: dict[str, object] = json.loads(
            self.encode(base_uri=base_uri, instance=instance, request_id=request_id)
        )
        return members

    def _always(self, base_uri: str, instance: str) -> dict[str, object]:
        return {
            "type": base_uri + self.code.code,
            "title": self.code.title,
            "status": self.code.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code.code,
            "source": self.source,
            "fault": self.code.fault,
            "retryable": self.retryable,
        }

    def encode(self, *, base_uri: str, instance: str, request_id: str) -> bytes:
        """
        The envelope as strict JSON in UTF-8.

        Written out, since an encoder takes longer than all else that an error needs.
        """
        before, between, behind = _constant(self.code, self.source, self.retryable, base_uri)
        parts = [before, encode_text(self.detail), between, encode_text(instance), behind]
        if self.retry_after is not None:
            parts.append(f',"retry_after":{self.retry_after}')
        parts.append(f',"request_id":{encode_text(request_id)}')
        if self.vendor is not None:
            parts.append(f',"vendor":{encode_text(self.vendor)}')
        if self.vendor_error is not None:
            parts.append(f',"vendor_error":{self.vendor_error.encode()}')
        if self.errors:
            errors = ",".join([error.encode() for error in self.errors])
            parts.append(f',"errors":[{errors}]')
        if self.limit is not None:
            parts.append(f',"limit":{{"name":{encode_text(self.limit.name)},"scope":{encode_text(self.limit.scope)}}}')
        if self.job_pointer is not None:
            parts.append(f',"job_pointer":{encode_text(self.job_pointer)}')
        parts.append("}")
        # replace: a surrogate that slipped into a text of ours costs one character, not the whole answer.
        return "".join(parts).encode(errors="replace")


# Stands for what differs, and in no text of ours.
_MARK = "\0"


@cache
def _constant(code: HouseCode, source: Source, retryable: bool, base_uri: str) -> tuple[str, str, str]:  # noqa: FBT001
    """What of an envelope is ours, and ever the same: before `detail`, between it and `instance`, and behind that."""
    always = Problem(code, source, _MARK, retryable=retryable)._always(base_uri, _MARK)  # noqa: SLF001  (of this file)
    before, between, behind = encode(always).split(encode_text(_MARK))
    return before, between, behind.removesuffix("}")


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
