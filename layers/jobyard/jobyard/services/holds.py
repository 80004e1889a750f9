"""Placing and lifting holds.

A lift is stored with its hold and releases held work in bounded slices: the request that begins it
makes the first slice, the scheduler tick the others. A slice keeps its place. Rounds of slices
follow until one finds nothing that the hold still holds (decisions/0018).
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

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
from jobyard.domain.hold import Hold, HoldRelease, active_hold, check_scope, scopes_of
from jobyard.domain.jobs.job import JobState
from jobyard.domain.lifecycle import StateType
from jobyard.services.access import authorize
from jobyard.services.batches.operations import start_operation
from jobyard.services.context import CommandContext
from jobyard.store import batches, chunks, holds, operations

_GRACE = timedelta(minutes=1)  # a worker that saw the hold just before may still be holding jobs
RELEASED_AT_ONCE = 25  # batches released in a slice
_MAX_CHECKED = 250  # batches checked in a slice; most may be under another hold
_PENDING, _HELD = "pending", "held"
_SHARDS = tuple(str(shard) for shard in range(chunks.HELD_SHARDS))
_SHARDS_WITHOUT_COLLECTION = tuple(f"{shard}, of no collection" for shard in _SHARDS)
_STAGES = (_PENDING, _HELD, *_SHARDS, *_SHARDS_WITHOUT_COLLECTION)  # what a round goes through


def place_hold(
    scope: str, until: datetime | None, context: CommandContext, *, replacing: bool = False
) -> Hold:
    """Hold everything in `scope` from now on; running jobs go on. `replacing` replaces a hold in
    force. The same hold placed again returns the one that is there.

    Raises:
        Forbidden: the actor may not. BadRequest: no such scope, no reason, or `until` is past.
        AlreadyHeld: the scope is held already; the message says by whom and why.
        StaleState: somebody else placed or lifted a hold at the same time.
    """
    authorize(context.actor, "hold", "place")
    if not context.reason.strip():
        raise BadRequest("a hold needs a reason: say why, for those who wait")
    now = context.now()
    if until is not None and until <= now:
        raise BadRequest("until lies in the past; leave it out or give a later time")
    hold = Hold(
        check_scope(scope), context.actor.name, context.reason, now, until, context.actor.sub
    )
    seen = holds.find(hold.scope)
    if seen and active_hold([seen], now) and not replacing:
        if _equals(hold, seen):
            return seen
        raise AlreadyHeld(
            f"{seen.description()} (since {seen.placed_at:%Y-%m-%d %H:%M} UTC); "
            'to take it over all the same, say so (--replace; for programs "replace": true)'
        )
    holds.put(hold, seen=seen)
    return hold


def _equals(hold: Hold, seen: Hold) -> bool:
    """Whether a hold equals the stored one; times are stored to the millisecond."""
    if hold.until is None or seen.until is None:
        same_end = hold.until is seen.until
    else:
        same_end = abs(hold.until - seen.until) < timedelta(milliseconds=1)
    return same_end and replace(hold, placed_at=seen.placed_at, until=seen.until) == seen


def lift_hold(scope: str, context: CommandContext) -> int:
    """Lift a hold and release what it held. Returns how many batches were released so far.

    What another hold covers stays held. A repeat goes on with the rest.

    Raises:
        Forbidden: the actor may not. BadRequest: no such scope. NotFound: nothing holds it.
        StaleState: somebody else placed a hold at the same time.
    """
    return begin_lift(scope, context).released_count


def begin_lift(scope: str, context: CommandContext) -> HoldRelease:
    """Lift a hold and release the first slice; returns the lift with its progress. When it
    `is_between` rounds, everything found is released.
    """
    authorize(context.actor, "hold", "lift")
    hold = holds.find(check_scope(scope))
    if hold is None:
        raise NotFound(f"there is no hold on {scope}")
    hold, lift = _lifted(hold, context)
    _, lift = _release_slice(hold, lift, context)
    return lift


def lift_expired(
    context_for: Callable[[Hold], CommandContext],
    now: datetime,
    remaining: Callable[[], float] = lambda: 1.0,
) -> int:
    """Lift the holds whose time is over, in their owners' names, and continue the lifts in
    progress, while `remaining()` is positive. Returns how many holds that are.

    They take turns, a slice each, so that none waits for the end of another.
    """
    ended = [hold for hold in holds.list_all() if not active_hold([hold], now)]
    ended.sort(key=lambda hold: hold.release.round if hold.release else 0)
    turns = deque(ended)
    while turns:
        hold = turns.popleft()
        context = context_for(hold)
        try:
            hold, lift = _lifted(hold, context)
        except StaleState:
            continue  # placed anew, or lifted by a person, just now
        after, lift = _release_slice(hold, lift, context)
        if remaining() <= 0:
            break
        if after and not lift.is_round_start:
            turns.append(after)
    return len(ended)


def _lifted(hold: Hold, context: CommandContext) -> tuple[Hold, HoldRelease]:
    """The hold with its lift, which begins now if it has none.

    Raises:
        StaleState: somebody else placed a hold at the same time.
    """
    if hold.release is not None:
        return hold, hold.release
    now = context.now()
    reason = context.reason.strip() or f"the hold on {hold.scope} was lifted"
    actor = context.actor
    lift = HoldRelease(actor.name, reason, min(hold.until or now, now), now, actor.sub)
    lifted = replace(hold, release=lift)
    try:
        holds.put(lifted, seen=hold)
    except StaleState:
        found = holds.find(hold.scope)
        if found is None or found.release is None:
            raise
        return found, found.release
    return lifted, lift


class _Outcome(Enum):
    """The result of one attempt to release something."""

    NOTHING = auto()  # it is not held by this hold, or another one still covers it
    RELEASED = auto()
    LATER = auto()  # it could not be released just now: another round looks again


def _release_slice(
    hold: Hold, lift: HoldRelease, context: CommandContext
) -> tuple[Hold | None, HoldRelease]:
    """Release the next slice of what the hold held. Returns the stored hold, None when it is gone
    or somebody else goes on with it; and the progress of the lift.
    """
    # Of one round everything has one name, however often a slice is repeated, and whoever does it.
    key = f"{hold.scope} held {hold.placed_at.isoformat()}, round {lift.round}"
    actor = replace(context.actor, sub=lift.sub, name=lift.actor, groups=frozenset({"operator"}))
    context = replace(context, key=key, actor=actor, reason=lift.reason)
    if lift.is_round_start:
        lift = replace(lift, round_started_at=context.now(), remaining=0)
    released = 0
    position = lift.cursor
    for checked, found in enumerate(_candidates(hold, lift.cursor), start=1):
        outcome = _release(hold, found, context)
        position = found.position
        released += outcome is _Outcome.RELEASED
        left = lift.remaining + (outcome is not _Outcome.NOTHING)
        lift = replace(lift, cursor=position, remaining=left)
        if released >= RELEASED_AT_ONCE or checked >= _MAX_CHECKED:
            break
    else:
        position = ("", "")
    lift = replace(lift, released_count=lift.released_count + released)
    if not any(position):
        if not lift.remaining and lift.round_started_at >= lift.at + _GRACE:
            holds.delete(hold)
            return None, replace(lift, cursor=position)
        lift = replace(lift, cursor=position, round=lift.round + 1)
    after = replace(hold, release=lift)
    try:
        holds.put(after, seen=hold)
    except StaleState:
        return None, lift  # a twin of this slice was faster, or the scope is held again
    return after, lift


@dataclass(frozen=True)
class _Candidate:
    """A batch that may be held, or `numbers` of its chunks. `place` is where a round goes on after
    it.
    """

    batch_id: str
    position: tuple[str, str]
    chunk_numbers: tuple[int, ...] = ()
    released_as: str = ""  # the cause of a release whose execution may not have started
    is_covered: bool = True


def _candidates(hold: Hold, position: tuple[str, str]) -> Iterator[_Candidate]:
    """What the hold may hold, from a place of a round on."""
    kind, _, name = hold.scope.partition(":")
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
    for batch in batches.in_state(state, after):
        last = batch.history[-1] if batch.history else None
        released_as = last.cause if last and last.event == "release" else ""
        position = (_PENDING if state is BatchState.PENDING else _HELD, batches.page_key(batch))
        covered = hold.covers(batch.collection, batch.job_type)
        wanted = covered and (state is BatchState.HELD or bool(released_as))
        yield _Candidate(batch.batch_id, position, released_as=released_as, is_covered=wanted)


def _chunks_held(
    stage: str, shard: int, collection: str | None, after: str
) -> Iterator[_Candidate]:
    for each in chunks.held_batches(shard, collection, after):
        yield _Candidate(each.batch_id, (stage, each.cursor), each.chunks)


def _release(hold: Hold, found: _Candidate, context: CommandContext) -> _Outcome:
    """Release one batch or its chunks, if this hold holds them and no other does."""
    if not found.is_covered:
        return _Outcome.NOTHING
    try:
        batch = batches.get(found.batch_id, context.now())
    except (NotFound, Gone):
        return _Outcome.NOTHING  # promised and never uploaded, or archived: nothing of it waits
    if not hold.covers(batch.collection, batch.job_type):
        return _Outcome.NOTHING
    in_force = holds.of_scopes(scopes_of(batch.collection, batch.job_type))
    if active_hold(in_force, context.now()):
        return _Outcome.NOTHING
    if found.chunk_numbers:
        return _release_jobs(batch, found.chunk_numbers, context)
    if batch.state is BatchState.HELD:
        move = BATCH.move(batch.state, "release", context.now(), context.cause)
        try:
            batches.apply(batch, move)
        except StaleState:
            return _Outcome.LATER  # somebody released or deleted it just now
        context.executions.start_batch(batch.batch_id, "open", context.run)
        return _Outcome.RELEASED
    if batch.state is BatchState.PENDING and found.released_as:
        # A lift that crashed may not have started the execution; a second start is harmless.
        context.executions.start_batch(batch.batch_id, "open", found.released_as)
    return _Outcome.NOTHING


def _release_jobs(
    batch: Batch, chunk_numbers: tuple[int, ...], context: CommandContext
) -> _Outcome:
    if BATCH.state(batch.state).type is StateType.TERMINAL:
        return _Outcome.NOTHING  # its held jobs were given up with it
    running = [each for each in operations.running(batch.batch_id) if each.event == "release"]
    awaited: set[str] = set()  # operations that are on their way to what is held
    for number in chunk_numbers:
        record = chunks.get(batch.batch_id, number)
        on_its_way = {
            each.operation_id
            for each in running
            if number in each.chunks and not record.progress(each.operation_id).last_pass
        }
        if record.machine_held and not on_its_way:
            break
        awaited |= on_its_way if record.machine_held else set()
    else:
        for run in awaited:  # perhaps of a slice that crashed before it started the execution
            context.executions.start_batch(batch.batch_id, "operation", run)
        return _Outcome.LATER if awaited else _Outcome.NOTHING
    try:
        start_operation(batch.batch_id, "release", Filter(JobState.HELD, by_machine=True), context)
    except (InvalidTransition, StaleState):
        return _Outcome.LATER  # it is being reported or cancelled, or moved on just now
    return _Outcome.RELEASED
