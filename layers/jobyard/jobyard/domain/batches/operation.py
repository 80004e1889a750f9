"""An operation: one person's wish for many jobs of a batch, carried out by the machine.

It is a pass over the chunks that hold matching jobs. Each job's outcome is kept, so that nobody
has to guess which of 3,000 jobs a bulk action missed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobyard.domain.batches.chunks import ChunkRecord
from jobyard.domain.errors import OperationInProgress
from jobyard.domain.jobs.job import JobRecord, JobState
from jobyard.domain.text import MESSAGE_BYTES, NAME_BYTES, REASON_BYTES, clean_fields

MAX_OPERATIONS = 25  # operations in one batch; one person's wish for all of its jobs is one


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
            and (not self.job_ids or job.address.job_id in self.job_ids)
            and (not self.by_machine or job.history[-1].by_machine)
        )

    def match_count(self, chunk: ChunkRecord) -> int:
        """How many jobs of a chunk are meant by its counts, the ids left out of account."""
        if self.codes:
            return sum(chunk.failures.get(code, 0) for code in self.codes)
        return chunk.machine_held if self.by_machine else chunk.count(self.state)

    def not_retryable_count(self, chunk: ChunkRecord) -> int:
        """How many of those can no longer be requeued, by its counts."""
        if self.state is not JobState.FAILED:
            return 0
        codes = self.codes or chunk.not_retryable.keys()
        return sum(chunk.not_retryable.get(code, 0) for code in codes)

    def may_overlap(self, other: "Filter") -> bool:
        """Whether some job may be meant by both, now or in a moment."""
        both_name = self.job_ids and other.job_ids
        return not (both_name and self.job_ids.isdisjoint(other.job_ids))


@dataclass(frozen=True)
class Operation:
    """One tracked operation. `event` is what each job that matches is sent.

    `matched` is how many jobs matched when it was asked for, `refused` how many of them could not
    be requeued even then; the outcomes say what became of each.
    `chunks` are the numbers of the chunks they lie in, in order. `sub` is the actor's id.
    """

    batch_id: str
    operation_id: str
    event: str
    filter: Filter
    actor: str
    reason: str
    requested_at: datetime
    matched: int
    chunks: tuple[int, ...]
    state: OperationState = OperationState.RUNNING
    ended_at: datetime | None = None
    sub: str = ""
    not_retryable: int = 0

    def __post_init__(self) -> None:
        clean_fields(self, actor=NAME_BYTES, reason=REASON_BYTES)

    def description(self) -> str:
        """What is being done, by whom and since when, in a sentence."""
        return (
            f"operation {self.operation_id} ({self.event}) of {self.actor} "
            f"has been under way since {self.requested_at:%Y-%m-%d %H:%M:%S} UTC"
        )

    def check_conflicts(self, running: Collection["Operation"]) -> None:
        """See whether it may begin beside those that are `running` in its batch.

        A job that fails again quickly would be requeued by each of two requeues; a release takes
        only what is held, so that a second one finds nothing.

        Raises:
            OperationInProgress: one of them may requeue the same jobs, or there are too many.
        """
        if len(running) >= MAX_OPERATIONS:
            raise OperationInProgress(
                f"{len(running)} operations are under way in batch {self.batch_id}: await their end"
            )
        for other in running:
            same = self.event == other.event == "requeue"
            if same and self.filter.may_overlap(other.filter):
                raise OperationInProgress(f"{other.description()}; await its end")


ACCEPTED, REFUSED = "accepted", "refused"


@dataclass(frozen=True)
class JobOutcome:
    """What an operation did to one job: accepted, or refused and why. A view says instead of
    accepted how the job stands now."""

    job_id: str
    outcome: str
    message: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, message=MESSAGE_BYTES)


def count_outcomes(outcomes: Collection[JobOutcome]) -> dict[str, int]:
    """How many jobs came to each outcome."""
    total: dict[str, int] = {}
    for each in outcomes:
        total[each.outcome] = total.get(each.outcome, 0) + 1
    return total
