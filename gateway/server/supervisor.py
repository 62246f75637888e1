"""
Several workers of one gateway: started, watched, replaced when they die, and spoken for on one admin port.

The supervisor listens on both ports and hands the traffic socket to every worker; it serves no traffic itself. A worker
is the same command in a process of its own, in a session of its own, so that a terminal's Ctrl-C reaches the supervisor
alone. A worker whose supervisor is gone drains and ends.

One file, since a worker's start, death, reload and end are cases of one state: the list of workers.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import pickle
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gateway import __version__, log
from gateway.admin import create_admin
from gateway.allowance import IN_MEMORY
from gateway.console.together import Together
from gateway.console.totals import NAMES
from gateway.limits import shared
from gateway.metrics import FOLDER_VARIABLE, encoded, forget_worker, of_workers
from gateway.metrics.samples import Sample, samples
from gateway.reload import fingerprint, needs_restart, watch
from gateway.settings import Settings, SettingsError

from .control import Answer, Line, written
from .folder import Folder

T = TypeVar("T")

# Where a worker finds what it was handed.
PLACE_VARIABLE = "ERRGATE_WORKER"

# Contract 4: `/-/healthy` fails when a worker has not answered for 5 s.
SILENCE_LIMIT_SECONDS = 5.0

# A worker that dies sooner than this after its start is not replaced at once; where none lives longer, not for ever.
SHORT_LIFE_SECONDS = 2.0
SHORT_LIVES_LIMIT = 3
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0

# How long a worker that was told to stop may take beyond what its requests may.
STOPPING_SECONDS = 3.0

# How long a worker may take for an answer, and how long for its first one: it has to start before.
ANSWER_SECONDS = 5.0
FIRST_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """
    What a worker is handed: its sockets, its number, and the memory in which the workers count limits together.

    A worker has the number of the one that it replaces. `memory` is a descriptor; None: limits are counted elsewhere.
    """

    traffic: socket.socket
    control: socket.socket
    number: int
    memory: int | None


class Worker:
    """
    One worker process; `number` is its place among the others.

    Mutable state: when it was heard of last, whether it is ready, and the questions that it has not answered yet.
    """

    def __init__(self, process: asyncio.subprocess.Process, line: Line, number: int) -> None:
        self.process = process
        self.number = number
        self.line = line
        self.began_at = self.heard_at = time.monotonic()
        self.ready = False
        self.gone = False
        self._questions: dict[int, asyncio.Future[Answer]] = {}
        self._numbers = itertools.count()

    @property
    def silent(self) -> bool:
        """Whether it has not been heard of for too long."""
        return time.monotonic() - self.heard_at > SILENCE_LIMIT_SECONDS

    async def listen(self) -> None:
        """Hear it out until it is gone."""
        while (message := await self.line.hear()) is not None:
            self.heard_at = time.monotonic()
            self.ready = self.ready or "ready" in message
            question = self._questions.pop(message.get("id", -1), None)
            if question is not None and not question.done():
                question.set_result(message)
        self.gone = True
        for question in self._questions.values():
            question.cancel()

    async def ask(self, order: str, *, within: float = ANSWER_SECONDS, **more: object) -> Answer | None:
        """Its answer; None when it is gone or takes longer than so many seconds."""
        if self.gone:
            return None
        number = next(self._numbers)
        question = self._questions[number] = asyncio.get_running_loop().create_future()
        self.line.say(id=number, do=order, **more)
        done, _ = await asyncio.wait({question}, timeout=within)
        self._questions.pop(number, None)
        return question.result() if done and not question.cancelled() else None

    async def prepare(self, settings: Settings) -> Answer | None:
        """What it finds wrong with new settings; it keeps them until it is told to commit to them."""
        patience = ANSWER_SECONDS if self.ready else FIRST_ANSWER_SECONDS
        return await self.ask("prepare", within=patience, settings=written(settings))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


class Supervisor:
    """
    The workers of one gateway, and what an operator asks of them all.

    Mutable state: the workers that live, the settings in force, what their files said when they were read last, and
    whether the gateway is stopping.

    Raises:
        SettingsError: where the settings cannot be handed to another process.
    """

    def __init__(
        self,
        settings: Settings,
        reread: Callable[[Settings], Settings],
        traffic: socket.socket,
        command: Sequence[str],
    ) -> None:
        try:
            written(settings)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise SettingsError(
                [f"server.workers: a normalizer cannot be handed to a worker ({error}); mend its package, or write 1"]
            ) from error
        self.settings = settings
        self._reread = reread
        self._traffic = traffic
        self._command = command
        self._workers: list[Worker] = []
        self._tending: set[asyncio.Task[None]] = set()
        self._reloads: set[asyncio.Future[list[str]]] = set()
        self._reloading = asyncio.Lock()
        self._short_lives = 0
        self.seen = b""
        self.stopping = False
        self.failed = asyncio.Event()
        in_memory = settings.limit_store.url.get_secret_value() == IN_MEMORY
        self._shelf = shared.create() if in_memory else None
        self._folder = Folder()
        self.metrics_folder = self._folder.path
        self._together = Together()
        self.admin = create_admin(self)

    # The workers.

    async def start(self) -> None:
        """Start all workers, and wait until one is ready or none can be."""
        for number in range(self.settings.server.workers):
            await self._start_one(number)
        while not self.is_ready() and not self.failed.is_set():  # noqa: ASYNC110  (two ends, each a state of its own)
            await asyncio.sleep(0.02)

    async def _start_one(self, number: int) -> None:
        # Not in the middle of a reload: the new worker would miss half of it.
        async with self._reloading:
            await self._start_now(number)

    async def _start_now(self, number: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            handed = [self._traffic.fileno(), theirs.fileno()]
            if self._shelf is not None:
                handed.append(self._shelf.fd)
            process = await asyncio.create_subprocess_exec(
                *self._command,
                pass_fds=handed,
                start_new_session=True,
                env={
                    **os.environ,
                    PLACE_VARIABLE: ",".join(map(str, (number, *handed))),
                    FOLDER_VARIABLE: self.metrics_folder,
                },
            )
        worker = Worker(process, await Line.over(ours), number)
        worker.line.hand(self.settings)
        self._workers.append(worker)
        if self.stopping:
            worker.signal(signal.SIGTERM)
        tending = asyncio.create_task(self._tend(worker))
        self._tending.add(tending)
        tending.add_done_callback(self._tending.discard)

    async def _tend(self, worker: Worker) -> None:
        """Listen to a worker until it dies, then replace it."""
        await worker.listen()
        # A worker that lives on without its line hears from this that it is alone, and ends.
        worker.line.close()
        status = await worker.process.wait()
        self._workers.remove(worker)
        forget_worker(worker.process.pid, self.metrics_folder)
        if self._shelf is not None:
            # What it had in flight comes back; a lock that is held meanwhile is waited for.
            await asyncio.to_thread(self._shelf.forget, worker.number)
        if self.stopping:
            return
        lived = time.monotonic() - worker.began_at
        log.event(logging.ERROR, "worker died", pid=worker.process.pid, status=status, lived_seconds=round(lived, 3))
        self._short_lives = self._short_lives + 1 if lived < SHORT_LIFE_SECONDS else 0
        if self._short_lives >= SHORT_LIVES_LIMIT * self.settings.server.workers and not self.is_ready():
            self.failed.set()
            return
        if self._short_lives:
            doubled = FIRST_PAUSE_SECONDS * 2 ** min(self._short_lives, SHORT_LIVES_LIMIT)
            await asyncio.sleep(min(doubled, LONGEST_PAUSE_SECONDS))
        if not self.stopping:
            await self._start_one(worker.number)

    async def stop(self, number: signal.Signals) -> None:
        """End all workers by this signal, and wait until the last is gone; one that does not end in time is killed."""
        self.stopping = True
        for worker in list(self._workers):
            worker.signal(number)
        # The workers have the port for as long as they take requests; then nobody shall wait in its queue.
        self._traffic.close()
        patience = self.settings.server.shutdown.lameduck + self.settings.grace_seconds + STOPPING_SECONDS
        end = time.monotonic() + patience
        while self._tending:
            await asyncio.wait(self._tending, timeout=max(0.0, end - time.monotonic()))
            if time.monotonic() >= end:
                for worker in list(self._workers):
                    log.event(logging.ERROR, "worker does not end: killed", pid=worker.process.pid)
                    worker.signal(signal.SIGKILL)
                end = time.monotonic() + STOPPING_SECONDS
        self._folder.remove()
        if self._shelf is not None:
            self._shelf.close()

    def hurry(self) -> None:
        """Ctrl-C again: running requests are not waited for any more."""
        for worker in list(self._workers):
            worker.signal(signal.SIGINT)

    # What an operator asks.

    def is_healthy(self) -> bool:
        """Whether every worker has been heard of lately."""
        return bool(self._workers) and not any(worker.silent for worker in self._workers)

    def is_ready(self) -> bool:
        """Whether one worker takes requests and none drains."""
        return not self.stopping and any(worker.ready for worker in self._workers)

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """The metrics of all workers together."""
        return await asyncio.to_thread(steadily, lambda: encoded(of_workers(self.metrics_folder), accept))

    async def samples(self) -> list[Sample]:
        """What has been counted by all workers together, as far as the console shows it."""
        return await asyncio.to_thread(steadily, lambda: [*samples(of_workers(self.metrics_folder), NAMES)])

    async def recent(self, after: int) -> dict[str, Any]:
        """What failed last at any worker, and the codes that no table knows."""
        asked = list(self._workers)
        self._together.keep({worker.process.pid for worker in asked})
        answers = await asyncio.gather(
            *(worker.ask("recent", after=self._together.cursor(worker.process.pid)) for worker in asked)
        )
        for worker, answer in zip(asked, answers, strict=True):
            if answer is not None and "recent" in answer:
                self._together.take(worker.process.pid, answer["recent"])
        return self._together.told(after)

    async def status(self) -> dict[str, object]:
        """What each worker says of itself."""
        asked = list(self._workers)
        answers = await asyncio.gather(*(worker.ask("status") for worker in asked))
        workers = [
            {"pid": worker.process.pid, "ready": worker.ready, **((answer or {}).get("status") or {"state": "silent"})}
            for worker, answer in zip(asked, answers, strict=True)
        ]
        state = "draining" if self.stopping else "ready" if self.is_ready() else "not ready"
        return {"version": __version__, "state": state, "warnings": list(self.settings.warnings), "workers": workers}

    async def reread(self) -> list[str]:
        """Have all workers take the settings of the file, or none."""
        async with self._reloading:
            self.seen = fingerprint(self.watched)
            try:
                settings = self._reread(self.settings)
                faults = needs_restart(self.settings, settings)
            except SettingsError as error:
                faults = list(error.faults)
            workers = list(self._workers)
            if not faults:
                for answer in await asyncio.gather(*(worker.prepare(settings) for worker in workers)):
                    faults += ["a worker did not answer; try again"] if answer is None else answer["faults"]
            verdict = "abandon" if faults else "commit"
            await asyncio.gather(*(worker.ask(verdict) for worker in workers))
            if faults:
                log.event(logging.ERROR, "settings not reloaded: the old ones stay in force", faults=faults)
                return list(dict.fromkeys(faults))
            self.settings = settings
            return []

    @property
    def watched(self) -> frozenset[Path]:
        """The files whose change calls for a reload."""
        return self.settings.files

    def reload(self) -> asyncio.Future[list[str]]:
        """Reload, as a signal or a changed file asks for it; done when every worker has, or none."""
        task = asyncio.ensure_future(self.reread())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
        return task

    async def watch_files(self) -> None:
        """Reload whenever a watched file changes, until cancelled."""
        await watch(self)


def steadily(read: Callable[[], T]) -> T:
    """Read the workers' metrics, again where a worker that starts or ends changed its files meanwhile."""
    for _ in range(3):
        with contextlib.suppress(struct.error, FileNotFoundError):
            return read()
        time.sleep(0.01)
    return read()


def place() -> Place | None:
    """What this process was handed by the supervisor that started it; None in any other."""
    handed = os.environ.pop(PLACE_VARIABLE, None)
    if handed is None:
        return None
    number, traffic, control, *memory = map(int, handed.split(","))
    return Place(socket.socket(fileno=traffic), socket.socket(fileno=control), number, memory[0] if memory else None)


def own_command() -> list[str]:
    """The command that this process is, for a worker to be the same."""
    return [sys.executable, "-m", "gateway", *sys.argv[1:]]
