"""Recovers the machine's work on edit jobs: starts what was not started, or what died.

Edit jobs are imported with the first one that the machine works on: most ticks find none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from jobyard.services.executions import Executions
from jobyard.services.pending_work import RecoveredPage, recover
from jobyard.store.due_work import DueEdit, due_edits

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
    due_jobs = [*islice(due_edits(now - _MINUTE), MAX_DUE)]
    for due in _turn_of(due_jobs, now):
        if remaining() <= 0:
            break
        done = _recover(due, executions, now)
        started, stuck = started + done.started, stuck + done.stuck
    return EditRecovery(started, stuck)


def recover_page(after: str, executions: Executions, now: datetime) -> RecoveredPage:
    """Recover the next `MAX_RECOVERED` jobs, and those that wait as long as the last of them.
    `after` is since when the last one before waits, "" to begin.
    """
    since = datetime.fromisoformat(after) if after else None
    checked = recovered = 0
    for due in due_edits(now - _MINUTE, since):
        if checked >= MAX_RECOVERED and due.since != since:
            return RecoveredPage(since.isoformat() if since else "", checked, recovered)
        since, checked = due.since, checked + 1
        recovered += _recover(due, executions, now).started
    return RecoveredPage("", checked, recovered)


def _turn_of(due_jobs: Sequence[DueEdit], now: datetime) -> Sequence[DueEdit]:
    """The jobs whose turn it is in this minute, so that some that fail again and again do not keep
    others from being recovered.
    """
    if len(due_jobs) <= MAX_RECOVERED:
        return due_jobs
    start = int(now.timestamp() // 60) * MAX_RECOVERED % len(due_jobs)
    return [*due_jobs[start:], *due_jobs[:start]][:MAX_RECOVERED]


def _recover(due: DueEdit, executions: Executions, now: datetime) -> EditRecovery:
    from jobyard.services.edits.pending_work import work_of
    from jobyard.store import edits

    job = edits.find(due.job_id)
    if job is None:
        return EditRecovery()
    work = work_of(job, executions)
    started = work is not None and recover(work, executions, now)
    return EditRecovery(int(started), int(job.is_stuck(now)))
