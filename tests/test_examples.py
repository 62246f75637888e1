"""
Every example is valid, by the tool that will read it, and says the same as its siblings.

One file: the examples are held against each other.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import settings
from gateway.sandbox import BASE_PATHS, CREDENTIALS
from normalizers import VENDORS
from tests.e2e.harness.gateway import ProcessGateway, ThreadGateway, free_port, settings_text, silence
from tests.e2e.harness.oracle import until
from tests.e2e.harness.tools import tool

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
COMPOSE = EXAMPLES / "compose"
UNIT = (EXAMPLES / "systemd" / "errgate.service").read_text(encoding="utf-8")
CHART = ROOT / "helm" / "errgate" / "files"

# What the examples take from files: any secret will do, a digest must be one.
DIGEST = "5f" * 32
SECRETS = {"billing": DIGEST, "admin-token": "a-made-up-token-of-32-characters"}
# What a vendor says to a key, and where a unit's credentials are.
CREDENTIALS_DIRECTORY = "/run/credentials/errgate.service"

# What facts.md says that the vendors document, by account: requests a minute or a day, or at once.
DOCUMENTED = {
    "pixii": {(10, "minute"), (500, "day")},
    "pixee": {(100, "minute"), (50, "minute"), (20, "minute"), (10, "minute")},
    "apixo": {(10, "minute"), (3, "at once")},
    "pikzels": {(10, "at once")},
}


def installed(example: Path, folder: Path) -> Path:
    """The settings as somebody would install them: beside the files that they read."""
    text = example.read_text(encoding="utf-8").replace(CREDENTIALS_DIRECTORY, "keys")
    (folder / "keys").mkdir()
    for name in re.findall(r"\$\{file:keys/([^}]+)\}", text):
        (folder / "keys" / name).write_text(SECRETS.get(name, f"key-of-{name}") + "\n")
    path = folder / "errgate.yaml"
    path.write_text(text)
    return path


SETTINGS = sorted(EXAMPLES.rglob("errgate.yaml"))
SETTINGS = [path for path in SETTINGS if "grafana" not in path.parts]


@pytest.mark.parametrize("example", SETTINGS, ids=lambda path: path.parent.name)
def test_settings_are_valid(example: Path, tmp_path: Path) -> None:
    """`errgate check` accepts every example of settings, and no vendor in it is warned about."""
    path = installed(example, tmp_path)

    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "--config", path, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    report = json.loads(done.stdout)
    assert (done.returncode, report["faults"]) == (0, []), done.stderr
    expected = ("plaintext", "callers", "server.admin.token") if example.parent == COMPOSE else ()
    assert [line for line in report["warnings"] if not any(word in line for word in expected)] == []


def test_documented_limits(tmp_path: Path) -> None:
    """The great example has every built-in vendor, with the limits that it documents and a hold for the rest."""
    vendors = settings.load(installed(EXAMPLES / "errgate.yaml", tmp_path)).vendors

    limits = {
        name: {(limit.requests or limit.in_flight, limit.per or "at once") for limit in vendor.limits}
        for name, vendor in vendors.items()
    }

    assert limits == DOCUMENTED
    assert limits.keys() == VENDORS.keys()
    assert {vendor.on_vendor_limit for vendor in vendors.values()} == {"hold"}
    assert {name: vendor.base_url for name, vendor in vendors.items()} == {
        name: vendor.base_url for name, vendor in VENDORS.items()
    }


# --- Compose ---------------------------------------------------------------------------------------------------------


def composed() -> dict[str, Any]:
    """The services."""
    document = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))
    services: dict[str, Any] = document["services"]
    return services


def test_compose_is_valid() -> None:
    """The Compose specification's own schema accepts the file."""
    check = Path(sys.executable).parent / "check-jsonschema"

    done = subprocess.run(
        [check, "--builtin-schema", "vendor.compose-spec", COMPOSE / "compose.yaml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout


def test_compose_is_as_guarded_as_a_pod() -> None:
    """Our own containers are nobody's, with a read-only root; ports are open to this machine alone."""
    services = composed()

    ours = [services["gateway"], services["sandbox"]]

    for service in ours:
        assert (service["read_only"], service["user"], service["cap_drop"]) == (True, "65532:65532", ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any(service["image"].endswith(":latest") for service in services.values())


def test_compose_mounts_what_there_is() -> None:
    """Every file that is mounted is there, and the chart's own rules and dashboards are among them."""
    mounts = [volume.split(":") for service in composed().values() for volume in service.get("volumes", ())]
    mounted = {(COMPOSE / source).resolve() for source, *_ in mounts if source.startswith(".")}

    assert [path for path in mounted if not path.exists()] == []
    assert {CHART / "rules", CHART / "dashboards"} <= mounted
    assert list((CHART / "rules").glob("*.yml"))
    assert list((CHART / "dashboards").glob("*.json"))


def test_compose_asks_the_sandbox(tmp_path: Path) -> None:
    """Its vendors are the simulated ones, with the credentials that these take."""
    vendors = settings.load(COMPOSE / "errgate.yaml").vendors

    found = {
        name: (vendor.base_url, (vendor.credential.header, vendor.credential.value.get_secret_value()))
        for name, vendor in vendors.items()
        if isinstance(vendor.credential, settings.Credential)
    }

    assert found == {name: (f"http://sandbox:8090{BASE_PATHS[name]}", CREDENTIALS[name]) for name in VENDORS}


@pytest.fixture
def sandbox() -> Iterator[int]:
    """The simulated vendors, and the port that they answer on."""
    port = free_port()
    command = [sys.executable, "-m", "gateway", "sandbox", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.terminate()
            silence()


def test_compose_works_as_it_says(sandbox: int) -> None:
    """Its first request gets its envelope, its limits count, and Prometheus may scrape by the service's name."""
    text = (COMPOSE / "errgate.yaml").read_text(encoding="utf-8").replace("sandbox:8090", f"127.0.0.1:{sandbox}")
    with ThreadGateway(text) as gateway:

        def first() -> str | None:
            headers = [("Host", "localhost:8080"), ("Sandbox-Error", "INSUFFICIENT_CREDITS")]
            return gateway.ask("/pixii/v1/api/jobs/1", "GET", headers).header("errgate-code")

        assert until(lambda: first() == "insufficient_credits", 20.0)
        submitted = [
            gateway.ask("/pixii/v1/api/scale", "POST", [("Host", "127.0.0.1:8080")], body=b"{}").header("errgate-code")
            for _ in range(11)
        ]
        scraped = gateway.ask_admin("/metrics", host="gateway:9090").status
        status = gateway.ask_admin("/-/status", host="gateway:9090").status

    assert "capacity_exhausted" not in submitted[:10]
    assert submitted[10] == "capacity_exhausted"
    assert (scraped, status) == (200, 200)


def test_prometheus_takes_its_settings(tmp_path: Path) -> None:
    """Promtool accepts the scrape's settings together with the chart's rules."""
    promtool = tool("promtool", "prometheus")
    text = (COMPOSE / "prometheus.yml").read_text(encoding="utf-8")
    path = tmp_path / "prometheus.yml"
    path.write_text(text.replace("/etc/prometheus/rules", str(CHART / "rules")))

    done = subprocess.run([promtool, "check", "config", path], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
    assert re.search(r"SUCCESS: [1-9]\d* rules found", done.stdout), done.stdout


def test_grafana_finds_what_it_is_given() -> None:
    """The provider's path is where the dashboards are mounted, and the source is the Prometheus beside it."""
    provisioning = COMPOSE / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "errgate.yaml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    grafana = composed()["grafana"]

    targets = [volume.split(":")[1] for volume in grafana["volumes"]]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]

    assert provider["options"]["path"] in targets
    assert home.startswith(provider["options"]["path"] + "/")
    assert (CHART / "dashboards" / Path(home).name).exists()
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")


# --- systemd ---------------------------------------------------------------------------------------------------------


def analyzed(folder: Path, *arguments: str, mend: Callable[[str], str] = str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says of the unit, whose program is put where there is one."""
    path = folder / "errgate.service"
    path.write_text(mend(UNIT).replace("/opt/errgate/bin/errgate", "/bin/true"))
    command = [tool("systemd-analyze", "systemd"), *arguments, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_unit_is_valid(tmp_path: Path) -> None:
    """Systemd finds nothing to say about the unit: an unknown key would only be a line on stderr."""
    done = analyzed(tmp_path, "verify")

    ours = [line for line in done.stderr.splitlines() if "errgate.service" in line]
    assert ours == []


def test_a_typo_in_the_unit_is_seen(tmp_path: Path) -> None:
    """The test before this one can fail."""
    done = analyzed(tmp_path, "verify", mend=lambda text: text.replace("WatchdogSec", "WatchDogSec"))

    assert "WatchDogSec" in done.stderr


def test_unit_is_hardened(tmp_path: Path) -> None:
    """Of the exposure that systemd counts, 0 to 10, at most 1.5 remains."""
    done = analyzed(tmp_path, "security", "--offline=true", "--threshold=15", "--no-pager")

    assert done.returncode == 0, done.stdout[-400:]


def test_unit_hands_over_what_is_read() -> None:
    """Every credential that the settings read is loaded, and every one that is loaded is read."""
    text = (EXAMPLES / "systemd" / "errgate.yaml").read_text(encoding="utf-8")

    loaded = dict(re.findall(r"^LoadCredential=(\w+):(.*)$", UNIT, re.MULTILINE))
    read = set(re.findall(rf"\$\{{file:{CREDENTIALS_DIRECTORY}/(\w+)\}}", text))

    assert loaded.keys() == read
    assert {path.rpartition("/")[0] for path in loaded.values()} == {"/etc/errgate/keys"}


def test_unit_waits_for_the_drain(tmp_path: Path) -> None:
    """The time for a stop covers the lame duck and the grace of its settings."""
    found = settings.load(installed(EXAMPLES / "systemd" / "errgate.yaml", tmp_path))

    (patience,) = re.findall(r"^TimeoutStopSec=(\d+)s$", UNIT, re.MULTILINE)

    assert int(patience) >= found.server.shutdown.lameduck + found.grace_seconds + 5


# prctl(2): the process can make no memory executable that was not, as MemoryDenyWriteExecute= has it.
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
TOO_OLD = 77
BOUND = f"""if True:
    import ctypes, sys
    if ctypes.CDLL(None).prctl({PR_SET_MDWE}, {REFUSE_EXEC_GAIN}, 0, 0, 0):
        sys.exit({TOO_OLD})
    from gateway.cli import main
    main()
"""


def test_runs_without_executable_memory(tmp_path: Path) -> None:
    """No extension that the gateway loads needs memory that is written and executed, so the unit may forbid it."""
    gateway = ProcessGateway(settings_text({"a": {"base_url": "http://127.0.0.1:9"}}), tmp_path)
    command = [sys.executable, "-c", BOUND, "serve", "--config", str(gateway.config)]

    with gateway.output.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        gateway.process = process
        try:
            gateway.ready()
            status = gateway.ask("/a/x").status
        except TimeoutError:
            if process.poll() == TOO_OLD:
                pytest.skip("the kernel is older than 6.3 and has no PR_SET_MDWE")
            raise
        finally:
            gateway.__exit__()

    assert status == 502
