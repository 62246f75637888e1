"""
A canary in every place where a secret can stand, and every surface that somebody reads: none shows any (W-140, W-151).

Every place is planted once, with a canary of its own; then all that can be read is read, and each place is looked for
on each surface, plain and in base64.

One file, since the places and the surfaces are one table: each place against each surface.
"""

import base64
import gc
import hashlib
import json
import logging
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from gateway import settings
from gateway.upstream import Call, Exchange
from tests.e2e.harness.client import Headers, RawClient, chunked, request
from tests.e2e.harness.gateway import ProcessGateway, ThreadGateway, free_port, settings_text
from tests.e2e.harness.vendor import OK, RogueVendor, Step, fin, json_reply, reply, send, stall
from tests.e2e.harness.wire import Response

JOB = "/pixii/v1/api/jobs/1"


def canary(place: str) -> str:
    """What is planted there: of no known shape, the same in every escaping, and nobody else's."""
    return "Cnry" + hashlib.sha256(place.encode()).hexdigest()[:20]


def forms(place: str) -> tuple[str, ...]:
    """How it may show: plain in any case, or inside some base64, wherever in it the canary falls."""
    plain = canary(place)
    pieces = (base64.b64encode(bytes(shift) + plain.encode()).decode()[4:-4] for shift in range(3))
    return (plain, plain.lower(), plain.upper(), *pieces)


# --- The places -------------------------------------------------------------------------------------------------------

KEYS = {"errgate-key": "Errgate-Key", "bearer-key": "Authorization", "x-api-key": "X-Api-Key"}
# Where the settings keep what: in the environment, in a file of its own, in the settings file itself.
CONFIGURED = ("environment", "secret-file", "clear-text", "admin-token", "proxy-password", "store-password")


def key(place: str = "errgate-key") -> tuple[str, str]:
    """A known caller's key in its header."""
    return KEYS[place], f"Bearer {canary(place)}" if KEYS[place] == "Authorization" else canary(place)


@dataclass(slots=True)
class Stage:
    """The gateway with its canaries, the vendor behind it, and what came back."""

    gateway: ThreadGateway
    vendor: RogueVendor
    answers: bytes = b""

    def ask(self, target: str, headers: Headers = (), body: bytes | None = None, *, said: bytes = b"") -> None:
        """A known caller's request, which the vendor answers with `said`, else with an error that names nothing."""
        self.vendor.reply(said or json_reply(400, {"code": "VALIDATION_ERROR", "message": "no"}))
        method = "GET" if body is None else "POST"
        self.keep(self.gateway.ask(target, method, [key(), *headers], body))

    def raw(self, data: bytes) -> None:
        """Bytes that may be no request, and all that comes back."""
        with self.gateway.connect() as client:
            client.send(data)
            for response in client.converse("GET", patience=0.3).responses:
                self.keep(response)

    def admin(self, target: str, headers: Headers = ()) -> None:
        """A request to the admin port."""
        self.keep(self.gateway.ask_admin(target, headers=headers))

    def keep(self, answer: Response) -> None:
        """Note what a caller reads of ours: errors whole, of a success only the problems in it."""
        if answer.status >= 400:
            self.answers += answer.head.raw + answer.body
        elif b'"problems":[' in answer.body:
            self.answers += json.dumps(json.loads(answer.body)["problems"]).encode()


def header(name: str, form: str = "{}", target: str = "/pixii/x") -> Callable[[Stage, str], None]:
    """Planted in a field of a request."""
    return lambda stage, value: stage.ask(target, [(name, form.format(value))])


def said(answer: Callable[[str], bytes], target: str = "/pixii/x") -> Callable[[Stage, str], None]:
    """Planted in a vendor's answer."""
    return lambda stage, value: stage.ask(target, said=answer(value))


def echoed(place: str, target: str) -> Callable[[Stage, str], None]:
    """Configured; and the vendor says it back in every part of an error, in HTML, in a job, and in a broken head."""

    def plant(stage: Stage, value: str) -> None:
        where = [(name, value) for name in ("X-Echo", "Link", "Allow", "RateLimit", "X-Request-Id", "Set-Cookie")]
        words = {"code": value, "message": f"no {value}", "detail": [{"loc": ["body", value], "msg": value}]}
        stage.ask(target, said=json_reply(401, words, where))
        stage.ask(target, said=reply(403, f"<h1>{value}</h1>".encode(), [("Content-Type", "text/html"), *where]))
        stage.ask(target, said=reply(500, value.encode(), reason=value))
        stage.ask(target, said=reply(200, value.encode(), where))
        stage.ask(target, said=f"HTTP/1.1 abc {value}\r\n{value}\r\n\r\n".encode())
        failed = {"job_id": value, "status": "failed", "error_code": value, "error_message": value}
        stage.ask(target.replace("/x", "/v1/api/jobs/1"), said=json_reply(200, failed, where))

    return plant


def only_configured(stage: Stage, value: str) -> None:
    """Nobody sends it: it stands in the settings."""


class Mistaken:
    """An engine with a bug, whose exception quotes what it was given."""

    def exchange(self, call: Call) -> AbstractAsyncContextManager[Exchange]:
        """Raise."""
        raise RuntimeError(canary("exception"), call.headers, call.target)

    def connections(self) -> tuple[int, int, int]:
        """None."""
        return 0, 0, 0

    async def aclose(self) -> None:
        """Nothing to close."""


def mistake(stage: Stage, value: str) -> None:
    """Raised in the middle of a request."""
    stage.gateway.app.runtime.lanes["broken"].sender.upstream = Mistaken()
    stage.ask(f"/broken/{canary('path')}", [("X-Custom", canary("custom-header"))])
    assert b"internal_error" in stage.answers


PLACES: Mapping[str, Callable[[Stage, str], None]] = {
    # The settings.
    "environment": echoed("environment", "/pixii/x"),
    "secret-file": echoed("secret-file", "/filed/x"),
    "clear-text": echoed("clear-text", "/clear/x"),
    "admin-token": lambda stage, value: stage.admin("/-/status", [("Authorization", f"Bearer {value}")]),
    "proxy-password": lambda stage, value: stage.ask("/proxied/x"),
    "store-password": only_configured,
    # Callers' keys, known and unknown.
    "errgate-key": lambda stage, value: stage.ask("/pixii/x"),
    "bearer-key": lambda stage, value: stage.keep(stage.gateway.ask("/pixii/x", headers=[key("bearer-key")])),
    "x-api-key": lambda stage, value: stage.keep(stage.gateway.ask("/pixii/x", headers=[key("x-api-key")])),
    "unknown-errgate-key": header("Errgate-Key"),
    "unknown-bearer": lambda stage, value: stage.keep(
        stage.gateway.ask("/pixii/x", headers=[("Authorization", f"Bearer {value}")])
    ),
    "unknown-x-api-key": lambda stage, value: stage.keep(
        stage.gateway.ask("/nobody/x", headers=[("X-Api-Key", value)])
    ),
    "wrong-admin-token": lambda stage, value: stage.admin("/-/config", [("Authorization", f"Bearer {value}")]),
    "wrong-admin-password": lambda stage, value: stage.admin(
        "/-/config", [("Authorization", "Basic " + base64.b64encode(f"me:{value}".encode()).decode())]
    ),
    # A request.
    "path": lambda stage, value: stage.ask(f"/pixii/v1/{value}"),
    "query": lambda stage, value: stage.ask(f"/pixii/x?key={value}"),
    "body": lambda stage, value: stage.ask("/pixii/x", body=value.encode()),
    "cookie": header("Cookie", "session={}"),
    "authorization": header("Authorization", "Bearer {}"),
    "own-credential": header("Authorization", "Bearer {}", "/own/x"),
    "own-credential-basic": header("Authorization", "Basic {}", "/own/x"),
    "proxy-authorization": header("Proxy-Authorization", "Basic {}"),
    "custom-header": header("X-Custom"),
    "user-agent": header("User-Agent"),
    "referer": header("Referer", "https://internal.example/{}"),
    "forwarded-for": header("X-Forwarded-For"),
    "idempotency-key": header("Idempotency-Key"),
    "malformed-request-id": header("X-Request-Id", "{} {{}}"),
    "malformed-traceparent": header("traceparent", "00-{}-b7ad6b7169203331-01"),
    "baggage": header("baggage", "user={}"),
    "host": lambda stage, value: stage.raw(request("GET", "/pixii/x", [key()], host=f"{value}.example")),
    # A request that is refused.
    "unknown-vendor": lambda stage, value: stage.ask(f"/{value}/x"),
    "problem-page": lambda stage, value: stage.ask(f"/-/problems/{value}"),
    "admin-path": lambda stage, value: stage.admin(f"/{value}?{value}"),
    "dot-segment": lambda stage, value: stage.ask(f"/pixii/../{value}"),
    "bad-escape": lambda stage, value: stage.ask(f"/pixii/%zz{value}"),
    "long-target": lambda stage, value: stage.raw(request("GET", f"/pixii/{value * 600}", [key()])),
    "large-head": lambda stage, value: stage.raw(request("GET", "/pixii/x", [key(), ("X-Large", value * 2000)])),
    "two-framings": lambda stage, value: stage.raw(
        request("POST", f"/pixii/{value}", [("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("X", value)])
    ),
    "no-http": lambda stage, value: stage.raw(f"GARBAGE {value}\r\n{value}\r\n\r\n".encode()),
    "bad-chunk": lambda stage, value: stage.raw(
        request("POST", "/pixii/x", [key(), ("Transfer-Encoding", "chunked")]) + f"{value}\r\n".encode()
    ),
    "large-body": lambda stage, value: stage.ask("/small/x", body=(value * 10).encode()),
    # A mistake of ours.
    "exception": mistake,
    # A vendor's answer. What it says to explain its error is the caller's to read; everything else is nobody's.
    "message": said(lambda value: json_reply(400, {"code": "VALIDATION_ERROR", "message": value})),
    "error-body": said(lambda value: json_reply(400, {"code": "VALIDATION_ERROR", "message": "no", "trace": value})),
    "unknown-code": said(lambda value: json_reply(400, {"code": value, "message": "no"})),
    "html": said(lambda value: reply(500, f"<pre>{value}</pre>".encode(), [("Content-Type", "text/html")])),
    "error-header": said(lambda value: json_reply(500, {}, [("X-Debug", value), ("Server", value)])),
    "set-cookie": said(lambda value: json_reply(200, {}, [("Set-Cookie", f"session={value}")])),
    "success-header": said(lambda value: reply(200, b"", [("X-Debug", value)])),
    "success-body": said(lambda value: reply(200, value.encode())),
    "redirect": said(lambda value: reply(302, b"", [("Location", f"https://other.example/?token={value}")])),
    "reason": said(lambda value: reply(500, b"", reason=value)),
    "trailer": said(
        lambda value: OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"ok", last=False) + b"0\r\nX: %b\r\n\r\n" %
        value.encode()
    ),
    "interim": said(lambda value: f"HTTP/1.1 103 {value}\r\nLink: {value}\r\n\r\n".encode() + reply(200, b"ok")),
    "broken-status-line": said(lambda value: f"HTTP/9 {value}\r\n\r\n".encode()),
    "broken-header": said(lambda value: OK + f"X {value}\r\n{value}: \x00\r\n\r\n".encode()),
    "broken-coding": said(lambda value: reply(500, value.encode(), [("Content-Encoding", "gzip")])),
    "surplus": said(lambda value: reply(200, b"ok") + value.encode()),
    "job": said(lambda value: json_reply(200, {"status": "failed", "output": {"prompt": value}}), JOB),
    "job-message": said(lambda value: json_reply(200, {"status": "failed", "error_message": value}), JOB),
    "job-id": said(lambda value: json_reply(200, {"status": "failed", "job_id": value, "error_code": "X"}), JOB),
}  # fmt: skip

# What may be read where: the vendor's words of an error, by its caller (contract 5), and its code in the log (W-128).
MAY = {
    ("message", "answers"),
    ("error-body", "answers"),
    ("unknown-code", "answers"),
    ("unknown-code", "log"),
    ("unknown-code", "libraries"),
    ("job-message", "answers"),
    ("job-id", "answers"),
    # The console opens the envelopes that callers got, and names the codes that no table has (contract 16).
    ("message", "console"),
    ("error-body", "console"),
    ("unknown-code", "console"),
    ("job-message", "console"),
    ("job-id", "console"),
}


# --- The surfaces -----------------------------------------------------------------------------------------------------

SURFACES = (
    *("log", "libraries", "answers", "metrics", "config", "status", "console", "objects", "busy", "check", "faults"),
    "serve",
)


class Everything(logging.Handler):
    """Each record of every logger, formatted with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines.append(self.format(record))


LIBRARIES = (
    "asyncio httpcore2 httpcore2.connection httpcore2.http11 httpcore2.http2 httpcore2.proxy httpx2 hpack hpack.hpack "
    "uvicorn uvicorn.error uvicorn.access uvicorn.asgi errgate"
)


@pytest.fixture(scope="module")
def everything() -> Iterator[Everything]:
    """Every logger at its loudest, as an operator who looks for something may set them."""
    handler = Everything()
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in LIBRARIES.split())]
    loggers += [found for found in root.manager.loggerDict.values() if isinstance(found, logging.Logger)]
    before = [(logger, logger.level) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    for logger, level in before:
        logger.setLevel(level)


class Egress:
    """A forward proxy that refuses, and says in every way whom it refuses."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.seen = b""
        threading.Thread(target=self._serve, daemon=True, name="egress").start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(5)
                self.seen += sock.recv(65536)
                said = base64.b64encode(f"user:{canary('proxy-password')}".encode())
                sock.sendall(b"HTTP/1.1 407 " + said + b"\r\nX-Echo: " + said + b"\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        """Stop listening."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def vendors(url: str, folder: Path, egress: int) -> dict[str, object]:
    """The vendors, each with a secret from elsewhere."""
    (folder / "secret").write_text(canary("secret-file") + "\n")

    def credential(value: str) -> dict[str, str]:
        return {"header": "Authorization", "value": f"Bearer {value}"}

    common = {"base_url": url, "normalizer": "pixii"}
    return {
        "pixii": {**common, "credential": credential("${PIXII_KEY}")},
        "filed": {**common, "credential": credential(f"${{file:{folder}/secret}}")},
        "clear": {**common, "credential": credential(canary("clear-text"))},
        "own": {**common, "credential": "passthrough"},
        "broken": {**common, "credential": credential("${PIXII_KEY}")},
        "small": {**common, "max_request_body": 10},
        "proxied": {**common, "engine": "httpx", "proxy": f"http://user:{canary('proxy-password')}@127.0.0.1:{egress}"},
    }


def sections(**more: object) -> dict[str, object]:
    """The rest of a settings file: callers by digest, the loudest log."""
    digests = {place: hashlib.sha256(canary(place).encode()).hexdigest() for place in KEYS}
    return {
        "callers": {place: {"key_sha256": digest} for place, digest in digests.items()},
        "log": {"level": "debug"},
        **more,
    }


ENVIRON = {"PIXII_KEY": canary("environment"), "ADMIN_TOKEN": canary("admin-token")}
SERVER = {"admin": {"token": "${ADMIN_TOKEN}"}}


@pytest.fixture(scope="module")
def surfaces(
    vendor: RogueVendor, everything: Everything, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """Every canary planted, every surface read."""
    folder, egress = tmp_path_factory.mktemp("secrets"), Egress()
    known = vendors(vendor.url, folder, egress.port)
    with ThreadGateway(settings_text(known, SERVER, **sections()), ENVIRON) as gateway:
        # Ours is looked at by itself; `uvicorn.error` is made quiet when the server starts.
        # A server with uvicorn's own log settings, in another test, ends the way up at `uvicorn`.
        logging.getLogger("uvicorn").propagate = True
        logging.getLogger("uvicorn.error").setLevel(logging.DEBUG)
        logging.getLogger("uvicorn.error").info("shown")
        stage = Stage(gateway, vendor)
        for place, plant in PLACES.items():
            plant(stage, canary(place))
        read = {
            "sent": "".join((asked.head.raw + asked.body).decode("latin-1") for asked in vendor.requests),
            "log": gateway.log.getvalue(),
            "libraries": "\n".join(everything.lines),
            "answers": stage.answers.decode("latin-1"),
            "metrics": scraped(gateway),
            "objects": objects(gateway),
            "busy": busy(gateway, vendor),
            **{page: administered(gateway, f"/-/{page}") for page in ("config", "status")},
            "console": "".join(administered(gateway, page) for page in ("/-/console", "/", "/drift", "/explain")),
        }
        assert vendor.faults == []
    egress.close()
    assert canary("proxy-password") in base64.b64decode(egress.seen.partition(b"Basic ")[2].split()[0]).decode()
    read |= {"check": checked(known, folder), "faults": refused(folder), "serve": served(vendor, folder)}
    return read


def scraped(gateway: ThreadGateway) -> str:
    """The metrics in both formats."""
    plain = gateway.ask_admin("/metrics")
    open_metrics = gateway.ask_admin("/metrics", headers=[("Accept", "application/openmetrics-text")])
    return (plain.body + open_metrics.body).decode()


def administered(gateway: ThreadGateway, page: str) -> str:
    """A page behind the token."""
    answer = gateway.ask_admin(page, headers=[("Authorization", f"Bearer {canary('admin-token')}")])
    assert answer.status == 200
    return (answer.head.raw + answer.body).decode()


def objects(gateway: ThreadGateway) -> str:
    """How everything of ours in this process shows itself, from the settings to the last connection."""
    ours = ("gateway", "normalizers")
    everywhere = (found for found in gc.get_objects() if not isinstance(found, str))
    found = [found for found in everywhere if str(type(found).__module__).partition(".")[0] in ours]
    known = [gateway.settings, gateway.app, gateway.app.runtime, *gateway.settings.vendors.values()]
    dumped = [gateway.settings.model_dump(), gateway.settings.model_dump_json(), gateway.settings.masked()]
    return "\n".join([*(f"{each!r} {each!s}" for each in [*known, *found]), *map(repr, dumped)])


def tell(arrived: threading.Event) -> Step:
    """A step of a script that says that it was reached."""
    return lambda _: arrived.set()


def busy(gateway: ThreadGateway, vendor: RogueVendor) -> str:
    """The same while requests are on their way: one whose vendor is silent, one in the middle of its answer."""
    headers = [key(), ("Cookie", canary("cookie")), ("X-Custom", canary("custom-header"))]
    target = f"/pixii/v1/{canary('path')}?{canary('query')}"
    shown = ""
    for begun in (b"", OK + b"Content-Length: 9\r\nX-Debug: " + canary("success-header").encode() + b"\r\n\r\nhalf"):
        arrived = threading.Event()
        vendor.script(send(begun), tell(arrived), stall(5), fin())
        with RawClient(gateway.address) as client:
            client.send(request("POST", target, headers, canary("body").encode()))
            gateway.asked += 1
            assert arrived.wait(5)
            shown += objects(gateway)
        vendor.released.set()
    assert "Access(" in shown
    return shown


def command(*arguments: str) -> str:
    """All that a command writes."""
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), **ENVIRON},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "Traceback" not in ran.stderr
    return ran.stdout + ran.stderr


def checked(known: Mapping[str, object], folder: Path) -> str:
    """What `errgate check` says of good settings and of broken ones, for people and for scripts."""
    good, broken = folder / "good.yaml", folder / "broken.yaml"
    good.write_text(settings_text(known, SERVER, **sections()))
    broken.write_text(BROKEN)
    said = "".join(
        command("check", "--config", str(file), *more) for file in (good, broken) for more in ([], ["--json"])
    )
    assert "good.yaml: valid" in said
    assert "broken.yaml:" in said
    return said + command("serve", "--config", str(broken))


# Each secret where it cannot be used: of a wrong form, of a wrong type, under a wrong key; from elsewhere and in clear.
BROKEN = f"""
server:
  host: 0.0.0.0
  name: "${{PIXII_KEY}}!"
  port: "${{PIXII_KEY}}"
  hosts: ["${{PIXII_KEY}} x", "{"x"} y"]
  trusted_proxies: ["${{PIXII_KEY}}"]
  admin: {{token: "{canary("admin-token")} with a space"}}
  timeouts: {{head: "${{ADMIN_TOKEN}}"}}
  max_request_body: "${{ADMIN_TOKEN}}"
callers:
  a: {{key_sha256: "{canary("errgate-key")}", vendors: {{pixii: ["${{PIXII_KEY}}"]}}, errors: "${{PIXII_KEY}}"}}
  b: {{key_sha256: ["${{PIXII_KEY}}"]}}
limit_store: {{url: "redis://user:{canary("store-password")}@host:port"}}
log: {{level: "${{PIXII_KEY}}", requests: "${{ADMIN_TOKEN}}"}}
vendors:
  one:
    base_url: "https://user:{canary("proxy-password")}@vendor.example"
    credential: {{header: "X Y ${{PIXII_KEY}}", value: "{canary("clear-text")}\\n"}}
    proxy: "socks5://user:{canary("proxy-password")}@egress:1080"
    normalizer: "${{PIXII_KEY}}"
    errors: "${{PIXII_KEY}}"
    max_connections: "${{PIXII_KEY}}"
    timeouts: {{total: "${{PIXII_KEY}}"}}
    retries: {{budget: "${{PIXII_KEY}}", statuses: ["${{PIXII_KEY}}"]}}
    tls: {{ca: "${{PIXII_KEY}}", server_name: "${{PIXII_KEY}} x"}}
    limits: [{{requests: "${{PIXII_KEY}}", per: "${{PIXII_KEY}}", zone: "${{PIXII_KEY}}"}}]
    routes: [{{name: "${{PIXII_KEY}}", path: "${{PIXII_KEY}}", methods: ["${{PIXII_KEY}}"]}}]
  two:
    base_url: "${{PIXII_KEY}}"
    credential: "${{PIXII_KEY}}"
    normalizer: {{extends: "${{PIXII_KEY}}", code: "${{PIXII_KEY}}", codes: {{A: "${{PIXII_KEY}}"}}}}
  three:
    base_url: "https://vendor.example/?key={canary("query")}"
    credential: {{header: Authorization, value: ["{canary("clear-text")}"]}}
    proxy: ["http://user:{canary("proxy-password")}@egress:1080"]
  four:
    base_url: https://vendor.example
    credential: {{header: Authorization, valeu: "${{PIXII_KEY}}", value: "${{file:secret}}\\t"}}
    proxy: "http://user:{canary("proxy-password")}@egress:1080/path"
"""
STORED = f"""
limit_store: {{url: "rediss://:{canary("store-password")}@store.example:6379"}}
vendors:
  pixii: {{base_url: https://api.pixii.ai, credential: {{header: Authorization, value: "Bearer ${{PIXII_KEY}}"}}}}
"""
QUOTES = f"""
vendors:
  pixii:
    base_url: https://api.pixii.ai
    credential: {{header: Authorization, value: "Bearer {canary("clear-text")}}}
    proxy: 'http://u:{canary("proxy-password")}
"""


def refused(folder: Path) -> str:
    """Faults, as text, as objects and as a traceback with all that led to them."""
    shown = ""
    for text in (BROKEN, STORED, QUOTES):
        try:
            read = settings.loads(text, name=str(folder / "errgate.yaml"), environ=ENVIRON)
        except settings.SettingsError as error:
            shown += "\n".join([*error.faults, str(error), repr(error), *traceback.format_exception(error)])
        else:
            shown += f"{read!r} {read!s} {read.masked()} {read.warnings}"
    assert shown
    return shown


def served(vendor: RogueVendor, folder: Path) -> str:
    """All that a process of its own writes, from its start over some requests and a reload to its end."""
    known = vendors(vendor.url, folder, free_port())
    text = settings_text(known, SERVER, **sections())
    token = [("Authorization", f"Bearer {canary('admin-token')}")]
    vendor.reply(json_reply(401, {"code": "UNAUTHORIZED", "message": canary("environment")}))
    with ProcessGateway(text, folder, environ=ENVIRON) as gateway:
        for target in (f"/pixii/{canary('path')}?{canary('query')}", "/proxied/x", "/clear/x"):
            gateway.ask(target, headers=[key(), ("Cookie", canary("cookie"))])
        gateway.config.write_text(BROKEN)
        gateway.ask_admin("/-/reload", "POST", token, b"")
        gateway.config.write_text(text)
        gateway.ask_admin("/-/reload", "POST", token, b"")
    written = gateway.logs()
    assert '"message":"request"' in written
    assert "not reloaded" in written
    return written


# --- The matrix -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_canary(surfaces: Mapping[str, str], place: str) -> None:
    """What was planted in the place is on no surface, but where the contract shows it."""
    expected = {surface for where, surface in MAY if where == place}

    found = {surface: shown for surface in SURFACES if (shown := around(surfaces[surface], place))}

    assert {surface: shown for surface, shown in found.items() if surface not in expected} == {}


def around(surface: str, place: str) -> str | None:
    """Where the canary stands on the surface, with what is around it."""
    at = min((surface.find(form) for form in forms(place) if form in surface), default=None)
    return None if at is None else surface[max(0, at - 150) : at + 50]


# What of these goes to the vendor: our credentials, and of the request all but what is between the caller and us.
ARRIVES = {
    *("environment", "secret-file", "clear-text", "path", "query", "body", "own-credential", "own-credential-basic"),
    *("custom-header", "user-agent", "referer", "idempotency-key"),
}
STAYS = {
    *("admin-token", "proxy-password", *KEYS, "unknown-errgate-key", "unknown-bearer", "unknown-x-api-key"),
    *("cookie", "authorization", "proxy-authorization", "forwarded-for", "malformed-request-id", "baggage", "host"),
    *("malformed-traceparent", "unknown-vendor", "dot-segment", "two-framings", "no-http", "large-head", "large-body"),
}


@pytest.mark.parametrize("place", sorted(ARRIVES | STAYS))
def test_planted(surfaces: Mapping[str, str], place: str) -> None:
    """What was planted was in use: it reached the vendor that it is for, and no vendor that it is not for (W-143)."""
    arrived = canary(place) in surfaces["sent"]

    assert arrived == (place in ARRIVES)


def test_surfaces_say_something(surfaces: Mapping[str, str]) -> None:
    """A surface that is empty would hide everything."""
    words = {
        "log": '"outcome":"vendor_fault"',
        "libraries": "uvicorn.error",
        "answers": "application/problem+json",
        "metrics": "errgate_requests_total",
        "config": '"base_url"',
        "status": '"vendors"',
        "console": '"envelope"',
        "objects": "Settings(",
        "busy": "Access(",
        "check": "guarded by a token",
        "faults": "vendors.one.proxy",
        "serve": '"message":"request"',
    }

    missing = [surface for surface in SURFACES if words[surface] not in surfaces[surface]]

    assert missing == []


def test_broken_settings_are_broken_everywhere(tmp_path: Path) -> None:
    """Every key of the broken settings that holds a secret has a fault, so that none is passed over in silence."""
    with pytest.raises(settings.SettingsError) as refused:
        settings.loads(BROKEN, name=str(tmp_path / "errgate.yaml"), environ=ENVIRON)

    faults = "\n".join(refused.value.faults)
    for name, vendor in yaml.safe_load(BROKEN)["vendors"].items():
        for option in vendor:
            assert f"vendors.{name}.{option}" in faults or option in {"base_url", "routes"}
