"""Datasets, as lists and details show them: revisions, changes, features, loads and exports."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jobyard.domain.datasets.base_format import line_of_feature
from jobyard.domain.datasets.changes import ChangeKind, change_of
from jobyard.domain.datasets.commit import Commit, CommittedChange
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.export import ExportResult, ExportState
from jobyard.domain.datasets.extent import Extent
from jobyard.domain.datasets.feature import MAX_ID_LETTERS, Feature
from jobyard.domain.datasets.load import LoadResult, LoadState
from jobyard.domain.errors import BadRequest, NotFound
from jobyard.domain.ids import is_export_id, is_load_id
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.services.datasets import files, readers
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.executions import Executions, dataset_execution
from jobyard.store import commits, datasets

MAX_SHOWN_FEATURES = 1_000  # of a response
RESPONSE_BYTES = 4 * 1024 * 1024  # of the features in a response: Lambda takes 6 MB
_PAGE_BYTES = 16 * 1024 * 1024  # of the changes that a page reads, but for the last one
_LINK_EXPIRES_S = 900


def list_datasets(
    context: QueryContext, *, after: str = "", limit: int
) -> tuple[list[Dataset], str]:
    """Datasets by name, and the name after which the next page begins, "" after the last.

    Raises:
        Forbidden: the actor may not see datasets.
    """
    authorize(context.actor, "dataset", "view")
    found = datasets.by_name(after=after, limit=limit + 1)
    return found[:limit], found[limit - 1].name if len(found) > limit else ""


def dataset(name: str, context: QueryContext) -> Dataset:
    """One dataset.

    Raises:
        Forbidden: the actor may not see datasets. NotFound: there is no such dataset. Gone: it was
            deleted.
    """
    authorize(context.actor, "dataset", "view")
    return datasets.get(name)


def list_commits(
    name: str, context: QueryContext, *, before: int | None = None, limit: int
) -> tuple[list[Commit], int]:
    """The commits of a dataset, the last one first, and the revision before which the next page
    begins, 0 after the last.

    Raises:
        Forbidden, NotFound: as for `dataset`.
    """
    found = dataset(name, context)
    until = found.revision if before is None else min(before - 1, found.revision)
    made = commits.latest(name, until=until, limit=limit + 1)
    return made[:limit], made[limit - 1].revision if len(made) > limit else 0


def find_commit(name: str, revision: int, context: QueryContext) -> Commit:
    """The commit that made a revision.

    Raises:
        Forbidden, NotFound: as for `dataset`. NotFound also if none did: revision 1 was loaded.
    """
    found = dataset(name, context)
    made = commits.find(name, revision) if revision <= found.revision else None
    if made is None:
        raise NotFound(f"no commit made revision {revision} of {name}")
    return made


@dataclass(frozen=True)
class ListedChange:
    """A change of a list: what happened to a feature in a commit.

    `properties` are the names of what differs. `before` and `after` are the feature, None if there
    was none.
    """

    feature_id: str
    kind: ChangeKind
    properties: tuple[str, ...]
    revision: int
    edit_id: str
    before: Feature | None
    after: Feature | None


@dataclass(frozen=True)
class ChangePage:
    """Changes in the order of commits. The next page begins after `skip` changes of the commit that
    made `revision`, which is 0 if this is the last page."""

    changes: Sequence[ListedChange]
    revision: int = 0
    skip: int = 0


def list_changes(
    name: str,
    context: QueryContext,
    *,
    since: int,
    until: int | None = None,
    skip: int = 0,
    limit: int,
) -> ChangePage:
    """What the commits after the revision `since` changed, up to `until`, or to the head. The first
    `skip` changes are left out.

    Raises:
        Forbidden, NotFound: as for `dataset`. BadRequest: it has no such revision.
    """
    found = dataset(name, context)
    until = found.revision if until is None else until
    found.check_revision(since)
    changes = readers.changes_since(found, since, until, _context(context))
    page: list[ListedChange] = []
    size = 0
    revision, taken = since + 1, skip
    for change in islice(changes, skip, None):
        if change.revision != revision:
            revision, taken = change.revision, 0
        if len(page) == limit or size > _PAGE_BYTES:
            return ChangePage(page, revision, taken)
        page.append(_listed(change, found.precision))
        size += change.size
        taken += 1
    return ChangePage(page)


def _listed(change: CommittedChange, precision: int) -> ListedChange:
    found = change_of(change.feature_id, change.before, change.after, precision)
    names = tuple(found.difference.names) if found else ()
    return ListedChange(
        change.feature_id,
        change.kind,
        names,
        change.revision,
        change.origin.edit_id,
        change.before,
        change.after,
    )


@dataclass(frozen=True)
class FeaturePage:
    """Features of a revision. `is_cut` says that there are more, which need a smaller extent."""

    revision: int
    features: Sequence[Feature]
    is_cut: bool


def features_in(
    name: str, extent: Extent, context: QueryContext, *, revision: int | None = None
) -> FeaturePage:
    """The features in an extent at a revision, or at the head: as many as a response takes.

    Raises:
        Forbidden, NotFound: as for `dataset`. BadRequest: it has no such revision.
    """
    found = dataset(name, context)
    revision = found.revision if revision is None else revision
    features: list[Feature] = []
    size = 0
    for each in readers.features_in(found, revision, extent, _context(context)):
        size += len(line_of_feature(each))
        if len(features) == MAX_SHOWN_FEATURES or size > RESPONSE_BYTES:
            return FeaturePage(revision, features, is_cut=True)
        features.append(each)
    return FeaturePage(revision, features, is_cut=False)


def feature(
    name: str,
    feature_id: str,
    context: QueryContext,
    *,
    revision: int | None = None,
    max_bytes: int | None = None,
) -> Feature:
    """A feature at a revision, or at the head.

    Raises:
        Forbidden: as for `dataset`. NotFound: there is no such dataset or feature then.
        BadRequest: the dataset has no such revision, or the feature is larger than `max_bytes`.
    """
    found = dataset(name, context)
    _check_id(feature_id)
    revision = found.revision if revision is None else revision
    features = readers.features_at(found, revision, [feature_id], _context(context))
    if feature_id not in features:
        message = f"there is no feature {feature_id!r:.140} in {name} at revision {revision}"
        raise NotFound(message)
    if max_bytes is not None and len(line_of_feature(features[feature_id])) > max_bytes:
        raise BadRequest(f"feature {feature_id!r:.140} is larger than a response: export it")
    return features[feature_id]


def history(
    name: str, feature_id: str, context: QueryContext, *, before: int | None = None, limit: int
) -> tuple[list[CommittedChange], int]:
    """What commits did to a feature, the last one first, and the revision before which the next
    page begins, 0 after the last. A page has as many changes as a response takes, and one at least.

    Raises:
        Forbidden, NotFound: as for `dataset`.
    """
    found = dataset(name, context)
    _check_id(feature_id)
    until = found.revision if before is None else before - 1
    page: list[CommittedChange] = []
    size = 0
    for change in readers.feature_history(
        found, feature_id, _context(context), until=until, limit=limit + 1
    ):
        size += change.size
        if page and (len(page) == limit or size > RESPONSE_BYTES):
            return page, page[-1].revision
        page.append(change)
    return page, 0


def _check_id(feature_id: str) -> None:
    """Check that a feature may have this id.

    Raises:
        NotFound: none has.
    """
    if not 0 < len(feature_id) <= MAX_ID_LETTERS:
        raise NotFound(f"an id has 1 to {MAX_ID_LETTERS} characters")


def load_result(name: str, load_id: str, context: QueryContext, machines: Any) -> LoadResult:
    """How far a load is, and what came of it.

    Raises:
        Forbidden: the actor may not load datasets. NotFound: there is no such load.
    """
    authorize(context.actor, "dataset", "load")
    document = is_load_id(load_id) and _document(files.load_key(name, load_id), context)
    if document:
        result = LoadResult.of_document(document)
        if result.state is LoadState.REFUSED or _is_loaded(name, load_id):
            return result
    if _runs(load_id, is_load_id(load_id), context, machines):
        return LoadResult(LoadState.LOADING)
    return LoadResult(LoadState.FAILED, "the machine has given up: load the file again")


def _is_loaded(name: str, load_id: str) -> bool:
    found = datasets.find_any(name)
    return found is not None and found.load_id == load_id


@dataclass(frozen=True)
class ExportView:
    """How far an export is. `result` and `link` are set when it is ready; the link is valid for 15
    minutes."""

    state: ExportState
    result: ExportResult | None = None
    link: str = ""


def export_result(name: str, export_id: str, context: QueryContext, machines: Any) -> ExportView:
    """How far an export is, with a link to its file.

    Raises:
        Forbidden: the actor may not export datasets. NotFound: there is no such export.
    """
    authorize(context.actor, "dataset", "export")
    key = files.export_result_key(name, export_id)
    document = is_export_id(export_id) and _document(key, context)
    if document:
        result = ExportResult.of_document(document)
        return ExportView(ExportState.READY, result, _link(name, export_id, result, context))
    if _runs(export_id, is_export_id(export_id), context, machines):
        return ExportView(ExportState.EXPORTING)
    return ExportView(ExportState.FAILED)


def _link(name: str, export_id: str, result: ExportResult, context: QueryContext) -> str:
    return context.s3.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": context.settings.work_bucket,
            "Key": files.export_key(name, export_id),
            "ResponseContentType": "application/gzip",
            "ResponseContentDisposition": f'attachment; filename="{result.filename}"',
        },
        ExpiresIn=_LINK_EXPIRES_S,
    )


def _runs(task_id: str, is_id: bool, context: QueryContext, machines: Any) -> bool:
    """Whether the execution of a load or an export runs.

    Raises:
        NotFound: there was none.
    """
    executions = Executions(context.settings, machines)
    status = is_id and executions.status(context.settings.edit_machine, dataset_execution(task_id))
    if not status:
        raise NotFound(f"there is no load or export {task_id!r:.40}")
    return status.is_running


def _document(key: str, context: QueryContext) -> Mapping[str, Any] | None:
    """The JSON of a file of the work bucket; None if there is none."""
    try:
        content = files.read(key, _context(context))
    except context.s3.exceptions.NoSuchKey:
        return None
    document: Mapping[str, Any] = json.loads(content)
    return document


def _context(context: QueryContext) -> DatasetContext:
    return DatasetContext(context.settings, context.s3, lambda: context.now)
