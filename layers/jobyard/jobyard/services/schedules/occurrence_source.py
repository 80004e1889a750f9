"""The job of an occurrence, as a worker runs it: a `JobSource` of one job, without counts."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from jobyard.domain.collection import Collection
from jobyard.domain.errors import NotFound
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState
from jobyard.domain.jobs.job_type import JobType, StepInput
from jobyard.domain.schedules.occurrence import Occurrence
from jobyard.jobtypes import job_type_of
from jobyard.services.jobs.request_share import RequestShare
from jobyard.services.jobs.runner import CONCURRENT_JOBS
from jobyard.services.jobs.source import Change, DueJob
from jobyard.services.jobs.worker import Worker
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.services.schedules.jobs import orphan_failure, owned_job
from jobyard.store import jobs, occurrences

_CHECK_S = 2.0  # between the checks of a step whether its job was cancelled


def job_source(address: JobAddress, run: ExecutionRun, worker: Worker) -> "OccurrenceSource":
    """The source of the job of an occurrence.

    Raises:
        NotFound: there is no such occurrence.
    """
    occurrence = occurrences.find(address)
    if occurrence is None:
        raise NotFound(f"there is no job {address.job_id}")
    return OccurrenceSource(occurrence, run, worker)


@dataclass
class OccurrenceSource:
    """The one job of an occurrence, if `run` owns it and it is due."""

    occurrence: Occurrence
    run: ExecutionRun
    worker: Worker

    def __post_init__(self) -> None:
        self.job_type: JobType[Any] = job_type_of(self.occurrence.job_type)
        self.job: JobRecord | None = None
        self.requests = RequestShare(self.occurrence.address.job_id, self.worker, self.job_type)

    def due(self) -> list[DueJob]:
        """The job, unless its retry is not due yet."""
        now = self.worker.now()
        owned = owned_job(self.occurrence.address, self.run, now)
        if owned is None:
            return []
        _, self.job = owned
        if self.job.next_at and self.job.next_at > now:
            return []
        self.requests.renew()
        if self.job.state is JobState.RUNNING:
            return [DueJob(self.job, is_orphaned=True)]
        ready_at = self.job.next_at or (
            self.job.at if self.job.version else self.occurrence.decided_at
        )
        return [DueJob(self.job, ready_at=ready_at)]

    def step_input(self, job: JobRecord) -> StepInput:
        """The scheduled time of the job, and the parameters of its schedule."""
        scheduled_for = self.occurrence.scheduled_for.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return StepInput(
            batch_id="",
            job_id=job.address.job_id,
            collection="",
            entry={"scheduled_for": scheduled_for},
            parameters=self.occurrence.parameters,
            data=job.data,
            attempt=job.start_count,
        )

    def lock_key(self, job: JobRecord) -> str:
        """Returns "": no other job runs at the same time."""
        return ""

    def collection(self) -> Collection | None:
        """Returns None: a schedule's jobs have no collection."""
        return None

    def remaining_for(
        self, job: JobRecord, worker_remaining: Callable[[], float]
    ) -> Callable[[], float]:
        """The worker's own time; 0 once the job is cancelled, replaced or run elsewhere."""
        checked_at, is_ours = self.worker.now(), True

        def remaining() -> float:
            nonlocal checked_at, is_ours
            now = self.worker.now()
            if is_ours and (now - checked_at).total_seconds() >= _CHECK_S:
                stored = jobs.find(job.address)
                is_ours = stored is not None and stored.cause == job.cause
                checked_at = self.worker.now()
            return worker_remaining() if is_ours else 0.0

        return remaining

    def free_slots(self, active_count: int) -> int:
        """No limit besides the runner's own."""
        return CONCURRENT_JOBS

    def interruption_before(self, job: JobRecord, step: str) -> None:
        """Returns None: an attempt runs all of its steps."""

    def must_stop(self, job: JobRecord, step: str) -> bool:
        """Returns False: a step ends when it is done."""
        return False

    def time_out(self, job: JobRecord) -> None:
        """Returns None: its parts may take any time, each of them that of its job type."""

    def orphan_failure(self, job: JobRecord, at: datetime) -> Failure:
        """Why the orphaned job fails; see `schedules.jobs`."""
        return orphan_failure(job, self.occurrence.job_type, at)

    def write(self, changes: Sequence[Change]) -> list[JobRecord | None]:
        """Write changes to the job."""
        written = jobs.write_many(changes)
        if written:
            self.job = written[-1]
        return written

    def note_stale_job(self) -> None:
        """Forget the job: the run that took it decides what comes next."""
        self.job = None

    def refresh(self) -> None:
        """Renew the share of requests. A hold on a job type stops the schedule, not its job."""
        self.requests.renew()

    @property
    def is_stopped(self) -> bool:
        """Returns False: a hold stops the schedule, not a job that it has started."""
        return False

    def finish(self, not_started: Iterable[DueJob]) -> None:
        """Give the share of requests back. The schedule changes when the job is settled."""
        self.requests.release()

    def next_step(self) -> NextStep:
        """Run the job again at its retry, else settle it."""
        job, address = self.job, self.occurrence.address
        settle = NextStep(address.origin_id, "settle", run=self.run, address=address)
        if job and job.state is JobState.SCHEDULED and job.next_at:
            return replace(settle, next="next_pass", run=self.run.next_pass(), until=job.next_at)
        return settle
