"""Placing holds and lifting them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from jobyard.domain.batch import BATCH, Batch, BatchState
from jobyard.domain.chunks import summed
from jobyard.domain.errors import BadRequest, Forbidden, StaleState, Unknown
from jobyard.domain.hold import Hold, checked_scope, in_force, scopes_of
from jobyard.domain.job import JobState
from jobyard.domain.operation import Filter
from jobyard.services.asking import Asking, operate, start_batch
from jobyard.store import batches, chunks, holds

# States of a batch that may be held or have held jobs; in a failed one they were being repaired.
_MAY_HOLD = (
    BatchState.HELD,
    BatchState.PENDING,
    BatchState.PROCESSING,
    BatchState.FAILED,
    BatchState.UPDATE_REPORTING,
)
_HOLDERS = frozenset({"operator", "admin"})


def place(scope: str, until: datetime | None, asking: Asking) -> Hold:
    """Hold everything in `scope` from now on; what runs goes on.

    Raises:
        Forbidden: the person may not. BadRequest: no such scope, no reason, or `until` is over.
    """
    _demand_holder(asking)
    if not asking.reason.strip():
        raise BadRequest("a hold needs a reason: say why, for those who wait")
    now = asking.now()
    if until is not None and until <= now:
        raise BadRequest("until lies in the past; leave it out or give a later time")
    hold = Hold(checked_scope(scope), asking.person.name, asking.reason, now, until)
    holds.put(hold)
    return hold


def lift(scope: str, asking: Asking) -> int:
    """Lift a hold and release what it held; the answer is how many batches that concerned.

    What another hold still covers is held again when it is taken up. A repeat finishes what an
    interrupted lift left.

    Raises:
        Forbidden: the person may not. BadRequest: no such scope. Unknown: nothing holds it.
    """
    _demand_holder(asking)
    hold = holds.get(checked_scope(scope))
    if hold is None:
        raise Unknown(f"there is no hold on {scope}")
    reason = asking.reason.strip() or f"the hold on {scope} was lifted"
    return _lift(hold, replace(asking, reason=reason))


def lift_ended(asking_as: Callable[[Hold], Asking], now: datetime) -> int:
    """Lift the holds whose time is over, as their owners asked when they placed them; the answer
    is how many there were."""
    over = [hold for hold in holds.every() if hold.until is not None and hold.until <= now]
    for hold in over:
        _lift(hold, asking_as(hold))
    return len(over)


def _lift(hold: Hold, asking: Asking) -> int:
    # Released before it is removed from the table: a lift that dies half-way can be repeated.
    holds.put(replace(hold, until=min(hold.until or asking.now(), asking.now())))
    suggested = [batch for state in _MAY_HOLD for batch in batches.in_state(state)]
    released = sum(
        _release(batch, asking)
        for batch in suggested
        if hold.covers(batch.collection, batch.job_type)
    )
    holds.delete(hold.scope)
    return released


def _release(suggested: Batch, asking: Asking) -> bool:
    batch = batches.get(suggested.batch_id, asking.now())
    still = holds.of_scopes(scopes_of(batch.collection, batch.job_type))
    if in_force(still, asking.now()):
        return False
    if batch.state is BatchState.HELD:
        move = BATCH.move(batch.state, "release", asking.now(), asking.cause)
        try:
            batches.apply(batch, move)
        except StaleState:
            return False  # somebody released or deleted it just now
        start_batch(batch.batch_id, "open", asking)
        return True
    if batch.state is BatchState.PENDING:
        mine = bool(batch.history) and batch.history[-1].cause == asking.cause.key
        if mine:  # released by a lift that died before it told the machine
            start_batch(batch.batch_id, "open", asking)
        return mine
    if batch.state not in _MAY_HOLD:
        return False
    held = summed(record.counts for record in chunks.of_batch(batch.batch_id)).get("held", 0)
    if not held:
        return False
    operate(batch.batch_id, "release", Filter(JobState.HELD), asking)
    return True


def _demand_holder(asking: Asking) -> None:
    if not asking.person.roles & _HOLDERS:
        raise Forbidden("holds are for operator or admin")
