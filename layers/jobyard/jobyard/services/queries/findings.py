"""The findings of a batch's manifest."""

import json
from typing import Any

from jobyard.domain.batches.batch import Batch
from jobyard.domain.manifests.findings import without_zeros
from jobyard.services.access import visible_batch
from jobyard.services.batches import rows
from jobyard.services.context import QueryContext


def list_findings(
    batch_id: str, context: QueryContext, *, after: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Up to `limit` findings of a batch's manifest, and where the next ones begin; None after the
    last.

    `after` is such a position, a byte offset in the file of findings; 0 for the first page.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    found = visible_batch(batch_id, context.actor, context.now)
    return findings_of(found, context, after=after, limit=limit)


def findings_of(
    batch: Batch, context: QueryContext, *, after: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """The same for a batch that was read already, and that the actor may see."""
    if not batch.findings:
        return [], None
    response = context.s3.get_object(
        Bucket=context.settings.work_bucket,
        Key=rows.findings_key(batch.batch_id),
        Range=f"bytes={after}-",
    )
    shown: list[dict[str, Any]] = []
    for line in response["Body"].iter_lines(keepends=True):
        if len(shown) == limit:
            return shown, after
        shown.append(without_zeros(json.loads(line)))
        after += len(line)
    return shown, None
