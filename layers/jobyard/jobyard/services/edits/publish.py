"""Publishes a commit: what is downstream gets its change file, and an event about it."""

import json
from typing import Any

from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.services.datasets.commit import roll_forward
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.moves import move_of, write_job
from jobyard.services.edits.work_files import write_json
from jobyard.store import commits, edits

SOURCE = "jobyard"  # of the event, on the default bus
DETAIL_TYPE = "Dataset changed"
_TRIES = 5


class NotPublished(Exception):
    """EventBridge refused the event."""


def publish(edit_id: str, context: EditContext) -> bool:
    """Publish the commit of a job, at least once. Returns whether it is published now.

    Raises:
        NotPublished: EventBridge refused the event.
        StaleState: somebody changed the job meanwhile.
    """
    job = edits.get(edit_id)
    if job.state is not EditState.COMMITTED:
        return job.state is EditState.PUBLISHED
    made = commits.find(job.dataset, job.revision)
    if made is not None and made.origin.edit_id == edit_id:
        detail = {
            "dataset": job.dataset,
            "revision": made.revision,
            "edit_id": edit_id,
            "bucket": context.settings.work_bucket,
            "changes": made.file,
            "inserted": made.inserted,
            "updated": made.updated,
            "deleted": made.deleted,
        }
        write_json(_pointer(job.dataset, str(made.revision)), detail, context.datasets)
        _point_to_latest(job, context)
        _send(detail, context)
    write_job(job, job.moved(move_of(job, "publish", context)), context)
    return True


def _point_to_latest(job: EditJob, context: EditContext) -> None:
    """Write which revision is the latest. It never goes back: who writes looks again afterwards."""
    latest = roll_forward(job.dataset, context.datasets).revision
    for _ in range(_TRIES):
        document = {"dataset": job.dataset, "revision": latest}
        write_json(_pointer(job.dataset, "latest"), document, context.datasets)
        following = roll_forward(job.dataset, context.datasets).revision
        if following == latest:
            return
        latest = following


def _pointer(dataset: str, name: str) -> str:
    return f"datasets/{dataset}/published/{name}.json"


def _send(detail: dict[str, Any], context: EditContext) -> None:
    entry = {"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": json.dumps(detail)}
    answer = context.events.put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        failed = answer["Entries"][0]
        raise NotPublished(f"{failed.get('ErrorCode')}: {failed.get('ErrorMessage')}")
