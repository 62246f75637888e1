"""The machine that is measured on: which cores whom, what runs on them, and the end of it all."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from . import errgate, stub
from .load import Run, run
from .peers import HELLO, PEERS, Peer, Place
from .processes import NotStarted, Process, allow_descriptors
from .stub import Stub

# Without these nothing can be measured.
PROGRAMS = {"wrk": "wrk", "nginx": "nginx", "openssl": "openssl", "taskset": "util-linux", "timeout": "coreutils"}

# What each process has used of the processor before it counts, and how long that may take.
WARM_SECONDS, WARM_LIMIT_SECONDS = 4.0, 20.0


class Lacking(Exception):
    """Programs that are missing here; the text names the packages."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often: seconds of one run, rounds of alternation."""

    seconds: float
    rounds: int


@dataclass
class Bench:
    """
    Everything that runs, and what must end with it.

    Mutable state: what was started, and who is missing and why. The proxies have the first core; load and vendor
    share the second.
    """

    effort: Effort
    only: frozenset[str] = frozenset()
    missing: dict[str, str] = field(default_factory=dict)
    running: dict[str, Process] = field(default_factory=dict)
    proxy_core: str = "0"
    load_core: str = "1"

    def __post_init__(self) -> None:
        lacking = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
        if lacking:
            raise Lacking(f"the benchmark needs: apt install {' '.join(lacking)}")
        if len(os.sched_getaffinity(0)) < 2:  # noqa: PLR2004
            raise Lacking("the benchmark needs two cores: one for the proxy, one for load and vendor")

    def __enter__(self) -> Self:
        allow_descriptors()
        self._ending = contextlib.ExitStack()
        self.folder = Path(self._ending.enter_context(tempfile.TemporaryDirectory(prefix="errgate-bench-")))
        # nginx's workers are another user where root starts them.
        self.folder.chmod(0o755)
        try:
            process, self.stub = stub.start(self.folder, cores=self.load_core)
            self.keep(process)
            self.bulk = self.keep(stub.start_bulk(self.folder, cores=self.load_core))
        except BaseException:
            self._ending.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def keep(self, process: Process) -> Process:
        """End this process when the bench ends."""
        return self._ending.enter_context(process)

    def gateway(self, vendors: Mapping[str, object] | None = None, *, workers: int = 1, cores: str = "") -> Process:
        """A gateway that answers; whoever asks for it ends it."""
        process = errgate.start(
            self.folder,
            errgate.vendors(self.stub, self.bulk) if vendors is None else vendors,
            cores=cores or self.proxy_core,
            workers=workers,
        )
        first = "plain" if vendors is None else next(iter(vendors))
        try:
            process.answered(f"/{first}/v1/ok", errgate.FIELDS)
        except BaseException:
            process.end()
            raise
        return process

    def subject(self, name: str) -> Process | None:
        """The gateway or a peer by its name, started at its first use; None where it is missing."""
        if name not in self.running and name not in self.missing:
            try:
                process = self.running[name] = self.keep(self._start(name))
                self._warm(process)
            except NotStarted as error:
                self.missing[name] = str(error).strip().rpartition("\n")[2][:200] or "it did not start"
        return self.running.get(name)

    def _warm(self, process: Process) -> None:
        """Give caches, and a compiler that compiles while it runs, their time: the processor's, on a busy machine."""
        end = time.perf_counter() + WARM_LIMIT_SECONDS
        while process.cpu_seconds() < WARM_SECONDS and time.perf_counter() < end:
            for path in ("/plain/v1/ok", "/tls/v1/ok"):
                run(process, path, cores=self.load_core, seconds=0.5, fields=errgate.FIELDS, warm=False)

    def _start(self, name: str) -> Process:
        if name == "errgate":
            return self.gateway()
        peer = next(peer for peer in (HELLO, *PEERS) if peer.name == name)
        if self.only and name not in self.only:
            raise NotStarted("left out")
        if peer.missing:
            raise NotStarted(f"not installed: {peer.install}")
        return peer.start(self.place)

    @property
    def place(self) -> Place:
        """Where a peer runs."""
        return Place(self.stub, self.folder, self.proxy_core)

    def load(self, process: Process, path: str, **more: object) -> Run:
        """One run of load from the second core."""
        return run(process, path, cores=self.load_core, seconds=self.effort.seconds, fields=errgate.FIELDS, **more)  # type: ignore[arg-type]


__all__ = ["HELLO", "PEERS", "Bench", "Effort", "Lacking", "Peer", "Stub"]
