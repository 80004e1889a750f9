"""Shares what is computed for readers: the first who finds a snapshot too old computes the next.

Meanwhile others show the previous one. If that is too old, or lacks a change that they must see,
they compute for themselves and store nothing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.freshness import is_younger, max_age
from jobyard.services.context import QueryContext
from jobyard.store import activity, snapshots
from jobyard.store.snapshots import Snapshot

OLDEST_SHOWN = timedelta(minutes=1)  # however long computing takes
# An act up to this time before the snapshot may be missing in it: its change was stored meanwhile.
_ACT_TIME = timedelta(seconds=1)


def shared_snapshot(
    name: str,
    context: QueryContext,
    compute: Callable[[], Mapping[str, Any]],
    *,
    least_age: timedelta = timedelta(),
    is_outdated: Callable[[datetime], bool] = lambda _: False,
) -> Snapshot:
    """The snapshot called `name`, stored or computed now.

    It is shown for `least_age`, or longer if computing it takes long, but not longer than
    `OLDEST_SHOWN`; and not if `is_outdated` says that one of a time lacks a change. `name` also
    says what `compute` returns: a document of another form has another name.
    """
    stored, now = snapshots.find(name), context.now
    previous = stored.snapshot
    if previous and is_outdated(previous.started_at):
        previous = None
    if previous:
        age = min(max(least_age, max_age(previous.duration)), OLDEST_SHOWN)
        if is_younger(previous.started_at, age, now):
            return previous
    if snapshots.claim(name, stored, now):
        taken = _taken(context, compute)
        snapshots.put(name, stored, taken)
        return taken
    if previous and is_younger(previous.started_at, OLDEST_SHOWN, now):
        return previous
    return _taken(context, compute)


def misses_act(started_at: datetime, now: datetime) -> bool:
    """Whether what was computed at a time may lack what a person did since. It reads one act at
    most.
    """
    return activity.is_any_after(started_at - _ACT_TIME, now)


def _taken(context: QueryContext, compute: Callable[[], Mapping[str, Any]]) -> Snapshot:
    began = context.clock()
    document = snapshots.as_stored(compute())
    return Snapshot(document, context.now, timedelta(seconds=context.clock() - began))
