"""`vendors.<name>`: one vendor: where it is, what goes to it, what becomes of its errors."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, PrivateAttr, Tag

from normalizers import Vendor

from .limits import Hold, LimitSettings
from .normalizer import Described, Normalizer
from .places import DEFAULT_PORTS, Authority, BaseUrl, CredentialHeader, CredentialValue, Host, ProxyUrl
from .routes import RouteSettings
from .server import AtLeastOne
from .values import MAPPING, NUMBER, WORD, Duration, File, Flag, Many, Model, Share, Size, one_of, word_or_mapping


class Credential(Model):
    """`credential`: what the gateway puts into every request to the vendor."""

    header: CredentialHeader
    """The header that carries the credential."""
    value: CredentialValue
    """The header's value, best from `${file:PATH}` or `${NAME}`."""


CredentialChoice: TypeAlias = Annotated[
    Annotated[
        Literal["none", "passthrough"],
        one_of("none", "passthrough", mapping="a mapping of header and value"),
        Tag(WORD),
    ]
    | Annotated[Credential, Tag(MAPPING)],
    Discriminator(word_or_mapping),
]


class Timeouts(Model):
    """`timeouts`: how long the gateway waits for the vendor."""

    connect: Duration = 5.0
    """Bounds the wait for a free connection, then the dialling."""
    first_byte: Duration = 120.0
    """From the request's last byte to the first byte of the reply."""
    idle: Duration = 60.0
    """The longest pause of a read or a write."""
    total: Duration = 300.0
    """From the request to the reply's head."""
    max_duration: Duration = 3600.0
    """The whole exchange, the reply's body included."""


class Retries(Model):
    """`retries`: sending again what was certainly not sent, or is idempotent."""

    max: Annotated[int, Field(ge=0, le=10), NUMBER] = 1
    """How many times a request may be sent again."""
    budget: Share = 0.1
    """The share of the vendor's requests that may be retries, beside one a second."""
    statuses: Many[Annotated[int, Field(ge=400, le=599), NUMBER]] = ()
    """Statuses of the vendor that are retried too."""
    idempotency_key: Flag = False
    """Whether a request with `Idempotency-Key` counts as idempotent."""


class Breaker(Model):
    """`breaker`: refuses at once what would fail anyway."""

    failures: Annotated[int, Field(ge=1, le=10_000), NUMBER]
    """Consecutive network failures and vendor 502, 503 and 504 that open it."""
    open_for: Duration
    """How long it stays open before one request probes."""


class Forward(Model):
    """`forward`: what else crosses the gateway."""

    cookies: Flag = False
    """Whether cookies pass in both directions."""
    trace: Flag = False
    """Whether `X-Request-Id` and `traceparent`, under an id of ours, go to the vendor."""
    caller_address: Flag = False
    """Whether the caller's address goes to the vendor in `X-Forwarded-For`."""
    get_body: Flag = False
    """Whether GET and HEAD may carry a body."""
    escaped_slash: Literal["pass", "reject"] = "pass"
    """What becomes of `%2F` in a path."""


class VendorTls(Model):
    """`tls`: HTTPS towards the vendor; verification cannot be turned off."""

    ca: File | None = None
    """PEM file of the authorities that are trusted; null: the system's."""
    certificate: File | None = None
    """PEM file of the client certificate chain; needs `engine: httpx`."""
    key: File | None = None
    """PEM file of the client certificate's private key."""
    server_name: Host | None = None
    """The name that the vendor's certificate must carry and SNI says; null: the host of `base_url`."""


class VendorSettings(Model):
    """One vendor."""

    base_url: BaseUrl
    """The vendor's origin and, if any, the path below which its API lies."""
    plaintext: Flag = False
    """Allows http:// to a vendor that is not on loopback."""
    hosts: Many[Authority] = ()
    """Authorities under which the whole path goes to this vendor, for SDKs with fixed paths."""
    normalizer: Normalizer | None = None
    """How its errors are read: a built-in name or a mapping; null: the built-in of its name, else `generic`."""
    credential: CredentialChoice = "none"
    """`none`: the caller's is dropped; `passthrough`: the caller's goes on; or the header and value to send."""
    errors: Literal["envelope", "header", "off"] = "envelope"
    """What becomes of the vendor's errors: the house envelope, the vendor's words with our headers, or nothing."""
    job_failures: Literal["annotate", "header", "off"] = "annotate"
    """What becomes of failures inside a success: spliced in, only named in a header, or not looked for."""
    routes: Many[RouteSettings] = ()
    """Own routes, matched before the built-in ones."""
    only_routes: Flag = False
    """Whether what matches no route is refused with `permission_denied`."""
    timeouts: Timeouts = Timeouts()
    """How long the gateway waits for the vendor."""
    max_connections: AtLeastOne = 100
    """Connections to the vendor at once."""
    max_request_body: Size | None = None
    """The largest request body for this vendor; null: the server's."""
    limits: Many[LimitSettings] = ()
    """Limits that the gateway keeps for this vendor."""
    on_vendor_limit: Literal["hold", "ignore"] = "hold"
    """Whether a vendor's 429 holds what shares its limit."""
    hold: Hold = Hold()
    """Bounds of a hold."""
    retries: Retries = Retries()
    """Sending again."""
    breaker: Breaker | None = None
    """Refusing at once what would fail anyway; null: never."""
    forward: Forward = Forward()
    """What else crosses the gateway."""
    tls: VendorTls = VendorTls()
    """HTTPS towards the vendor."""
    proxy: ProxyUrl | None = None
    """A forward proxy that is asked with CONNECT; needs `engine: httpx`. The environment's proxies are never used."""
    http2: Flag = False
    """Whether HTTP/2 is offered to the vendor; needs `engine: httpx`."""
    engine: Literal["http1", "httpx"] = "http1"
    """The engine that speaks to the vendor: the fast one, or the one for HTTP/2, proxies and client certificates."""

    _vendor: Vendor | None = PrivateAttr(default=None)
    _by_route: Mapping[str, Timeouts] = PrivateAttr(default={})

    @property
    def vendor(self) -> Vendor:
        """How this vendor's replies are read: the resolved normalizer, own routes first."""
        if self._vendor is None:
            raise RuntimeError("settings come from load() or loads(), which resolve the normalizer")
        return self._vendor

    @property
    def described(self) -> Described | None:
        """The normalizer, where it is a mapping."""
        return self.normalizer if isinstance(self.normalizer, Described) else None

    @property
    def route_names(self) -> frozenset[str]:
        """Every route that limits and callers may name."""
        return frozenset(route.name for route in self.vendor.routes)

    def settle(self, vendor: Vendor, by_route: Mapping[str, Timeouts] | None = None) -> None:
        """Note the resolved normalizer and the deadlines of its routes; only while the settings are loaded."""
        self._vendor = vendor
        self._by_route = self._by_route if by_route is None else by_route

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return urlsplit(self.base_url).scheme

    @property
    def host(self) -> str:
        """The host to dial, an IPv6 address without its brackets."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def port(self) -> int:
        """The port to dial."""
        return urlsplit(self.base_url).port or DEFAULT_PORTS[self.scheme]

    @property
    def authority(self) -> str:
        """What the vendor is told in `Host`: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def base_path(self) -> bytes:
        """The path of `base_url` without its last slash: empty, or /… ."""
        return urlsplit(self.base_url).path.removesuffix("/").encode("ascii")

    @property
    def longest_total(self) -> float:
        """The longest `total` of the vendor and its routes, in seconds."""
        return max(timeouts.total for timeouts in (self.timeouts, *self._by_route.values()))

    def timeouts_for(self, route: str | None) -> Timeouts:
        """
        Deadlines of a route; None or an unknown one: the vendor's.

        A route's own settings win. Below them, what the vendor's file documents for the route stands in for a key that
        `timeouts` leaves out, and where it names one, the longer of the two: an operator who gives a vendor 60 s did
        not mean the one route that is known to take 300 s.
        """
        return self._by_route.get(route or "", self.timeouts)
