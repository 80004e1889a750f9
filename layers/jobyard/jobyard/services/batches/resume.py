"""Resuming a batch: the first step of an execution that was started for a command."""

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.cause_key import Action, CauseKey
from jobyard.services.batches import rows
from jobyard.services.batches.open import open_batch
from jobyard.services.batches.open_attempts import open_entry
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.batches.worker_leases import lease_workers
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.store import batches, operations


def resume(batch_id: str, command: str, run: ExecutionRun, context: OpenContext) -> NextStep:
    """Take the first step of a command.

    Open a released batch, write the index of an operation's chunks, or go straight to Settle.
    """
    batch = batches.get(batch_id, context.now())
    if command == "open":
        return open_batch(_claim_recovery(batch, context) if run.recoveries else batch, context)
    if command == "operation" and batch.state is not BatchState.DELETED:
        operation = operations.get(batch_id, run.name)
        settings, numbers = context.settings, [*operation.chunks]
        size = lease_workers(batch, run.name, len(numbers), settings, context.now())
        if not size.workers:
            return NextStep(batch_id, "settle", run=run.before())
        key = rows.pass_key(batch_id, run.name, run.number)
        index = rows.chunks_of(context.s3, settings, batch_id, numbers[: size.chunks])
        return NextStep(
            batch_id,
            "execute",
            run=run,
            index_bucket=settings.work_bucket,
            index_key=key,
            index_version=rows.put_index(context.s3, settings, key, index),
            max_concurrency=size.workers,
        )
    return NextStep(batch_id, "settle", run=run)


def _claim_recovery(batch: Batch, context: OpenContext) -> Batch:
    """Claim a batch whose manifest another execution began to read, but did not finish."""
    cause = str(CauseKey(action=Action.OPEN, subject=context.execution))
    is_claimed = any(entry.cause == cause for entry in batch.history)
    if batch.state is not BatchState.PROCESSING or batch.entries or is_claimed:
        return batch
    reason = "the execution that was reading its manifest had ended"
    return batches.add_entry(batch, open_entry(batch, context.now(), cause, reason))
