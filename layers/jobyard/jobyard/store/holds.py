"""Holds as they are stored."""

from collections.abc import Iterable, Iterator

from jobyard.domain.hold import Hold
from jobyard.store.documents import moment, moment_or_none, stamp
from jobyard.store.tables import HoldItem


def _hold(item: HoldItem) -> Hold:
    owner, reason, since, until = item.body
    return Hold(item.scope, owner, reason, moment(since), moment_or_none(until))


def put(hold: Hold) -> None:
    """Write a hold, over the one of its scope if there is one."""
    until = None if hold.until is None else stamp(hold.until)
    HoldItem(
        scope=hold.scope,
        body=[hold.owner, hold.reason, stamp(hold.since), until],
    ).save()


def get(scope: str) -> Hold | None:
    """The hold of a scope, strongly read; None when there is none."""
    try:
        return _hold(HoldItem.get(scope, consistent_read=True))
    except HoldItem.DoesNotExist:
        return None


def delete(scope: str) -> None:
    """Remove the hold of a scope, if there is one."""
    HoldItem(scope=scope).delete()


def of_scopes(scopes: Iterable[str]) -> list[Hold]:
    """The holds on any of `scopes`, strongly read, in no order."""
    return [_hold(item) for item in HoldItem.batch_get(list(scopes), consistent_read=True)]


def every() -> Iterator[Hold]:
    """All holds. A scan: there are as many as people have placed, which is few."""
    for item in HoldItem.scan(consistent_read=True):
        yield _hold(item)
