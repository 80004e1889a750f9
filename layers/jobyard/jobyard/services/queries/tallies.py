"""The tallies of batches: cached summaries, which readers recompute for each other.

A batch of many chunks has a stored tally. A reader who finds it outdated claims it, adds up the
counts of all chunks, and stores the result. Meanwhile others show the previous tally. If that lacks
a change, they count for themselves. No decision depends on a tally: `settle` reads the chunks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.progress import ended_jobs, with_sample
from jobyard.domain.batches.tally import Tally, has_ended, tally_of
from jobyard.domain.freshness import CLAIM_TIME, is_claimed
from jobyard.services.context import QueryContext
from jobyard.store import chunks, operations, tallies
from jobyard.store.operations import RunningOperations
from jobyard.store.tallies import StoredTally

# The counts of as many chunks, some 200 bytes each, cost one read unit, as a tally does. So a
# smaller batch has no stored tally, and its counts are always exact.
MAX_UNSTORED_CHUNKS = 20
_NO_OPERATIONS = RunningOperations()
_NO_TALLY = StoredTally()


def has_stored_tally(batch: Batch) -> bool:
    """Whether the batch has so many chunks that its tally is stored."""
    return batch.chunk_count > MAX_UNSTORED_CHUNKS


@dataclass(frozen=True)
class TallyReader:
    """Reads or recomputes the tally of `batch`.

    `running` and `stored` are what was read for a batch whose tally is stored.
    """

    batch: Batch
    context: QueryContext
    running: RunningOperations = _NO_OPERATIONS
    stored: StoredTally = _NO_TALLY

    def current(self) -> Tally | None:
        """The stored tally if it is complete and recent, or if another reader is recomputing it.

        None if it has to be recomputed.
        """
        if self._is_complete and self.stored.tally and self.stored.tally.is_fresh(self.context.now):
            return self.stored.tally
        return self._previous() if self._is_claimed else None

    def complete(self) -> Tally | None:
        """The stored tally if it has all changes of the batch and of its running operations.

        Its counts may be old.
        """
        return self.stored.tally if self._is_complete else None

    def count(self) -> Tally:
        """Recompute the tally, and store it if this reader has the claim.

        Returns the previous tally if another reader was faster.
        """
        batch_id, now = self.batch.batch_id, self.context.now
        if self._is_claimed or not has_stored_tally(self.batch):
            return self._counted()
        claimed = tallies.claim(batch_id, self.stored, now, now + CLAIM_TIME)
        if claimed is None:
            return self._previous() or self._counted()
        tally = self._counted()
        tallies.put(batch_id, claimed, tally)
        return tally

    @property
    def _is_complete(self) -> bool:
        """Whether the stored tally has all changes of the batch and of its running operations."""
        tally = self.stored.tally
        return tally is not None and tally.has_changes(self.batch.version, self.running.version)

    @property
    def _is_claimed(self) -> bool:
        """Whether another reader is recomputing it."""
        return is_claimed(self.stored.claimed_until, self.context.now)

    def _previous(self) -> Tally | None:
        """The stored tally, if it may be shown while another reader is recomputing it."""
        tally = self.stored.tally
        return tally if self._is_complete and tally and tally.is_usable(self.context.now) else None

    def _counted(self) -> Tally:
        began = self.context.clock()
        records = list(chunks.of_batch(self.batch.batch_id)) if self.batch.entries else []
        now = self.context.now
        tally = tally_of(self.batch, records, now)
        earlier = self.stored.tally.samples if self.stored.tally else ()
        latest = (round(now.timestamp(), 3), ended_jobs(tally.counts))
        return replace(
            tally,
            duration=timedelta(seconds=self.context.clock() - began),
            operations_version=self.running.version,
            is_final=not self.running.ids and has_ended(self.batch, tally.counts),
            samples=with_sample(earlier, latest),
        )


def tally_of_batch(batch: Batch, context: QueryContext) -> Tally:
    """The tally of a batch, stored or counted now."""
    (reader,) = tally_readers([batch], context)
    return reader.current() or reader.count()


def tally_readers(found: Sequence[Batch], context: QueryContext) -> list[TallyReader]:
    """A reader for each of the batches, in order. Reads what is stored of all of them."""
    ids = [each.batch_id for each in found if has_stored_tally(each)]
    running = operations.running_lists(ids) if ids else {}
    stored = tallies.of_batches(ids) if ids else {}
    return [
        TallyReader(
            each,
            context,
            running.get(each.batch_id, _NO_OPERATIONS),
            stored.get(each.batch_id, _NO_TALLY),
        )
        for each in found
    ]
