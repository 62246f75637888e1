"""
The vendor: nginx, over plain HTTP and over TLS.

It answers from memory or from files; for bodies of a gigabyte there is a program of our own, slow on purpose.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .processes import Process, free_port, free_ports

# What the measurements of 2026-11-21 were made with: 278 bytes.
OK = json.dumps({"id": "job_1", "status": "completed", "output": {"text": "x" * 210}}, separators=(",", ":"))
BAD = json.dumps({"code": "VALIDATION_ERROR", "message": "age must be a number", "request_id": "req_1"})

BODY_SIZES = (0, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)

CONFIGURATION = """
worker_processes {workers};
pid {folder}/stub.pid;
error_log {folder}/stub-error.log crit;
daemon off;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  tcp_nodelay on;
  sendfile on;
  server_tokens off;
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_certificate {folder}/stub.pem;
    ssl_certificate_key {folder}/stub.key;
    default_type application/json;
    location /v1/ok {{ return 200 '{ok}'; }}
    location /v1/bad {{ return 400 '{bad}'; }}
    location /v1/bytes/ {{ alias {folder}/bytes/; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Stub:
    """The vendor's two ports, and the authority that signed its certificate."""

    plain: int
    tls: int
    authority: Path

    def url(self, kind: str) -> str:
        """Its origin over `plain` or `tls`."""
        return f"https://localhost:{self.tls}" if kind == "tls" else f"http://127.0.0.1:{self.plain}"


def make_certificate(folder: Path) -> None:
    """An authority and a certificate for `localhost` that it signed."""
    (folder / "extensions").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for command in (
        ["req", "-x509", *curve, "-subj", "/CN=authority", "-keyout", "authority.key", "-out", "authority.pem"],
        ["req", *curve, "-subj", "/CN=localhost", "-keyout", "stub.key", "-out", "stub.csr"],
        ["x509", "-req", "-in", "stub.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial",
         "-extfile", "extensions", "-days", "2", "-out", "stub.pem"],
    ):  # fmt: skip
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)


def start(folder: Path, *, cores: str, workers: int = 1) -> tuple[Process, Stub]:
    """Start the vendor; it answers when this returns."""
    if not (folder / "stub.pem").exists():
        make_certificate(folder)
    if not (folder / "bytes").exists():
        (folder / "bytes").mkdir()
        for size in BODY_SIZES:
            with (folder / "bytes" / str(size)).open("wb") as file:
                file.write(b"x" * size)
    plain, tls = free_ports(2)
    stub = Stub(plain, tls, folder / "authority.pem")
    text = CONFIGURATION.format(folder=folder, workers=workers, plain=stub.plain, tls=stub.tls, ok=OK, bad=BAD)
    configuration = folder / f"stub-{stub.plain}.conf"
    configuration.write_text(text)
    process = Process(["nginx", "-c", configuration], cores=cores, log=folder / "stub.log", port=stub.plain)
    process.answered("/v1/ok")
    return process, stub


def start_bulk(folder: Path, *, cores: str) -> Process:
    """Start the vendor of long bodies: see `bulk`."""
    port = free_port()
    process = Process(
        [sys.executable, "-m", "benchmarks.bulk", str(port)],
        cores=cores,
        log=folder / "bulk.log",
        port=port,
        environ={"PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
    )
    process.answered("/v1/bytes/10")
    return process
