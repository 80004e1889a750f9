"""Stores holds."""

from collections.abc import Iterable, Iterator
from typing import Any

from pynamodb.exceptions import DeleteError

from jobyard.domain.errors import StaleState
from jobyard.domain.hold import Hold, HoldLift
from jobyard.store.documents import from_ms, from_ms_or_none, to_ms, to_ms_or_none
from jobyard.store.tables import HoldItem, is_condition_failure, save_if


def of_item(item: HoldItem) -> Hold:
    """The stored hold."""
    owner, reason, since, until, *more = item.body
    sub = more[0] if more else ""
    lift = more[1] if len(more) > 1 else None
    replaced = more[2] if len(more) > 2 else ""
    return Hold(
        item.scope,
        owner,
        reason,
        from_ms(since),
        from_ms_or_none(until),
        sub,
        None if lift is None else _lift(lift),
        replaced,
    )


def _lift(line: list[Any]) -> HoldLift:
    actor, reason, at, round_at, sub, number, cursor, pending, released = line
    stage, after = cursor
    return HoldLift(
        actor,
        reason,
        from_ms(at),
        from_ms(round_at),
        sub,
        number,
        (stage, after),
        pending,
        released,
    )


def _lift_line(lift: HoldLift) -> list[Any]:
    at, round_at = to_ms(lift.at), to_ms(lift.round_started_at)
    who = [lift.actor, lift.reason, at, round_at, lift.sub]
    return [*who, lift.round, list(lift.cursor), lift.pending_count, lift.released_count]


def _body(hold: Hold) -> list[Any]:
    until = to_ms_or_none(hold.until)
    more = [hold.owner_sub, None if hold.lift is None else _lift_line(hold.lift), hold.replaced]
    # What is empty at the end is left out: `put` and `delete` compare bodies with stored ones,
    # which may be from before there were ids, lifts and replaced holds.
    while more and not more[-1]:
        more.pop()
    return [hold.owner, hold.reason, to_ms(hold.placed_at), until, *more]


def put(hold: Hold, seen: Hold | None = None) -> None:
    """Store a hold over `seen`, the hold of its scope that was read; None if there was none.

    A repeat succeeds: botocore repeats a call whose answer was lost.

    Raises:
        StaleState: the hold of the scope was placed, changed or removed meanwhile.
    """
    as_seen = HoldItem.scope.does_not_exist() if seen is None else HoldItem.body == _body(seen)
    if not save_if(HoldItem(scope=hold.scope, body=_body(hold)), as_seen):
        now = find(hold.scope)
        if now is None or _body(now) != _body(hold):
            raise StaleState(f"the hold on {hold.scope} has changed since it was read")


def find(scope: str) -> Hold | None:
    """The hold of a scope; None if there is none."""
    try:
        return of_item(HoldItem.get(scope, consistent_read=True))
    except HoldItem.DoesNotExist:
        return None


def delete(seen: Hold) -> None:
    """Remove the hold that was read. If it changed meanwhile, it stays."""
    try:
        HoldItem(scope=seen.scope).delete(condition=HoldItem.body == _body(seen))
    except DeleteError as error:
        if not is_condition_failure(error):
            raise


def of_scopes(scopes: Iterable[str]) -> list[Hold]:
    """The holds of `scopes`, in no order."""
    return [of_item(item) for item in HoldItem.batch_get(list(scopes), consistent_read=True)]


def list_all() -> Iterator[Hold]:
    """All holds, in no order. It scans the table, which is small."""
    for item in HoldItem.scan(consistent_read=True):
        yield of_item(item)
