"""Pending work: what executions still have to do. Recovery starts the next execution for it.

Each piece of work has executions with deterministic names: if execution n is not running, start
n+1. So two recoveries at once start one execution, and one that is cut off can be repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from jobyard.domain.jobs.job import JobAddress
from jobyard.services.executions import Executions, ExecutionStatus, job_execution

WORKER_TIMEOUT = timedelta(minutes=15)  # the longest time limit of a Lambda function
_START_TIMEOUT = timedelta(minutes=1)  # a request that has started no execution by then never will
# How long after the end of an execution the next one may start, by its status. The workers of a
# stopped execution may run until their time limit; those of a failed one have ended.
_PAUSE_AFTER = {
    "SUCCEEDED": _START_TIMEOUT,
    "FAILED": timedelta(),
    "ABORTED": WORKER_TIMEOUT,
    "TIMED_OUT": WORKER_TIMEOUT,
}
_MAX_PAUSE = timedelta(hours=1)  # between executions that fail one after the other


@dataclass(frozen=True)
class PendingWork:
    """A piece of work that an execution of `machine` has to do since `since`.

    `name` returns the name of execution n, and `start` starts it. `first` is the lowest n: 0 if the
    request itself starts execution 0. `other_names` are executions that may do the work too.
    """

    machine: str
    since: datetime
    first: int
    name: Callable[[int], str]
    start: Callable[[int], None]
    other_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecoveredPage:
    """The result of recovering a page of the batches, schedules or campaigns.

    `after` is where the next page begins, "" when there is none. `checked` counts what may have
    work, `recovered` the started executions.
    """

    after: str
    checked: int
    recovered: int


def work_of_job(
    address: JobAddress, run: str, since: datetime, executions: Executions
) -> PendingWork:
    """The work on a single job, which `run` owns since `since`."""
    return PendingWork(
        executions.machine_of(address),
        since,
        0,
        lambda number: job_execution(address, run, number),
        lambda number: executions.start_job(address, run, number),
    )


def recover(work: PendingWork, executions: Executions, now: datetime) -> bool:
    """Start the next execution for the work, unless one is running or it is too early. Returns
    whether one was started.
    """
    ended: list[ExecutionStatus] = []
    for name in work.other_names:
        status = executions.status(work.machine, name)
        if status and status.is_running:
            return False
        ended += [status] if status else []
    for number in count(work.first):
        status = executions.status(work.machine, work.name(number))
        if status is None:
            break
        if status.is_running:
            return False
        ended.append(status)
    if now < _earliest(work, ended, number):
        return False
    work.start(number)
    return True


def _earliest(work: PendingWork, ended: list[ExecutionStatus], number: int) -> datetime:
    """The earliest time for execution `number`, after those in `ended`."""
    last = max(ended, key=lambda status: status.ended_at, default=None)
    if last is None or last.ended_at < work.since:
        return work.since + _START_TIMEOUT
    pause = timedelta()
    if number > 1:
        # Twice as long for each execution after number 2. Its exponent is limited, as 2**1000
        # minutes is no timedelta.
        pause = min(_START_TIMEOUT * 2 ** min(number - 2, 10), _MAX_PAUSE)
    return last.ended_at + max(pause, _PAUSE_AFTER[last.status])
