"""
What the chart says to errgate. One file, since all of it is one chain from values to a process.

The rendered settings start a real gateway that answers the rendered probes, and that loses nothing when it is stopped
within the time that the pod is given.

One file: one chart, read by one gateway.
"""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import Settings, SettingsError, loads
from normalizers import VENDORS
from tests.certificates import make_certificates
from tests.e2e.harness.gateway import ProcessGateway, free_port
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor, json_reply, pause, reply, send
from tests.e2e.harness.wire import Response
from tests.helm.rendering import CASES, MINIMAL, Object, case, case_id, gateway, merged, objects, only, pod, settings_of

MOUNTED = "/etc/gateway/secrets"
OPEN = merged(MINIMAL, {"config": {"callers": "open"}})
KEY = {"existingSecret": {"name": "vendor-keys", "key": "any"}}


@pytest.fixture
def vendor() -> Iterator[RogueVendor]:
    """A vendor that does what it is told."""
    with RogueVendor() as vendor:
        yield vendor


def mount(found: tuple[Object, ...] | list[Object], folder: Path) -> None:
    """Write the files of the projected volume, as the kubelet would: each key's content at its path."""
    for volume in pod(found)["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            for item in source["secret"]["items"]:
                path = folder / item["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{sha256(item['path'].encode()).hexdigest()}\n")


def as_mounted(found: tuple[Object, ...] | list[Object], folder: Path) -> str:
    """The rendered settings file, its secrets in a folder of ours."""
    mount(found, folder)
    return settings_of(found).replace(MOUNTED, str(folder))


def read(text: str) -> Settings:
    """The settings, or what is wrong with them beyond what this version does not do yet."""
    try:
        return loads(text, environ={})
    except SettingsError as error:
        faults = [fault for fault in error.faults if "is not available yet" not in fault]
        assert faults == []
        pytest.skip("; ".join(error.faults))


@pytest.mark.parametrize("path", CASES, ids=case_id)
def test_errgate_accepts_the_settings(path: Path, tmp_path: Path) -> None:
    """`errgate check` accepts the rendered settings file, every secret where the volume puts it."""
    text = as_mounted(case(path), tmp_path / "secrets")
    authority = tmp_path / "secrets" / "limit-store" / "ca.crt"
    if authority.exists():
        shutil.copy(make_certificates(tmp_path) / "ca.pem", authority)
    config = tmp_path / "errgate.yaml"
    config.write_text(text)
    read(text)

    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "--config", str(config)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    secrets = [file.read_text().strip() for file in (tmp_path / "secrets").rglob("*") if file.is_file()]
    assert not [secret for secret in secrets if secret in done.stdout + done.stderr]


def in_time(found: tuple[Object, ...] | list[Object], settings: Settings) -> tuple[int, int]:
    """The seconds that a pod is given to end, and those that it needs."""
    spec = pod(found)["spec"]
    sleep = gateway(found)["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = sleep + math.ceil(settings.server.shutdown.lameduck + settings.grace_seconds) + 5
    return spec["terminationGracePeriodSeconds"], needed


TIMES: Mapping[str, dict[str, Any]] = {
    "nothing-said": {},
    "a-short-total": {"timeouts": {"total": "30s"}},
    "minutes": {"timeouts": {"total": "7.5m"}},
    "milliseconds": {"timeouts": {"total": "1250ms"}},
    "a-route-of-its-own": {"routes": [{"name": "long", "path": "/long", "timeouts": {"total": "10m"}}]},
    "a-route-of-the-normalizer": {
        "normalizer": {"routes": [{"name": "long", "path": "/long", "timeouts": {"total": "11m"}}]}
    },
    "a-documented-route": {"normalizer": "pikzels", "timeouts": {"total": "2s"}},
    "an-extended-vendor": {"normalizer": {"extends": "pikzels"}, "timeouts": {"total": "2s"}},
    "none-documented": {"normalizer": {"extends": "pixii"}, "timeouts": {"total": "2s"}},
    "generic": {"normalizer": "generic", "timeouts": {"total": "2s"}},
}


@pytest.mark.parametrize("given", TIMES)
def test_time_to_end_is_computed(given: str) -> None:
    """A pod is given preStop sleep + lameduck + grace + 5 s, whatever vendors and routes say (W-165)."""
    values = merged(MINIMAL, {"config": {"vendors": {"pixii": TIMES[given]}}})

    found = objects(values)

    assert (
        in_time(found, loads(settings_of(found), environ={})).count(pod(found)["spec"]["terminationGracePeriodSeconds"])
        == 2
    )


@pytest.mark.parametrize("name", VENDORS)
def test_time_to_end_knows_every_vendor(name: str) -> None:
    """Each built-in vendor's documented deadlines count, too."""
    values = {"config": {"vendors": {name: {"base_url": "https://x.example", "timeouts": {"total": "1s"}}}}}

    found = objects(values)

    given, needed = in_time(found, loads(settings_of(found), environ={}))
    assert given == needed


@pytest.mark.parametrize(
    "shutdown", [{"lameduck": "5s"}, {"grace": "1m"}, {"lameduck": "2500ms", "grace": "700ms"}, {"grace": "0s"}]
)
def test_time_to_end_knows_shutdown(shutdown: dict[str, str]) -> None:
    """`server.shutdown` of the settings is in it."""
    found = objects(merged(MINIMAL, {"config": {"server": {"shutdown": shutdown}}}))

    given, needed = in_time(found, loads(settings_of(found), environ={}))
    assert given == needed


@pytest.mark.parametrize("name", VENDORS)
def test_usual_credentials(name: str, tmp_path: Path) -> None:
    """A built-in vendor's credential goes where that vendor wants it, without a word in the settings."""
    values = {
        "config": {"callers": "open", "vendors": {name: {"base_url": VENDORS[name].base_url}}},
        "vendors": {name: KEY},
    }

    found = objects(values)

    header, shape = VENDORS[name].credential_hint or ("", "")
    prefix = "Bearer " if shape.startswith("Bearer ") else ""
    credential = yaml.safe_load(settings_of(found))["vendors"][name]["credential"]
    assert credential == {"header": header, "value": f"{prefix}${{file:{MOUNTED}/vendors/{name}}}"}
    assert not [line for line in read(as_mounted(found, tmp_path)).warnings if ".credential: " in line]


STORES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"url": "redis://valkey:6379/3"},
        {"url": "redis://valkey:6379/3", "when_away": "share"},
    ),
    (
        {"existingSecret": {"name": "s", "urlKey": "url"}, "whenAway": "refuse"},
        {"url": f"${{file:{MOUNTED}/limit-store/url}}", "when_away": "refuse"},
    ),
    (
        {"url": "rediss://valkey:6380", "existingSecret": {"name": "s", "passwordKey": "p"}},
        {"url": f"rediss://:${{file:{MOUNTED}/limit-store/password}}@valkey:6380", "when_away": "share"},
    ),
    (
        {
            "url": "rediss://bob@valkey",
            "existingSecret": {"name": "s", "passwordKey": "p"},
            "tls": {"caSecret": {"name": "c"}},
        },
        {
            "url": f"rediss://bob:${{file:{MOUNTED}/limit-store/password}}@valkey",
            "when_away": "share",
            "ca": f"{MOUNTED}/limit-store/ca.crt",
        },
    ),
]


@pytest.mark.parametrize(("values", "said"), STORES)
def test_limit_store(values: dict[str, Any], said: dict[str, Any]) -> None:
    """The store's URL or password comes from a Secret, its authority too; nothing secret stands in the ConfigMap."""
    found = objects(merged(MINIMAL, {"limitStore": values}))

    assert yaml.safe_load(settings_of(found))["limit_store"] == said


def test_memory_needs_no_word() -> None:
    """Without a store the settings say nothing of it."""
    assert "limit_store" not in yaml.safe_load(settings_of(objects(MINIMAL)))


def test_a_vendor_has_a_service_of_its_own() -> None:
    """With `service.perVendor` each vendor's Service is named by that vendor's `hosts`, in every form it is called."""
    values = merged(MINIMAL, {"service": {"perVendor": {"enabled": True}}})

    found = objects(values)

    assert only(found, "Service", "rel-errgate-pixii")["spec"]["ports"][0]["targetPort"] == "http"
    hosts = loads(settings_of(found), environ={}).vendors["pixii"].hosts
    assert set(hosts) == {
        "rel-errgate-pixii",
        "rel-errgate-pixii.gateways",
        "rel-errgate-pixii.gateways.svc",
        "rel-errgate-pixii.gateways.svc.cluster.local",
    }


def test_vendors_are_kept_apart_by_their_hosts(vendor: RogueVendor, tmp_path: Path) -> None:
    """Under the name of a vendor's own Service the whole path goes to that vendor, under the other's to the other."""
    vendors = {name: {"base_url": f"{vendor.url}/{name}", "normalizer": "generic"} for name in ("pixii", "pikzels")}
    values = merged(MINIMAL, {"service": {"perVendor": {"enabled": True}}, "config": {"vendors": vendors}})
    found = objects(values)
    text = settings_of(found).replace("0.0.0.0", "127.0.0.1")
    ports = {"port: 8080": f"port: {free_port()}", "port: 9090": f"port: {free_port()}"}
    for port, free in ports.items():
        text = text.replace(port, free)

    with ProcessGateway(text, tmp_path) as process:
        for name in vendors:
            host = f"rel-errgate-{name}.gateways.svc"
            assert process.ask("/v1/things", headers=[("Host", host)]).status == 200
        assert process.ask("/pixii/v1/things").status == 200

    targets = [asked.target for asked in vendor.requests]
    assert targets == [b"/pixii/v1/things", b"/pikzels/v1/things", b"/pixii/v1/things"]


# --- A real process ---------------------------------------------------------------------------------------------------


def deployed(vendor: RogueVendor, values: dict[str, Any], folder: Path) -> tuple[list[Object], ProcessGateway]:
    """The chart's objects on free ports before a vendor on loopback, and the process that its container would be."""
    given = {
        "service": {"containerPort": free_port()},
        "metrics": {"port": free_port()},
        "config": {"vendors": {"pixii": {"base_url": vendor.url}}},
    }
    found = objects(merged(values, given))
    container = gateway(found)
    assert container["command"] == ["errgate"]
    assert container["args"][:3] == ["serve", "--config", "/etc/gateway/config/errgate.yaml"]
    text = as_mounted(found, folder / "secrets")
    return found, ProcessGateway(text, folder, arguments=container["args"][3:])


def test_the_rendered_gateway_runs(vendor: RogueVendor, tmp_path: Path) -> None:
    """The rendered ConfigMap and command start a gateway; its probes answer, its credential comes from the file."""
    found, process = deployed(vendor, merged(OPEN, {"vendors": {"pixii": KEY}}), tmp_path)
    ports = {port["name"]: port["containerPort"] for port in gateway(found)["ports"]}

    with process:
        probes = [gateway(found)[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
        answers = [process.ask_admin(probe["path"], host="10.1.2.3").status for probe in probes]
        answer = process.ask("/pixii/x")
        behind_the_port = process.ask("/metrics", counts=False)

    assert answers == [200, 200, 200]
    assert process.admin[1] == ports["metrics"]
    assert process.address[1] == ports["http"]
    assert answer.status == 200
    secret = (tmp_path / "secrets" / "vendors" / "pixii").read_text().strip()
    assert vendor.requests[-1].header("authorization") == f"Bearer {secret}"
    assert behind_the_port.status == 404


def test_the_rendered_admin_port_is_guarded(vendor: RogueVendor, tmp_path: Path) -> None:
    """With `admin.existingSecret` metrics and probes need no token, everything else on that port does."""
    values = merged(MINIMAL, {"admin": {"existingSecret": {"name": "errgate-admin", "key": "token"}}})
    _, process = deployed(vendor, values, tmp_path)
    token = (tmp_path / "secrets" / "admin-token").read_text().strip()

    with process:
        free = [process.ask_admin(path).status for path in ("/metrics", "/-/healthy", "/-/ready")]
        guarded = [process.ask_admin(path).status for path in ("/-/status", "/-/config")]
        told = process.ask_admin("/-/status", headers=[("Authorization", f"Bearer {token}")]).status

    assert free == [200, 200, 200]
    assert guarded == [401, 401]
    assert told == 200


def test_helm_test_asks_the_right_things(vendor: RogueVendor, tmp_path: Path) -> None:
    """The hook of `helm test` is content with a gateway that runs, and not with something else on that port."""
    found, process = deployed(vendor, MINIMAL, tmp_path)
    (container,) = only(found, "Pod")["spec"]["containers"]
    vendor.answer = lambda wire, request: wire.send(json_reply(200, {"some": "thing"}))

    def ask(url: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *container["command"][1:], *container["args"]]
        environ = {**os.environ, "ERRGATE_URL": url}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)

    with process:
        well = ask(f"http://127.0.0.1:{process.address[1]}")
    other = ask(vendor.url)

    assert (well.returncode, well.stdout) == (0, "ready, and it answers in the envelope\n"), well.stderr
    assert other.returncode == 1
    assert container["env"] == [{"name": "ERRGATE_URL", "value": "http://rel-errgate:80"}]


def test_sigterm_within_the_rendered_time_loses_nothing(vendor: RogueVendor, tmp_path: Path) -> None:
    """After SIGTERM what runs is answered, and the process is gone within the time that the pod is given."""
    config = {"config": {"vendors": {"pixii": {"timeouts": {"total": "10s", "first_byte": "10s"}}}}}
    found, process = deployed(vendor, merged(MINIMAL, config), tmp_path)
    spec = pod(found)["spec"]
    left = spec["terminationGracePeriodSeconds"] - gateway(found)["lifecycle"]["preStop"]["sleep"]["seconds"]
    vendor.script(pause(1.5), send(reply(200, b"late")))
    answers: list[Response] = []

    with process:
        threads = [
            threading.Thread(target=lambda: answers.append(process.ask("/pixii/slow", timeout=30))) for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        assert until(lambda: len(vendor.requests) == 5, 20)
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        code = process.wait(left)
        took = time.monotonic() - began
        for thread in threads:
            thread.join()

    assert code == 0
    assert took < left == 20
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"late")] * 5


def test_the_image_needs_no_argument_of_ours() -> None:
    """The container writes only where the chart lets it, and takes its settings from the mounted directory."""
    container = gateway(objects(MINIMAL))

    assert not re.search("--(host|port|workers)", " ".join(container["args"]))
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/etc/gateway/config", "/tmp"]  # noqa: S108
