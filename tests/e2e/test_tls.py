"""TLS on both sides: the vendor's certificate is always verified, and one that does not verify gets no request."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import CERTIFICATES, make_certificates, server_context
from tests.e2e.harness.client import request
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_problem
from tests.e2e.harness.vendor import RogueVendor
from tests.e2e.harness.wire import STATUS_LINE, Response, Stream, response_framing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities and a certificate of each kind."""
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def vendors(folder: Path) -> Iterator[dict[str, RogueVendor]]:
    """A vendor for each certificate."""
    made = {name: RogueVendor(server_context(folder, name)) for name in CERTIFICATES}
    made["client"] = RogueVendor(server_context(folder, "good"))
    asking = made["client"].context
    assert asking is not None
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(folder / "ca.pem")
    yield made
    for vendor in made.values():
        vendor.close()


@pytest.fixture(scope="module")
def gateway(folder: Path, vendors: dict[str, RogueVendor]) -> Iterator[ThreadGateway]:
    """A gateway that speaks TLS with callers, trusts one authority of vendors', and has a certificate of its own."""
    trusted = {"ca": str(folder / "ca.pem")}
    settings = {
        name: {
            "base_url": f"https://127.0.0.1:{vendor.port}",
            "tls": trusted,
            "timeouts": {"connect": "2s"},
            "retries": {"max": 0},
        }
        for name, vendor in vendors.items()
    }
    settings["by-name"] = {**settings["good"], "tls": {**trusted, "server_name": "vendor.example"}}
    settings["other-sni"] = {**settings["good"], "tls": {**trusted, "server_name": "nobody.example"}}
    settings["system-cas"] = {**settings["good"], "tls": {}}
    certificate = {"certificate": str(folder / "good.pem"), "key": str(folder / "good.key")}
    settings["presents"] = {**settings["client"], "engine": "httpx", "tls": {**trusted, **certificate}}
    with ThreadGateway(settings_text(settings, {"tls": certificate})) as gateway:
        yield gateway


def ask(gateway: ThreadGateway, folder: Path, name: str) -> Response:
    """A POST over TLS."""
    trusting = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    with (
        socket.create_connection(gateway.address, timeout=10) as plain,
        trusting.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(request("POST", f"/{name}/x", body=b"{}"))
        stream = Stream(secure)
        head = stream.head(STATUS_LINE)
        return Response(head, b"".join(stream.body(response_framing(head, "POST"))))


@pytest.mark.parametrize("name", ["good", "by-name", "presents"])
def test_verified_vendor(gateway: ThreadGateway, vendors: dict[str, RogueVendor], folder: Path, name: str) -> None:
    """A certificate that verifies is spoken to; the vendor that asks for ours gets it."""
    answer = ask(gateway, folder, name)

    assert (answer.status, answer.body) == (200, b"ok")


@pytest.mark.parametrize("name", ["expired", "other-name", "unknown-ca", "other-sni", "system-cas"])
def test_unverified_vendor(gateway: ThreadGateway, vendors: dict[str, RogueVendor], folder: Path, name: str) -> None:
    """A certificate that does not verify is `vendor_unreachable`, and the vendor gets no byte of the request (F-05)."""
    before = sum(len(vendor.requests) for vendor in vendors.values())

    answer = ask(gateway, folder, name)

    check_problem(answer, "vendor_unreachable", source="network", retryable=True)
    assert "error=tls_certificate_error" in (answer.header("proxy-status") or "")
    assert sum(len(vendor.requests) for vendor in vendors.values()) == before


def test_plain_http_to_the_tls_port(gateway: ThreadGateway) -> None:
    """The traffic port does not answer plain HTTP where it speaks TLS."""
    with gateway.connect() as client:
        client.send(request("GET", "/good/x"))

        assert client.closed()
