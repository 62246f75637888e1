"""The chart as `helm` renders it. A test without `helm` is skipped, or fails where tools are required."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "errgate"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
RULES = CHART / "files" / "rules" / "gateway.rules.yml"
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
# The oldest Kubernetes that the chart takes, and the newest whose schemas we have.
OLDEST, NEWEST = "1.30", "1.37"
CRDS = (
    "monitoring.coreos.com/v1",
    "monitoring.coreos.com/v1/ServiceMonitor",
    "monitoring.coreos.com/v1/PodMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
    "gateway.networking.k8s.io/v1",
    "gateway.networking.k8s.io/v1/HTTPRoute",
)
MINIMAL = {"config": {"vendors": {"pixii": {"base_url": "https://api.pixii.ai"}}}}

Object = dict[str, Any]


def case_id(case: Path) -> str:
    """What a case is called in the tests."""
    return case.name.removesuffix("-values.yaml")


def helm() -> str:
    """The path of `helm`: on PATH, or where `.ci/run` has built it."""
    path = shutil.which("helm") or shutil.which(ROOT / ".tools" / "bin" / "helm")
    if path is None:
        message = "helm is not installed; `go install helm.sh/helm/v4/cmd/helm@v4.2.4` builds it, as .ci/run does"
        if os.environ.get("ERRGATE_REQUIRE_TOOLS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path


def run(*arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """`helm` with these arguments, `values` on stdin."""
    given = ["--values", "-"] if values is not None else []
    return subprocess.run(
        [helm(), *arguments, *given],
        input=None if values is None else yaml.safe_dump(values),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def render(values: Mapping[str, Any] | Path, *, release: str = "rel", kube: str = NEWEST, crds: bool = True) -> str:
    """What `helm template` writes; a failure fails the test with its words."""
    loaded = yaml.safe_load(values.read_text()) if isinstance(values, Path) else values
    done = run(*_template(release, kube, crds=crds), values=loaded)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(values: Mapping[str, Any]) -> str:
    """What `helm template` says against these values."""
    done = run(*_template("rel", NEWEST, crds=True), values=values)
    assert done.returncode != 0, done.stdout
    return done.stderr


def _template(release: str, kube: str, *, crds: bool) -> list[str]:
    apis = [argument for api in CRDS for argument in ("--api-versions", api)] if crds else []
    return ["template", release, str(CHART), "--namespace", "gateways", "--kube-version", kube, *apis]


def parse(text: str) -> list[Object]:
    """The objects of a rendering."""
    return [document for document in yaml.safe_load_all(text) if document]


def objects(values: Mapping[str, Any] | Path, *, release: str = "rel") -> list[Object]:
    """The objects that these values give."""
    return parse(render(values, release=release))


@cache
def case(path: Path) -> tuple[Object, ...]:
    """The objects of a case in ci/, rendered once."""
    return tuple(objects(path))


def of_kind(found: Iterable[Object], kind: str) -> list[Object]:
    """The objects of one kind."""
    return [one for one in found if one["kind"] == kind]


def only(found: Iterable[Object], kind: str, name: str | None = None) -> Object:
    """The one object of that kind (and name)."""
    (one,) = [one for one in of_kind(found, kind) if name in {None, one["metadata"]["name"]}]
    return one


def settings_of(found: Iterable[Object], release: str = "rel") -> str:
    """The settings file in the rendered ConfigMap."""
    text: str = only(found, "ConfigMap", f"{release}-errgate")["data"]["errgate.yaml"]
    return text


def pod(found: Iterable[Object]) -> Object:
    """The pod template of the Deployment."""
    template: Object = only(found, "Deployment")["spec"]["template"]
    return template


def gateway(found: Iterable[Object]) -> Object:
    """The gateway's container."""
    (container,) = [one for one in pod(found)["spec"]["containers"] if one["name"] == "errgate"]
    return dict(container)


def pods(found: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """The spec of every pod, hooks included, with its name."""
    for one in found:
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], one["spec"]
        elif one["kind"] == "Deployment":
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Values laid over each other, as Helm does it."""
    whole: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = whole.get(key)
            whole[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return whole
