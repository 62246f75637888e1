"""
Writes what is generated of the chart: values.schema.json from values.yaml and the settings, and README.md's table.

    make docs

The schema is draft-07, which every Helm 3 and 4 reads, without a `$ref` to elsewhere. It is closed wherever the chart
itself owns the keys; what is handed on to Kubernetes as it is stays open. `config` has the settings' own schema, so
that a typo in it fails `helm lint`, too.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gateway import settings

CHART = Path(__file__).resolve().parent.parent / "helm" / "errgate"
VALUES, SCHEMA, README = CHART / "values.yaml", CHART / "values.schema.json", CHART / "README.md"

Schema = dict[str, Any]

# A value that is taken from the environment or a file when the gateway starts, where the schema wants no text.
REFERENCE: Schema = {"type": "string", "pattern": r"\$\{"}
TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
SHARE: Schema = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
OBJECT: Schema = {"type": "object"}
OBJECTS: Schema = {"type": "array", "items": OBJECT}
STRINGS: Schema = {"type": "array", "items": TEXT}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT}
VENDOR_NAMES: Schema = {"pattern": "^[a-z0-9][a-z0-9_-]{0,31}$"}


def closed(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """A mapping with these keys and no others."""
    schema: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return schema | ({"required": list(required)} if required else {})


def or_null(schema: Schema) -> Schema:
    """What the schema says, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def by_name(schema: Schema, names: Schema | None = None) -> Schema:
    """A mapping from names to what the schema says."""
    return {"type": "object", "additionalProperties": schema} | ({"propertyNames": names} if names else {})


SECRET_KEY = closed(("name", "key"), name=NAME, key=NAME)

# What the default in values.yaml does not tell.
KNOWN: Mapping[str, Schema] = {
    "global": OBJECT,
    "config": {"$ref": "#/definitions/Settings"},
    "vendors": by_name(closed(existingSecret=SECRET_KEY, value=NAME, header=NAME, prefix=TEXT), VENDOR_NAMES),
    "callers": by_name(
        closed(
            ("existingSecret",),
            existingSecret=closed(("name",), name=NAME, key=NAME, keys={"type": "array", "minItems": 1, "items": NAME})
            | {"oneOf": [{"required": ["key"]}, {"required": ["keys"]}]},
        )
    ),
    "limitStore.url": {"type": "string", "pattern": "^(memory|rediss?://.+)$"},
    "limitStore.whenAway": {"enum": ["share", "refuse"]},
    "secrets.defaultMode": {"type": "integer", "minimum": 0, "maximum": 0o777},
    "secrets.extra": {
        "type": "array",
        "items": closed(("name", "key", "path"), name=NAME, key=NAME, path={"type": "string", "pattern": "^[^/]"}),
    },
    "replicaCount": COUNT,
    "workers": {"type": "integer", "minimum": 1},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "imagePullSecrets": {"type": "array", "items": {"anyOf": [NAME, closed(("name",), name=NAME)]}},
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "service.nodePort": or_null({"type": "integer", "minimum": 1, "maximum": 65535}),
    "ingress.hosts": {
        "type": "array",
        "items": closed(
            ("paths",),
            host=TEXT,
            paths={"type": "array", "items": closed(("path",), path=TEXT, pathType=TEXT)},
        ),
    },
    "ingress.tls": {"type": "array", "items": closed(secretName=TEXT, hosts=STRINGS)},
    "httpRoute.parentRefs": OBJECTS,
    "httpRoute.hostnames": STRINGS,
    "httpRoute.rules": {
        "type": "array",
        "items": closed(
            name=TEXT,
            matches=OBJECTS,
            filters=OBJECTS,
            timeouts=OBJECT,
            retry=OBJECT,
            sessionPersistence=OBJECT,
            backendRefs=OBJECTS,
        ),
    },
    "terminationGracePeriodSeconds": or_null(COUNT),
    "autoscaling.targetCPUUtilizationPercentage": or_null({"type": "integer", "minimum": 1}),
    "autoscaling.targetMemoryUtilizationPercentage": or_null({"type": "integer", "minimum": 1}),
    "podDisruptionBudget.maxUnavailable": {"type": ["integer", "string", "null"]},
    "podDisruptionBudget.minAvailable": {"type": ["integer", "string", "null"]},
    "podDisruptionBudget.unhealthyPodEvictionPolicy": {"enum": ["", "AlwaysAllow", "IfHealthyBudget"]},
    "networkPolicy.ingress.monitoringNamespaces": STRINGS,
    "networkPolicy.egress.vendorPorts": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}},
    "networkPolicy.egress.except": STRINGS,
    "networkPolicy.egress.exceptIPv6": STRINGS,
    "metrics.serviceMonitor.targetLabels": STRINGS,
    "metrics.podMonitor.podTargetLabels": STRINGS,
    "metrics.prometheusRule.disabled": {"type": "array", "items": {"type": "string", "pattern": "^Errgate"}},
    "metrics.prometheusRule.objectives.gateway": SHARE,
    "metrics.prometheusRule.objectives.vendor": SHARE,
    "metrics.prometheusRule.objectives.vendors": by_name(SHARE, VENDOR_NAMES),
    "metrics.prometheusRule.slow.seconds": {"type": "number", "exclusiveMinimum": 0},
    "metrics.prometheusRule.slow.vendors": by_name({"type": "number", "exclusiveMinimum": 0}, VENDOR_NAMES),
    "extraArgs": STRINGS,
    "extraEnv": {"type": "array", "items": closed(("name",), name=NAME, value=TEXT, valueFrom=OBJECT)},
    "extraObjects": {"type": "array", "items": {"type": ["object", "string"]}},
}

BY_DEFAULT: Mapping[type, Schema] = {dict: OBJECT, list: OBJECTS, bool: {"type": "boolean"}, int: COUNT, str: TEXT}

# What a schema says to people; here it only has to find a typo.
WORDS = frozenset({"title", "description", "default", "format", "writeOnly"})

# Handed on to Kubernetes as they are.
OPEN = frozenset(
    {
        "podSecurityContext",
        "securityContext",
        "resources",
        "startupProbe",
        "livenessProbe",
        "readinessProbe",
        "strategy",
    }
)


# --- The schema ------------------------------------------------------------------------------------------------------


def values_schema() -> Schema:
    """The schema of values.yaml."""
    values = yaml.safe_load(VALUES.read_text(encoding="utf-8"))
    root = of_mapping(values, "")
    # A parent chart says `enabled`, to have this one or not.
    root["properties"]["enabled"] = {"type": "boolean"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart errgate",
        **root,
        "definitions": settings_definitions(),
    }


def of_mapping(values: Mapping[str, object], path: str) -> Schema:
    """The schema of a mapping that the chart owns."""
    return closed(**{key: of_value(value, f"{path}{key}") for key, value in values.items()})


def of_value(value: object, path: str) -> Schema:
    """The schema of one value, from what is known of it or from its default."""
    known = KNOWN.get(path) or (OBJECT if path in OPEN else None)
    if known is not None:
        return known
    if isinstance(value, dict) and value:
        return of_mapping(value, f"{path}.")
    if isinstance(value, dict) and re.search("(annotations|labels)$", path, re.IGNORECASE):
        return LABELS
    if isinstance(value, int) and re.search("[pP]ort$", path):
        return {"type": "integer", "minimum": 1, "maximum": 65535}
    if type(value) not in BY_DEFAULT:
        message = f"values.yaml: the default of {path} does not tell its type; say it in {__file__}"
        raise ValueError(message)
    return BY_DEFAULT[type(value)]


def settings_definitions() -> Schema:
    """The settings as draft-07 definitions: what is needed to find a typo, without the words."""
    schema = settings.schema()
    definitions = {name: translate(node) for name, node in schema["$defs"].items()}
    whole = {key: node for key, node in schema.items() if key not in {"$schema", "$defs"}}
    definitions["Settings"] = translate(whole)
    # The chart writes the digests of a caller that `callers` names.
    definitions["CallerSettings"].pop("required")
    return dict(sorted(definitions.items()))


def translate(node: Any) -> Any:  # noqa: ANN401  (JSON)
    """A node of the settings' schema in draft-07, where a value may also be a reference."""
    if isinstance(node, list):
        return [translate(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"].replace("#/$defs/", "#/definitions/")}
    plain = {key: _below(key, value) for key, value in node.items() if key not in WORDS}
    narrow = plain.get("type") == "string" and {"pattern", "enum", "const"} & set(plain)
    return {"anyOf": [plain, REFERENCE]} if narrow or plain.get("type") in {"integer", "number", "boolean"} else plain


def _below(key: str, value: Any) -> Any:  # noqa: ANN401  (JSON)
    if key == "properties":
        # It maps names of keys, and a key may be called as one of the words that are left out.
        return {name: translate(child) for name, child in value.items()}
    return value if key == "propertyNames" else translate(value)


# --- The table -------------------------------------------------------------------------------------------------------


class Value(NamedTuple):
    """A value of the chart, its default and its sentence."""

    path: str
    default: str
    sentence: str


def documented() -> Iterator[Value]:
    """Every value that has a `# --` comment, in the order of the file."""
    stack: list[tuple[int, str]] = []
    sentence: list[str] = []
    values = yaml.safe_load(VALUES.read_text(encoding="utf-8"))
    for line in VALUES.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("# -- "):
            sentence = [text.removeprefix("# -- ")]
        elif text.startswith("# ") and sentence:
            sentence.append(text.removeprefix("# "))
        elif found := re.match("( *)([A-Za-z0-9]+):", line):
            indent = len(found[1])
            stack = [entry for entry in stack if entry[0] < indent] + [(indent, found[2])]
            if sentence:
                keys = [key for _, key in stack]
                yield Value(".".join(keys), default_of(values, keys), " ".join(sentence))
            sentence = []
        elif not text:
            sentence = []


def default_of(values: Mapping[str, Any], keys: list[str]) -> str:
    """The default as one line of JSON; a mapping whose keys have rows of their own is told by them."""
    value: Any = values
    for key in keys:
        value = value[key]
    return json.dumps(value)


def values_table() -> str:
    """Every value as a Markdown table."""
    rows = ["| value | default | |", "| --- | --- | --- |"]
    for value in documented():
        sentence = value.sentence.replace("|", "\\|")
        default = value.default.replace("|", "\\|")
        rows.append(f"| `{value.path}` | `{default}` | {sentence} |")
    return "\n".join(rows)


def render(page: str) -> str:
    """Give back the chart's README with its table written anew."""
    start, end = "<!-- values:start -->", "<!-- values:end -->"
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}\n{values_table()}\n{end}{after}"


def schema_text() -> str:
    """The schema as its file holds it."""
    return json.dumps(values_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    README.write_text(render(README.read_text(encoding="utf-8")), encoding="utf-8")
