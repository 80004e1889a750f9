"""Where an execution that a person began goes first."""

from jobyard.domain.batches.batch import Batch, BatchState, HistoryEntry
from jobyard.domain.cause_key import Action, CauseKey
from jobyard.domain.lifecycle import MACHINE
from jobyard.services.batches import rows
from jobyard.services.batches.open import OpenContext, open_batch
from jobyard.services.batches.settle import SettleContext, chunks_of
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.store import batches, operations


def resume(batch_id: str, command: str, run: ExecutionRun, opening: OpenContext) -> NextStep:
    """Carry out the first part of `command`: open a released batch, lay out an operation's chunks,
    or go straight to Settle."""
    batch = batches.get(batch_id, opening.now())
    if command == "open":
        return open_batch(_claimed(batch, opening) if run.times else batch, opening)
    if command == "operation" and batch.state is not BatchState.DELETED:
        operation = operations.get(batch_id, run.name)
        settings = opening.settings
        key = rows.pass_key(batch_id, run.name, run.number)
        settling = SettleContext(settings, opening.s3, opening.now)
        index = chunks_of(batch, operation.chunks, settling)
        return NextStep(
            batch_id,
            "execute",
            run=run,
            index_bucket=settings.work_bucket,
            index_key=key,
            index_version=rows.put_index(opening.s3, settings, key, index),
            max_concurrency=settings.max_concurrency,
        )
    return NextStep(batch_id, "settle", run=run)


def _claimed(batch: Batch, opening: OpenContext) -> Batch:
    """The batch, claimed by an execution that takes up the reading of its manifest."""
    cause = str(CauseKey(action=Action.OPEN, subject=opening.execution))
    known = any(entry.cause == cause for entry in batch.history)
    if batch.state is not BatchState.PROCESSING or batch.entries or known:
        return batch
    words = "the execution that was reading its manifest had ended"
    claim = HistoryEntry("open", batch.state, batch.state, opening.now(), MACHINE, cause, words)
    return batches.note(batch, claim)
