"""The files of edit jobs in the work bucket: change sets, reports, and what packages contain.

All files of an attempt are in one folder, which is removed as a whole.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from jobyard.domain.datasets.base_format import line_of_feature, parse_feature
from jobyard.domain.datasets.change_file import change_lines, read_change_file
from jobyard.domain.datasets.changes import FeatureChange, change_of
from jobyard.domain.datasets.commit import CommitOrigin
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.work import ChangeSet, SentFile
from jobyard.services.datasets import files
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.edits.access import id_of
from jobyard.store.edits import Job

CHILDREN = "children"
KEPT = ("attachments", "log")  # the folders that stay after the end


def root_of(edit_id: str) -> str:
    """The folder of all files of an edit job and its children."""
    return f"edits/{edit_id}"


def folder_of(job: Job) -> str:
    """The folder of the files of the attempt at a job."""
    if isinstance(job, ChildJob):
        return f"{root_of(job.parent_id)}/{CHILDREN}/{job.child_id}/{job.attempt}"
    return f"{root_of(job.edit_id)}/{job.attempt}"


def log_key(edit_id: str, attempt: int) -> str:
    """The key of the process log of an attempt that failed."""
    return f"{root_of(edit_id)}/log/{attempt}.json"


def report_key(job: Job, sent: SentFile) -> str:
    """The key of what was found in a file that was uploaded to a job. It stays after the end."""
    root = root_of(job.parent_id if isinstance(job, ChildJob) else job.edit_id)
    return f"{root}/log/upload-{id_of(job)}-{job.attempt}-{sent.number}.json"


def write_json(key: str, value: Any, context: DatasetContext) -> str:
    """Write a value; returns the key."""
    files.write(key, [json.dumps(value, ensure_ascii=False).encode()], context)
    return key


def read_json(key: str, context: DatasetContext) -> Any:
    """The value that was written."""
    return json.loads(files.read(key, context))


def write_changes(
    job: Job, changes: Sequence[FeatureChange], source: str, context: DatasetContext
) -> ChangeSet:
    """Write changes for a job. The same changes have the same file. `source` is the digest of the
    file that was uploaded.

    Raises:
        BadRequest: there are more changes than a commit may have.
    """
    job_id = id_of(job)
    digest = hashlib.sha256()
    for line in _change_lines(job, job_id, changes):
        digest.update(line)
    key = f"{folder_of(job)}/changes-{digest.hexdigest()[:32]}.jsonl"
    files.write(key, _change_lines(job, job_id, changes), context)
    return ChangeSet(key, digest.hexdigest(), len(changes), source)


def _change_lines(job: Job, job_id: str, changes: Sequence[FeatureChange]) -> Iterator[bytes]:
    return change_lines(job.dataset, 0, CommitOrigin(job_id, job.attempt), changes)


def read_change_set(
    stored: ChangeSet | None, precision: int, context: DatasetContext
) -> dict[str, FeatureChange]:
    """The changes of a set, by the ids of features; none without a set."""
    return read_changes(stored.key, precision, context) if stored else {}


def read_changes(key: str, precision: int, context: DatasetContext) -> dict[str, FeatureChange]:
    """The changes of a file, by the ids of features."""
    found = change_lines_of(key, precision, context)
    return {change.feature_id: change for change in found if change}


def change_lines_of(
    key: str, precision: int, context: DatasetContext
) -> Iterator[FeatureChange | None]:
    """The changes of a file, one after the other, without reading more than is asked for."""
    _, lines = read_change_file(files.blocks_of(key, context))
    return (change_of(each.feature_id, each.before, each.after, precision) for each in lines)


def write_features(key: str, features: Iterable[Feature], context: DatasetContext) -> None:
    """Write features as lines."""
    files.write(key, map(line_of_feature, features), context)


def read_features(key: str, context: DatasetContext) -> dict[str, Feature]:
    """The features of a file, by their ids."""
    return {each.feature_id: each for each in map(parse_feature, _lines(key, context))}


def _lines(key: str, context: DatasetContext) -> Iterator[bytes]:
    rest = b""
    for block in files.blocks_of(key, context):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if rest:
        yield rest
