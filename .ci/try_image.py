"""
Builds the image and tries it as Kubernetes would run it: as 65532, on a read-only root, without a capability.

    make image-test                                    on a Debian made for the purpose
    make image-test PYTHON_IMAGE=registry/python@sha256:…   on another base

It needs root on a Debian with the packages `buildah`, `runc` and, for a base of its own, `mmdebstrap`; no daemon and no
registry. pip inside the build asks the index that pip outside of it asks. What it makes is in a scratch directory and
gone at the end.

One file, since it runs where nothing of this project is installed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
USER = 65532
STARTED_WITHIN = 60.0
STOPPED_WITHIN = 20.0

# What pip needs to know that the build cannot: values of `pip config list`, and the authorities that it trusts.
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")
AUTHORITIES = "/run/secrets/ca"

SETTINGS = """\
server: {shutdown: {lameduck: 0s, grace: 2s}}
vendors: {pixii: {base_url: "http://127.0.0.1:8090/pixii", limits: [{requests: 1000, per: minute}]}}
"""


def fail(what: str) -> NoReturn:
    """End with a sentence."""
    sys.exit(f"image-test: {what}")


def run(*command: object, quiet: bool = True, **more: Any) -> str:  # noqa: ANN401  (subprocess's own)
    """What a command prints; it must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=quiet, text=True, check=False, **more)
    if done.returncode:
        fail(f"{' '.join(words)} ended with {done.returncode}\n{done.stdout or ''}{done.stderr or ''}")
    return (done.stdout or "").strip()


def report(what: str, value: object = "ok") -> None:
    """Say what was found."""
    print(f"{what:<44}{value}", flush=True)


def expect(what: str, found: object, expected: object) -> None:
    """Say what was found, and end where it is not what was promised."""
    if found != expected:
        fail(f"{what}: {found!r}, {expected!r} was promised")
    report(what, found)


def until(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait for something to hold; how long that took."""
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > seconds:
            fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)
    return time.monotonic() - start


class Builder:
    """buildah with storage of its own."""

    def __init__(self, scratch: Path) -> None:
        self._command = ["buildah", "--root", scratch / "storage", "--runroot", scratch / "run"]
        self._command += ["--storage-driver", "vfs"]
        self._scratch = scratch

    def __call__(self, *arguments: object, quiet: bool = True) -> str:
        """Run it."""
        return run(*self._command, *arguments, quiet=quiet)

    def base(self) -> str:
        """A Debian with Python, its headers and nothing else, as an image."""
        tar = self._scratch / "base.tar"
        packages = "python3,python3-venv,python3-dev,ca-certificates"
        codename = run("sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME")
        run("mmdebstrap", "--variant=minbase", f"--include={packages}", codename, tar)
        container = self("from", "scratch")
        self("add", container, tar, "/")
        self("commit", container, "localhost/python")
        self("rm", container)
        tar.unlink()
        return "localhost/python"

    def secrets(self) -> list[str]:
        """How pip outside asks its index, for pip inside."""
        listed = [line.partition("=") for line in run(sys.executable, "-m", "pip", "config", "list").splitlines()]
        known = {key.rpartition(".")[2]: value.strip("'") for key, _, value in listed}
        lines = [f"{key.removeprefix('default-')} = {known[key]}" for key in PIP_KEYS if key in known]
        made = [f"--secret=id=pip,src={self._scratch / 'pip.conf'}"]
        if "cert" in known:
            lines.append(f"cert = {AUTHORITIES}")
            made.append(f"--secret=id=ca,src={known['cert']}")
        (self._scratch / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))
        return made

    def build(self, base: str) -> None:
        """The image `localhost/errgate`."""
        arguments = {"PYTHON_IMAGE": base, "VERSION": "0.0.0-test", "REVISION": "0" * 40}
        self(
            *("bud", "--isolation", "chroot", "--format", "docker", "--tag", "localhost/errgate"),
            *(word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")),
            *self.secrets(),
            ROOT,
            quiet=False,
        )

    def described(self) -> dict[str, Any]:
        """What the image says of itself."""
        found: dict[str, Any] = json.loads(self("inspect", "--type", "image", "localhost/errgate"))
        return found["Docker"]

    def unpacked(self) -> Path:
        """The image's files."""
        return Path(self("mount", self("from", "localhost/errgate")))


class Container:
    """One container of runc: a network of its own, nothing of the root can be written, no capability is left."""

    def __init__(
        self, name: str, scratch: Path, image: Path, described: dict[str, Any], arguments: Iterable[str]
    ) -> None:
        self.name = name
        self._runc = ["runc", "--root", str(scratch / "runc")]
        bundle = scratch / name
        (bundle / "settings").mkdir(parents=True)
        (bundle / "settings" / "errgate.yaml").write_text(SETTINGS)
        run(*self._runc, "spec", cwd=bundle)
        spec = json.loads((bundle / "config.json").read_text())
        config = described["config"]
        spec["root"] = {"path": str(image), "readonly": True}
        self._environ = config["Env"]
        spec["process"] |= {
            "terminal": False,
            "user": {"uid": USER, "gid": USER},
            "args": [*config["Entrypoint"], *arguments],
            "env": self._environ,
            "cwd": config["WorkingDir"],
            "capabilities": {},
            "noNewPrivileges": True,
        }
        spec["mounts"] += [
            {
                "destination": "/tmp",  # noqa: S108  (the container's own)
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "nodev", "noexec", "size=16m"],
            },
            {
                "destination": "/etc/errgate",
                "type": "bind",
                "source": str(bundle / "settings"),
                "options": ["bind", "ro"],
            },
        ]
        (bundle / "config.json").write_text(json.dumps(spec))
        self._log = bundle / "log"
        with self._log.open("wb") as log:
            command = [*self._runc, "run", "--bundle", str(bundle), name]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def said(self) -> str:
        """Everything that it has written."""
        return self._log.read_text()

    def asked(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command inside."""
        environ = [word for pair in self._environ for word in ("--env", pair)]
        return subprocess.run(
            [*self._runc, "exec", *environ, self.name, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def python(self, program: str) -> str:
        """What a program of Python prints inside; a failure's last line instead."""
        done = self.asked("python", "-c", program)
        return (done.stdout + done.stderr).strip().rpartition("\n")[2]

    def ready(self) -> float:
        """Wait for the image's own health check; how long it took."""
        return until(lambda: self.asked("errgate", "healthcheck").returncode == 0, STARTED_WITHIN, self.said())

    def stop(self) -> int:
        """SIGTERM, as every orchestrator sends it; the exit code."""
        run(*self._runc, "kill", self.name, "TERM")
        return self.process.wait(STOPPED_WITHIN)

    def end(self) -> None:
        """Whatever happened: gone."""
        subprocess.run([*self._runc, "delete", "--force", self.name], capture_output=True, check=False)
        self.process.wait(STOPPED_WITHIN)


ASK = """if True:
    import http.client
    caller = http.client.HTTPConnection("127.0.0.1", 8080, timeout=10)
    caller.request("GET", "/pixii/v1/api/jobs/1", headers={"Sandbox-Error": "INSUFFICIENT_CREDITS"})
    answer = caller.getresponse()
    print(answer.status, answer.getheader("Errgate-Code"))
"""
WRITE = "open('/opt/errgate/new', 'w')"
STATE = """if True:
    lines = dict(line.split(":", 1) for line in open("/proc/1/status"))
    print(*(lines[key].split()[0] for key in ("Uid", "Gid", "CapBnd", "NoNewPrivs")))
"""


def try_container(scratch: Path, image: Path, described: dict[str, Any]) -> None:
    """One process, as a pod runs it: who it is, what it may, and what it answers."""
    gateway = Container("one", scratch, image, described, ["serve"])
    try:
        report("ready (by `errgate healthcheck`) after", f"{gateway.ready():.1f} s")
        expect("user, group, capabilities, no-new-privs", gateway.python(STATE), f"{USER} {USER} 0000000000000000 1")
        written = gateway.python(WRITE)
        expect(
            "writing to the root",
            written.partition(":")[2].strip().partition(":")[0],
            "[Errno 30] Read-only file system",
        )
        sandbox = subprocess.Popen(
            ["runc", "--root", str(scratch / "runc"), "exec", "one", "/opt/errgate/bin/errgate", "sandbox"],  # noqa: S607
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: gateway.python(ASK).startswith("402"), STARTED_WITHIN, "an answer of the sandbox")
        expect("a vendor's error through the gateway", gateway.python(ASK), "402 insufficient_credits")
        expect("SIGTERM ends it with", gateway.stop(), 0)
        sandbox.wait(STOPPED_WITHIN)
    finally:
        gateway.end()


def try_workers(scratch: Path, image: Path, described: dict[str, Any]) -> None:
    """Two workers: they need /tmp, and nothing else that can be written."""
    gateway = Container("two", scratch, image, described, ["serve", "--workers", "2"])
    try:
        report("two workers ready after", f"{gateway.ready():.1f} s")
        expect("SIGTERM ends them with", gateway.stop(), 0)
    finally:
        gateway.end()


def try_files(image: Path) -> None:
    """What is in the image, and whose it is."""
    home = image / "opt" / "errgate"
    found = json.loads((home / "sbom.cdx.json").read_text())["components"]
    site = next(home.glob("lib/python3*/site-packages"))
    installed = sorted(path.name.rpartition(".")[0].partition("-")[0].lower() for path in site.glob("*.dist-info"))
    listed = sorted(component["name"].lower().replace("-", "_") for component in found)
    expect("packages, and of them in the SBOM", (len(installed), listed == installed), (len(listed), True))
    expect("pip or a build backend", [name for name in ("pip", "setuptools", "wheel") if (site / name).exists()], [])
    path = ["proxy", "replies", "sending"]
    expect("compiled, among others", [name for name in path if [*(site / "gateway").glob(f"{name}.*.so")]], path)
    compilers = [name for name in ("gcc", "cc", "as") if (image / "usr" / "bin" / name).exists()]
    expect("a compiler", compilers, [])
    owners = {
        (path.lstat().st_uid, path.lstat().st_mode & 0o022 if not path.is_symlink() else 0) for path in home.rglob("*")
    }
    expect("owners, and write bits for others", owners, {(0, 0)})
    caches = sum(1 for _ in (site / "gateway").rglob("*.pyc")), sum(1 for _ in (site / "gateway").rglob("*.py"))
    expect("modules of the gateway with byte code", caches[0], caches[1])


def try_description(described: dict[str, Any]) -> None:
    """What the image says of itself."""
    config = described["config"]
    expect("user", config["User"], f"{USER}:{USER}")
    expect("entry point and command", (config["Entrypoint"], config["Cmd"]), (["errgate"], ["serve"]))
    expect("health check", config["Healthcheck"]["Test"], ["CMD", "errgate", "healthcheck"])
    expect("stop signal", config["StopSignal"], "SIGTERM")
    expect("ports", sorted(config["ExposedPorts"]), ["8080/tcp", "9090/tcp"])
    labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items() if "opencontainers" in name}
    expect("label version", labels["version"], "0.0.0-test")
    expect("labels", sorted(labels), ["created", "description", "licenses", "revision", "source", "title", "version"])


def main() -> None:
    """Build, look, run."""
    base = os.environ.get("PYTHON_IMAGE", "")
    missing = [name for name in ("buildah", "runc", *(() if base else ("mmdebstrap",))) if not shutil.which(name)]
    if missing or os.geteuid():
        fail(f"needs root and Debian's packages {' '.join(missing)}")
    for tool in ("buildah", "runc"):
        report(tool, run(tool, "--version").partition("\n")[0])
    start = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="errgate-image-"))
    try:
        builder = Builder(scratch)
        base = base or builder.base()
        report("base", f"{base}, after {time.monotonic() - start:.0f} s")
        builder.build(base)
        report("built", f"after {time.monotonic() - start:.0f} s")
        described, image = builder.described(), builder.unpacked()
        try_description(described)
        try_files(image)
        try_container(scratch, image, described)
        try_workers(scratch, image, described)
        builder("umount", "--all")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    report("all of it", f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
