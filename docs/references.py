"""
Writes the two references for operators: every key in settings.md, every metric in metrics.md.

    make docs

Types, bounds and defaults come from the settings' models, what a reload can change from `gateway.reload`, metrics and
the closed sets of their labels from `gateway.metrics`. `tests/test_references.py` finds a stale page.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from docs.generate import Key, cell, code, settings_keys, splice, table
from gateway.metrics import METHODS, NO_VENDOR, OTHER_ROUTE, Outcome
from gateway.metrics.table import TABLE, Metric
from gateway.reload import FIXED
from gateway.settings.values import DURATION, PERCENT, SIZE
from gateway.upstream import Reason
from normalizers import Source

DOCS = Path(__file__).resolve().parent


# --- The settings ----------------------------------------------------------------------------------------------------

# A text with one of these shapes is a value with a unit.
SHAPES = {
    f"^{DURATION.pattern}$": ("duration", "time"),
    f"^{SIZE.pattern}$": ("size", "bytes"),
    f"^{PERCENT.pattern}$": ("share", "percent"),
}

# What a plain number counts, by the key's last name.
COUNTED = {
    "port": "TCP port",
    "workers": "processes",
    "max_connections": "connections",
    "max_in_flight": "requests",
    "requests": "requests",
    "in_flight": "requests",
    "cost": "requests",
    "queue": "requests",
    "max": "tries",
    "statuses": "HTTP status",
    "status": "HTTP status",
    "failures": "failures",
}


def kind(node: Mapping[str, Any]) -> str:
    """A key's type in a person's words."""
    if choices := node.get("anyOf") or node.get("oneOf"):
        return " or ".join(dict.fromkeys(kind(choice) for choice in choices))
    for key, said in SAID.items():
        if isinstance(value := node.get(key), str | list | dict):
            return said(value)
    if node.get("writeOnly"):
        return "secret"
    return {"string": "text", "boolean": "flag", "null": "null"}.get(node["type"], number(node))


# What a part of a schema says of the type, the first that there is.
SAID: Mapping[str, Callable[[Any], str]] = {
    "const": code,
    "enum": lambda words: "a house code" if "invalid_request" in words else " ".join(map(code, words)),
    "pattern": lambda pattern: SHAPES.get(pattern, ("text", ""))[0],
    "additionalProperties": lambda values: f"mapping: name to {kind(values)}",
    "items": lambda items: f"list: {kind(items)}",
    "$ref": lambda _: "mapping",
    "allOf": lambda _: "mapping",
}


def number(node: Mapping[str, Any]) -> str:
    """A number with its bounds; Python's way of grouping digits is a person's, too."""
    least, most = node.get("minimum"), node.get("maximum")
    bounds = [f"{bound:,}" for bound in (least, most) if bound is not None]
    return "number" if not bounds else f"number, {' to '.join(bounds)}"


def unit(key: Key) -> str:
    """What a value is measured or counted in; empty for what is neither."""
    shapes = [SHAPES[pattern][1] for pattern in SHAPES if pattern in patterns(key.node)]
    if shapes:
        return shapes[0]
    said = kind(key.node)
    # What may be text is a vendor's word and no count.
    return COUNTED[key.path.rpartition(".")[2]] if "number" in said and "text" not in said else ""


def patterns(node: Mapping[str, Any]) -> set[str]:
    """The patterns of a text, in any of the forms that a value may have."""
    choices = [*node.get("anyOf", ()), *node.get("oneOf", ()), *filter(None, [node.get("items")])]
    return {node.get("pattern", ""), *(pattern for choice in choices for pattern in patterns(choice))}


def change(path: str) -> str:
    """What puts a change of the key into force; of a mapping whose keys differ each of them says it."""
    if any(path == fixed or path.startswith(f"{fixed}.") for fixed in FIXED):
        return "restart"
    return "each key" if any(fixed.startswith(f"{path}.") for fixed in FIXED) else "reload"


def settings_reference() -> str:
    """Every key, a table for each first name."""
    parts = []
    for first, keys in groupby(settings_keys(), lambda key: key.path.partition(".")[0]):
        rows = (
            (code(key.path), kind(key.node), key.default, unit(key), change(key.path), cell(key.description))
            for key in keys
        )
        parts.append(f"## {first}\n\n{table(('key', 'type', 'default', 'unit', 'change by', ''), rows)}")
    return "\n\n".join(parts)


# --- The metrics -----------------------------------------------------------------------------------------------------

# What each label can say. What is said of the settings is closed by them: nothing that is sent becomes a label.
LABELS: Mapping[str, str | Iterable[str]] = {
    "vendor": f"the vendors of the settings; `{NO_VENDOR}`: none was chosen",
    "route": f"the vendor's routes; `{OTHER_ROUTE}`: none matched",
    "method": [*sorted(METHODS), "_OTHER"],
    "outcome": [outcome.value for outcome in Outcome],
    "code": "the [house codes](../README.md#house-codes)",
    "vendor_code": "the codes of the vendor's table, as it spells them; `other`: none of them; `none`: it gave none",
    "source": [source.value for source in Source],
    "kind": ["http", "job"],
    "reason": [reason.rfc9209 for reason in Reason],
    "state": ["busy", "idle", "free"],
    "caller": f"the callers of the settings; `{NO_VENDOR}`: no callers are configured, or the key was none of theirs",
    "limit": "the limits of the vendor in the settings, by name; a caller's own limits for the vendor that was asked",
    "version": "the version",
}
# What a label says of one metric alone.
OF_METRIC: Mapping[tuple[str, str], str | Iterable[str]] = {
    (
        "errgate_requests_total",
        "status",
    ): "the status that was sent, if it is registered, else its class (`5xx`); `none`: none was sent",
    ("errgate_vendor_replies_total", "status"): "the vendor's own status, if it is registered, else its class",
    ("errgate_jobs_total", "result"): ["ok", "failed", "partial", "uninspected"],
    ("errgate_retries_total", "result"): ["answered", "failed", "refused"],
}

# What one asks of each metric, and how.
QUERIES: Mapping[str, tuple[str, str]] = {
    "errgate_requests_total": (
        "Requests a second by vendor and outcome",
        "sum by (vendor, outcome) (rate(errgate_requests_total[5m]))",
    ),
    "errgate_errors_total": (
        "Which errors, and by which code of the vendor",
        'topk(10, sum by (vendor, code, vendor_code) (increase(errgate_errors_total{source="vendor"}[1h])))',
    ),
    "errgate_vendor_replies_total": (
        "Share of a vendor's replies that are its own 5xx",
        (
            'sum by (vendor) (rate(errgate_vendor_replies_total{status=~"5.."}[5m]))'
            " / sum by (vendor) (rate(errgate_vendor_replies_total[5m]))"
        ),
    ),
    "errgate_network_failures_total": (
        "Why no reply comes",
        "sum by (vendor, reason) (rate(errgate_network_failures_total[5m]))",
    ),
    "errgate_jobs_total": (
        "Share of finished jobs that failed",
        (
            'sum by (vendor) (rate(errgate_jobs_total{result="failed"}[1h]))'
            ' / sum by (vendor) (rate(errgate_jobs_total{result!="uninspected"}[1h]))'
        ),
    ),
    "errgate_request_duration_seconds": (
        "The slowest request in twenty, by route",
        "histogram_quantile(0.95, sum by (vendor, route, le) (rate(errgate_request_duration_seconds_bucket[5m])))",
    ),
    "errgate_vendor_duration_seconds": (
        "How long a vendor lets one wait on average",
        (
            "sum by (vendor) (rate(errgate_vendor_duration_seconds_sum[5m]))"
            " / sum by (vendor) (rate(errgate_vendor_duration_seconds_count[5m]))"
        ),
    ),
    "errgate_overhead_seconds": (
        "What the gateway adds, one request in a hundred more",
        "histogram_quantile(0.99, sum by (le) (rate(errgate_overhead_seconds_bucket[5m])))",
    ),
    "errgate_requests_in_flight": ("How much is under way", "sum by (vendor) (errgate_requests_in_flight)"),
    "errgate_vendor_connections": (
        "Share of the connections that are busy",
        'sum by (vendor) (errgate_vendor_connections{state="busy"}) / sum by (vendor) (errgate_vendor_connections)',
    ),
    "errgate_vendor_queue_seconds": (
        "How long one request in twenty waits before it is sent",
        "histogram_quantile(0.95, sum by (vendor, le) (rate(errgate_vendor_queue_seconds_bucket[5m])))",
    ),
    "errgate_limit_refused_total": (
        "Which limit refuses whom",
        "sum by (vendor, limit, caller) (rate(errgate_limit_refused_total[5m]))",
    ),
    "errgate_limit_remaining": (
        "Share of each limit that is left",
        "max by (vendor, limit) (errgate_limit_remaining) / (max by (vendor, limit) (errgate_limit_requests) > 0)",
    ),
    "errgate_limit_requests": ("What each limit admits", "max by (vendor, limit) (errgate_limit_requests) > 0"),
    "errgate_caller_requests_total": (
        "Who sends what a vendor refuses",
        'topk(5, sum by (caller, vendor) (rate(errgate_caller_requests_total{outcome="caller_fault"}[15m])))',
    ),
    "errgate_held_until_seconds": (
        "Seconds for which a vendor's requests are still held",
        "max by (vendor) (errgate_held_until_seconds) - time() > 0",
    ),
    "errgate_retries_total": (
        "Share of retries that helped",
        (
            'sum by (vendor) (rate(errgate_retries_total{result="answered"}[15m]))'
            " / sum by (vendor) (rate(errgate_retries_total[15m]))"
        ),
    ),
    "errgate_breaker_open": ("Which vendors are given a rest", "max by (vendor) (errgate_breaker_open) == 1"),
    "errgate_unmapped_codes_total": (
        "Whose documents have changed",
        "sum by (vendor) (increase(errgate_unmapped_codes_total[1d])) > 0",
    ),
    "errgate_unreadable_replies_total": (
        "Share of replies that nobody can read",
        (
            "sum by (vendor) (rate(errgate_unreadable_replies_total[15m]))"
            " / sum by (vendor) (rate(errgate_vendor_replies_total[15m]))"
        ),
    ),
    "errgate_limit_store_up": ("Gateways that keep their share alone", "errgate_limit_store_up == 0"),
    "errgate_limit_store_errors_total": (
        "How often the store does not answer",
        "sum by (instance) (rate(errgate_limit_store_errors_total[5m]))",
    ),
    "errgate_event_loop_lag_seconds": (
        "Gateways that have too much to do",
        "histogram_quantile(0.99, sum by (instance, le) (rate(errgate_event_loop_lag_seconds_bucket[5m]))) > 0.25",
    ),
    "errgate_config_last_reload_successful": (
        "Gateways whose settings are not those of the file",
        "errgate_config_last_reload_successful == 0",
    ),
    "errgate_build_info": ("Which versions run", "count by (version) (errgate_build_info)"),
}


def values(metric: Metric, label: str) -> str:
    """What a label can say."""
    said = OF_METRIC.get((metric.name, label)) or LABELS[label]
    return said if isinstance(said, str) else " ".join(map(code, said))


def metric_reference(metric: Metric) -> str:
    """One metric: what it is, what its labels say, what one asks of it."""
    question, query = QUERIES[metric.name]
    lines = [f"## {metric.name}", "", f"{metric.kind.__name__.capitalize()}. {cell(metric.help)}"]
    if metric.labels:
        rows = ((code(label), values(metric, label)) for label in metric.labels)
        lines += ["", table(("label", "values"), rows)]
    if metric.kind.__name__ == "Histogram":
        lines += ["", f"Buckets, in seconds: {' '.join(f'{bound:g}' for bound in metric.buckets)}."]
    return "\n".join([*lines, "", f"{question}:", "", "```promql", query, "```"])


def metrics_reference() -> str:
    """Every metric, in the order of the scrape's table."""
    return "\n\n".join(map(metric_reference, TABLE))


PAGES: Mapping[Path, Callable[[], str]] = {
    DOCS / "settings.md": settings_reference,
    DOCS / "metrics.md": metrics_reference,
}


def fresh(path: Path) -> str:
    """Give back the page with its reference written anew."""
    return splice(path.read_text(encoding="utf-8"), "reference", PAGES[path]())


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(fresh(page), encoding="utf-8")
