"""A success that says an error, answered as the vendor's settings want it (contract 7)."""

import json
from collections.abc import AsyncIterator

import pytest

from gateway import settings
from gateway.app import create_app
from tests.gateway.asgi import Said, ask
from tests.gateway.upstream.scripted import Vendor, replies

BODY = json.dumps({"code": 404, "message": "no such task", "data": None}).encode()


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """A vendor that says 404 in a 200."""
    vendor = Vendor(
        replies(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
    )
    await vendor.start()
    yield vendor
    await vendor.close()


async def polled(vendor: Vendor, errors: str) -> Said:
    """A poll of an APIXO task."""
    text = f"vendors: {{apixo: {{base_url: '{vendor.url}', errors: {errors}}}}}"
    gateway = create_app(settings.loads(text, environ={}))
    said = await ask(gateway, "/apixo/statusTask/t1")
    await gateway.runtime.aclose()
    return said


async def test_envelope(vendor: Vendor) -> None:
    """By default it is answered as that status would be, and the vendor's own status stays 200."""
    said = await polled(vendor, "envelope")

    assert (said.status, said.header("errgate-code")) == (404, "not_found")
    assert said.json()["vendor_error"]["status"] == 200


@pytest.mark.parametrize(("errors", "told"), [("header", "not_found"), ("off", None)])
async def test_as_it_is(vendor: Vendor, errors: str, told: str | None) -> None:
    """With `errors: header` and `off` the vendor's own answer stays, byte for byte."""
    said = await polled(vendor, errors)

    assert (said.status, said.body) == (200, BODY)
    assert said.header("errgate-code") == told
