"""Records which files a job has stored so far, so that they are not fetched again.

While files come in, a sheet of them is written now and then; it may be lost without harm. When all
files are stored, the whole list is written once. Two workers at the same job agree by it.
"""

import json
from collections.abc import Iterable, Mapping

from jobyard.jobtypes.deposit import bucket
from jobyard.jobtypes.deposit.content import Staged, Stored
from jobyard.jobtypes.deposit.keys import staging
from jobyard.jobtypes.step_context import StorageContext

PAGE_SIZE = 32  # files on a sheet: the most that is fetched again after a crash


def read_page(job_id: str, number: int, context: StorageContext) -> dict[int, Stored]:
    """The files noted on a sheet, by their position in the object's list."""
    text = bucket.read(context.s3, context.work_bucket, _page_key(job_id, number)) or b""
    lines = map(json.loads, text.splitlines())
    return {position: Stored(**stored) for position, stored in lines}


def write_page(
    job_id: str, number: int, stored: Mapping[int, Stored], context: StorageContext
) -> None:
    """Write a sheet, replacing it."""
    context.s3.put_object(
        Bucket=context.work_bucket,
        Key=_page_key(job_id, number),
        Body=b"".join(_line([position, vars(each)]) for position, each in sorted(stored.items())),
    )


def write_list(
    job_id: str, stored: Iterable[Stored], context: StorageContext
) -> tuple[Stored, ...]:
    """Write the list of all files. Returns the list that counts: the first that was written.

    If a list was written and is gone, a worker that finished the job removed it.
    """
    own = tuple(stored)
    body = b"".join(_line(vars(each)) for each in own)
    if bucket.put_new(context.s3, context.work_bucket, staging(job_id, "stored.jsonl"), body):
        return own
    return read_list(job_id, context) or own


def read_list(job_id: str, context: StorageContext) -> tuple[Stored, ...] | None:
    """The list of all files; None if some are not stored yet."""
    text = bucket.read(context.s3, context.work_bucket, staging(job_id, "stored.jsonl"))
    if text is None:
        return None
    return tuple(Stored(**json.loads(line)) for line in text.splitlines())


def read_container(job_id: str, context: StorageContext) -> Staged | None:
    """The container staged for the job; None if there is none, or it was staged again since."""
    text = bucket.read(context.s3, context.work_bucket, staging(job_id, "container.json"))
    return None if text is None else Staged(**json.loads(text))


def write_container(job_id: str, staged: Staged, context: StorageContext) -> None:
    """Record that the container is staged, and which bytes it has."""
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
