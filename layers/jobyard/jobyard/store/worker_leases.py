"""Stores what all workers share, in one item of the table of chunks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from jobyard.domain.batches.worker_leases import WorkerLease
from jobyard.domain.errors import StaleState
from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import ChunkItem, is_version, save_if

_BATCH = "workers"  # no batch has such an id
_HOSTS = ""  # the key of the busy hosts among the runs
_OTHERS = " "  # and that of the workers without a lease


@dataclass(frozen=True)
class SharedLimits:
    """The leases of workers by run, the hosts that asked for no requests until a time, the workers
    without a lease that make requests, until when each counts, and the version of all, 0 if there
    are none yet.
    """

    leases: Mapping[str, WorkerLease] = field(default_factory=dict)
    busy_hosts: Mapping[str, datetime] = field(default_factory=dict)
    others: Mapping[str, datetime] = field(default_factory=dict)
    version: int = 0


def key() -> ChunkItem:
    """The item with its keys only, to read it together with others."""
    return ChunkItem(_BATCH, 0)


def of_item(item: ChunkItem | None) -> SharedLimits:
    """What is stored."""
    if item is None:
        return SharedLimits()
    body = dict(item.body)
    busy, others = (_times(body.pop(each, {})) for each in (_HOSTS, _OTHERS))
    leases = {
        run: WorkerLease(wanted, collection, submitter, from_ms(since), from_ms(until), workers)
        for run, (wanted, collection, submitter, since, until, workers) in body.items()
    }
    return SharedLimits(leases, busy, others, int(item.version))


def _times(document: Mapping[str, int]) -> dict[str, datetime]:
    return {name: from_ms(until) for name, until in document.items()}


def get() -> SharedLimits:
    """What is stored."""
    try:
        return of_item(ChunkItem.get(_BATCH, 0, consistent_read=True))
    except ChunkItem.DoesNotExist:
        return SharedLimits()


def put(limits: SharedLimits) -> None:
    """Store limits over those of their version.

    Raises:
        StaleState: they changed since they were read.
    """
    body: dict[str, object] = {
        run: [
            lease.wanted,
            lease.collection,
            lease.submitter,
            to_ms(lease.since),
            to_ms(lease.until),
            lease.workers,
        ]
        for run, lease in limits.leases.items()
    }
    for name, times in ((_HOSTS, limits.busy_hosts), (_OTHERS, limits.others)):
        if times:
            body[name] = {each: to_ms(until) for each, until in times.items()}
    item = ChunkItem(batch_id=_BATCH, chunk=0, version=limits.version + 1, body=body)
    if not save_if(item, is_version(ChunkItem, limits.version)):
        raise StaleState("the leases of workers changed since they were read")
