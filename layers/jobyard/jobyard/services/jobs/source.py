"""The source of a worker's jobs: its producer, one class for each origin.

It hands due jobs to the runner and stores their changes. The runner treats all sources alike.
`services.origins` has a row for each origin.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from jobyard.domain.collection import Collection
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobRecord
from jobyard.domain.jobs.job_type import Continue, Fail, JobType, Snooze, StepInput
from jobyard.services.runs import ExecutionRun, NextStep

Change = tuple[JobRecord | None, JobRecord]  # the stored record (None: none yet), its successor


@dataclass(frozen=True)
class DueJob:
    """A job to start now. `is_orphaned`: its record says that it runs, but its worker is lost.

    It could have started at `ready_at`; None if how long it waits says nothing about the workers.
    """

    job: JobRecord
    is_orphaned: bool = False
    ready_at: datetime | None = None


class JobSource(Protocol):
    """The jobs that one invocation of a worker runs, for one run.

    `due` is called first; it also reads what `collection` and `is_stopped` return. The threads of
    steps call `step_input`, `remaining_for` and its result, and `collection`, while the worker's
    main thread calls any method. The other methods are called by the main thread only.
    """

    job_type: JobType[Any]
    run: ExecutionRun

    def due(self) -> Sequence[DueJob]:
        """The jobs to start now, in order."""

    def step_input(self, job: JobRecord) -> StepInput:
        """The input of the steps of a job."""

    def lock_key(self, job: JobRecord) -> str:
        """The object a job works on, "" for none. Jobs with the same key do not run together."""

    def collection(self) -> Collection | None:
        """The collection of the jobs, as of the last refresh; None if there is none."""

    def remaining_for(
        self, job: JobRecord, worker_remaining: Callable[[], float]
    ) -> Callable[[], float]:
        """A function that returns the seconds a step of a job has left, given the worker's own."""

    def free_slots(self, active_count: int) -> int:
        """How many more jobs may start now, while `active_count` run. The runner has a limit of its
        own, `CONCURRENT_JOBS`.
        """

    def interruption_before(self, job: JobRecord, step: str) -> Snooze | Continue | Fail | None:
        """Why the attempt ends before this step, or waits; None if the step may begin.

        The threads of steps call it too.
        """

    def must_stop(self, job: JobRecord, step: str) -> bool:
        """Whether a step that works in parts must end after the present part. The threads of steps
        call it too.
        """

    def time_out(self, job: JobRecord) -> Fail | None:
        """The failure of an attempt that has taken too long over all of its parts; None if it has
        not. The threads of steps call it too.
        """

    def orphan_failure(self, job: JobRecord, at: datetime) -> Failure:
        """The failure code of a job that has lost too many workers."""

    def write(self, changes: Sequence[Change]) -> list[JobRecord | None]:
        """Write changes to jobs. Returns for each the stored record, None if someone else was
        first.
        """

    def note_stale_job(self) -> None:
        """Note that someone else changed a job while a step of it ran: the worker lost it."""

    def refresh(self) -> None:
        """Look for holds and cancels, and save the counts. The runner calls it now and then."""

    @property
    def is_stopped(self) -> bool:
        """Whether a worker must start no more jobs."""

    def finish(self, not_started: Iterable[DueJob]) -> None:
        """Save the results. `not_started` are the due jobs that were not started."""

    def next_step(self) -> NextStep:
        """The next step of the execution of a single job, after this run of it."""
