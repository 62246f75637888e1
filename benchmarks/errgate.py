"""errgate as it is measured: everything on but the access log, as an operator would run it."""

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
    folder: Path, vendors: Mapping[str, object], *, cores: str, workers: int = 1, name: str = "errgate"
) -> Process:
    """Start the gateway over these vendors; it answers when this returns. Raises `NotStarted`."""
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
    return Process(
        [sys.executable, "-m", "gateway", "serve", "--config", file],
        cores=cores,
        log=folder / f"{name}.log",
        port=port,
        environ={"PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
    )
