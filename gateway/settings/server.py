"""`server`: where the gateway listens, whom it believes, and how long it waits for callers."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, SecretStr

from .places import Authority, Host, Token
from .values import NUMBER, Duration, DurationOrZero, File, Flag, Many, Model, Network, Size, matching

Port: TypeAlias = Annotated[int, Field(ge=0, le=65535), NUMBER]
# Each worker has a place of its own in the memory that they share.
Workers: TypeAlias = Annotated[int, Field(ge=1, le=256), NUMBER]
AtLeastOne: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000), NUMBER]
# RFC 9209 writes the name as a structured-field token, RFC 9110 in `Via` as a token: what both take.
ServerName: TypeAlias = Annotated[
    str, matching("[A-Za-z][A-Za-z0-9._-]{0,63}", "a letter and then letters, digits, dots, dashes or underscores")
]


class Admin(Model):
    """`server.admin`: the port of metrics, health, status, reload and the console."""

    host: Host = "127.0.0.1"
    """Address of the admin port."""
    port: Port = 9090
    """The admin port; 0 takes a free one."""
    token: Token | None = None
    """Guards all but metrics and health; beyond loopback required, or the word `none`, said aloud."""

    @property
    def secret(self) -> SecretStr | None:
        """The token to ask for; None: ask for none."""
        return self.token if isinstance(self.token, SecretStr) else None


class ServerTimeouts(Model):
    """`server.timeouts`: how long the gateway waits for callers."""

    head: Duration = 10.0
    """The longest time for a request's head to arrive."""
    body_idle: Duration = 30.0
    """The longest pause inside a request's body."""
    write_idle: Duration = 60.0
    """The longest time for a caller to take what is being sent to it."""
    keep_alive: Duration = 75.0
    """How long an idle connection of a caller is kept; longer than that of the load balancer in front."""


class Shutdown(Model):
    """`server.shutdown`: how the gateway leaves."""

    lameduck: DurationOrZero = 5.0
    """After SIGTERM, how long new requests are still accepted while `/-/ready` says no."""
    grace: DurationOrZero | None = None
    """How long running requests may then take; null: the longest vendor or route `total` plus 5 s."""


class ServerTls(Model):
    """`server.tls`: HTTPS towards callers."""

    certificate: File | None = None
    """PEM file of the certificate chain; null: plain HTTP."""
    key: File | None = None
    """PEM file of the certificate's private key."""


class Server(Model):
    """`server`: towards callers and operators."""

    name: ServerName = "errgate"
    """The gateway's name in `Via` and `Proxy-Status`."""
    host: Host = "127.0.0.1"
    """Address of the traffic port."""
    port: Port = 8080
    """The traffic port; 0 takes a free one."""
    hosts: Many[Authority] = ()
    """Authorities (host or host:port) that are ours, another is answered 421; empty: any."""
    admin: Admin = Admin()
    """The admin port."""
    workers: Workers = 1
    """Number of worker processes."""
    trusted_proxies: Many[Network] = ()
    """Networks (CIDRs) of proxies in front of the gateway whose X-Forwarded-For is believed."""
    timeouts: ServerTimeouts = ServerTimeouts()
    """How long the gateway waits for callers."""
    max_connections: AtLeastOne = 10_000
    """Connections of callers at once; a further one is answered `overloaded` and closed."""
    max_in_flight: AtLeastOne = 2_000
    """Requests at once; a further one is answered `overloaded`."""
    max_request_body: Size = 32 << 20
    """The largest request body; a larger one is answered `payload_too_large`."""
    shutdown: Shutdown = Shutdown()
    """How the gateway leaves."""
    tls: ServerTls = ServerTls()
    """HTTPS towards callers."""


class Problems(Model):
    """`problems`: what the envelope says."""

    base_uri: Annotated[
        str,
        matching(
            r"(/|[A-Za-z][A-Za-z0-9+.-]{1,31}:)[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*",
            "an absolute URI, or a path that begins with a slash",
        ),
    ] = "/-/problems/"
    """`type` is this plus the house code; an absolute URI in production."""
    vendor_messages: Literal["always", "caller_faults", "never"] = "always"
    """Whether the vendor's own words are shown: always, only when the caller is at fault, or never."""
    rate_limit_headers: Flag = True
    """Whether `RateLimit-Policy` and `RateLimit` tell the limits that applied."""
