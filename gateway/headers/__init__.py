"""
Which headers cross the gateway. Pure.

`framing` reads what a request's head says about itself and refuses what can be read in two ways; `request` is the way
to the vendor; `reply` the way back to the caller, `problem` the same for a rewritten error; `location` where a redirect
leads; `names` the lists they share.
"""

from .framing import BARE, Framing, read_framing, refuse_content
from .location import Base
from .names import Header, as_text
from .problem import errgate_fields, proxy_status, to_problem
from .reply import ToCaller, to_annotated
from .request import ToVendor, max_forwards

__all__ = [
    "BARE",
    "Base",
    "Framing",
    "Header",
    "ToCaller",
    "ToVendor",
    "as_text",
    "errgate_fields",
    "max_forwards",
    "proxy_status",
    "read_framing",
    "refuse_content",
    "to_annotated",
    "to_problem",
]
