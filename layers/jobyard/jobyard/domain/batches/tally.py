"""The tally of a batch: what its chunks' counts add up to, in one small item, and its strip.

Source of the strip's width: the design of the pages, "Counting is the bottleneck".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jobyard.domain import freshness
from jobyard.domain.batches.batch import BATCH, Batch
from jobyard.domain.batches.chunks import (
    ChunkRecord,
    TimeSpan,
    spans,
    sum_counts,
    unrecorded_state,
)
from jobyard.domain.batches.progress import Sample
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import OPEN_JOB_STATES, PROGRESS_ORDER, JobState
from jobyard.domain.lifecycle import StateType

STRIP_COLUMNS = 500  # a batch with fewer jobs has a column for each
COLUMN_SHARES = 15  # what the shares of a column add up to
COLUMN_STATES = 4  # states that a column shows, which bounds the size of the strip
_ENDED = frozenset({StateType.TERMINAL, StateType.INTERACTION})


@dataclass(frozen=True)
class StripSegment:
    """Neighbouring columns of a strip that look the same.

    `shares` are (state, share), in `PROGRESS_ORDER`; the shares add up to `COLUMN_SHARES`.
    """

    columns: int
    shares: tuple[tuple[JobState, int], ...]


@dataclass(frozen=True)
class FailedJobs:
    """Failed jobs of a batch with the same code; a requeue can help all but `not_requeueable`.

    The first of them failed at `first_seen_at`, the last at `last_seen_at`; None if that was not
    recorded.
    """

    code: str
    count: int
    not_requeueable: int = 0
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None

    @property
    def description(self) -> str:
        """The failure for people."""
        return Failure(self.code).description


@dataclass(frozen=True)
class Tally:
    """The counts of a batch's jobs.

    `counts` has every state and the total, `failures` the failed jobs by code, `not_requeueable`
    those of them that cannot be requeued, `failed_at` when the first and the last failed, as far as
    recorded. `next_retry` is when the first waiting job may start again, None if no job waits.
    `strip` shows all jobs in the order of the manifest.

    `counted_at` is when counting began, and `duration` how long it took. `batch_version` and
    `operations_version` are those that were read before: the tally has all changes up to them. A
    tally that `is_final` stays right until one of them changes. `samples` are the numbers of ended
    jobs of this and the last tallies, with times in seconds since 1970.
    """

    counts: Mapping[str, int]
    failures: Mapping[str, int]
    not_requeueable: Mapping[str, int]
    next_retry: datetime | None
    strip: tuple[StripSegment, ...]
    counted_at: datetime
    batch_version: int
    duration: timedelta = timedelta()
    operations_version: int = 0
    is_final: bool = False
    samples: tuple[Sample, ...] = ()
    failed_at: Mapping[str, TimeSpan] = field(default_factory=dict)

    @property
    def failure_groups(self) -> tuple[FailedJobs, ...]:
        """The failed jobs by code, the largest group first."""
        largest_first = sorted(self.failures.items(), key=lambda group: (-group[1], group[0]))
        return tuple(
            FailedJobs(
                code,
                number,
                self.not_requeueable.get(code, 0),
                *self.failed_at.get(code, (None, None)),
            )
            for code, number in largest_first
        )

    def has_changes(self, batch_version: int, operations_version: int) -> bool:
        """Whether it counts all changes up to these versions."""
        return self.batch_version >= batch_version and self.operations_version >= operations_version

    @property
    def max_age(self) -> timedelta:
        """How long it is shown before the jobs are counted again."""
        return freshness.max_age(self.duration)

    def is_fresh(self, now: datetime) -> bool:
        """Whether it is shown without counting the jobs again."""
        return self.is_final or freshness.is_younger(self.counted_at, self.max_age, now)

    def is_usable(self, now: datetime) -> bool:
        """Whether it is shown, stale, while another reader counts the jobs again."""
        return self.is_final or freshness.is_younger(self.counted_at, 2 * self.max_age, now)


def tally_of(batch: Batch, records: Sequence[ChunkRecord], at: datetime) -> Tally:
    """The tally of a batch by the counts of its chunks, in order, counted at `at`."""
    retries = [run.next_at for record in records for run in record.runs.values() if run.next_at]
    return Tally(
        counts=_counts_of(batch, records),
        failures=sum_counts(record.failures for record in records),
        not_requeueable=sum_counts(record.not_requeueable for record in records),
        failed_at=spans(record.failed_at for record in records),
        next_retry=min(retries, default=None),
        strip=_strip_of(batch, records),
        counted_at=at,
        batch_version=batch.version,
    )


def has_ended(batch: Batch, counts: Mapping[str, int]) -> bool:
    """Whether a batch has ended and, by `counts`, has no open job."""
    is_ended = BATCH.state(batch.state).type in _ENDED
    return is_ended and not any(counts[state] for state in OPEN_JOB_STATES)


def _counts_of(batch: Batch, records: Iterable[ChunkRecord]) -> dict[str, int]:
    recorded = sum_counts(record.counts for record in records)
    counts = {state.value: recorded.get(state.value, 0) for state in JobState}
    counts[unrecorded_state(batch)] += batch.entries - sum(recorded.values())
    return counts | {"total": batch.entries}


def _strip_of(batch: Batch, records: Iterable[ChunkRecord]) -> tuple[StripSegment, ...]:
    segments: list[StripSegment] = []
    for mix in _columns_of(batch, records):
        shares = _shares_of(mix)
        if segments and segments[-1].shares == shares:
            segments[-1] = StripSegment(segments[-1].columns + 1, shares)
        else:
            segments.append(StripSegment(1, shares))
    return tuple(segments)


def _columns_of(batch: Batch, records: Iterable[ChunkRecord]) -> Iterator[dict[JobState, int]]:
    """How many jobs of each column are in each state, column by column.

    A column has every job from the first to the last of its positions. Within a chunk the positions
    of the states are unknown; there they are in `PROGRESS_ORDER`.
    """
    width = min(STRIP_COLUMNS, batch.entries)
    column, position = 0, 0
    mix: dict[JobState, int] = {}
    for state, number in _jobs_in_order(batch, records):
        left = number
        while left and column < width:
            end = (column + 1) * batch.entries // width
            taken = min(left, end - position)
            mix[state] = mix.get(state, 0) + taken
            left -= taken
            position += taken
            if position == end:
                yield mix
                column, mix = column + 1, {}


def _jobs_in_order(batch: Batch, records: Iterable[ChunkRecord]) -> Iterator[tuple[JobState, int]]:
    """Consecutive jobs by state, chunk by chunk."""
    by_number = {record.chunk: record for record in records}
    unrecorded = unrecorded_state(batch)
    for number in range(batch.chunk_count):
        record = by_number.get(number) or ChunkRecord(batch.batch_id, number)
        rest = batch.job_count(number) - record.recorded
        for state in PROGRESS_ORDER:
            count = record.count(state) + (rest if state is unrecorded else 0)
            if count > 0:
                yield state, count


def _shares_of(mix: Mapping[JobState, int]) -> tuple[tuple[JobState, int], ...]:
    """The shares of a column. Every state has one at least; of more than `COLUMN_STATES`, failed
    and the largest are kept."""
    largest_first = sorted(mix, key=lambda state: (state is not JobState.FAILED, -mix[state]))
    kept = largest_first[:COLUMN_STATES]
    total = sum(mix[state] for state in kept)
    shares = {state: max(1, mix[state] * COLUMN_SHARES // total) for state in kept}
    largest = max(kept, key=lambda state: mix[state])
    shares[largest] += COLUMN_SHARES - sum(shares.values())
    return tuple((state, shares[state]) for state in PROGRESS_ORDER if state in shares)
