"""Records which files a job has stored, so that a retry does not fetch them again.

While files are stored, pages of receipts are written; a lost page only costs another fetch. When
all files are stored, the whole list is written once. So two workers on one job use the same list.
"""

import json
from collections.abc import Iterable, Mapping

from jobyard.jobtypes.deposit import bucket
from jobyard.jobtypes.deposit.content import Staged, Stored
from jobyard.jobtypes.deposit.keys import staging
from jobyard.jobtypes.step_context import StorageContext

FILES_PER_PAGE = 32  # files on a page: the most that are fetched again after a crash


def read_page(job_id: str, number: int, context: StorageContext) -> dict[int, Stored]:
    """The stored files on a page, by their position in the object's list."""
    text = bucket.read(context.s3, context.work_bucket, _page_key(job_id, number)) or b""
    lines = map(json.loads, text.splitlines())
    return {position: Stored(**stored) for position, stored in lines}


def write_page(
    job_id: str, number: int, stored: Mapping[int, Stored], context: StorageContext
) -> None:
    """Write a page, or replace it."""
    context.s3.put_object(
        Bucket=context.work_bucket,
        Key=_page_key(job_id, number),
        Body=b"".join(_line([position, vars(each)]) for position, each in sorted(stored.items())),
    )


def write_list(
    job_id: str, stored: Iterable[Stored], context: StorageContext
) -> tuple[Stored, ...]:
    """Write the list of all files, unless another worker wrote it. Returns the list that was first.

    If that list is gone, the other worker has finished the job; then `stored` is returned.
    """
    own = tuple(stored)
    body = b"".join(_line(vars(each)) for each in own)
    if bucket.put_new(context.s3, context.work_bucket, staging(job_id, "stored.jsonl"), body):
        return own
    return read_list(job_id, context) or own


def read_list(job_id: str, context: StorageContext) -> tuple[Stored, ...] | None:
    """The list of all files; None if it is not written yet."""
    text = bucket.read(context.s3, context.work_bucket, staging(job_id, "stored.jsonl"))
    if text is None:
        return None
    return tuple(Stored(**json.loads(line)) for line in text.splitlines())


def read_container(job_id: str, context: StorageContext) -> Staged | None:
    """The job's staged container; None if it is not staged yet."""
    text = bucket.read(context.s3, context.work_bucket, staging(job_id, "container.json"))
    return None if text is None else Staged(**json.loads(text))


def write_container(job_id: str, staged: Staged, context: StorageContext) -> None:
    """Record the job's staged container."""
    context.s3.put_object(
        Bucket=context.work_bucket,
        Key=staging(job_id, "container.json"),
        Body=_line(vars(staged)),
    )


def write_remarks(job_id: str, remarks: str, context: StorageContext) -> None:
    """Save the remarks about a container, if there are any."""
    if remarks:
        key = staging(job_id, "remarks.txt")
        context.s3.put_object(Bucket=context.work_bucket, Key=key, Body=remarks.encode())


def remarks(job_id: str, context: StorageContext) -> str:
    """The saved remarks about the container; "" for none."""
    text = bucket.read(context.s3, context.work_bucket, staging(job_id, "remarks.txt"))
    return (text or b"").decode()


def _page_key(job_id: str, number: int) -> str:
    return staging(job_id, f"stored/{number:06d}.jsonl")


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
