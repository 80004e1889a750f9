"""Stores checkpoints. Each is written in one transaction with the records that it counts."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.store import transactions
from jobyard.store.tables import CheckpointItem

CHECKPOINT_LIFETIME = timedelta(days=30)  # after the last write


def get(job_id: str) -> Checkpoint:
    """The job's checkpoint; one of version 0 if it has none yet."""
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
        failed_part=body.get("failed_part", ""),
    )


def put_item(seen: Checkpoint, after: Checkpoint, at: datetime) -> Mapping[str, Any]:
    """The item of a transaction that replaces the checkpoint `seen` by `after`.

    The transaction is cancelled if the checkpoint changed meanwhile, or if this write is a repeat.
    A sweep sends it together with the items of a table that is not ours.
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
            **({"failed_part": after.failed_part} if after.failed_part else {}),
        },
    )
    return transactions.put(item, seen.version)
