"""Which workers a run of a batch has, and for how many chunks: asked before each pass."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from zlib import crc32

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.worker_leases import WorkerLease, leased, renewed
from jobyard.domain.errors import StaleState
from jobyard.services.settings import Settings
from jobyard.store import worker_leases
from jobyard.store.worker_leases import SharedLimits

_TRIES = 8
_ROUNDS = 100  # chunks of a pass, for each of its workers, while no other run waits
_PASSES = 50  # while others do, a pass has a chunk for each worker, or this part of all if more
_MAX_HOSTS = 100  # that are left alone
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 10.0  # until a run that waits asks again


@dataclass(frozen=True)
class PassSize:
    """How many workers and chunks a pass has. Without workers its run asks again after `wait`."""

    workers: int
    chunks: int = 0
    wait: timedelta = timedelta()


def run_key(batch_id: str, run: str) -> str:
    """The key of the lease of a run."""
    return f"{batch_id} {run}"


def lease_workers(
    batch: Batch, run: str, due_chunks: int, settings: Settings, now: datetime
) -> PassSize:
    """Lease workers for a pass over some of the `due_chunks`.

    If other runs change the leases all the time, it has to ask again, as if none were free.
    """
    key, wanted = run_key(batch.batch_id, run), min(due_chunks, settings.max_concurrency)
    submitter = f"{crc32(batch.submitter_sub.encode()):x}" if batch.submitter_sub else ""
    request = WorkerLease(wanted, batch.collection, submitter, now, now)
    leases = _changed(key, request, settings, now)
    own = leases.get(key)
    if own is None or not own.workers:
        waited_s = (now - own.since).total_seconds() if own else 0.0
        wait_s = min(max(waited_s / 4, _FIRST_WAIT_S), _LONGEST_WAIT_S)
        return PassSize(0, wait=timedelta(seconds=wait_s))
    is_short = own.workers < wanted or any(not each.workers for each in leases.values())
    chunks = max(own.workers, due_chunks // _PASSES) if is_short else own.workers * _ROUNDS
    return PassSize(own.workers, chunks)


def release_workers(batch_id: str, run: str, settings: Settings, now: datetime) -> None:
    """Give back the workers of a run. If that fails, its lease expires."""
    _changed(run_key(batch_id, run), WorkerLease(0, "", "", now, now), settings, now)


def _changed(
    key: str, request: WorkerLease, settings: Settings, now: datetime
) -> Mapping[str, WorkerLease]:
    """The stored leases after a run asked; {} if others changed them in each try."""
    for _ in range(_TRIES):
        seen = worker_leases.get()
        if not request.wanted and key not in seen.leases:
            return seen.leases
        found = leased(seen.leases, key, request, settings.worker_limit, now)
        if found == seen.leases:
            return found
        with suppress(StaleState):
            worker_leases.put(SharedLimits(found, _still_busy(seen.busy_hosts, now), seen.version))
            return found
    return {}


def share_limits(
    limits: SharedLimits, key: str, chunk: int, learned: Mapping[str, datetime], now: datetime
) -> bool:
    """Renew the lease of a run before it expires, and tell all workers which hosts a worker has
    `learned` to be busy. Returns False if others changed the limits at the same time.
    """
    found = renewed(limits.leases, key, chunk, now)
    busy = _still_busy({**limits.busy_hosts, **learned}, now)
    if found is None and (not learned or busy == limits.busy_hosts):
        return True  # old ones are removed with the next write
    try:
        worker_leases.put(SharedLimits(found or limits.leases, busy, limits.version))
    except StaleState:
        return False
    return True


def host_limit(limits: SharedLimits, settings: Settings) -> int:
    """How many requests to a host each worker may have in progress. Together they have no more than
    `requests_per_host`, because there are no more workers than that.
    """
    workers = sum(lease.workers for lease in limits.leases.values())
    return max(settings.requests_per_host // max(workers, 1), 1)


def _still_busy(hosts: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """The hosts that are still to be left alone, at most `_MAX_HOSTS`: the longest."""
    found = sorted(((until, host) for host, until in hosts.items() if until > now), reverse=True)
    return {host: until for until, host in found[:_MAX_HOSTS]}
