"""Stores the usage of batches, schedules and months: a few items, to which each invocation adds.

Numbers are added without a condition, because a repeated invocation also uses AWS twice.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from pynamodb.exceptions import UpdateError

from jobyard.domain.cost import KINDS, Usage, total
from jobyard.store.tables import UsageItem

MONTH_SHARDS = 8  # items of a month, so that the workers of a large batch do not all write one
_ALL = "all"  # the part of a month's usage


def add(origin_id: str, part: str, usage: Usage) -> str:
    """Add `usage` to what `part` of Jobyard used for a batch or a schedule.

    Returns the error if it could not be written, else "". It does not raise, because an incomplete
    cost is no reason to fail a job.
    """
    used = {name: getattr(usage, name) for name in KINDS}
    actions = [getattr(UsageItem, name).add(number) for name, number in used.items() if number]
    try:
        UsageItem(origin_id, part).update(actions=actions)
    except UpdateError as error:
        return str(error)
    return ""


def add_to_month(at: datetime, shard: int, usage: Usage) -> str:
    """Add `usage` to that of the month of `at`, in one of its items. Returns as `add` does."""
    return add(_month_key(at, shard % MONTH_SHARDS), _ALL, usage)


def of_month(at: datetime) -> Usage:
    """What all parts have used in the month of `at` so far."""
    keys = [(_month_key(at, shard), _ALL) for shard in range(MONTH_SHARDS)]
    return total(_usage(item) for item in UsageItem.batch_get(keys))


def _month_key(at: datetime, shard: int) -> str:
    return f"month {at.astimezone(UTC):%Y-%m} {shard}"


def of_origin(origin_id: str) -> Usage:
    """What a batch or a schedule has used so far."""
    return total(used for _, used in parts_of(origin_id))


def parts_of(origin_id: str) -> Iterator[tuple[str, Usage]]:
    """What each part of Jobyard has used for a batch or a schedule so far."""
    for item in UsageItem.query(origin_id, consistent_read=True):
        yield item.part, _usage(item)


def _usage(item: UsageItem) -> Usage:
    return Usage(**{name: getattr(item, name) or 0 for name in KINDS})


def remove(origin_id: str, parts: Iterable[str]) -> None:
    """Remove the usage of these parts. What is gone already is ignored."""
    with UsageItem.batch_write() as removing:
        for part in parts:
            removing.delete(UsageItem(origin_id, part))
