"""What people do with datasets: load, export and delete them, edit their title and their rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from jobyard.domain.activity import Subject
from jobyard.domain.datasets.dataset import Dataset, Deletion, check_name
from jobyard.domain.datasets.export import ExportRequest
from jobyard.domain.datasets.extent import Extent
from jobyard.domain.datasets.geometry import DEFAULT_PRECISION, MAX_PRECISION
from jobyard.domain.datasets.load import UPLOAD_BYTES, UPLOADS_PREFIX, DatasetFile, LoadRequest
from jobyard.domain.datasets.rules import read_rules
from jobyard.domain.errors import BadRequest, InvalidTransition, StaleState
from jobyard.domain.ids import export_id_of, load_id_of
from jobyard.domain.upload_keys import is_own_upload, upload_key
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext, require_reason
from jobyard.services.datasets.load import MISSING_OBJECT, already_exists
from jobyard.services.upload_form import UploadForm, presigned_form
from jobyard.store import datasets, edits

_OPEN_NAMED = 3  # edit jobs, in the refusal of a deletion


@dataclass(frozen=True)
class NewDataset:
    """A dataset to load. `file` is the key that `file_form` gave."""

    name: str
    file: str
    title: str = ""
    precision: int = DEFAULT_PRECISION
    missing_is_null: bool = False


def file_form(
    filename: str, context: CommandContext, fields: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, UploadForm]:
    """The key to load a dataset from, and the form to upload its file to it, with more `fields`.

    The same request sent again gets the same key.

    Raises:
        Forbidden: the actor may not load datasets.
    """
    authorize(context.actor, "dataset", "load")
    key = upload_key(UPLOADS_PREFIX, context.actor.sub, context.key, filename)
    now = context.now()
    return key, presigned_form(context.s3, context.settings, key, UPLOAD_BYTES, now, fields)


def start_load(new: NewDataset, context: CommandContext) -> LoadRequest:
    """Have the machine load a dataset from a file that the actor uploaded.

    Raises:
        Forbidden: the actor may not load datasets.
        BadRequest: the name is not valid, or there is no such file.
        InvalidTransition: there is a dataset of that name.
    """
    authorize(context.actor, "dataset", "load")
    check_name(new.name)
    if not 0 <= new.precision <= MAX_PRECISION:
        raise BadRequest(f"precision: 0 to {MAX_PRECISION} decimals of a degree")
    load_id = load_id_of(context.key.encode())
    existing = datasets.find_any(new.name)
    if existing is not None and existing.load_id != load_id:
        raise InvalidTransition(already_exists(new.name, existing))
    request = LoadRequest(
        load_id,
        new.name,
        new.title or new.name,
        _uploaded(new.file, context),
        context.actor.name,
        context.actor.sub,
        context.now(),
        new.precision,
        new.missing_is_null,
    )
    first = context.executions.start_dataset_task(load_id, request.document())
    request = LoadRequest.of_document(first)
    activity.record(context, "load", Subject("dataset", new.name, request.title), request.at)
    return request


def _uploaded(key: str, context: CommandContext) -> DatasetFile:
    """The file that the actor uploaded to `key`, in its current version."""
    if not is_own_upload(UPLOADS_PREFIX, key, context.actor.sub):
        raise BadRequest("file: the key of a file that you have uploaded")
    try:
        found = context.s3.head_object(Bucket=context.settings.intake_bucket, Key=key)
    except context.s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in MISSING_OBJECT:
            raise
        raise BadRequest(f"file: no file was uploaded to {key!r:.300}") from error
    if found["ContentLength"] > UPLOAD_BYTES:
        raise BadRequest(f"file: it is larger than {UPLOAD_BYTES:,} bytes")
    return DatasetFile(key, found["VersionId"], found["ContentLength"])


@dataclass(frozen=True)
class DatasetEdit:
    """The title of a dataset, its rules, or both; None leaves one as it is.

    `version` is the version of the settings to replace; None replaces any.
    """

    title: str | None = None
    rules: Sequence[Mapping[str, Any]] | None = None
    version: int | None = None


def edit(name: str, wanted: DatasetEdit, context: CommandContext) -> Dataset:
    """Set the title of a dataset, its rules, or both.

    Raises:
        Forbidden: the actor may not. NotFound: there is no such dataset.
        BadRequest: no reason is given, or nothing to set. InvalidRule: a rule is not valid.
        StaleState: the settings have another version, or changed at the same time.
    """
    authorize(context.actor, "dataset", "edit")
    require_reason(context, "a change of a dataset")
    dataset = datasets.get(name)
    if dataset.changed_at and dataset.cause == context.run:
        return _recorded(dataset, dataset.changed_at, wanted, context)
    changes: dict[str, Any] = {}
    if wanted.title is not None:
        changes["title"] = wanted.title.strip() or name
    if wanted.rules is not None:
        found = read_rules(wanted.rules)
        changes |= {"rules": found.documents, "rules_version": found.version}
    if not changes:
        raise BadRequest("give a title, rules, or both")
    if wanted.version not in (None, dataset.version):
        message = f"{name} has the version {dataset.version}, not {wanted.version}; read it again"
        raise StaleState(message)
    now = context.now()
    after = dataset.with_settings(**changes, changed_at=now, cause=context.run)
    datasets.put_settings(after)
    return _recorded(after, now, wanted, context)


def delete(name: str, context: CommandContext) -> Dataset:
    """Delete a dataset. Nobody sees it from now on; the system job `pack` removes its files.

    Raises:
        Forbidden: the actor may not. NotFound: there is no such dataset. Gone: it was deleted.
        BadRequest: no reason is given. InvalidTransition: edit jobs of it are open.
        StaleState: its settings changed at the same time.
    """
    authorize(context.actor, "dataset", "delete")
    require_reason(context, "the deletion of a dataset")
    found = datasets.find_any(name)
    if found is not None and found.deletion and found.cause == context.run:
        return _deletion_recorded(found, context)
    dataset = datasets.get(name)
    open_jobs = edits.of_dataset(name, edits.OPEN, after="", limit=_OPEN_NAMED + 1)
    if open_jobs:
        named = ", ".join(each.job_id for each in open_jobs[:_OPEN_NAMED])
        more = " and more" if len(open_jobs) > _OPEN_NAMED else ""
        message = f"edit jobs of {name} are open: {named}{more}; complete, abandon or delete them"
        raise InvalidTransition(message)
    deletion = Deletion(context.now(), context.actor.name, context.reason)
    after = dataset.deleted(deletion, context.run)
    datasets.put_settings(after)
    return _deletion_recorded(after, context)


def _deletion_recorded(dataset: Dataset, context: CommandContext) -> Dataset:
    if dataset.deletion:
        subject = Subject("dataset", dataset.name, dataset.title)
        activity.record(context, "delete", subject, dataset.deletion.at)
    return dataset


def _recorded(
    dataset: Dataset, at: datetime, wanted: DatasetEdit, context: CommandContext
) -> Dataset:
    """The dataset, after its last change, which is this request's, is recorded."""
    given = {"title": wanted.title, "rules": wanted.rules}
    names = ", ".join(name for name, value in sorted(given.items()) if value is not None)
    activity.record(context, "edit", Subject("dataset", dataset.name, dataset.title), at, names)
    return dataset


def start_export(
    name: str,
    context: CommandContext,
    *,
    revision: int | None = None,
    extent: Extent | None = None,
    since: int | None = None,
) -> ExportRequest:
    """Have the machine write a file: of a revision (the head, if None), of an extent of it, or of
    the changes after the revision `since`.

    Raises:
        Forbidden: the actor may not export datasets. NotFound: there is no such dataset.
        BadRequest: it has no such revisions, or both an extent and `since` are given.
    """
    authorize(context.actor, "dataset", "export")
    dataset = datasets.get(name)
    revision = dataset.revision if revision is None else revision
    dataset.check_revision(revision)
    if since is not None:
        if extent is not None:
            raise BadRequest("give an extent or since, not both")
        dataset.check_revision(since)
        if since > revision:
            raise BadRequest(f"since is {since}, which is after the revision {revision}")
    request = ExportRequest(export_id_of(context.key.encode()), name, revision, extent, since)
    document = {**request.document(), "at": context.now().isoformat()}
    first = context.executions.start_dataset_task(request.export_id, document)
    at = datetime.fromisoformat(first["at"])
    activity.record(context, "export", Subject("dataset", name, dataset.title), at)
    return ExportRequest.of_document(first)
