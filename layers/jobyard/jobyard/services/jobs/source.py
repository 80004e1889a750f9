"""Where a worker's jobs come from: what differs between a batch's jobs and a schedule's.

The runner runs the jobs of any source alike. `services.origins` has a row for each origin.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from jobyard.domain.collection import Collection
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobRecord
from jobyard.domain.jobs.job_type import JobType, StepInput
from jobyard.services.runs import ExecutionRun, NextStep

Change = tuple[JobRecord | None, JobRecord]  # the stored record (None: none yet), its successor


@dataclass(frozen=True)
class DueJob:
    """A job to start now. `is_orphaned`: it is still running, but its worker has vanished."""

    job: JobRecord
    is_orphaned: bool = False


class JobSource(Protocol):
    """The jobs that one invocation of a worker runs, for one run.

    Only the worker's own thread calls these; `collection` and what `remaining` returns are called
    by the threads of steps too.
    """

    job_type: JobType[Any]
    run: ExecutionRun

    def due(self) -> Sequence[DueJob]:
        """The jobs to start now, in order."""

    def step_input(self, job: JobRecord) -> StepInput:
        """What the steps of a job are given."""

    def lock(self, job: JobRecord) -> str:
        """The object a job works on, "" for none. Jobs on the same one do not overlap."""

    def collection(self) -> Collection | None:
        """The collection the jobs work for, as of the last refresh; None if there is none."""

    def remaining(self, job: JobRecord, remaining: Callable[[], float]) -> Callable[[], float]:
        """The seconds a step of a job has left, given what the worker has left."""

    def orphan_failure(self, job: JobRecord, at: datetime) -> Failure:
        """Why a job fails that has lost too many workers."""

    def write(self, changes: Sequence[Change]) -> list[JobRecord | None]:
        """Write changes to jobs. For each: the stored record, None if someone else was first."""

    def note_conflict(self) -> None:
        """Someone else changed a job while a step of it was at work."""

    def refresh(self) -> None:
        """Every two seconds: look for holds and cancels, and save the counts."""

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is to be started."""

    def finish(self, left: Iterable[DueJob]) -> None:
        """Save what became of the jobs. `left` are the due ones that were not started."""

    def next_step(self) -> NextStep:
        """Where the execution of a single job goes after this run of it."""
