"""
Jobs that live from poll to poll: each poll shows the next state, the last one stays. Bounded, and without a clock.

The state lives in `Jobs`, one per vendor and sandbox.
"""

import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from .catalogue import DocumentedError

# Enough for any demo or test run; a job weighs less than 1 KiB, so a vendor's jobs stay below 1 MiB.
MOST_JOBS = 1000


@dataclass(slots=True)
class Job:
    """
    One piece of work. `ending` is the failure it runs into, None for success; `facts` is what its payload repeats.

    `polls` counts how often it was looked at; `created` is Unix seconds.
    """

    id: str
    kind: str
    created: float
    ending: DocumentedError | None = None
    facts: dict[str, str | None] = field(default_factory=dict)
    polls: int = 0

    def polled(self) -> Self:
        """The job, one poll further."""
        self.polls += 1
        return self

    def state(self, running: Sequence[str], done: str) -> str:
        """Where it stands: one state of `running` per poll, then `done` for good."""
        return running[max(self.polls, 1) - 1] if self.polls <= len(running) else done


class Jobs:
    """The jobs of one vendor, at most `most`; the oldest is forgotten first."""

    def __init__(self, most: int = MOST_JOBS) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def create(self, kind: str, created: float, ending: DocumentedError | None = None, *, prefix: str = "") -> Job:
        """A new job with an id of its own."""
        job = Job(f"{prefix}{uuid.uuid4()}", kind, created, ending)
        self._jobs[job.id] = job
        while len(self._jobs) > self._most:
            self._jobs.popitem(last=False)
        return job

    def get(self, job_id: str) -> Job | None:
        """The job as it stands, or None for an unknown or forgotten one."""
        return self._jobs.get(job_id)

    def remove(self, job_id: str) -> None:
        """Forget a job."""
        self._jobs.pop(job_id, None)


def ended(job_id: str, kind: str, at: float, ending: DocumentedError) -> Job:
    """A job nobody created, already at its end: what `Sandbox-Error` on a poll shows."""
    # More polls than any vendor has states.
    return Job(job_id, kind, at, ending, polls=100)
