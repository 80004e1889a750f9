"""The file that lists the failed records of a job, such as a sweep."""

from dataclasses import dataclass
from typing import Any

from jobyard.domain.errors import NotFound
from jobyard.domain.jobs.checkpoint import FAILED_FILE, failed_file_key
from jobyard.domain.jobs.job import JobRecord
from jobyard.services.context import QueryContext
from jobyard.services.origins import job_origin
from jobyard.store import jobs

_LINK_EXPIRES_S = 900


@dataclass(frozen=True)
class FailedRecordsLink:
    """A link to the file, valid for 15 minutes, and how many records it lists."""

    url: str
    records: int


def listed_failures(job: JobRecord) -> int:
    """How many failed records of a job are in a file; 0 if there is none."""
    found = _file_of(job)
    return found["records"] if found else 0


def failed_records(job_id: str, context: QueryContext) -> FailedRecordsLink:
    """The file that lists the failed records of a job.

    Raises:
        NotFound: there is no such job, the actor may not see it, or it has no such file.
        Forbidden: it is a schedule's job, and the actor may not see schedules. Gone: it was
            archived.
    """
    origin = job_origin(job_id, context.actor, context.now)
    job = jobs.find(origin.address)
    found = _file_of(job) if job else None
    if found is None:
        raise NotFound(f"job {job_id} has no file of failed records")
    url = context.s3.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": context.settings.work_bucket,
            "Key": failed_file_key(job_id, found["number"]),
            "ResponseContentType": "application/x-ndjson; charset=utf-8",
            "ResponseContentDisposition": f'attachment; filename="{job_id}-failed.jsonl"',
        },
        ExpiresIn=_LINK_EXPIRES_S,
    )
    return FailedRecordsLink(url, found["records"])


def _file_of(job: JobRecord) -> dict[str, Any] | None:
    """What the job's result says about the file; None if it has none. Other job types choose their
    results, so the form is checked.
    """
    found = job.data.get(FAILED_FILE)
    if not isinstance(found, dict):
        return None
    is_file = all(type(found.get(each)) is int for each in ("number", "records"))
    return found if is_file and found["records"] > 0 else None
