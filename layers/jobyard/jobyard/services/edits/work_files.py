"""The files of edit jobs in the work bucket: change sets, reports, and what packages contain.

All files of an attempt are in one folder, which is removed as a whole.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import Any

from jobyard.domain.datasets.base_format import line_of_feature, parse_feature
from jobyard.domain.datasets.change_file import change_lines, read_change_file
from jobyard.domain.datasets.changes import FeatureChange, change_of
from jobyard.domain.datasets.commit import CommitOrigin
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.work import ChangeSet
from jobyard.services.datasets import files
from jobyard.services.datasets.context import DatasetContext
from jobyard.store.edits import Job

CHILDREN = "children"
ATTACHMENTS = "attachments"  # the folder that stays until the job is archived
_IN_MEMORY = 8 * 1024 * 1024
_BLOCK = 1024 * 1024


def root_of(edit_id: str) -> str:
    """The folder of all files of an edit job and its children."""
    return f"edits/{edit_id}"


def folder_of(job: Job) -> str:
    """The folder of the files of the attempt at a job."""
    if isinstance(job, ChildJob):
        return f"{root_of(job.parent_id)}/{CHILDREN}/{job.child_id}/{job.attempt}"
    return f"{root_of(job.edit_id)}/{job.attempt}"


def write_json(key: str, value: Any, context: DatasetContext) -> str:
    """Write a value; returns the key."""
    files.write(key, [json.dumps(value, ensure_ascii=False).encode()], context)
    return key


def read_json(key: str, context: DatasetContext) -> Any:
    """The value that was written."""
    return json.loads(files.read(key, context))


def write_changes(
    job: Job, changes: Iterable[FeatureChange], source: str, context: DatasetContext
) -> ChangeSet:
    """Write changes for a job. The same changes have the same file. `source` is the digest of the
    file that was uploaded.

    Raises:
        BadRequest: there are more changes than a commit may have.
    """
    job_id = job.child_id if isinstance(job, ChildJob) else job.edit_id
    digest, count = hashlib.sha256(), -1
    with SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
        for line in change_lines(job.dataset, 0, CommitOrigin(job_id, job.attempt), changes):
            digest.update(line)
            spool.write(line)
            count += 1
        key = f"{folder_of(job)}/changes-{digest.hexdigest()[:32]}.jsonl"
        spool.seek(0)
        files.write(key, iter(lambda: spool.read(_BLOCK), b""), context)
    return ChangeSet(key, digest.hexdigest(), count, source)


def read_changes(key: str, precision: int, context: DatasetContext) -> dict[str, FeatureChange]:
    """The changes of a file, by the ids of features."""
    _, lines = read_change_file(files.blocks_of(key, context))
    found = (change_of(each.feature_id, each.before, each.after, precision) for each in lines)
    return {change.feature_id: change for change in found if change}


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
