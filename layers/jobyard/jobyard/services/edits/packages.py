"""Writes packages, and next to each what an upload is compared with."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobyard.domain.datasets.base_format import to_json
from jobyard.domain.datasets.changes import FeatureChange, in_order
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.edits import package
from jobyard.domain.edits.attachment import Attachment
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.edits.package import PackageFile, package_id_of
from jobyard.domain.edits.upload import PackageFeatures
from jobyard.domain.edits.work import Package
from jobyard.services.batches.uploads import MultipartUpload
from jobyard.services.datasets import files
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.edits.access import id_of
from jobyard.services.edits.work_files import (
    folder_of,
    read_changes,
    read_features,
    write_changes,
    write_features,
    write_json,
)
from jobyard.store.edits import Job


@dataclass(frozen=True)
class PackageContents:
    """What a package has. `included` are changes that its features have already.

    `findings` are what a child is about: failures, conflicts or feedback; None for none. `changed`
    are the changes that a review is about.
    """

    editable: Mapping[str, Feature]
    context: Mapping[str, Feature]
    included: Sequence[FeatureChange] = ()
    findings: Any = None
    changed: Sequence[FeatureChange] = ()
    attachments: Sequence[Attachment] = ()


@dataclass(frozen=True)
class IncludedChanges:
    """What an upload is compared with: the features of its package, and the changes in them."""

    editable: Mapping[str, Feature]
    context: Mapping[str, Feature]
    included: Mapping[str, FeatureChange]

    def features(self, elsewhere: Iterable[str], dataset: Dataset) -> PackageFeatures:
        """The features, as uploads are read against them."""
        return PackageFeatures(
            self.editable,
            self.context,
            frozenset(elsewhere),
            dataset.precision,
            dataset.missing_is_null,
        )


def write_package(
    job: Job, parent: EditJob, contents: PackageContents, dataset: Dataset, context: DatasetContext
) -> Package:
    """Write the package of a job, and next to it what its upload is compared with. A repeat writes
    the same. `parent` is the job itself, unless it is a child.
    """
    is_child = isinstance(job, ChildJob)
    number = job.version if is_child else parent.checks
    job_id = id_of(job)
    package_id = package_id_of(job_id, job.attempt, number)
    key = f"{folder_of(job)}/package-{number}.zip"
    write_features(_editable_key(key), contents.editable.values(), context)
    write_features(_context_key(key), contents.context.values(), context)
    included = write_changes(job, contents.included, "", context)
    write_json(_included_key(key), included.key, context)
    about = _metadata(package_id, job, parent, contents, dataset)
    with files.upload_to(key, context) as upload:
        stream = _DigestedStream(upload)
        package.write_package(stream, _files(about, contents, dataset, context))
        size = upload.finish().size
    return Package(package_id, key, stream.digest, size)


class _DigestedStream:
    """A stream that is written to an upload, and its digest. It cannot seek, and needs no disk."""

    def __init__(self, upload: MultipartUpload) -> None:
        self._upload = upload
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The SHA-256 of what was written, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        """Add bytes; returns their number."""
        self._hash.update(data)
        return self._upload.write(data)

    def flush(self) -> None:
        """Do nothing: the upload keeps what it has not sent."""


def read_contents(found: Package, precision: int, context: DatasetContext) -> IncludedChanges:
    """What an upload for a package is compared with."""
    included: str = json.loads(files.read(_included_key(found.key), context))
    return IncludedChanges(
        read_features(_editable_key(found.key), context),
        read_features(_context_key(found.key), context),
        read_changes(included, precision, context),
    )


def _editable_key(key: str) -> str:
    return f"{key}.editable.jsonl"


def _context_key(key: str) -> str:
    return f"{key}.context.jsonl"


def _included_key(key: str) -> str:
    return f"{key}.included.json"


def _metadata(
    package_id: str, job: Job, parent: EditJob, contents: PackageContents, dataset: Dataset
) -> dict[str, Any]:
    """What the package is for, as JSON."""
    failure_type = job.failure_type.value if isinstance(job, ChildJob) else None
    return {
        "package_id": package_id,
        "edit_id": parent.edit_id,
        "child_id": job.child_id if isinstance(job, ChildJob) else None,
        "failure_type": failure_type,
        "name": job.title if isinstance(job, ChildJob) else job.name,
        "dataset": dataset.name,
        "edit_type": parent.edit_type,
        "priority": parent.priority.value,
        "attempt": job.attempt,
        "base_revision": parent.base_revision,
        "precision": dataset.precision,
        "missing_is_null": dataset.missing_is_null,
        "rules_version": dataset.rules_version,
        "extent": parent.extent.document(),
        "features": len(contents.editable),
        "context": len(contents.context),
    }


def _files(
    about: Mapping[str, Any],
    contents: PackageContents,
    dataset: Dataset,
    context: DatasetContext,
) -> Iterator[PackageFile]:
    """The files of a package, in a fixed order."""
    yield PackageFile(package.JOB_FILE, [json.dumps(about, indent=2).encode()])
    yield PackageFile(package.FEATURES_FILE, _collection(contents.editable))
    yield PackageFile(package.CONTEXT_FILE, _collection(contents.context))
    rules = json.dumps([*dataset.rules], indent=2).encode()
    yield PackageFile(package.RULES_FILE, [rules])
    if contents.findings is not None:
        findings = json.dumps(contents.findings, ensure_ascii=False, indent=2).encode()
        yield PackageFile(package.FINDINGS_FILE, [findings])
    if contents.changed:
        yield PackageFile(package.CHANGES_FILE, _changed_collection(contents.changed))
    for each in contents.attachments:
        name = package.attachment_name(each.index, each.filename)
        yield PackageFile(name, files.blocks_of(each.key, context))


def _collection(features: Mapping[str, Feature]) -> Iterator[bytes]:
    """Features as GeoJSON, in the order of ids."""
    yield b'{"type": "FeatureCollection", "features": ['
    for index, feature_id in enumerate(in_order(features)):
        yield b",\n" if index else b"\n"
        yield to_json(features[feature_id].document())
    yield b"\n]}\n"


def _changed_collection(changes: Sequence[FeatureChange]) -> Iterator[bytes]:
    """Changes as an upload of kind `changes` would have them."""
    after = {each.feature_id: each.after for each in changes if each.after is not None}
    deleted = [each.feature_id for each in changes if each.after is None]
    yield b'{"type": "FeatureCollection", "deleted": ' + to_json(deleted) + b', "features": ['
    for index, feature_id in enumerate(in_order(after)):
        yield b",\n" if index else b"\n"
        yield to_json(after[feature_id].document())
    yield b"\n]}\n"
