"""Certificates, keys and authorities: there, readable, PEM, and a pair. Reads files, binds nothing."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from .faults import Fault, KeyPath
from .models import Settings
from .values import shown_file


def certificates(settings: Settings) -> Iterator[Fault]:
    """Check every TLS file that the settings name."""
    tls = settings.server.tls
    yield from _pair(("server", "tls"), tls.certificate, tls.key)
    for name, vendor in settings.vendors.items():
        path: KeyPath = ("vendors", name, "tls")
        yield from _authority((*path, "ca"), vendor.tls.ca)
        yield from _pair(path, vendor.tls.certificate, vendor.tls.key)
    yield from _authority(("limit_store", "ca"), settings.limit_store.ca)


def _authority(path: KeyPath, file: Path | None) -> Iterator[Fault]:
    if file is None:
        return
    unreadable = list(_unreadable(path, file))
    yield from unreadable
    if not unreadable:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        except (ssl.SSLError, OSError):
            yield Fault(
                path, f"{shown_file(file)} holds no certificate in PEM; name a file that begins with -----BEGIN"
            )


def _pair(path: KeyPath, certificate: Path | None, key: Path | None) -> Iterator[Fault]:
    files = {"certificate": certificate, "key": key}
    unreadable = [
        fault for name, file in files.items() if file is not None for fault in _unreadable((*path, name), file)
    ]
    yield from unreadable
    about: tuple[KeyPath, ...] = ((*path, "certificate"), (*path, "key"))
    if (certificate is None) != (key is None):
        here, there = ("certificate", "key") if key is None else ("key", "certificate")
        yield Fault((*path, there), f"is missing beside `{here}`; a certificate and its key go together", about=about)
    elif certificate is not None and key is not None and not unreadable:
        try:
            # An encrypted key would otherwise ask for its password on the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
        except (ssl.SSLError, OSError, ValueError):
            yield Fault(
                (*path, "key"),
                f"{shown_file(key)} is not the unencrypted PEM key of {shown_file(certificate)}; "
                "name the key that belongs to the certificate",
                about=about,
            )


def _no_password() -> str:
    return ""


def _unreadable(path: KeyPath, file: Path) -> Iterator[Fault]:
    try:
        # Not a pipe, which would make a start wait for ever.
        if file.is_file():
            with file.open("rb"):
                return
        reason = "it is no file" if file.exists() else "no such file"
    except OSError as error:
        reason = error.strerror or "no reason given"
    yield Fault(path, f"{shown_file(file)} cannot be read ({reason}); put it there, readable by errgate")
