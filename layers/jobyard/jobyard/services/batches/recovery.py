"""Recovery of batches: those that are checked each minute, a single batch, or a page of a list."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, islice

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.errors import Gone, NotFound
from jobyard.services.batches.pending_work import work_of_batch
from jobyard.services.executions import Executions
from jobyard.services.pending_work import RecoveredPage, recover
from jobyard.store import batches, key_values

BATCHES_CHECKED = 100  # per minute; DescribeExecution allows ten calls a second, and a burst of 250
EXECUTIONS_STARTED = 25  # per minute
FAILED_BATCHES_CHECKED = 20  # per minute, the newest: most failed batches are not being repaired
_PAGE = 20  # batches that `recover_page` checks at a time
_POSITION_KEY = "recovery position"
# In this order. Jobs of a failed batch may be repaired.
_STATES_CHECKED = (
    BatchState.PENDING,
    BatchState.PROCESSING,
    BatchState.CANCELLING,
    BatchState.REPORTING,
    BatchState.UPDATE_REPORTING,
    BatchState.FAILED,
)
# The lists of batches that the job `reconcile` checks; its cursor names one of them.
BATCH_LISTS = tuple(state.value for state in _STATES_CHECKED)


def recover_batches(
    executions: Executions,
    now: datetime,
    limit: int = EXECUTIONS_STARTED,
    remaining: Callable[[], float] = lambda: 1.0,
) -> int:
    """Recover orphaned work of batches while `remaining()` is positive. Returns the number of
    started executions, at most `limit`.

    The oldest batches come first. If there are more than `BATCHES_CHECKED`, the next call continues
    after the last one.
    """
    started = 0
    oldest_first = _batches_to_check("")
    oldest = next(oldest_first, None)
    if oldest is None:
        return 0
    saved = position = key_values.get(_POSITION_KEY)
    to_check = _batches_from(saved) if saved else chain([oldest], oldest_first)
    for number, batch in enumerate(to_check):
        if started == limit or number == BATCHES_CHECKED or (number and remaining() <= 0):
            break
        started += recover_batch(batch.batch_id, executions, now, limit - started)
        position = _position_of(batch)
    else:
        position = ""
    if position != saved:
        key_values.put(_POSITION_KEY, position)
    return started


def recover_batch(
    batch_id: str, executions: Executions, now: datetime, limit: int | None = None
) -> int:
    """Recover the orphaned work of a batch. Returns the number of started executions, at most
    `limit`; 0 if the batch does not exist any more.
    """
    try:
        batch = batches.get(batch_id, now)
    except (Gone, NotFound):
        return 0
    started = 0
    for work in work_of_batch(batch, executions, now):
        started += recover(work, executions, now)
        if started == limit:
            break
    return started


def recover_page(
    list_name: str, after: str, executions: Executions, now: datetime
) -> RecoveredPage:
    """Recover the next batches of a list: those in the state of its name."""
    page = [*islice(batches.in_state(BatchState(list_name), after), _PAGE)]
    found = [batch for batch in page if not batch.awaits_upload]
    recovered = sum(recover_batch(batch.batch_id, executions, now) for batch in found)
    return RecoveredPage(batches.page_key(page[-1]) if page else "", len(found), recovered)


def _batches_from(saved: str) -> Iterator[Batch]:
    """The batches to check, each once: from the saved position on, then from the beginning."""
    seen: set[str] = set()
    for batch in chain(_batches_to_check(saved), _batches_to_check("")):
        if batch.batch_id not in seen:
            seen.add(batch.batch_id)
            yield batch


def _batches_to_check(saved: str) -> Iterator[Batch]:
    """The unfinished batches and the newest failed ones, by state and age, from a position on.

    Read from an index, so they may have changed since.
    """
    first, _, after = saved.partition(" ")
    for state in _STATES_CHECKED[_STATES_CHECKED.index(BatchState(first)) if first else 0 :]:
        position = after if state == first else ""
        if state is BatchState.FAILED:
            newest = batches.of_state(state.value, limit=FAILED_BATCHES_CHECKED).items
            yield from (each for each in reversed(newest) if batches.page_key(each) > position)
        else:
            yield from batches.in_state(state, position, uploaded=True)


def _position_of(batch: Batch) -> str:
    """The position after a batch, as `_batches_to_check` takes it."""
    return f"{batch.state.value} {batches.page_key(batch)}"
