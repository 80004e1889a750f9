"""Stores the usage of each origin: a few items, to which each invocation adds.

Numbers are added without a condition, because a repeated invocation also uses AWS twice.
"""

from collections.abc import Iterable, Iterator

from jobyard.domain.cost import KINDS, Usage, total
from jobyard.store import additions
from jobyard.store.tables import UsageItem


def add(origin_id: str, part: str, usage: Usage) -> str:
    """Add `usage` to what `part` of Jobyard used for an origin.

    Returns the error if it could not be written, else "". It does not raise, because an incomplete
    cost is no reason to fail a job.
    """
    used = {name: getattr(usage, name) for name in KINDS}
    return additions.add(UsageItem(origin_id, part), used)


def of_origin(origin_id: str) -> Usage:
    """What a batch, schedule or campaign has used so far."""
    return total(used for _, used in parts_of(origin_id))


def parts_of(origin_id: str) -> Iterator[tuple[str, Usage]]:
    """What each part of Jobyard has used for an origin so far."""
    for item in UsageItem.query(origin_id, consistent_read=True):
        yield item.part, _usage(item)


def _usage(item: UsageItem) -> Usage:
    return Usage(**{name: getattr(item, name) or 0 for name in KINDS})


def remove(origin_id: str, parts: Iterable[str]) -> None:
    """Remove the usage of these parts. What is gone already is ignored."""
    with UsageItem.batch_write() as removing:
        for part in parts:
            removing.delete(UsageItem(origin_id, part))
