"""Checkpoints as they are stored: each is written in one transaction with what it counts."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.store import transactions
from jobyard.store.tables import CheckpointItem

CHECKPOINT_LIFETIME = timedelta(days=30)  # after the last write


def get(job_id: str) -> Checkpoint:
    """The job's checkpoint, strongly read; of version 0 when it has none yet."""
    try:
        item = CheckpointItem.get(job_id, consistent_read=True)
    except CheckpointItem.DoesNotExist:
        return Checkpoint(job_id)
    body = item.body
    return Checkpoint(
        job_id=item.job_id,
        version=int(item.version),
        processed=body["processed"],
        failed=body["failed"],
        cursor=body["place"],
        ended=body["ended"],
        failures=tuple((key, why) for key, why in body["failures"]),
    )


def written(seen: Checkpoint, after: Checkpoint, at: datetime) -> Mapping[str, Any]:
    """The item of a transaction that writes `after` over the one that was `seen`.

    It goes through DynamoDB's own client, with the items of a table that is not ours. Its condition
    refuses it when someone else has written since, and when it was written already.
    """
    item = CheckpointItem(
        job_id=after.job_id,
        version=after.version,
        expires=int((at + CHECKPOINT_LIFETIME).timestamp()),
        body={
            "processed": after.processed,
            "failed": after.failed,
            "place": dict(after.cursor),
            "ended": after.ended,
            "failures": list(after.failures),
        },
    )
    return transactions.put(item, seen.version)
