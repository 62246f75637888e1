"""
What the wire tests share: a vendor that answers with what it was asked, behind a gateway that hands it whole paths.

The vendor has `a` and `localhost` for hosts of its own, so that the payloads need not be changed by a byte.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness.client import request as bytes_of
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.vendor import RogueVendor, Wire, reply
from tests.e2e.harness.wire import Request

CREDENTIAL = {"header": "X-Vendor-Key", "value": "a-made-up-vendor-key"}

BASE = "/base"

CLEAN = bytes_of("GET", "/clean", [("Host", "a")])


def echo(wire: Wire, request: Request) -> None:
    """Answer with the method, the target, the canary's number and the body."""
    parts = (request.method.encode(), request.target, (request.header("x-canary") or "-").encode(), request.body)
    answer = reply(200, b" ".join(parts))
    wire.send(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.method == "HEAD" else answer)


@pytest.fixture(scope="module")
def gateway(vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway with short deadlines before a vendor with hosts of its own."""
    vendors: dict[str, Any] = {
        "x": {
            "base_url": f"{vendor.url}{BASE}",
            "normalizer": "pixii",
            "hosts": ["a", "localhost"],
            "credential": CREDENTIAL,
        }
    }
    with ThreadGateway(settings_text(vendors, {"timeouts": {"body_idle": "300ms", "head": "1s"}})) as gateway:
        yield gateway
