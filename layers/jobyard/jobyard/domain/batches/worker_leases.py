"""Leases of workers: fair-share scheduling of the chunks of all batches, with preemption.

Each run of a batch leases workers for a pass, in one item for the deployment: slots, of a limit on
concurrency. Collections share the workers equally, within a collection its submitters do, and
within those their runs. A run with more than its share yields after a time slice: its pass ends
early. A reserve stays free for those who have none, and for small batches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

TIME_SLICE = timedelta(seconds=30)  # how long a run keeps its workers although others wait
# Workers renew the lease of their run. If they and its execution are dead, it expires after this.
WORKERS_LEASED_FOR = timedelta(minutes=5)
REQUEST_EXPIRES = timedelta(minutes=1)  # of a run that waits for workers and does not ask again
MAX_WAITING = 100  # runs whose requests are stored; others ask too, but reduce no other's share
_RESERVED_PART = 8  # one eighth of the workers is the reserve
# Workers renew when 30 to 50 % of `WORKERS_LEASED_FOR` is left, each at a different point, so that
# they do not all write at once.
_RENEW_AT = (0.3, 0.5)


@dataclass(frozen=True)
class WorkerLease:
    """The `workers` that a run has until a time; 0 if it waits for some. It can use `wanted`.

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

    It gets up to its share, and never workers that another run still has. It may take one worker of
    the reserve in two cases: its collection or its submitter has no worker; or it wants a single
    worker, and no other such run of its collection has one. Without workers it waits.
    """
    others = {name: lease for name, lease in leases.items() if name != run and now < lease.until}
    if request.wanted <= 0:
        return others
    before = leases.get(run)
    had_workers = before is not None and before.workers > 0  # for the pass that has just ended
    since = before.since if before and not had_workers else now
    own = replace(request, since=since, until=now + REQUEST_EXPIRES, workers=0)
    held = [lease for lease in others.values() if lease.workers]
    must_let_pass = _has_another_waited_longer(others, own, now)
    is_new = not had_workers and _may_use_reserve(held, own, must_let_pass=must_let_pass)
    free = limit - sum(lease.workers for lease in held)
    usable = free - reserve_of(limit)
    share = _shares(usable_of(limit), _in_turn({**others, run: own}, now))[run]
    least = 0 if had_workers or must_let_pass or _is_behind_others(held, others, own) else 1
    workers = max(min(max(share, least), usable), min(1, free) if is_new else 0)
    if workers > 0:
        return {
            **others,
            run: replace(own, since=now, until=now + WORKERS_LEASED_FOR, workers=workers),
        }
    if before and not had_workers and before.until - now > REQUEST_EXPIRES / 2:
        own = replace(own, until=before.until)  # nothing new, so no write
    waiting = sum(not lease.workers for lease in others.values())
    return {**others, run: own} if waiting < MAX_WAITING else others


def must_yield(leases: Mapping[str, WorkerLease], run: str, limit: int, now: datetime) -> bool:
    """Whether the pass of a run has to end, because its time slice is over and it has more workers
    than its share. An unknown run need not.
    """
    own = leases.get(run)
    if own is None or now - own.since < TIME_SLICE:
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
    """How many of `limit` workers are the reserve, which stays free for those who have none."""
    return max(limit // _RESERVED_PART, 1) if limit > 1 else 0


def usable_of(limit: int) -> int:
    """How many of `limit` workers the runs share: all but the reserve."""
    return limit - reserve_of(limit)


def _is_behind_others(
    held: Sequence[WorkerLease], others: Mapping[str, WorkerLease], own: WorkerLease
) -> bool:
    """Whether a run of another collection waits, and that collection has no worker. If not, a run
    may take a free worker although its share is 0, out of turn: those before it in its collection
    have waited less than a time slice, and ask again soon.
    """
    served = {lease.collection for lease in held} | {own.collection}
    return any(not lease.workers and lease.collection not in served for lease in others.values())


def _has_another_waited_longer(
    others: Mapping[str, WorkerLease], own: WorkerLease, now: datetime
) -> bool:
    """Whether another run of its collection has waited longer, and for at least a time slice."""
    return any(
        not lease.workers
        and lease.collection == own.collection
        and lease.since < own.since
        and now - lease.since >= TIME_SLICE
        for lease in others.values()
    )


def _may_use_reserve(held: Sequence[WorkerLease], own: WorkerLease, *, must_let_pass: bool) -> bool:
    """Whether a run may use the reserve, which `leased` describes."""
    of_collection = [lease for lease in held if lease.collection == own.collection]
    if not of_collection:
        return not must_let_pass
    if own.submitter and not any(lease.submitter == own.submitter for lease in held):
        return True
    return own.wanted == 1 and not any(lease.wanted == 1 for lease in of_collection)


def _in_turn(leases: Mapping[str, WorkerLease], now: datetime) -> dict[str, WorkerLease]:
    """The leases in the order in which they get what cannot be divided: first runs in their time
    slice, then those that wait, the longest first, then those after their time slice, the longest
    last.
    """

    def turn(item: tuple[str, WorkerLease]) -> tuple[int, float]:
        lease = item[1]
        since = lease.since.timestamp()
        if not lease.workers:
            return 1, since
        return (0, since) if now - lease.since < TIME_SLICE else (2, -since)

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
