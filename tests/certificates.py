"""Authorities and certificates of every kind, made by openssl for the tests of TLS."""

import ssl
import subprocess
from pathlib import Path

from tests.e2e.harness.tools import tool

# Each certificate: the names it is for, when it begins and ends, and who signs it.
CERTIFICATES = {
    "good": ("DNS:vendor.example,IP:127.0.0.1", "20200101000000Z", "20990101000000Z", "ca"),
    "expired": ("DNS:vendor.example,IP:127.0.0.1", "20200101000000Z", "20200201000000Z", "ca"),
    "other-name": ("DNS:other.example", "20200101000000Z", "20990101000000Z", "ca"),
    "unknown-ca": ("DNS:vendor.example,IP:127.0.0.1", "20200101000000Z", "20990101000000Z", "stranger"),
}


def make_certificates(folder: Path) -> Path:
    """Make two authorities and a certificate of each kind, as NAME.pem and NAME.key; give the folder back."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for authority in ("ca", "stranger"):
        openssl(folder, "req", "-x509", *curve, "-subj", f"/CN={authority}", "-days", "30",
                "-keyout", f"{authority}.key", "-out", f"{authority}.pem")  # fmt: skip
        (folder / f"{authority}.cnf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={authority}.txt\nnew_certs_dir=.\nrand_serial=yes\npolicy=p\n"
            "default_md=sha256\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n"
        )
        (folder / f"{authority}.txt").touch()
    for name, (names, begins, ends, authority) in CERTIFICATES.items():
        openssl(folder, "req", *curve, "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}", "-keyout",
                f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        openssl(folder, "ca", "-batch", "-config", f"{authority}.cnf", "-cert", f"{authority}.pem", "-keyfile",
                f"{authority}.key", "-startdate", begins, "-enddate", ends, "-in", f"{name}.csr", "-out", f"{name}.pem",
                "-notext")  # fmt: skip
    return folder


def server_context(folder: Path, name: str) -> ssl.SSLContext:
    """The server side of TLS with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def openssl(folder: Path, *arguments: str) -> None:
    """Run openssl in that folder."""
    subprocess.run([tool("openssl", "openssl"), *arguments], cwd=folder, check=True, capture_output=True)
