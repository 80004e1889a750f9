"""Placing and lifting holds.

A lift is stored with its hold and releases held work in bounded slices. The request that begins it
runs the first slice, the scheduler tick runs the others, each from the stored position of the last.
A round of slices checks all held work once; rounds repeat until one finds nothing that the hold
still holds (decisions/0018).
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from jobyard.domain.activity import Subject
from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.operation import Filter
from jobyard.domain.errors import (
    AlreadyHeld,
    BadRequest,
    Gone,
    InvalidTransition,
    NotFound,
    StaleState,
)
from jobyard.domain.hold import Hold, HoldLift, active_hold, check_scope, scopes_of
from jobyard.domain.jobs.job import JobState
from jobyard.domain.lifecycle import StateType
from jobyard.jobtypes import TYPES
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.batches.operations import start_operation
from jobyard.services.context import CommandContext
from jobyard.store import batches, chunks, holds, operations

_GRACE = timedelta(minutes=1)  # after a lift begins, late workers may still be holding jobs
RELEASED_AT_ONCE = 25  # batches released in a slice
_MAX_CHECKED = 250  # batches checked in a slice; most may be under another hold
# The stages of a round: batches by state, then chunks with held jobs, by the shards of their index.
# Their names are stored in the cursor of a lift.
_PENDING, _HELD = "pending", "held"
_SHARDS = tuple(str(shard) for shard in range(chunks.HELD_SHARDS))
_SHARDS_WITHOUT_COLLECTION = tuple(f"{shard}, of no collection" for shard in _SHARDS)
_STAGES = (_PENDING, _HELD, *_SHARDS, *_SHARDS_WITHOUT_COLLECTION)


def place_hold(
    scope: str, until: datetime | None, context: CommandContext, *, replacing: bool = False
) -> Hold:
    """Hold everything in `scope` from now on. Running jobs of batches and schedules continue, tasks
    of campaigns stop after their step or part.

    `replacing` replaces a hold in force. If the same hold is placed again, returns the stored one.

    Raises:
        Forbidden: the actor may not.
        BadRequest: no such scope or job type, no reason, or `until` is past.
        AlreadyHeld: the scope is held already; the message says why.
        StaleState: someone else placed or lifted a hold at the same time.
    """
    authorize(context.actor, "hold", "place")
    if not context.reason.strip():
        raise BadRequest("a hold needs a reason, which is shown with the work it holds")
    now = context.now()
    if until is not None and until <= now:
        raise BadRequest("until is in the past; leave it out or give a later time")
    kind, _, name = check_scope(scope).partition(":")
    if kind == "type" and name not in TYPES:
        raise BadRequest(f"there is no job type {name!r}; there are {', '.join(TYPES)}")
    hold = Hold(scope, context.actor.name, context.reason, now, until, context.actor.sub)
    seen = holds.find(hold.scope)
    if seen and active_hold([seen], now) and not replacing:
        if _equals(hold, seen):
            _record_placed(seen, context)
            return seen
        raise AlreadyHeld(
            f"{seen.description()} (since {seen.placed_at:%Y-%m-%d %H:%M} UTC); "
            "it stays unless you replace it"
        )
    if seen and active_hold([seen], now):
        hold = replace(hold, replaced=seen.description())
    holds.put(hold, seen=seen)
    _record_placed(hold, context)
    return hold


def _record_placed(hold: Hold, context: CommandContext) -> None:
    event = "replace" if hold.replaced else "place"
    _record(hold, event, hold.placed_at, context, hold.replaced and f"in place of: {hold.replaced}")


def _record(
    hold: Hold, event: str, at: datetime, context: CommandContext, changes: str = ""
) -> None:
    """Record what the actor did to a hold, once, whichever of their requests did it."""
    once = replace(context, key=f"{event} {hold.scope}")
    activity.record(once, event, Subject("hold", hold.scope), at, changes)


def _equals(hold: Hold, seen: Hold) -> bool:
    """Whether a hold equals the stored one, whose times are stored in milliseconds."""
    if hold.until is None or seen.until is None:
        same_end = hold.until is seen.until
    else:
        same_end = abs(hold.until - seen.until) < timedelta(milliseconds=1)
    return (
        same_end
        and replace(hold, placed_at=seen.placed_at, until=seen.until, replaced=seen.replaced)
        == seen
    )


def lift_hold(scope: str, context: CommandContext) -> HoldLift:
    """Lift a hold and release the first slice. Returns the lift with its progress.

    What another hold covers stays held. A repeat continues with the rest. Everything found is
    released when the lift `is_round_start`.

    Raises:
        Forbidden: the actor may not. BadRequest: no such scope. NotFound: there is no hold on it.
        StaleState: someone else placed a hold at the same time.
    """
    authorize(context.actor, "hold", "lift")
    hold = holds.find(check_scope(scope))
    if hold is None:
        raise NotFound(f"there is no hold on {scope}")
    hold, lift = _begin_or_resume_lift(hold, context)
    if lift.sub == context.actor.sub:
        _record(hold, "lift", lift.at, context)
    _, lift = _release_slice(hold, lift, context)
    return lift


def lift_expired(
    context_for: Callable[[Hold], CommandContext],
    now: datetime,
    remaining: Callable[[], float] = lambda: 1.0,
) -> int:
    """Lift the expired holds and continue the lifts in progress, while `remaining()` is positive.
    Returns the number of these holds.

    `context_for` gives the context of a hold's owner. The holds take turns, a slice each, so that
    none waits for the end of another.
    """
    expired = [hold for hold in holds.list_all() if not active_hold([hold], now)]
    expired.sort(key=lambda hold: hold.lift.round if hold.lift else 0)
    queue = deque(expired)
    while queue:
        hold = queue.popleft()
        context = context_for(hold)
        try:
            hold, lift = _begin_or_resume_lift(hold, context)
        except StaleState:
            continue  # someone has just placed a new hold
        after, lift = _release_slice(hold, lift, context)
        if remaining() <= 0:
            break
        if after and not lift.is_round_start:
            queue.append(after)
    return len(expired)


def _begin_or_resume_lift(hold: Hold, context: CommandContext) -> tuple[Hold, HoldLift]:
    """The hold with its lift, which begins now if there is none.

    Raises:
        StaleState: someone else placed a hold at the same time.
    """
    if hold.lift is not None:
        return hold, hold.lift
    now = context.now()
    reason = context.reason.strip() or f"the hold on {hold.scope} was lifted"
    actor = context.actor
    lift = HoldLift(actor.name, reason, min(hold.until or now, now), now, actor.sub)
    lifted = replace(hold, lift=lift)
    try:
        holds.put(lifted, seen=hold)
    except StaleState:
        found = holds.find(hold.scope)
        if found is None or found.lift is None:
            raise
        return found, found.lift
    return lifted, lift


class _Outcome(Enum):
    """The result of trying to release a batch or its jobs."""

    NOTHING = auto()  # this hold does not hold them, or another one does too
    RELEASED = auto()
    LATER = auto()  # they could not be released now; another round tries again


def _release_slice(
    hold: Hold, lift: HoldLift, context: CommandContext
) -> tuple[Hold | None, HoldLift]:
    """Release the next slice of what the hold held. Returns the stored hold and the progress of the
    lift.

    The hold is None if it is deleted, or if another call has continued the lift.
    """
    # All slices of a round have one key, so that a repeated slice repeats its causes.
    key = f"{hold.scope} held {hold.placed_at.isoformat()}, round {lift.round}"
    actor = replace(context.actor, sub=lift.sub, name=lift.actor, groups=frozenset({"operator"}))
    context = replace(context, key=key, actor=actor, reason=lift.reason)
    if lift.is_round_start:
        lift = replace(lift, round_started_at=context.now(), pending_count=0)
    released = 0
    position = lift.cursor
    for checked, candidate in enumerate(_candidates(hold, lift.cursor), start=1):
        outcome = _release(hold, candidate, context)
        position = candidate.position
        released += outcome is _Outcome.RELEASED
        pending_count = lift.pending_count + (outcome is not _Outcome.NOTHING)
        lift = replace(lift, cursor=position, pending_count=pending_count)
        if released >= RELEASED_AT_ONCE or checked >= _MAX_CHECKED:
            break
    else:
        position = ("", "")
    lift = replace(lift, released_count=lift.released_count + released)
    if not any(position):
        if not lift.pending_count and lift.round_started_at >= lift.at + _GRACE:
            holds.delete(hold)
            return None, replace(lift, cursor=position)
        lift = replace(lift, cursor=position, round=lift.round + 1)
    after = replace(hold, lift=lift)
    try:
        holds.put(after, seen=hold)
    except StaleState:
        return None, lift  # another call ran this slice, or the scope is held again
    return after, lift


@dataclass(frozen=True)
class _Candidate:
    """A batch that the hold may hold, or chunks of it with held jobs.

    `position` is its stage, and where in that stage a round continues after it. `released_as` is
    the cause of a release whose execution may not have started, else "". One that is not
    `is_relevant` only moves the position.
    """

    batch_id: str
    position: tuple[str, str]
    chunk_numbers: tuple[int, ...] = ()
    released_as: str = ""
    is_relevant: bool = True


def _candidates(hold: Hold, position: tuple[str, str]) -> Iterator[_Candidate]:
    """What the hold may hold, from a position in a round on; ("", "") is its start.

    A hold on a collection also checks the chunks that were stored without their collection.
    """
    kind, _, name = hold.scope.partition(":")
    if kind == "campaign":
        return  # it writes nothing to the tasks that it holds
    collection = name if kind == "collection" else None
    first = _STAGES.index(position[0]) if position[0] else 0
    for stage in _STAGES[first:]:
        after = position[1] if stage == position[0] else ""
        if stage == _PENDING:
            yield from _batches_in(hold, BatchState.PENDING, after)
        elif stage == _HELD:
            yield from _batches_in(hold, BatchState.HELD, after)
        elif stage in _SHARDS:
            yield from _chunks_held(stage, int(stage), collection, after)
        elif collection is not None:
            yield from _chunks_held(stage, _SHARDS_WITHOUT_COLLECTION.index(stage), "", after)


def _batches_in(hold: Hold, state: BatchState, after: str) -> Iterator[_Candidate]:
    """The batches in a state; pending ones are relevant if their last move was a release."""
    for batch in batches.in_state(state, after):
        last = batch.history[-1] if batch.history else None
        released_as = last.cause if last and last.event == "release" else ""
        position = (_PENDING if state is BatchState.PENDING else _HELD, batches.page_key(batch))
        is_covered = hold.covers(batch.collection, batch.job_type)
        is_relevant = is_covered and (state is BatchState.HELD or bool(released_as))
        yield _Candidate(batch.batch_id, position, released_as=released_as, is_relevant=is_relevant)


def _chunks_held(
    stage: str, shard: int, collection: str | None, after: str
) -> Iterator[_Candidate]:
    """The chunks with held jobs, batch by batch, in a shard of their index.

    Of all collections if `collection` is None, without a stored collection if it is "".
    """
    for each in chunks.held_batches(shard, collection, after):
        yield _Candidate(each.batch_id, (stage, each.cursor), each.chunks)


def _release(hold: Hold, candidate: _Candidate, context: CommandContext) -> _Outcome:
    """Release a batch or its held jobs, if this hold holds them and no other does."""
    if not candidate.is_relevant:
        return _Outcome.NOTHING
    try:
        batch = batches.get(candidate.batch_id, context.now())
    except (NotFound, Gone):
        return _Outcome.NOTHING  # never uploaded, or archived
    if not hold.covers(batch.collection, batch.job_type):
        return _Outcome.NOTHING
    in_force = holds.of_scopes(scopes_of(batch.collection, batch.job_type))
    if active_hold(in_force, context.now()):
        return _Outcome.NOTHING
    if candidate.chunk_numbers:
        return _release_jobs(batch, candidate.chunk_numbers, context)
    if batch.state is BatchState.HELD:
        move = BATCH.move(batch.state, "release", context.now(), context.cause)
        try:
            batches.apply(batch, move)
        except StaleState:
            return _Outcome.LATER  # someone has just released or deleted it
        context.executions.start_batch(batch.batch_id, "open", context.run)
        return _Outcome.RELEASED
    if batch.state is BatchState.PENDING and candidate.released_as:
        # A slice that crashed may not have started the execution; it starts only once.
        context.executions.start_batch(batch.batch_id, "open", candidate.released_as)
    return _Outcome.NOTHING


def _release_jobs(
    batch: Batch, chunk_numbers: tuple[int, ...], context: CommandContext
) -> _Outcome:
    """Release the held jobs of a batch by an operation, unless running ones will release them."""
    if BATCH.state(batch.state).type is StateType.TERMINAL:
        return _Outcome.NOTHING  # its held jobs ended with it
    awaited = _awaited_releases(batch, chunk_numbers)
    if awaited is not None:
        for run in awaited:  # a slice that crashed may not have started the execution
            context.executions.start_batch(batch.batch_id, "operation", run)
        return _Outcome.LATER if awaited else _Outcome.NOTHING
    try:
        start_operation(batch.batch_id, "release", Filter(JobState.HELD, by_machine=True), context)
    except (InvalidTransition, StaleState):
        return _Outcome.LATER  # the batch is being reported or cancelled, or has just changed
    return _Outcome.RELEASED


def _awaited_releases(batch: Batch, chunk_numbers: tuple[int, ...]) -> set[str] | None:
    """The running operations that will release all held jobs of these chunks; None if one of the
    chunks has held jobs that no running operation will release.
    """
    running = [each for each in operations.running(batch.batch_id) if each.event == "release"]
    awaited: set[str] = set()
    for number in chunk_numbers:
        record = chunks.get(batch.batch_id, number)
        if not record.machine_held:
            continue
        coming = {
            each.operation_id
            for each in running
            if number in each.chunks and not record.progress(each.operation_id).last_pass
        }
        if not coming:
            return None
        awaited |= coming
    return awaited
