"""Holds, as lists and details show them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.errors import Gone, InvalidCampaign, NotFound
from jobyard.domain.hold import Hold, active_hold, check_scope
from jobyard.domain.lifecycle import StateType
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.store import batches, campaigns, chunks, holds

NAMED = 20  # campaigns, whose records are read for that
_CAMPAIGN = "campaign:"
COUNTED = 50  # held batches, the oldest, and chunks with held jobs


def list_holds(context: QueryContext) -> list[Hold]:
    """The holds in force, by scope.

    Raises:
        Forbidden: the actor may not see holds.
    """
    authorize(context.actor, "hold", "view")
    return sorted(
        (each for each in holds.list_all() if active_hold([each], context.now)),
        key=lambda hold: hold.scope,
    )


def hold(scope: str, context: QueryContext) -> Hold:
    """The hold on a scope.

    Raises:
        Forbidden: as for `list_holds`. BadRequest: `scope` is not a scope. NotFound: no hold is
            in force on it.
    """
    authorize(context.actor, "hold", "view")
    found = holds.find(check_scope(scope))
    if found is None or not active_hold([found], context.now):
        raise NotFound(f"there is no hold on {scope}")
    return found


def held_campaigns(found: Sequence[Hold]) -> dict[str, str]:
    """The names of the campaigns that are on hold, of the first `NAMED`, by the hold's scope."""
    names = {}
    of_campaigns = (hold.scope for hold in found if hold.scope.startswith(_CAMPAIGN))
    for scope in islice(of_campaigns, NAMED):
        with suppress(NotFound, Gone, InvalidCampaign):
            names[scope] = campaigns.get(scope.removeprefix(_CAMPAIGN)).name
    return names


@dataclass(frozen=True)
class HeldWork:
    """What a hold holds now: batches that it keeps from starting, and jobs of other batches.

    If it is not exact, there may be more.
    """

    batches: int
    jobs: int
    is_exact: bool


def held_work(found: Sequence[Hold], context: QueryContext) -> dict[str, HeldWork]:
    """What each of the holds holds, by scope. What two of them hold counts for both.

    A hold on a campaign is left out: it holds all of its tasks.
    """
    counted = [hold for hold in found if not hold.scope.startswith(_CAMPAIGN)]
    if not counted:
        return {}
    limit = COUNTED + 1
    waiting = [*islice(batches.in_state(BatchState.HELD, page=limit), limit)]
    keys = [*islice(_chunks_with_held_jobs(), limit)]
    jobs = _held_jobs(keys[:COUNTED], context)
    return {
        hold.scope: HeldWork(
            sum(_covers(hold, batch) for batch in waiting[:COUNTED]),
            sum(number for batch, number in jobs if _covers(hold, batch)),
            is_exact=max(len(waiting), len(keys)) <= COUNTED,
        )
        for hold in counted
    }


def _chunks_with_held_jobs() -> Iterator[tuple[str, int]]:
    """The batches and numbers of the chunks in which the machine holds jobs, from their index."""
    for shard in range(chunks.HELD_SHARDS):
        for each in chunks.held_batches(shard, None):
            yield from ((each.batch_id, number) for number in each.chunks)


def _held_jobs(keys: Sequence[tuple[str, int]], context: QueryContext) -> list[tuple[Batch, int]]:
    """The open batches with jobs that the machine holds in these chunks, and their number."""
    numbers: Counter[str] = Counter()
    for batch_id, chunk in keys:
        numbers[batch_id] += chunks.get(batch_id, chunk).machine_held
    found = []
    for batch_id, number in numbers.items():
        with suppress(NotFound, Gone):
            found.append((batches.get(batch_id, context.now), number))
    return [(batch, number) for batch, number in found if _is_open(batch)]


def _is_open(batch: Batch) -> bool:
    """Whether its held jobs did not end with it."""
    return BATCH.state(batch.state).type is not StateType.TERMINAL


def _covers(hold: Hold, batch: Batch) -> bool:
    return hold.covers(batch.collection, batch.job_type)
