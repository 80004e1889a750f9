"""Placing holds and lifting them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from jobyard.domain.batch import BATCH, Batch, BatchState
from jobyard.domain.chunks import summed
from jobyard.domain.errors import BadRequest, Forbidden, Gone, IllegalMove, StaleState, Unknown
from jobyard.domain.hold import Hold, checked_scope, in_force, scopes_of
from jobyard.domain.job import JobState
from jobyard.domain.operation import Filter
from jobyard.services.asking import Asking, operate
from jobyard.store import batches, chunks, holds

# States of a batch that may be held or have held jobs; in a failed one they were being repaired.
_MAY_HOLD = (
    BatchState.HELD,
    BatchState.PENDING,
    BatchState.PROCESSING,
    BatchState.FAILED,
    BatchState.UPDATE_REPORTING,
)
_LINGERS = timedelta(minutes=1)
_HOLDERS = frozenset({"operator", "admin"})


def place(scope: str, until: datetime | None, asking: Asking) -> Hold:
    """Hold everything in `scope` from now on; what runs goes on. A hold that was there before is
    replaced.

    Raises:
        Forbidden: the person may not. BadRequest: no such scope, no reason, or `until` is over.
        StaleState: somebody else placed or lifted one at the same time.
    """
    _demand_holder(asking)
    if not asking.reason.strip():
        raise BadRequest("a hold needs a reason: say why, for those who wait")
    now = asking.now()
    if until is not None and until <= now:
        raise BadRequest("until lies in the past; leave it out or give a later time")
    hold = Hold(
        checked_scope(scope), asking.person.name, asking.reason, now, until, asking.person.sub
    )
    holds.put(hold, seen=holds.get(hold.scope))
    return hold


def lift(scope: str, asking: Asking) -> int:
    """Lift a hold and release what it held; the answer is how many batches that concerned.

    What another hold still covers is held again when it is taken up. A repeat finishes what an
    interrupted lift left.

    Raises:
        Forbidden: the person may not. BadRequest: no such scope. Unknown: nothing holds it.
        StaleState: somebody else placed or lifted one at the same time.
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
    """Let go of what the hold holds. It stays in the table, over, for a minute and the next tick:
    a worker that saw it just before may still have been holding jobs, and a lift may die."""
    now = asking.now()
    over = replace(hold, until=min(hold.until or now, now))
    if over != hold:
        holds.put(over, seen=hold)
    suggested = [batch for state in _MAY_HOLD for batch in batches.in_state(state)]
    released = sum(
        _release(batch, asking)
        for batch in suggested
        if hold.covers(batch.collection, batch.job_type)
    )
    if over.until is not None and over.until <= now - _LINGERS:
        holds.delete(over)
    return released


def _release(suggested: Batch, asking: Asking) -> bool:
    try:
        batch = batches.get(suggested.batch_id, asking.now())
    except (Unknown, Gone):
        return False  # promised and never uploaded: nothing of it waits
    still = holds.of_scopes(scopes_of(batch.collection, batch.job_type))
    if in_force(still, asking.now()):
        return False
    if batch.state is BatchState.HELD:
        move = BATCH.move(batch.state, "release", asking.now(), asking.cause)
        try:
            batches.apply(batch, move)
        except StaleState:
            return False  # somebody released or deleted it just now
        asking.starting.batch(batch.batch_id, "open", asking.run)
        return True
    if batch.state is BatchState.PENDING:
        # Perhaps by a lift that died before it told the machine; telling twice is harmless.
        released = bool(batch.history) and batch.history[-1].event == "release"
        if released:
            asking.starting.batch(batch.batch_id, "open", asking.run)
        return released
    if batch.state not in _MAY_HOLD:
        return False
    held = summed(record.counts for record in chunks.of_batch(batch.batch_id)).get("held", 0)
    if not held:
        return False
    try:
        operate(batch.batch_id, "release", Filter(JobState.HELD, by_machine=True), asking)
    except (IllegalMove, StaleState):
        return False  # it moved on meanwhile; the next tick looks again
    return True


def _demand_holder(asking: Asking) -> None:
    if not asking.person.roles & _HOLDERS:
        raise Forbidden("holds are for operator or admin")
