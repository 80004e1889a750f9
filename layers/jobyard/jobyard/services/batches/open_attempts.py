"""The attempts to open a batch, as its history shows them.

Settle records those that failed. It opens nothing, so it loads nothing of what opening needs.
"""

from datetime import datetime

from jobyard.domain.batches.batch import Batch, BatchState, ManifestSource
from jobyard.domain.cause_key import Action, CauseKey
from jobyard.domain.history import HistoryEntry
from jobyard.domain.lifecycle import Cause
from jobyard.services.batches.intake import find_or_create_batch, is_manifest, with_version
from jobyard.services.batches.open_context import OpenContext
from jobyard.store import batches


def open_entry(batch: Batch, at: datetime, cause: str, outcome: str) -> HistoryEntry:
    """The entry of one attempt to open a batch. `outcome` is shown as the entry's reason: the
    number of jobs, or why another attempt is needed.
    """
    return HistoryEntry.note("open", batch.state, at, Cause(cause, reason=outcome))


def unopened_message(request_id: str) -> str:
    """Why a manifest was not opened, when the fault is Jobyard's and not the manifest's."""
    return f"the manifest could not be opened; the cause is logged under request ID {request_id}"


def record_unopened(source: ManifestSource, context: OpenContext, reason: str) -> Batch | None:
    """Record why a manifest could not be opened. A later scheduler tick starts another execution.

    Returns None if the object is not a manifest.
    """
    if not is_manifest(source):
        return None
    source = with_version(source, context.s3)
    batch = find_or_create_batch(source, context)
    cause = str(CauseKey(action=Action.UPLOADED, subject=source.version_id))
    is_recorded = any(entry.cause == cause for entry in batch.history)
    if batch.state is not BatchState.PENDING or is_recorded:
        return batch
    entry = open_entry(batch, context.now(), cause, reason)
    return batches.add_entry(batch, entry, source=batch.source or source)
