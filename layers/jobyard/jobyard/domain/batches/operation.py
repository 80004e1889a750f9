"""An operation: a person's request to change many jobs of a batch, carried out by the machine.

It is a pass over the chunks with matching jobs. The outcome of each job is stored, so that the
person sees which of 3,000 jobs could not be changed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobyard.domain.batches.chunks import ChunkRecord
from jobyard.domain.errors import OperationInProgress
from jobyard.domain.jobs.job import JobRecord, JobState
from jobyard.domain.text import MESSAGE_BYTES, NAME_BYTES, REASON_BYTES, clean_fields

MAX_OPERATIONS = 25  # running operations in one batch; a request for all of its jobs is one


class OperationState(StrEnum):
    """The state of an operation."""

    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True)
class Filter:
    """Which jobs an operation changes: those in `state` with one of the failure codes and ids.

    Empty codes or ids mean any. With `by_machine` only jobs that the machine put in the state. With
    a `step` only those whose first unfinished step it is; with a `name` only those with this part
    in a name in their row, in any case.
    """

    state: JobState
    codes: frozenset[str] = frozenset()
    job_ids: frozenset[str] = frozenset()
    by_machine: bool = False
    step: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, step=NAME_BYTES, name=NAME_BYTES)

    @property
    def needs_rows(self) -> bool:
        """Whether the counts of a chunk do not tell if a job in it matches."""
        return bool(self.step or self.name)

    def matches_row(self, step: str, names: str) -> bool:
        """Whether it selects a job by its current step and the names in its row."""
        return self.step in {"", step} and self.name.casefold() in names.casefold()

    def matches(self, job: JobRecord) -> bool:
        """Whether it selects `job`."""
        return (
            job.state is self.state
            and (not self.codes or job.failure_code in self.codes)
            and (not self.job_ids or job.address.job_id in self.job_ids)
            and (not self.by_machine or job.history[-1].by_machine)
        )

    def match_count(self, chunk: ChunkRecord) -> int:
        """How many jobs of a chunk it selects, by the chunk's counts; ids, step and name are
        ignored.
        """
        if self.codes:
            return sum(chunk.failures.get(code, 0) for code in self.codes)
        return chunk.machine_held if self.by_machine else chunk.count(self.state)

    def not_requeueable_count(self, chunk: ChunkRecord) -> int:
        """How many jobs of a chunk it selects that cannot be requeued, by the chunk's counts."""
        if self.state is not JobState.FAILED:
            return 0
        codes = self.codes or chunk.not_requeueable.keys()
        return sum(chunk.not_requeueable.get(code, 0) for code in codes)

    def may_overlap(self, other: "Filter") -> bool:
        """Whether both may select the same job, now or later."""
        both_have_ids = self.job_ids and other.job_ids
        return not (both_have_ids and self.job_ids.isdisjoint(other.job_ids))


@dataclass(frozen=True)
class Operation:
    """One tracked operation. Each matching job is sent `event`.

    `matched` is how many jobs matched at the time of the request; of these, `not_requeueable` could
    not be requeued. If it `may_match_more`, these are only those that were counted. `chunks` are
    the numbers of the chunks with such jobs, ascending. `sub` is the actor's id. `outcomes` is the
    number of jobs by outcome; None while it runs, and if a worker did not finish a chunk.
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
    not_requeueable: int = 0
    may_match_more: bool = False
    outcomes: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        clean_fields(self, actor=NAME_BYTES, reason=REASON_BYTES)

    def description(self) -> str:
        """Its id and event, who requested it and when."""
        return (
            f"operation {self.operation_id} ({self.event}) of {self.actor} "
            f"has been running since {self.requested_at:%Y-%m-%d %H:%M:%S} UTC"
        )

    def check_conflicts(self, running: Collection["Operation"]) -> None:
        """Check that it may start while the operations `running` run in its batch.

        Two requeues of the same jobs would both requeue a job that fails again quickly. A second
        release finds nothing held, so it does no harm.

        Raises:
            OperationInProgress: a running operation may requeue the same jobs, or
                `MAX_OPERATIONS` are running.
        """
        if len(running) >= MAX_OPERATIONS:
            raise OperationInProgress(
                f"{len(running)} operations are running in batch {self.batch_id}: "
                "wait for one to end"
            )
        for other in running:
            both_requeue = self.event == other.event == "requeue"
            if both_requeue and self.filter.may_overlap(other.filter):
                raise OperationInProgress(f"{other.description()}; wait for it to end")


ACCEPTED, REFUSED = "accepted", "refused"


@dataclass(frozen=True)
class JobOutcome:
    """The outcome for one job: accepted, or refused with the reason in `message`.

    Views show the present state of the job instead of "accepted".
    """

    job_id: str
    outcome: str
    message: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, message=MESSAGE_BYTES)


def count_outcomes(outcomes: Collection[JobOutcome]) -> dict[str, int]:
    """The number of jobs by outcome."""
    total: dict[str, int] = {}
    for each in outcomes:
        total[each.outcome] = total.get(each.outcome, 0) + 1
    return total
