"""
The lists of names, and what both directions do with them: sift a head, read `Connection`, look for controls.

Names are lower-case bytes, as ASGI has them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Final

Header = tuple[bytes, bytes]

# RFC 9110 section 7.6.1 and the Proxy-* of section 11.7 (W-023); `Proxy` alone is httpoxy (CVE-2016-5385).
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# Where a key may be: read by us from a caller, or put there by us for a vendor.
CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key"})

# Contract 15: nothing of tracing goes to a vendor.
TRACING: Final = frozenset(
    {
        b"b3",
        b"baggage",
        b"elastic-apm-traceparent",
        b"grpc-trace-bin",
        b"newrelic",
        b"sentry-trace",
        b"traceparent",
        b"tracestate",
        b"uber-trace-id",
        b"x-amzn-trace-id",
        b"x-cloud-trace-context",
        b"x-request-id",
    }
)
TRACING_PREFIXES: Final = (b"ot-tracer-", b"uberctx-", b"x-b3-", b"x-datadog-", b"x-ot-")

# W-146: what acts on our origin, or on the ingress in front of us.
OURS_TO_SAY: Final = frozenset(
    {
        b"alt-svc",
        b"clear-site-data",
        b"nel",
        b"refresh",
        b"report-to",
        b"reporting-endpoints",
        b"server",
        b"strict-transport-security",
        b"x-lighttpd-send-file",
        b"x-powered-by",
        b"x-sendfile",
    }
)
OURS_TO_SAY_PREFIXES: Final = (b"access-control-", b"public-key-pins", b"x-accel-")

# What is computed over the body's bytes, and is wrong once they change (W-105, contract 9).
OVER_THE_BODY: Final = frozenset(
    {b"content-digest", b"content-md5", b"digest", b"etag", b"repr-digest", b"signature", b"signature-input"}
)

# RFC 9110 section 5.5: every control but the tab. Each of the first three could end the field.
LINE_BREAKING: Final = b"\r\n\x00"
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {0x09})

# What nearly every request says, so that nearly no list is parsed.
_PLAIN_CONNECTION: Final = frozenset({b"", b"close", b"keep-alive", b"Keep-Alive"})
NOTHING: frozenset[bytes] = frozenset()


class Fate(Enum):
    """What becomes of a field: it passes as it is, it is dropped, or it is taken out and its values kept for later."""

    PASS = auto()
    DROP = auto()
    NOTE = auto()


# An attribute of an Enum costs more than the rest of the pass.
_PASS: Final = Fate.PASS
_NOTE: Final = Fate.NOTE

# So many names in any spelling are remembered for each vendor and direction, none of them longer than this: who sends
# ever new ones pays for them, and memory does not grow.
LEARNED_LIMIT: Final = 256
LEARNED_LIMIT_BYTES: Final = 64


class Fates(dict[bytes, tuple[Fate, bytes]]):
    """
    What becomes of a field, by its name as it came; with the name in lower case.

    Mutable state: the names that have come so far, within bounds. A name that the table does not hold passes if `judge`
    says so.
    """

    __slots__ = ("_judge", "_table")

    def __init__(self, table: Mapping[bytes, Fate], judge: Callable[[bytes], bool]) -> None:
        super().__init__({name: (fate, name) for name, fate in table.items()})
        self._table = table
        self._judge = judge

    def __missing__(self, given: bytes) -> tuple[Fate, bytes]:
        name = given.lower()
        fate = self._table.get(name) or (Fate.PASS if self._judge(name) else Fate.DROP)
        if len(self) < len(self._table) + LEARNED_LIMIT and len(given) <= LEARNED_LIMIT_BYTES:
            self[given] = (fate, name)
        return fate, name


class Texts(dict[bytes, str]):
    """Names of fields as text in lower case. Mutable state: those that have come so far, within bounds."""

    def __missing__(self, given: bytes) -> str:
        name = given.decode("latin-1").lower()
        if len(self) < LEARNED_LIMIT and len(given) <= LEARNED_LIMIT_BYTES:
            self[given] = name
        return name


_TEXTS: Final = Texts()


def as_text(headers: Sequence[Header]) -> dict[str, str]:
    """A head as the core reads it: names in lower case, repeated lines joined."""
    fields = {_TEXTS[name]: value.decode("latin-1") for name, value in headers}
    if len(fields) < len(headers):
        fields.clear()
        for name, value in headers:
            key, text = _TEXTS[name], value.decode("latin-1")
            fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields


def sift(headers: Iterable[Header], fates: Fates) -> tuple[list[Header], dict[bytes, list[bytes]]]:
    """One pass over a head: the fields that pass, in their order, and the values noted, by name."""
    passing: list[Header] = []
    noted: dict[bytes, list[bytes]] = {}
    for given, value in headers:
        fate, name = fates[given]
        if fate is _PASS:
            passing.append((name, value))
        elif fate is _NOTE:
            if name in noted:
                noted[name].append(value)
            else:
                noted[name] = [value]
    return passing, noted


def nominated(lines: Sequence[bytes]) -> frozenset[bytes]:
    """The fields that every `Connection` line together names as its own (W-022)."""
    if _PLAIN_CONNECTION.issuperset(lines):
        return NOTHING
    names = {option.strip(b" \t").lower() for line in lines for option in line.split(b",")}
    return frozenset(names - {b"", b"close", b"keep-alive"})


def elements(value: bytes) -> list[bytes]:
    """The elements of a comma-separated list; empty ones do not count (RFC 9110 section 5.6.1.2)."""
    return [element for element in (part.strip(b" \t") for part in value.split(b",")) if element]


def is_clean(value: bytes) -> bool:
    """Whether no control stands in the value (W-052)."""
    return len(value) == len(value.translate(None, _CONTROLS))


def without_controls(headers: list[Header]) -> list[Header]:
    """The headers without those whose value holds a control."""
    # All at once first: a loop only where there is something to find.
    if is_clean(b"".join([value for _, value in headers])):
        return headers
    return [header for header in headers if is_clean(header[1])]
