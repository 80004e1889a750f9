"""Pending work: what executions still have to do, and the work on a single job of any origin."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobyard.domain.jobs.job import JobAddress
from jobyard.services.executions import Executions, job_execution

WORKER_TIMEOUT = timedelta(minutes=15)  # the longest time limit of a Lambda function


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
    """The result of recovering a page of an origin's batches or schedules.

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
        executions.settings.job_machine,
        since,
        0,
        lambda number: job_execution(address, run, number),
        lambda number: executions.start_job(address, run, number),
    )
