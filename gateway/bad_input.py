"""
What is wrong with a request that goes no further (contract 18). Pure.

Every class names the house code that answers it; `reason` is a sentence for the caller and never quotes the request.
"""

from typing import ClassVar


class BadInput(Exception):
    """A request that cannot be forwarded as it is; `close`: what follows on its connection cannot be trusted."""

    code: ClassVar[str] = "invalid_request"

    def __init__(self, reason: str, *, close: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.close = close


class BadTarget(BadInput):
    """A path or query that two readers could read differently (W-057 to W-060)."""


class UriTooLong(BadTarget):
    """A target over the limit (W-062)."""

    code = "uri_too_long"


class BadHeaders(BadInput):
    """A head that two readers could read differently."""


class HeadTooLarge(BadHeaders):
    """A head over the limit (W-063)."""

    code = "header_fields_too_large"


class NotSpoken(BadHeaders):
    """A version or a coding that the gateway does not speak (W-029, W-044)."""

    code = "not_implemented"


class LoopDetected(BadHeaders):
    """Our own name in `Via`: the request has been here before (W-027)."""

    code = "internal_error"


class NoKey(BadInput):
    """No caller's key, or one that nobody here has (contract 12)."""

    code = "unauthenticated"
