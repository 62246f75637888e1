"""
Every object that the chart renders, for every case: valid for Kubernetes, and whole in itself.

One file: each test goes over all objects of all cases.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.helm.rendering import (
    CASES,
    NEWEST,
    OLDEST,
    Object,
    case,
    case_id,
    gateway,
    objects,
    of_kind,
    only,
    parse,
    pod,
    pods,
    render,
)

EVERY_CASE = pytest.mark.parametrize("path", CASES, ids=case_id)
LONGEST_RELEASE = "r" + "e" * 51 + "l"

# What the CRDs know, as far as the chart writes it; the schemas of Kubernetes know nothing of them.
CRD_KEYS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "ServiceMonitor": {
        "spec": frozenset({"jobLabel", "targetLabels", "namespaceSelector", "selector", "endpoints"}),
        "spec.endpoints[]": frozenset(
            {
                "port",
                "path",
                "interval",
                "scrapeTimeout",
                "scheme",
                "tlsConfig",
                "honorLabels",
                "relabelings",
                "metricRelabelings",
            }
        ),
    },
    "PodMonitor": {
        "spec": frozenset({"jobLabel", "podTargetLabels", "namespaceSelector", "selector", "podMetricsEndpoints"}),
        "spec.podMetricsEndpoints[]": frozenset(
            {
                "port",
                "path",
                "interval",
                "scrapeTimeout",
                "scheme",
                "tlsConfig",
                "honorLabels",
                "relabelings",
                "metricRelabelings",
            }
        ),
    },
    "PrometheusRule": {
        "spec": frozenset({"groups"}),
        "spec.groups[]": frozenset({"name", "rules"}),
        "spec.groups[].rules[]": frozenset({"alert", "record", "expr", "for", "labels", "annotations"}),
    },
    "HTTPRoute": {
        "spec": frozenset({"parentRefs", "hostnames", "rules"}),
        "spec.parentRefs[]": frozenset({"name", "namespace", "sectionName", "port", "group", "kind"}),
        "spec.rules[]": frozenset({"name", "matches", "filters", "timeouts", "backendRefs"}),
        "spec.rules[].backendRefs[]": frozenset({"name", "port", "weight"}),
        "spec.rules[].timeouts": frozenset({"request", "backendRequest"}),
    },
}


@pytest.mark.parametrize("crds", [True, False], ids=["crds", "no-crds"])
@pytest.mark.parametrize("kube", [OLDEST, "1.34", NEWEST])
@EVERY_CASE
def test_kubernetes_takes_it(path: Path, kube: str, *, crds: bool) -> None:
    """Every object is strictly what that Kubernetes knows, whether or not the cluster tells of the CRDs."""
    for one in parse(render(path, kube=kube, crds=crds)):
        if one["kind"] not in CRD_KEYS:
            kubernetes_validate.validate(one, kube, strict=True)


def at(value: Any, path: str) -> Iterable[Any]:  # noqa: ANN401  (YAML)
    """What stands at a path; `[]` is every item of a list."""
    key, _, rest = path.partition(".")
    name = key.removesuffix("[]")
    if name not in value:
        return
    for found in value[name] if key.endswith("[]") else [value[name]]:
        yield from at(found, rest) if rest else [found]


@EVERY_CASE
def test_custom_resources_say_what_their_crd_knows(path: Path) -> None:
    """A ServiceMonitor, PodMonitor, PrometheusRule or HTTPRoute has no key that its CRD would drop."""
    for one in case(path):
        for place, known in CRD_KEYS.get(one["kind"], {}).items():
            for found in at(one, place):
                assert set(found) <= known, (one["kind"], place)


@EVERY_CASE
def test_names_are_unique(path: Path) -> None:
    """No two objects of a kind have one name."""
    names = Counter((one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in case(path))

    assert max(names.values()) == 1


@EVERY_CASE
def test_nothing_stands_twice_in_a_container(path: Path) -> None:
    """Names of env, ports, volumes and mounts are unique: server-side apply, Helm 4's way, refuses a second one."""
    for name, spec in pods(case(path)):
        lists = [("volumes", "name", spec.get("volumes", []))]
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            lists += [(key, "name", container.get(key, [])) for key in ("env", "ports")]
            lists.append(("volumeMounts", "mountPath", container.get("volumeMounts", [])))
        for what, key, entries in lists:
            there = [entry[key] for entry in entries]
            assert len(there) == len(set(there)), (name, what, there)


@EVERY_CASE
def test_mounts_have_volumes(path: Path) -> None:
    """Every mount has its volume and every volume its mount; none mounts a single file, which would never change."""
    for name, spec in pods(case(path)):
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        mounts = [mount for container in spec["containers"] for mount in container.get("volumeMounts", [])]
        assert {mount["name"] for mount in mounts} == volumes, name
        assert not [mount for mount in mounts if "subPath" in mount], name


@EVERY_CASE
def test_services_lead_to_the_pods(path: Path) -> None:
    """Every Service selects the gateway's pods, and no test's, by ports that the container has."""
    found = case(path)
    labels = pod(found)["metadata"]["labels"]
    ports = {port["name"] for port in gateway(found)["ports"]}
    tests = [one["metadata"]["labels"] for one in of_kind(found, "Pod")]

    services = of_kind(found, "Service")

    assert services
    for service in services:
        selector = service["spec"]["selector"].items()
        assert selector <= labels.items()
        assert not any(selector <= other.items() for other in tests)
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


@EVERY_CASE
def test_selectors_are_part_of_the_labels(path: Path) -> None:
    """Deployment, PodDisruptionBudget and NetworkPolicy select the pods; no selector has a version."""
    found = case(path)
    labels = pod(found)["metadata"]["labels"].items()
    places = {
        "Deployment": "spec.selector.matchLabels",
        "PodDisruptionBudget": "spec.selector.matchLabels",
        "NetworkPolicy": "spec.podSelector.matchLabels",
    }

    for kind, place in places.items():
        for one in of_kind(found, kind):
            (selector,) = at(one, place)
            assert selector.items() <= labels
            assert "app.kubernetes.io/version" not in selector
    for spread in pod(found)["spec"].get("topologySpreadConstraints", []):
        assert spread["labelSelector"]["matchLabels"].items() <= labels


@EVERY_CASE
def test_a_monitor_finds_one_service(path: Path) -> None:
    """The ServiceMonitor selects exactly one Service, so that no series is there twice; metrics have their own."""
    found = case(path)
    for monitor in of_kind(found, "ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"].items()
        selected = [one for one in of_kind(found, "Service") if selector <= one["metadata"]["labels"].items()]
        (service,) = selected
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
        assert monitor["spec"]["namespaceSelector"]["matchNames"] == [service["metadata"]["namespace"]]
    for monitor in of_kind(found, "PodMonitor"):
        assert monitor["spec"]["selector"]["matchLabels"].items() <= pod(found)["metadata"]["labels"].items()
    assert len(of_kind(found, "ServiceMonitor")) + len(of_kind(found, "PodMonitor")) <= 1


@EVERY_CASE
def test_metrics_are_not_where_traffic_is(path: Path) -> None:
    """No Service, Ingress or route of the traffic leads to the admin port."""
    found = case(path)
    ports = {port["name"]: port["containerPort"] for port in gateway(found)["ports"]}
    backends = {service["metadata"]["name"]: service for service in of_kind(found, "Service")}

    assert ports["http"] != ports["metrics"]
    for name, service in backends.items():
        expected = "metrics" if name.endswith("-metrics") else "http"
        assert [port["targetPort"] for port in service["spec"]["ports"]] == [expected]
    for ingress in of_kind(found, "Ingress"):
        for backend in at(ingress, "spec.rules[].http.paths[].backend.service"):
            assert [port["name"] for port in backends[backend["name"]]["spec"]["ports"]] == [backend["port"]["name"]]
            assert backend["port"]["name"] == "http"
    for route in of_kind(found, "HTTPRoute"):
        for backend in at(route, "spec.rules[].backendRefs[]"):
            (port,) = backends[backend["name"]]["spec"]["ports"]
            assert (port["port"], port["name"]) == (backend["port"], "http")


@EVERY_CASE
def test_references_are_real(path: Path) -> None:
    """HPA, ServiceAccount and ConfigMap that are named are there."""
    found = case(path)
    names = {(one["kind"], one["metadata"]["name"]) for one in found}

    for hpa in of_kind(found, "HorizontalPodAutoscaler"):
        assert ("Deployment", hpa["spec"]["scaleTargetRef"]["name"]) in names
    assert ("ServiceAccount", pod(found)["spec"]["serviceAccountName"]) in names
    (config,) = [volume["configMap"]["name"] for volume in pod(found)["spec"]["volumes"] if "configMap" in volume]
    assert ("ConfigMap", config) in names


@EVERY_CASE
def test_pods_are_restricted(path: Path) -> None:
    """Every pod, the hook's too, keeps the restricted Pod Security Standard and asks nothing of the API."""
    for name, spec in pods(case(path)):
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["securityContext"].get("runAsUser") != 0
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert "hostPort" not in str(container)
        allowed = {"configMap", "emptyDir", "projected", "secret"}
        assert all(set(volume) - {"name"} <= allowed for volume in spec.get("volumes", []))


@EVERY_CASE
def test_secret_files_can_be_read(path: Path) -> None:
    """A container that is not root can read the secrets: without fsGroup they are root's, whatever runAsGroup says."""
    spec = pod(case(path))["spec"]

    for volume in spec["volumes"]:
        if "projected" in volume and "fsGroup" not in spec["securityContext"]:
            assert volume["projected"]["defaultMode"] & 0o004
            assert not volume["projected"]["defaultMode"] & 0o333


@EVERY_CASE
def test_written_places_can_be_written(path: Path) -> None:
    """The read-only root has an emptyDir, of bounded size, for /tmp and for what TMPDIR names."""
    found = case(path)
    container = gateway(found)
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    sizes = {volume["name"]: volume["emptyDir"] for volume in pod(found)["spec"]["volumes"] if "emptyDir" in volume}
    environment = {variable["name"]: variable.get("value") for variable in container.get("env", [])}

    for place in {"/tmp", environment.get("TMPDIR", "/tmp")}:  # noqa: S108  (inside the container)
        assert "sizeLimit" in sizes[mounts[place]]


@EVERY_CASE
def test_probes(path: Path) -> None:
    """Every probe has a time limit above the default of 1 s, asks the admin port, and none asks more than it should."""
    container = gateway(case(path))

    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container[name]
        assert probe["timeoutSeconds"] >= 2
        assert probe["httpGet"]["port"] == "metrics"
        assert probe["httpGet"]["path"] == ("/-/ready" if name == "readinessProbe" else "/-/healthy")
    liveness, startup = container["livenessProbe"], container["startupProbe"]
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60


@EVERY_CASE
def test_replicas_are_one_s_business(path: Path) -> None:
    """With an HPA the Deployment says no number; a PodDisruptionBudget is there only for more than one pod."""
    found = case(path)
    scalers = of_kind(found, "HorizontalPodAutoscaler")
    replicas = only(found, "Deployment")["spec"].get("replicas")

    assert (replicas is None) == bool(scalers)
    fewest = scalers[0]["spec"]["minReplicas"] if scalers else replicas
    assert bool(of_kind(found, "PodDisruptionBudget")) == (fewest > 1)


@EVERY_CASE
def test_no_secret_is_shown(path: Path) -> None:
    """No credential stands in a ConfigMap, in the environment, in arguments or in an annotation."""
    found = case(path)
    text = str([one for one in found if one["kind"] != "Secret"])
    secrets = [value for secret in of_kind(found, "Secret") for value in secret["stringData"].values()]

    assert not [value for value in secrets if value in text]
    assert not re.search(r"pk_live|pkz_|pm_live", text)
    assert "secretKeyRef" not in text


@EVERY_CASE
def test_secrets_are_required(path: Path) -> None:
    """A Secret or key that is missing keeps the pod from starting: no source is optional."""
    for volume in pod(case(path))["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            assert "optional" not in source["secret"]
            assert source["secret"]["items"]


@pytest.mark.parametrize("path", CASES, ids=case_id)
def test_names_are_short_enough(path: Path) -> None:
    """With the longest release name that Helm takes, names and labels keep to their 63 characters, ports to 15."""
    found = objects(path, release=LONGEST_RELEASE)

    services = [one["metadata"]["name"] for one in of_kind(found, "Service")]
    assert len(services) == len(set(services))
    for one in found:
        name = one["metadata"]["name"]
        assert len(name) <= (63 if one["kind"] not in {"ConfigMap", "Secret"} else 253)
        assert re.fullmatch("[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name), name
        for value in one["metadata"]["labels"].values() if "labels" in one["metadata"] else []:
            assert re.fullmatch("([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", value), value
    assert all(len(port["name"]) <= 15 for port in gateway(found)["ports"])


@EVERY_CASE
def test_labels_are_the_usual_ones(path: Path) -> None:
    """Every object of the chart carries the recommended labels."""
    usual = {f"app.kubernetes.io/{name}" for name in ("name", "instance", "version", "managed-by", "component")}

    for one in case(path):
        if "labels" in one["metadata"]:
            assert usual | {"helm.sh/chart"} <= set(one["metadata"]["labels"]), one["metadata"]["name"]


def test_every_template_is_rendered() -> None:
    """Together the cases render every kind that the chart knows."""
    kinds = set(itertools.chain.from_iterable((one["kind"] for one in case(path)) for path in CASES))

    assert kinds == {
        "ConfigMap",
        "Deployment",
        "HTTPRoute",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PodMonitor",
        "PrometheusRule",
        "Secret",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    }


def test_a_kind_is_never_mistaken() -> None:
    """The validator is strict: an unknown key of an object is found."""
    broken: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}, "automount": False}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, NEWEST, strict=True)
