"""
Where things are and who may be sent there: authorities, origins, proxies, stores, header fields, credentials.

What could be read two ways, or would carry a secret where it is shown, is refused.
"""

import re
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import PlainSerializer, PlainValidator, SecretStr, WithJsonSchema

from .values import matching, shown, text

# What a resolver can ask for: labels of 1 to 63 letters (RFC 1035 2.3.4), a dot at the end for a name that is whole.
LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST = re.compile(rf"(?=.{{1,253}}\.?$)(?:{LABEL}\.)*{LABEL}\.?")
AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?")
PORTS = 1 << 16
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
VISIBLE = re.compile(r"[\x21-\x7e]+")
VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
NAME = r"[a-z0-9][a-z0-9_-]{0,31}"
DEFAULT_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}

# Fields of one connection, of the framing, or set by the gateway itself (RFC 9110 7.6.1, 7.8, 11.7; RFC 9112 6).
FRAMING = frozenset({
    "connection", "content-encoding", "content-length", "content-type", "date", "expect", "forwarded", "host",
    "http2-settings", "keep-alive", "max-forwards", "proxy-authenticate", "proxy-authentication-info",
    "proxy-authorization", "proxy-connection", "range", "te", "trailer", "transfer-encoding", "upgrade", "via",
    "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id",
})  # fmt: skip


class SecretUrl(SecretStr):
    """A URL whose userinfo is a secret and whose rest may be seen."""

    def _display(self) -> str:
        return mask_userinfo(self.get_secret_value())


def mask_userinfo(url: str) -> str:
    """Show a URL with its userinfo replaced."""
    scheme, mark, rest = url.partition("://")
    _, at, place = rest.rpartition("@")
    return f"{scheme}{mark}***@{place}" if at else url


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and no other: 127.0.0.0/8, ::1, localhost."""
    bare = host.strip("[]").lower()
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return bare == "localhost"


def _host(value: str) -> str:
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if HOST.fullmatch(bare):
        return bare.lower()
    try:
        return str(IPv6Address(bare))
    except ValueError:
        raise ValueError(f"{shown(value)} is no host; write an address or a name, no scheme, port or path") from None


def _authority(value: str) -> str:
    found = AUTHORITY.fullmatch(value)
    try:
        host = _host(found["host"]) if found and 0 < int(found["port"] or 1) < PORTS else ""
    except ValueError:
        host = ""
    bracketed = ":" in host
    if not found or not host or bracketed != value.startswith("["):
        raise ValueError(f"{shown(value)} is no authority; write host or host:port, as a Host header does")
    return (f"[{host}]" if bracketed else host) + (f":{found['port']}" if found["port"] else "")


def _split(value: str, schemes: tuple[str, ...]) -> SplitResult:
    """Split a URL of which only scheme, userinfo, host, port and path may be there; never repeats it."""
    if not VISIBLE.fullmatch(value) or any(mark in value for mark in '\\"<>^`{|}'):
        raise ValueError("is no URL; write it without spaces and in ASCII, a name in another script as xn--…")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("is no URL; its host or port cannot be read") from None
    if parts.scheme not in schemes or "://" not in value:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if not parts.hostname or port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"names no host; write it as {schemes[-1]}://host or {schemes[-1]}://host:port")
    try:
        _host(parts.hostname)
    except ValueError:
        raise ValueError(
            "is no URL; its host cannot be read: between dots go 1 to 63 letters, digits, - or _"
        ) from None
    if "?" in value or "#" in value:
        raise ValueError("must end with its path; take away what follows the ? or #")
    return parts


def _base_url(value: str) -> str:
    parts = _split(value, ("http", "https"))
    if "@" in parts.netloc:
        raise ValueError("carries a user or password; take it away and use `credential`")
    if re.search(r"%(?![0-9A-Fa-f]{2})", parts.path):
        raise ValueError("has a bad escape in its path; write % as %25")
    if re.search(r"(^|/)(\.|%2[eE]){1,2}(/|$)", parts.path):
        raise ValueError("has a dot segment in its path; write the path it leads to")
    try:
        address = ip_address(parts.hostname or "")
    except ValueError:
        return value
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise ValueError(
            "is an address that is never dialled (link-local, metadata, multicast); name the vendor's host"
        )
    return value


def _proxy(value: object) -> SecretUrl:
    if not isinstance(value, str):
        raise ValueError("must be text, as in http://proxy:3128")  # noqa: TRY004  (pydantic reads ValueError)
    parts = _split(value, ("http",))
    if parts.path not in {"", "/"}:
        raise ValueError("must end with its host and port; take the path away")
    return SecretUrl(value)


def _store(value: object) -> SecretUrl:
    if not isinstance(value, str):
        raise ValueError("must be text: memory, or redis://host")  # noqa: TRY004  (pydantic reads ValueError)
    if value != "memory":
        try:
            _split(value, ("redis", "rediss"))
        except ValueError as error:
            raise ValueError(f"{error} (or write memory)") from None
    return SecretUrl(value)


def _credential_header(value: str) -> str:
    if not TOKEN.fullmatch(value):
        raise ValueError("is no header name; write one such as Authorization or X-Api-Key")
    if value.lower() in FRAMING or value.lower().startswith("errgate-"):
        raise ValueError(
            f"{shown(value)} belongs to the connection or the gateway; name the vendor's credential header"
        )
    return value


def _secret(value: object) -> SecretStr:
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")  # noqa: TRY004  (pydantic reads ValueError)
    if not VALUE.fullmatch(value):
        raise ValueError("must be one line of printable ASCII, without spaces around it; look for a stray line end")
    return SecretStr(value)


def _token(value: object) -> SecretStr | str:
    if value == "none" and type(value) is str:
        return "none"
    if not isinstance(value, str) or not VISIBLE.fullmatch(value):
        raise ValueError("must be one word of printable ASCII, best from ${NAME} or ${file:PATH}; or none, said aloud")
    return SecretStr(value)


def _write_token(token: SecretStr | str) -> str:
    return token if isinstance(token, str) else "***"


_TEXT = WithJsonSchema({"type": "string"})
_SECRET = WithJsonSchema({"type": "string", "format": "password", "writeOnly": True})

Name: TypeAlias = Annotated[
    str, matching(NAME, "up to 32 small letters, digits, dashes and underscores, a letter or digit first")
]
Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Host: TypeAlias = Annotated[str, text(_host)]
Authority: TypeAlias = Annotated[str, text(_authority)]
BaseUrl: TypeAlias = Annotated[str, text(_base_url)]
HeaderName: TypeAlias = Annotated[str, matching(TOKEN.pattern, "a header name")]
CredentialHeader: TypeAlias = Annotated[str, text(_credential_header)]
CredentialValue: TypeAlias = Annotated[
    SecretStr, PlainValidator(_secret), PlainSerializer(lambda _: "***", str, when_used="json"), _SECRET
]
Token: TypeAlias = Annotated[
    SecretStr | Literal["none"],
    PlainValidator(_token),
    PlainSerializer(_write_token, str, when_used="json"),
    _SECRET,
]
ProxyUrl: TypeAlias = Annotated[SecretUrl, PlainValidator(_proxy), PlainSerializer(str, when_used="json"), _TEXT]
StoreUrl: TypeAlias = Annotated[SecretUrl, PlainValidator(_store), PlainSerializer(str, when_used="json"), _TEXT]
