"""Leases of workers: how many chunks of each batch may run at the same time, across batches.

Each run of a batch leases workers for a pass, in one item for the deployment. Collections share the
workers equally, within a collection its submitters do, and within those their runs. Some workers
stay free for those who have none, and for small batches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

YIELD_AFTER = timedelta(seconds=30)  # how long a run keeps its workers although others wait
WORKERS_LEASED_FOR = timedelta(
    minutes=5
)  # workers renew it; so long are those of a dead execution missing
WAIT_FOR = timedelta(minutes=1)  # how long a run waits without another request
MAX_WAITING = 100  # runs that are remembered; others ask as well, but count for no share
_RESERVED = 8  # one worker in so many stays free for those who have none
_RENEW_AT = (
    0.3,
    0.5,
)  # of `WORKERS_LEASED_FOR` that is left: a worker each, so that not all renew at once


@dataclass(frozen=True)
class WorkerLease:
    """The `workers` that a run has until a time; 0 if it waits for some. It wants `wanted`.

    `since` is when its pass or its wait began. `submitter` identifies who submitted the batch, ""
    if nobody signed in.
    """

    wanted: int
    collection: str
    submitter: str
    since: datetime
    until: datetime
    workers: int = 0


def leased(
    leases: Mapping[str, WorkerLease], run: str, request: WorkerLease, limit: int, now: datetime
) -> dict[str, WorkerLease]:
    """The leases after a run asks for `request.wanted` workers, of `limit` in all. With 0 it gives
    back what it has.

    It gets up to its share, and never workers that another run still has. One of the reserve is for
    a run whose collection or submitter has no worker, and for one that wants a single one, if no
    such run of its collection has one. Without workers it waits.
    """
    others = {name: lease for name, lease in leases.items() if name != run and now < lease.until}
    if request.wanted <= 0:
        return others
    before = leases.get(run)
    continues = before is not None and before.workers > 0  # after a pass of its own
    since = before.since if before and not continues else now
    own = replace(request, since=since, until=now + WAIT_FOR, workers=0)
    held = [lease for lease in others.values() if lease.workers]
    is_late = _has_waited_less(others, own, now)
    is_new = not continues and _may_use_reserve(held, own, is_late=is_late)
    free = limit - sum(lease.workers for lease in held)
    usable = free - reserve_of(limit)
    share = _shares(usable_of(limit), _in_turn({**others, run: own}, now))[run]
    least = 0 if continues or is_late or _is_behind_others(held, others, own) else 1
    workers = max(min(max(share, least), usable), min(1, free) if is_new else 0)
    if workers > 0:
        return {
            **others,
            run: replace(own, since=now, until=now + WORKERS_LEASED_FOR, workers=workers),
        }
    if before and not continues and before.until - now > WAIT_FOR / 2:
        own = replace(own, until=before.until)  # nothing new, so no write
    waiting = sum(not lease.workers for lease in others.values())
    return {**others, run: own} if waiting < MAX_WAITING else others


def must_yield(leases: Mapping[str, WorkerLease], run: str, limit: int, now: datetime) -> bool:
    """Whether the pass of a run has to end, because it has had its slice and has more workers than
    its share. An unknown run need not.
    """
    own = leases.get(run)
    if own is None or now - own.since < YIELD_AFTER:
        return False
    live = {name: lease for name, lease in leases.items() if now < lease.until or name == run}
    return own.workers > _shares(usable_of(limit), _in_turn(live, now))[run]


def renewed(
    leases: Mapping[str, WorkerLease], run: str, chunk: int, now: datetime
) -> dict[str, WorkerLease] | None:
    """The leases after the worker of a chunk renews that of its run; None if it is too early.

    Workers renew at different times, so that one writes and the others see it.
    """
    own = leases.get(run)
    first, last = _RENEW_AT
    if own is None or own.until - now > WORKERS_LEASED_FOR * (
        last - (last - first) * (chunk % 16) / 16
    ):
        return None
    return {**leases, run: replace(own, until=now + WORKERS_LEASED_FOR)}


def reserve_of(limit: int) -> int:
    """How many of `limit` workers stay free for those who have none."""
    return max(limit // _RESERVED, 1) if limit > 1 else 0


def usable_of(limit: int) -> int:
    """How many of `limit` workers runs share."""
    return limit - reserve_of(limit)


def _is_behind_others(
    held: Sequence[WorkerLease], others: Mapping[str, WorkerLease], own: WorkerLease
) -> bool:
    """Whether runs of other collections wait that have no worker. Otherwise a run may take a worker
    that is free, although it is the turn of another run of its collection, which will ask soon.
    """
    served = {lease.collection for lease in held} | {own.collection}
    return any(not lease.workers and lease.collection not in served for lease in others.values())


def _has_waited_less(others: Mapping[str, WorkerLease], own: WorkerLease, now: datetime) -> bool:
    """Whether another run of its collection has waited for a slice, and longer than it."""
    return any(
        not lease.workers
        and lease.collection == own.collection
        and lease.since < own.since
        and now - lease.since >= YIELD_AFTER
        for lease in others.values()
    )


def _may_use_reserve(held: Sequence[WorkerLease], own: WorkerLease, *, is_late: bool) -> bool:
    """Whether a run may use the reserve, which `leased` describes."""
    of_collection = [lease for lease in held if lease.collection == own.collection]
    if not of_collection:
        return not is_late
    if own.submitter and not any(lease.submitter == own.submitter for lease in held):
        return True
    return own.wanted == 1 and not any(lease.wanted == 1 for lease in of_collection)


def _in_turn(leases: Mapping[str, WorkerLease], now: datetime) -> dict[str, WorkerLease]:
    """The leases in the order in which they get what cannot be divided: those in their slice, those
    that wait, the longest first, and those that have had their slice, the longest last.
    """

    def turn(item: tuple[str, WorkerLease]) -> tuple[int, float]:
        lease = item[1]
        since = lease.since.timestamp()
        if not lease.workers:
            return 1, since
        return (0, since) if now - lease.since < YIELD_AFTER else (2, -since)

    return dict(sorted(leases.items(), key=turn))


_LEVELS: tuple[Callable[[WorkerLease], str], ...] = (
    lambda lease: lease.collection,
    lambda lease: lease.submitter,
)


def _shares(
    total: int,
    leases: Mapping[str, WorkerLease],
    levels: tuple[Callable[[WorkerLease], str], ...] = _LEVELS,
) -> dict[str, int]:
    """The share of each run of `total` workers: divided by the first level, then by the others."""
    if not levels:
        return _divided(total, {name: lease.wanted for name, lease in leases.items()})
    groups: dict[str, dict[str, WorkerLease]] = {}
    for name, lease in leases.items():
        groups.setdefault(levels[0](lease), {})[name] = lease
    wanted = {key: sum(each.wanted for each in group.values()) for key, group in groups.items()}
    parts = _divided(total, wanted)
    found: dict[str, int] = {}
    for key, group in groups.items():
        found |= _shares(parts[key], group, levels[1:])
    return found


def _divided(total: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """Equal parts of `total`, none larger than what is wanted. The first ones get the rest."""
    parts = dict.fromkeys(wanted, 0)
    left = [key for key in wanted if wanted[key] > 0]
    while left and total > 0:
        each = max(total // len(left), 1)
        for key in left:
            more = min(each, wanted[key] - parts[key], total)
            parts[key] += more
            total -= more
        left = [key for key in left if parts[key] < wanted[key]]
    return parts
