"""Commands for a batch: one conditional write of a move, then an execution for it.

If the execution could not be started, repeat the request: it finds its own move and starts the
execution. An execution of the same name starts only once.
"""

from jobyard.domain.activity import Subject
from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.chunks import sum_counts
from jobyard.domain.errors import InvalidTransition
from jobyard.services import activity
from jobyard.services.access import authorize, roles_on, visible_batch
from jobyard.services.context import CommandContext, require_reason
from jobyard.store import batches, chunks, operations

# The command of the execution that starts after a person's event.
COMMANDS = {"release": "open", "cancel": "settle", "update_reporting": "settle"}


def send_batch_event(batch_id: str, event: str, context: CommandContext) -> Batch:
    """Apply a person's event to a batch.

    Raises:
        NotFound, Gone: there is no such batch or event, or the batch was archived.
        InvalidTransition: the event is not valid in its state. Forbidden: not for this actor.
        StaleState: someone else moved it at the same time.
        BadRequest: no reason is given.
    """
    BATCH.check_event(event)
    batch = visible_batch(batch_id, context.actor, context.now())
    roles = roles_on(batch, context.actor)
    authorize(context.actor, "batch", event, relations=roles)
    last = batch.history[-1] if batch.history else None
    if not (last and last.cause == context.run and last.event == event):
        require_reason(context, event)
        move = BATCH.authorized_move(batch.state, event, context.now(), context.cause, roles)
        if event == "update_reporting" and not batch.last_report:
            raise InvalidTransition(f"batch {batch_id} was never reported")
        if event == "update_reporting" and not batch.entries:
            raise InvalidTransition(
                f"batch {batch_id} never had a job; there is nothing to compare"
            )
        if event == "delete" and _is_busy(batch_id):
            raise InvalidTransition(
                f"jobs of batch {batch_id} are running or scheduled: wait or force-fail them"
            )
        ended = {"ended_at": context.now()} if move.after == BatchState.DELETED else {}
        batch = batches.apply(batch, move, **ended)
    subject = Subject("batch", batch_id, batch.filename)
    activity.record(context, event, subject, batch.history[-1].at)
    command = COMMANDS.get(event)
    if command:
        context.executions.start_batch(batch_id, command, context.run)
    return batch


def starts_work(event: str) -> bool:
    """Whether an execution for the batch starts after this event of a person."""
    return event in COMMANDS


def _is_busy(batch_id: str) -> bool:
    """Whether jobs of the batch run or wait for a worker, or an operation does."""
    counts = sum_counts(record.counts for record in chunks.of_batch(batch_id))
    busy = counts.get("running", 0) + counts.get("scheduled", 0)
    return bool(busy) or operations.is_any_running(batch_id)
