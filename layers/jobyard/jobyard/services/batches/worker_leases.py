"""Leases the workers of a run of a batch before each pass, and says how many chunks it has."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING
from zlib import crc32

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.worker_leases import WorkerLease, leased, renewed
from jobyard.domain.errors import StaleState
from jobyard.services.settings import Settings
from jobyard.store import worker_leases
from jobyard.store.worker_leases import SharedLimits

if TYPE_CHECKING:
    from jobyard.jobtypes.http_client.host_gate import HostGate

_TRIES = 8
_CHUNKS_PER_WORKER = 100  # in a pass, while no other run waits
_MAX_PASSES = 50  # while others do: a pass has a chunk for each worker, or this part of all if more
_MAX_HOSTS = 100  # that all workers back off from
_UNLEASED_EXPIRES = timedelta(
    minutes=2
)  # the count of a worker without a lease, if it is not renewed
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 10.0  # between two requests of a run that waits


@dataclass(frozen=True)
class PassSize:
    """How many workers and chunks a pass has. Without workers the run asks again after `wait`."""

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
    chunks = (
        max(own.workers, due_chunks // _MAX_PASSES)
        if is_short
        else own.workers * _CHUNKS_PER_WORKER
    )
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
            worker_leases.put(replace(_current(seen, now), leases=found))
            return found
    return {}


def share_limits(
    limits: SharedLimits, key: str, chunk: int, learned: Mapping[str, datetime], now: datetime
) -> bool:
    """Renew the lease of a run before it expires, and tell all workers which hosts a worker has
    `learned` to be busy. Returns False if others changed the limits at the same time.
    """
    found = renewed(limits.leases, key, chunk, now)
    after = _current(limits, now, learned)
    if found is None and (not learned or after.busy_hosts == limits.busy_hosts):
        return True  # old ones are removed with the next write
    try:
        worker_leases.put(replace(after, leases=found or limits.leases))
    except StaleState:
        return False
    return True


def host_limit(limits: SharedLimits, settings: Settings) -> int:
    """How many requests to a host each worker may have in progress. Together they have no more than
    `requests_per_host`, because there are no more workers than that.
    """
    workers = _leased_workers(limits) + len(limits.others)
    return max(settings.requests_per_host // max(workers, 1), 1)


def _leased_workers(limits: SharedLimits) -> int:
    return sum(lease.workers for lease in limits.leases.values())


def count_worker(key: str, hosts: "HostGate", settings: Settings, now: datetime) -> None:
    """Count a worker without a lease, of tasks or of a single job, and have it follow what all
    workers share: its part of the requests to a host, and the busy hosts. It counts until
    `uncount_worker`, or for two minutes after the last call.

    While as many as `requests_per_host` allows are counted, it makes no requests.
    """
    for _ in range(_TRIES):
        seen = _current(worker_leases.get(), now, learned := hosts.learned())
        room = max(settings.requests_per_host - _leased_workers(seen), 1)
        if key not in seen.others and len(seen.others) >= room:
            hosts.allow(0, seen.busy_hosts)
            return
        until = seen.others.get(key, now)
        after = replace(seen, others={**seen.others, key: now + _UNLEASED_EXPIRES})
        hosts.allow(host_limit(after, settings), after.busy_hosts)
        if until - now > _UNLEASED_EXPIRES / 2 and not learned:
            return
        with suppress(StaleState):
            worker_leases.put(after)
            hosts.shared(learned)
            return


def uncount_worker(key: str, hosts: "HostGate", now: datetime) -> None:
    """Stop counting a worker, and share the busy hosts that it learned. If that fails, it stops
    counting after two minutes.
    """
    for _ in range(_TRIES):
        seen = _current(worker_leases.get(), now, learned := hosts.learned())
        if key not in seen.others and not learned:
            return
        others = {each: until for each, until in seen.others.items() if each != key}
        with suppress(StaleState):
            worker_leases.put(replace(seen, others=others))
            hosts.shared(learned)
            return


def _current(
    limits: SharedLimits, now: datetime, learned: Mapping[str, datetime] = MappingProxyType({})
) -> SharedLimits:
    """The limits without the hosts and the workers whose time is over, with the hosts `learned`."""
    others = {each: until for each, until in limits.others.items() if until > now}
    busy = _still_busy({**limits.busy_hosts, **learned}, now)
    return replace(limits, busy_hosts=busy, others=others)


def _still_busy(hosts: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """The hosts to back off from, at most `_MAX_HOSTS`: those with the longest waits."""
    found = sorted(((until, host) for host, until in hosts.items() if until > now), reverse=True)
    return {host: until for until, host in found[:_MAX_HOSTS]}
