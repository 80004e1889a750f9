"""Stores the leases of workers, in one item of the table of chunks."""

from collections.abc import Mapping

from jobyard.domain.batches.worker_leases import WorkerLease
from jobyard.domain.errors import StaleState
from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import ChunkItem, is_version, save_if

_BATCH = "workers"  # no batch has such an id


def key() -> ChunkItem:
    """The item with its keys only, to read it together with others."""
    return ChunkItem(_BATCH, 0)


def of_item(item: ChunkItem | None) -> tuple[dict[str, WorkerLease], int]:
    """The stored leases by run, and their version, 0 if there are none yet."""
    if item is None:
        return {}, 0
    found = {
        run: WorkerLease(wanted, collection, submitter, from_ms(since), from_ms(until), workers)
        for run, (wanted, collection, submitter, since, until, workers) in item.body.items()
    }
    return found, int(item.version)


def get() -> tuple[dict[str, WorkerLease], int]:
    """The leases by run, and their version, 0 if there are none yet."""
    try:
        return of_item(ChunkItem.get(_BATCH, 0, consistent_read=True))
    except ChunkItem.DoesNotExist:
        return {}, 0


def put(leases: Mapping[str, WorkerLease], seen_version: int) -> None:
    """Store leases over those of `seen_version`.

    Raises:
        StaleState: they changed since they were read.
    """
    body = {
        run: [
            lease.wanted,
            lease.collection,
            lease.submitter,
            to_ms(lease.since),
            to_ms(lease.until),
            lease.workers,
        ]
        for run, lease in leases.items()
    }
    item = ChunkItem(batch_id=_BATCH, chunk=0, version=seen_version + 1, body=body)
    if not save_if(item, is_version(ChunkItem, seen_version)):
        raise StaleState("the leases of workers changed since they were read")
