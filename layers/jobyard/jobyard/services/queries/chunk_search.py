"""Which chunks of a batch may hold jobs that a list shows: by its strip, then by their counts.

The strip of a large batch shows where there is no such job. The counts of these chunks are not
read. Those of the others are read a few at a time, as the list needs them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.chunks import ChunkRecord, unrecorded_state
from jobyard.domain.batches.tally import COLUMN_STATES, Tally
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.jobs.job import OPEN_JOB_STATES, JobState
from jobyard.services.context import QueryContext
from jobyard.services.queries.tallies import has_stored_tally, tally_readers
from jobyard.store import chunks

COUNTS_PER_READ = 25  # chunks whose counts are read at once


@dataclass(frozen=True)
class ChunkSearch:
    """The chunks of `batch` that may hold a job in `state`, a failed one with `code`; "" is any.

    `spans` are the first and last numbers of consecutive chunks, ascending; no other chunk holds
    such a job.
    """

    batch: Batch
    state: str
    code: str
    spans: tuple[tuple[int, int], ...]

    @property
    def includes_unrecorded(self) -> bool:
        """Whether jobs without a record match."""
        return not self.state or self.state == unrecorded_state(self.batch)

    def forwards(self, first: int) -> Iterator[int]:
        """The numbers of the chunks from `first` on, ascending."""
        for low, high in self.spans:
            if high >= first:
                yield from self._between(max(low, first), high)

    def backwards(self, last: int) -> Iterator[int]:
        """The numbers of the chunks up to `last`, descending."""
        for low, high in reversed(self.spans):
            if low <= last:
                yield from self._between(low, min(high, last), is_backwards=True)

    def _between(self, low: int, high: int, *, is_backwards: bool = False) -> Iterator[int]:
        numbers = range(high, low - 1, -1) if is_backwards else range(low, high + 1)
        if not self.state:
            yield from numbers
            return
        records = chunks.of_batch(
            self.batch.batch_id,
            first=low,
            last=high,
            page_size=COUNTS_PER_READ,
            is_backwards=is_backwards,
        )
        record = next(records, None)
        for number in numbers:
            current = record if record and record.chunk == number else None
            if current:
                record = next(records, None)
            if self._may_hold(number, current):
                yield number
            elif record is None and not self.includes_unrecorded:
                return

    def _may_hold(self, number: int, counts: ChunkRecord | None) -> bool:
        """Whether a chunk may hold such a job. `counts` is None before its first job has started.

        While a worker runs the chunk, a job that has ended may still count as open.
        """
        if counts is None:
            return self.includes_unrecorded
        unrecorded = self.batch.job_count(number) - counts.recorded
        if self.includes_unrecorded and unrecorded > 0:
            return True
        has_open = unrecorded > 0 or any(counts.count(state) for state in OPEN_JOB_STATES)
        if has_open and not counts.progress(MAIN_RUN).last_pass:
            return True
        return bool(counts.failures.get(self.code) if self.code else counts.count(self.state))


def search_chunks(batch: Batch, state: str, code: str, context: QueryContext) -> ChunkSearch:
    """The search for jobs of a batch in `state`, failed ones with `code`; "" is any."""
    if code and state not in {"", JobState.FAILED}:
        return ChunkSearch(batch, state, code, ())
    wanted = JobState.FAILED if code else state
    if wanted and has_stored_tally(batch):
        return ChunkSearch(batch, wanted, code, tuple(_spans(batch, JobState(wanted), context)))
    spans = ((0, batch.chunk_count - 1),) if batch.entries else ()
    return ChunkSearch(batch, wanted, code, spans)


def _spans(batch: Batch, state: JobState, context: QueryContext) -> Iterator[tuple[int, int]]:
    """The spans of chunks that may hold a job in `state`, by the strip of the batch.

    An old strip will do: where all jobs have ended, nothing changes but by people, and then the
    jobs are counted again. While an operation runs, failed jobs change too.
    """
    (reader,) = tally_readers([batch], context)
    tally = reader.complete() or reader.count()
    may_change = OPEN_JOB_STATES | ({JobState.FAILED} if reader.running.ids else frozenset())
    first: int | None = None
    last = -1
    for low, high in _chunks_with(batch, tally, may_change | {state}):
        if first is not None and low > last + 1:
            yield first, last
            first = None
        first = low if first is None else first
        last = high
    if first is not None:
        yield first, last


def _chunks_with(
    batch: Batch, tally: Tally, states: frozenset[JobState]
) -> Iterator[tuple[int, int]]:
    """The first and last chunk of each segment of the strip that may have one of `states`."""
    width = sum(segment.columns for segment in tally.strip)
    column = 0
    for segment in tally.strip:
        before, column = column, column + segment.columns
        shown = {state for state, _ in segment.shares}
        if len(shown) == COLUMN_STATES or not shown.isdisjoint(states):
            first, end = (each * batch.entries // width for each in (before, column))
            yield first // batch.chunk_size, (end - 1) // batch.chunk_size
