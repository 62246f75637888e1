"""errgate as it is measured: everything on but the access log, compiled, as an operator would run it."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .processes import Process, free_ports
from .stub import Stub

# Made up; every peer is sent it, too.
KEY = "egk_made_up_for_the_benchmark_0123456789"
FIELDS = (f"Errgate-Key: {KEY}",)

PLENTY = 1_000_000_000

ROOT = Path(__file__).resolve().parent.parent
# Where `make bench` puts the compiled form, and what is there once it is whole.
HOME = ROOT / ".bench" / "errgate"
READY = HOME / "ready"


def python(*, compiled: bool) -> tuple[Path, dict[str, str]]:
    """Who runs it, and in what environment: the compiled form away from the sources, where there is one, or these."""
    if compiled and READY.exists():
        return HOME / "bin" / "python", {"PYTHONPATH": ""}
    return Path(sys.executable), {"PYTHONPATH": str(ROOT)}


def limits(count: int) -> list[dict[str, object]]:
    """That many limits that refuse nothing."""
    windows = ("minute", "hour", "second", "day", "minute")
    return [{"name": f"limit-{number}", "requests": PLENTY, "per": windows[number % 5]} for number in range(count)]


def vendor(stub: Stub, kind: str, **more: object) -> dict[str, object]:
    """One vendor, with a credential of ours and two limits."""
    return {
        "base_url": stub.url(kind),
        "normalizer": "pixii",
        "credential": {"header": "X-Api-Key", "value": "made-up-credential-0123456789"},
        **({"tls": {"ca": str(stub.authority)}} if kind == "tls" else {}),
        "max_connections": 512,
        "limits": limits(2),
        **more,
    }


def vendors(stub: Stub, bulk: Process | None = None) -> dict[str, object]:
    """The vendors that every measure asks: over HTTP, over TLS, one whose limit is used up, one of long bodies."""
    asked: dict[str, object] = {
        "plain": vendor(stub, "plain"),
        "tls": vendor(stub, "tls"),
        "refused": vendor(stub, "plain", limits=[{"requests": 1, "per": "hour"}]),
    }
    if bulk is not None:
        asked["bulk"] = vendor(stub, "plain", base_url=f"http://127.0.0.1:{bulk.port}", max_request_body="4096MiB")
    return asked


def start(
    folder: Path,
    vendors: Mapping[str, object],
    *,
    cores: str,
    workers: int = 1,
    name: str = "errgate",
    compiled: bool = True,
) -> Process:
    """Start the gateway over these vendors."""
    port, admin = free_ports(2)
    server: dict[str, Any] = {
        "port": port,
        "admin": {"port": admin},
        "workers": workers,
        "max_in_flight": 8000,
        "shutdown": {"lameduck": "0s", "grace": "1s"},
    }
    settings = {
        "server": server,
        "callers": {"bench": {"key_sha256": [hashlib.sha256(KEY.encode()).hexdigest()]}},
        "vendors": dict(vendors),
        "log": {"requests": False},
    }
    file = folder / f"{name}-{port}.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    program, environ = python(compiled=compiled)
    return Process(
        [program, "-m", "gateway", "serve", "--config", file],
        cores=cores,
        log=folder / f"{name}.log",
        port=port,
        environ=environ,
    )
