"""
What users of other charts have reported, each kept here by a test; and the words of every refusal.

One file: a list, a test an entry.
"""

import json
from typing import Any

import pytest
import yaml

from tests.helm.rendering import (
    CASES,
    CHART,
    DASHBOARDS,
    MINIMAL,
    case,
    case_id,
    gateway,
    merged,
    objects,
    of_kind,
    only,
    pod,
    refusal,
    run,
    settings_of,
)

FULL, OPENSHIFT, WORKERS = (
    next(path for path in CASES if case_id(path) == name) for name in ("full", "openshift", "workers")
)
ACME = {"config": {"callers": "open", "vendors": {"acme": {"base_url": "https://x.example"}}}}
KEY = {"existingSecret": {"name": "vendor-keys", "key": "pixii"}}
SHORT = {"terminationGracePeriodSeconds": 30}
OPEN = merged(MINIMAL, {"config": {"callers": "open"}})


def notes(values: dict[str, Any]) -> str:
    """What a person reads after `helm install`."""
    done = run("install", "rel", str(CHART), "--dry-run=client", "--namespace", "gateways", values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nNOTES:\n")[2]


def checksum(values: dict[str, Any]) -> str | None:
    """The checksum on the pods."""
    annotations: dict[str, str] = pod(objects(values))["metadata"].get("annotations", {})
    return annotations.get("checksum/config")


@pytest.mark.parametrize(
    ("change", "rolls"),
    [
        ({"config": {"log": {"level": "debug"}}}, True),
        ({"config": {"vendors": {"pixii": {"timeouts": {"total": "20s"}}}}}, True),
        ({"metrics": {"port": 9191}}, True),
        ({"replicaCount": 5}, False),
        ({"resources": {"requests": {"cpu": "1"}}}, False),
        ({"podAnnotations": {"a": "b"}}, False),
        ({"image": {"tag": "9.9.9"}}, False),
    ],
)
def test_settings_roll_the_pods(change: dict[str, Any], *, rolls: bool) -> None:
    """The checksum on the pods changes when the settings change, and with nothing else (W-169)."""
    before = checksum(MINIMAL)

    after = checksum(merged(MINIMAL, change))

    assert before is not None
    assert (after != before) == rolls


def test_settings_need_not_roll_the_pods() -> None:
    """Without the checksum a change is left to the gateway, which reads the mounted directory again."""
    assert checksum(merged(MINIMAL, {"rollOnConfigChange": False})) is None


@pytest.mark.parametrize("number", [10485760, 1000000, 1048576, 5000])
def test_large_numbers_stay_whole(number: int) -> None:
    """A number of a million or more is not written as 1e+06 (helm#12195)."""
    values = merged(MINIMAL, {"config": {"server": {"max_request_body": number, "max_in_flight": 1000000}}})

    text = settings_of(objects(values))

    assert f"max_request_body: {number}\n" in text
    assert yaml.safe_load(text)["server"]["max_in_flight"] == 1000000


def test_environment_overrides_by_name() -> None:
    """A variable given twice, or one that the chart sets, stands once, the last one (helm#31529)."""
    twice = gateway(case(FULL))["env"]
    replaced = gateway(objects(merged(yaml.safe_load(WORKERS.read_text()), {"extraEnv": []})))["env"]

    assert twice == [{"name": "OTEL_SERVICE_NAME", "value": "errgate-production"}]
    assert replaced == [{"name": "TMPDIR", "value": "/run/errgate"}]
    assert gateway(case(WORKERS))["env"] == replaced


def test_null_takes_a_security_key_away() -> None:
    """A platform that chooses the user itself gets no user from us, nor a null (OpenShift)."""
    spec = pod(case(OPENSHIFT))["spec"]

    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    hook = only(case(OPENSHIFT), "Pod")["spec"]
    assert hook["securityContext"] == spec["securityContext"]


def test_dashboards_are_not_templated() -> None:
    """Grafana's own `{{ }}` reaches it untouched (grafana/helm-charts#3071)."""
    there = {
        name: json.loads(text)
        for one in of_kind(case(FULL), "ConfigMap")
        for name, text in one.get("data", {}).items()
        if name.endswith(".json")
    }

    assert there == {f"errgate-{path.name}": json.loads(path.read_text()) for path in DASHBOARDS}
    assert "{{vendor}}" in json.dumps(there)


def test_dashboards_are_found_by_the_sidecar() -> None:
    """Each dashboard's ConfigMap has the label and the folder that Grafana's sidecar looks for."""
    found = [one for one in of_kind(case(FULL), "ConfigMap") if "-dashboard-" in one["metadata"]["name"]]

    assert len(found) == len(DASHBOARDS) == 2
    for one in found:
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"]["grafana_folder"] == "Gateways"


def test_annotations_or_a_monitor() -> None:
    """Pods carry `prometheus.io/*` only while no monitor is on: nothing is scraped twice."""
    plain = pod(objects(MINIMAL))["metadata"]["annotations"]
    monitored = pod(case(FULL))["metadata"]["annotations"]

    assert plain["prometheus.io/port"] == "9090"
    assert not [name for name in monitored if name.startswith("prometheus.io/")]


def test_digest_wins_over_tag() -> None:
    """An image by digest is that image; a registry of the parent chart stands before it."""
    digest = f"sha256:{'0123456789abcdef' * 4}"

    assert gateway(case(FULL))["image"] == f"registry.example.com/errgate@{digest}"
    assert gateway(objects(MINIMAL))["image"] == "errgate:0.1.0"


def test_reload_annotations_go_to_the_deployment() -> None:
    """Annotations for the Deployment are not the pods': Reloader looks for them there."""
    assert only(case(FULL), "Deployment")["metadata"]["annotations"]["reloader.stakater.com/auto"] == "true"
    assert "reloader.stakater.com/auto" not in pod(case(FULL))["metadata"]["annotations"]


def test_network_policy_lets_out_what_is_needed() -> None:
    """Names can be resolved over UDP and TCP, vendors reached, the metadata address and private networks not."""
    policy = only(case(FULL), "NetworkPolicy")["spec"]
    dns, vendors, store = policy["egress"]

    assert {(port["port"], port["protocol"]) for port in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert [port["port"] for port in vendors["ports"]] == [443]
    assert "169.254.0.0/16" in vendors["to"][0]["ipBlock"]["except"]
    assert [port["port"] for port in store["ports"]] == [6379]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == {"http", "metrics"}


@pytest.mark.parametrize(
    ("base_url", "ports"),
    [
        ("https://api.pixii.ai", [443]),
        ("https://api.pixii.ai:8443/v1", [443, 8443]),
        ("http://pixii.internal", [443, 80]),
        ("https://[2001:db8::1]:9443", [443, 9443]),
    ],
)
def test_network_policy_knows_the_ports_of_the_vendors(base_url: str, ports: list[int]) -> None:
    """A vendor on a port of its own is let out to, without a word in the values."""
    config = {"vendors": {"pixii": {"base_url": base_url, "plaintext": True}}}
    found = objects({"config": config, "networkPolicy": {"enabled": True}})

    assert [port["port"] for port in only(found, "NetworkPolicy")["spec"]["egress"][1]["ports"]] == ports


def test_strategy_keeps_capacity() -> None:
    """A rollout takes no pod away before its successor is ready."""
    strategy = only(objects(MINIMAL), "Deployment")["spec"]["strategy"]

    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_no_cpu_limit() -> None:
    """CPU is asked for and not limited; memory is limited."""
    resources = gateway(objects(MINIMAL))["resources"]

    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}


def test_existing_config_map() -> None:
    """A ConfigMap of one's own is mounted, and none is made."""
    found = objects({"existingConfigMap": "mine"})

    assert not of_kind(found, "ConfigMap")
    assert {"name": "config", "configMap": {"name": "mine"}} in pod(found)["spec"]["volumes"]
    assert pod(found)["spec"]["terminationGracePeriodSeconds"] == 315


def test_trial_secret_only_for_a_trial() -> None:
    """The chart makes a Secret only from a value that stands in values; with existingSecret there is none."""
    trial = objects(merged(OPEN, {"vendors": {"pixii": {"value": "pk_made_up"}}}))
    real = objects(merged(OPEN, {"vendors": {"pixii": KEY}}))

    assert only(trial, "Secret")["stringData"] == {"pixii": "pk_made_up"}
    assert not of_kind(real, "Secret")


# --- The warnings -----------------------------------------------------------------------------------------------------

WARNINGS: dict[str, dict[str, Any]] = {
    "limitStore.url is memory and there can be 3 pods": {"replicaCount": 3},
    "limitStore.url is memory and there can be 9 pods": {"autoscaling": {"enabled": True, "maxReplicas": 9}},
    "vendors.pixii.value": {"config": {"callers": "open"}, "vendors": {"pixii": {"value": "pk_made_up"}}},
    "config.callers is open": {"config": {"callers": "open"}},
    "admin.existingSecret is not set": {},
    "workers is more than 1": {"workers": 2},
    "metrics.serviceMonitor.labels is empty": {"metrics": {"serviceMonitor": {"enabled": True}}},
    "networkPolicy.egress.store is empty": {
        "networkPolicy": {"enabled": True},
        "limitStore": {"url": "redis://valkey"},
    },
    "runbookBaseUrl is not set": {"metrics": {"prometheusRule": {"enabled": True}}},
}


@pytest.mark.parametrize("words", WARNINGS)
def test_a_warning_is_told(words: str) -> None:
    """What works and is not what one wants in production is told after the installation, and is not else."""
    plain = {"admin": {"existingSecret": {"name": "errgate-admin"}}}
    warned = notes(merged(MINIMAL, WARNINGS[words]))

    assert f"WARNING {words}" in warned or words in warned
    assert words not in notes(merged(MINIMAL, plain))
    assert "pk_made_up" not in warned


def test_notes_without_a_warning() -> None:
    """A careful installation is told how to call it, and nothing else."""
    values = merged(MINIMAL, {"admin": {"existingSecret": {"name": "errgate-admin"}}})

    told = notes(values)

    assert "http://rel-errgate.gateways:80/VENDOR/PATH" in told
    assert "315 s to end" in told
    assert "WARNING" not in told


# --- The refusals -----------------------------------------------------------------------------------------------------

REFUSALS: list[tuple[str, dict[str, Any]]] = [
    ("config.server.port: the chart sets it; use service.containerPort", {"config": {"server": {"port": 80}}}),
    ("config.server.workers: the chart sets it; use workers", {"config": {"server": {"workers": 2}}}),
    (
        "config.server.admin: the chart sets it; use metrics.port and admin.existingSecret",
        {"config": {"server": {"admin": {"port": 1}}}},
    ),
    ("config.limit_store: the chart sets it; use limitStore", {"config": {"limit_store": {"url": "memory"}}}),
    ("existingConfigMap: it replaces config", {"existingConfigMap": "mine"}),
    ("vendors.pixi: config.vendors has no vendor of this name", {"vendors": {"pixi": KEY}}),
    ("vendors.pixii: it needs existingSecret", {"vendors": {"pixii": {}}}),
    ("existingSecret and value are both set", {"vendors": {"pixii": {**KEY, "value": "x"}}}),
    (
        "vendors.acme.header: only the built-in vendors have a usual one",
        {
            "config": {"callers": "open", "vendors": {"acme": {"base_url": "https://x.example"}}},
            "vendors": {"acme": KEY},
        },
    ),
    ("callers: vendors has credentials that anyone in the cluster could use", {"vendors": {"pixii": KEY}}),
    (
        "callers: config.callers is open, so that nobody needs a key",
        {"config": {"callers": "open"}, "callers": {"billing": {"existingSecret": {"name": "a", "key": "b"}}}},
    ),
    ("config.callers.billing: nothing says its key", {"config": {"callers": {"billing": {}}}}),
    (
        "limitStore.url: there is a password and no store",
        {"limitStore": {"existingSecret": {"name": "a", "passwordKey": "p"}}},
    ),
    ("limitStore.existingSecret.name: urlKey or passwordKey", {"limitStore": {"existingSecret": {"urlKey": "u"}}}),
    ("limitStore.existingSecret: say what the Secret holds", {"limitStore": {"existingSecret": {"name": "a"}}}),
    (
        "metrics.podMonitor.enabled: the ServiceMonitor is on too",
        {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
    ),
    (
        "metrics.service.enabled: the ServiceMonitor needs that Service",
        {"metrics": {"serviceMonitor": {"enabled": True}, "service": {"enabled": False}}},
    ),
    ("metrics.port: it is service.containerPort too", {"metrics": {"port": 8080}}),
    ("autoscaling.minReplicas: it is more than maxReplicas", {"autoscaling": {"enabled": True, "maxReplicas": 1}}),
    (
        "terminationGracePeriodSeconds: 30 s is less than the settings need, 315 s",
        {"terminationGracePeriodSeconds": 30},
    ),
    (
        "is no duration that the chart can compute with; set terminationGracePeriodSeconds",
        {"config": {"vendors": {"pixii": {"timeouts": {"total": "${TOTAL}"}}}}},
    ),
    (
        "service.perVendor: the vendors a-b and a_b would share the name rel-errgate-a-b",
        {
            "service": {"perVendor": {"enabled": True}},
            "config": {"vendors": {name: {"base_url": "https://x.example"} for name in ("a-b", "a_b")}},
        },
    ),
]


def test_a_gateway_without_vendors_is_refused() -> None:
    """Nothing but the vendor must be given, and without it nothing is rendered."""
    assert "config.vendors: there is none; name one, as in config.vendors.pixii.base_url" in refusal({})


@pytest.mark.parametrize(("words", "values"), REFUSALS, ids=[words[:50] for words, _ in REFUSALS])
def test_a_refusal_says_what_to_do(words: str, values: dict[str, Any]) -> None:
    """What would render and then fail, or not do what was meant, is refused in words."""
    assert words in refusal(merged(MINIMAL, values))
