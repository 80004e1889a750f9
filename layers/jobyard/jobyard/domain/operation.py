"""An operation: one person's wish for many jobs of a batch, carried out by the machine.

It is a pass over the chunks that hold matching jobs. Each job's outcome is kept, so that nobody
has to guess which of 3,000 jobs a bulk action missed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobyard.domain.job import JobRecord, JobState


class OperationState(StrEnum):
    """Where an operation stands."""

    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True)
class Filter:
    """Which jobs are meant: those in `state`, of the named codes, of the named ids, put there by
    the machine if `by_machine`.

    Nothing named means any.
    """

    state: JobState
    codes: frozenset[str] = frozenset()
    job_ids: frozenset[str] = frozenset()
    by_machine: bool = False

    def matches(self, job: JobRecord) -> bool:
        """Whether `job` is meant."""
        return (
            job.state is self.state
            and (not self.codes or job.failure_code in self.codes)
            and (not self.job_ids or job.place.job_id in self.job_ids)
            and (not self.by_machine or job.history[-1].is_machines)
        )

    def matching(self, counts: Mapping[str, int], failures: Mapping[str, int]) -> int:
        """How many jobs of a chunk with these counts are meant, its ids left out of account."""
        if self.codes:
            return sum(failures.get(code, 0) for code in self.codes)
        return counts.get(self.state, 0)


@dataclass(frozen=True)
class Operation:
    """One tracked operation. `event` is what each job that matches is sent.

    `matched` is how many jobs matched when it was asked for; the outcomes say what became of them.
    `chunks` are the numbers of the chunks they lie in, in order. `sub` is the actor's id.
    """

    batch_id: str
    operation_id: str
    event: str
    filter: Filter
    actor: str
    reason: str
    asked_at: datetime
    matched: int
    chunks: tuple[int, ...]
    state: OperationState = OperationState.RUNNING
    ended_at: datetime | None = None
    sub: str = ""


ACCEPTED, REFUSED = "accepted", "refused"


@dataclass(frozen=True)
class JobOutcome:
    """What an operation did to one job: accepted, or refused and why. A view says instead of
    accepted how the job stands now."""

    job_id: str
    outcome: str
    message: str = ""


def tally(outcomes: Collection[JobOutcome]) -> dict[str, int]:
    """How many jobs came to each outcome."""
    total: dict[str, int] = {}
    for each in outcomes:
        total[each.outcome] = total.get(each.outcome, 0) + 1
    return total
