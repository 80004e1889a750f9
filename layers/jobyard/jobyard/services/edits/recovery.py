"""Recovers the machine's work on edit jobs: starts what was not started, or what died."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditState
from jobyard.services.edits.access import id_of
from jobyard.services.edits.tasks import task_of
from jobyard.services.executions import Executions, edit_execution
from jobyard.services.pending_work import PendingWork, RecoveredPage, recover
from jobyard.store import edits
from jobyard.store.edits import DueEdit, Job

MAX_DUE = 1_000  # jobs that one tick considers, those that wait longest
MAX_RECOVERED = 50  # jobs among them whose executions it looks up; the next tick does the next ones
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class EditRecovery:
    """The result of a recovery. `stuck` counts the jobs that the machine works on for too long."""

    started: int = 0
    stuck: int = 0


def recover_edits(
    executions: Executions, now: datetime, remaining: Callable[[], float]
) -> EditRecovery:
    """Start the next execution for each job that waits for the machine and has none that runs."""
    started = stuck = 0
    due_jobs = [*islice(edits.due(now - _MINUTE), MAX_DUE)]
    for due in _turn_of(due_jobs, now):
        if remaining() <= 0:
            break
        job = edits.find(due.job_id)
        work = None if job is None else work_of(job, executions)
        if work is not None:
            started += recover(work, executions, now)
        stuck += job is not None and job.is_stuck(now)
    return EditRecovery(started, stuck)


def recover_page(after: str, executions: Executions, now: datetime) -> RecoveredPage:
    """Recover the next `MAX_RECOVERED` jobs, and those that wait as long as the last of them.
    `after` is since when the last one before waits, "" to begin.
    """
    since = datetime.fromisoformat(after) if after else None
    checked = recovered = 0
    for due in edits.due(now - _MINUTE, since):
        if checked >= MAX_RECOVERED and due.since != since:
            return RecoveredPage(since.isoformat() if since else "", checked, recovered)
        since, checked = due.since, checked + 1
        job = edits.find(due.job_id)
        work = None if job is None else work_of(job, executions)
        if work is not None:
            recovered += recover(work, executions, now)
    return RecoveredPage("", checked, recovered)


def _turn_of(due_jobs: Sequence[DueEdit], now: datetime) -> Sequence[DueEdit]:
    """The jobs whose turn it is in this minute, so that some that fail again and again do not keep
    others from being recovered.
    """
    if len(due_jobs) <= MAX_RECOVERED:
        return due_jobs
    start = int(now.timestamp() // 60) * MAX_RECOVERED % len(due_jobs)
    return [*due_jobs[start:], *due_jobs[:start]][:MAX_RECOVERED]


def work_of(job: Job, executions: Executions) -> PendingWork | None:
    """What the machine has to do about a job; None if it has nothing to do."""
    found = task_of(job)
    if found is None:
        return None
    job_id = id_of(job)
    task, number = found
    return PendingWork(
        executions.settings.edit_machine,
        job.due_since,
        0,
        lambda recoveries: edit_execution(job_id, task, number, recoveries),
        lambda recoveries: executions.start_edit(job_id, task, number, recoveries),
        _executions_before(job),
    )


def _executions_before(job: Job) -> tuple[str, ...]:
    """The executions of the tasks before, which do this one too if they still run."""
    read = (
        (edit_execution(id_of(job), "read", f"{job.attempt}-{job.sent.number}"),)
        if job.sent is not None and not job.is_reading
        else ()
    )
    if isinstance(job, ChildJob):
        return read
    check = edit_execution(job.edit_id, "check", f"{job.attempt}-{job.checks}")
    if job.state in {EditState.COMMITTED, EditState.PUBLISHED}:
        return (*read, check)
    if job.is_batch and job.state is EditState.UPLOADED:
        return (edit_execution(job.edit_id, "batch", str(job.attempt)),)
    return read
