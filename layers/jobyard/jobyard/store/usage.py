"""What batches and schedules used, as it is stored: a few items, to which each invocation adds.

Numbers are added without a condition: what an invocation used twice was used twice.
"""

from collections.abc import Iterable, Iterator

from pynamodb.exceptions import UpdateError

from jobyard.domain.cost import KINDS, Usage, total
from jobyard.store.tables import UsageItem


def add(origin_id: str, part: str, usage: Usage) -> str:
    """Add `usage` to what `part` of Jobyard used for a batch or a schedule; the answer is why it
    could not be written, "" when it was.

    A bill that lacks a line is no reason to fail a job, so that is an answer and no error.
    """
    used = {name: getattr(usage, name) for name in KINDS}
    actions = [getattr(UsageItem, name).add(number) for name, number in used.items() if number]
    try:
        UsageItem(origin_id, part).update(actions=actions)
    except UpdateError as error:
        return str(error)
    return ""


def of_origin(origin_id: str) -> Usage:
    """What a batch or a schedule used up to now, strongly read."""
    return total(used for _, used in parts_of(origin_id))


def parts_of(origin_id: str) -> Iterator[tuple[str, Usage]]:
    """What each part of Jobyard used for a batch or a schedule up to now, strongly read."""
    for item in UsageItem.query(origin_id, consistent_read=True):
        yield item.part, Usage(**{name: getattr(item, name) or 0 for name in KINDS})


def remove(origin_id: str, parts: Iterable[str]) -> None:
    """Remove what the parts used for a batch; what is no more is let be."""
    with UsageItem.batch_write() as removing:
        for part in parts:
            removing.delete(UsageItem(origin_id, part))
