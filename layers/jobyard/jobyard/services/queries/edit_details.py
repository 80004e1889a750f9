"""What an edit job is about, beyond its record: changes, conflicts, failures, late uploads."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice

from jobyard.domain.access import is_allowed
from jobyard.domain.datasets.base_format import line_of_feature
from jobyard.domain.datasets.changes import FeatureChange, change_of
from jobyard.domain.datasets.commit import Commit, CommittedChange
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.extent import Box, Boxes, Extent, do_boxes_intersect
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geojson_checks import FeatureFinding
from jobyard.domain.datasets.validation_report import ValidationReport, report_from
from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.conflict import ConflictVersions
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.package import CHANGES_FILE, FEATURES_FILE, uploaded_blocks
from jobyard.domain.edits.upload import read_upload
from jobyard.domain.edits.upload_report import UploadReport, upload_report_from
from jobyard.domain.edits.work import ChangeSet
from jobyard.domain.errors import BadRequest, NotFound
from jobyard.domain.text import clean
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.readers import RevisionReader, changes_of
from jobyard.services.edits.access import id_of, visible_edit, visible_or_had_job
from jobyard.services.edits.work_files import change_lines_of, read_json, report_key
from jobyard.services.edits.workspaces import conflicts_of
from jobyard.store import commits, datasets, edits
from jobyard.store.edits import Job

MAX_DRAWN = 4_000  # features of a view
MAX_FORECAST_COMMITS = 100
MAX_FORECAST_JOBS = 100
MAX_RESCUED = 100
LINK_EXPIRES_S = 900
MAX_DIFF_BYTES = 8 * 1024 * 1024  # of a rescued upload that is compared
_MAX_CHANGES = 2_000  # that are compared
_MAX_LOOKED_UP = 1_000  # features that other edit jobs list
# The work is with people, or waits for them: others may change the same features meanwhile.
_OUT = frozenset(
    {
        EditState.EMBARGOED,
        EditState.PREPARED,
        EditState.DOWNLOADED,
        EditState.INVALID,
        EditState.QUARANTINED,
        EditState.CONFLICTED,
    }
)
_MISSING = frozenset({"NoSuchKey", "404", "403"})


def _files(context: QueryContext) -> DatasetContext:
    return DatasetContext(context.settings, context.s3, lambda: context.now)


def dataset_of(job: Job) -> Dataset | None:
    """The dataset of a job; None if it does not exist any more."""
    return datasets.find(job.dataset)


@dataclass(frozen=True)
class EditChanges:
    """Changes of features, in order. `total` is how many there are, `after` the number of the last
    one here, 0 if no more follow. `is_kept` is whether their file still exists.
    """

    items: tuple[FeatureChange, ...] = ()
    total: int = 0
    after: int = 0
    is_kept: bool = True


def change_set_of(job: Job) -> ChangeSet | None:
    """The changes that a job is about: those to commit, to repair or to review."""
    return job.workspace if isinstance(job, EditJob) else job.subject


def changes(
    job: Job,
    context: QueryContext,
    *,
    after: int = 0,
    limit: int,
    feature_id: str = "",
    max_bytes: int | None = None,
) -> EditChanges:
    """Up to `limit` changes of a job, after the first `after`, or those of one feature. With
    `max_bytes` they end before their features are larger, but for the first one. What is committed
    is read from the dataset, since its workspace is removed.
    """
    dataset = datasets.find(job.dataset)
    if dataset is None:
        return EditChanges(is_kept=False)
    files = _files(context)
    if isinstance(job, EditJob) and job.revision:
        made = commits.find(job.dataset, job.revision)
        if made is not None:
            found = (
                change_of(each.feature_id, each.before, each.after, dataset.precision)
                for each in changes_of(made, files)
            )
            return _page(_of(feature_id, found), made.changes, after, limit, max_bytes)
    stored = change_set_of(job)
    if stored is None:
        return EditChanges()
    try:
        lines = change_lines_of(stored.key, dataset.precision, files)
        return _page(_of(feature_id, lines), stored.count, after, limit, max_bytes)
    except context.s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        return EditChanges(total=stored.count, is_kept=False)


def _of(feature_id: str, found: Iterator[FeatureChange | None]) -> Iterator[FeatureChange | None]:
    """The changes of one feature; all without an id."""
    if not feature_id:
        return found
    return (each for each in found if each is not None and each.feature_id == feature_id)


def uploaded_edits(job: ChildJob, context: QueryContext, *, limit: int) -> EditChanges:
    """What the worker of a fix-up or the reviewer uploaded."""
    dataset = datasets.find(job.dataset)
    if dataset is None or job.edits is None:
        return EditChanges()
    lines = change_lines_of(job.edits.key, dataset.precision, _files(context))
    return _page(lines, job.edits.count, 0, limit)


def _page(
    found: Iterator[FeatureChange | None],
    total: int,
    after: int,
    limit: int,
    max_bytes: int | None = None,
) -> EditChanges:
    items: list[FeatureChange] = []
    size, reached = 0, after + limit
    for number, each in enumerate(islice(found, after, after + limit), start=after):
        if each is None:
            continue
        size += sum(len(line_of_feature(side)) for side in (each.before, each.after) if side)
        if items and max_bytes is not None and size > max_bytes:
            reached = number
            break
        items.append(each)
    return EditChanges(tuple(items), total, reached if reached < total else 0)


@dataclass(frozen=True)
class ChildFindings:
    """What a child is about: failures of rules, conflicts, or the feedback of a reviewer."""

    report: ValidationReport | None = None
    conflicts: tuple[ConflictVersions, ...] = ()
    feedback: str = ""
    reviewer: str = ""


def findings(child: ChildJob, context: QueryContext) -> ChildFindings | None:
    """What a child is about; None if its file was removed with the workspace."""
    if not child.findings:
        return ChildFindings()
    files = _files(context)
    try:
        if child.failure_type is FailureType.CONFLICT:
            return ChildFindings(conflicts=tuple(conflicts_of(child, files)))
        document = read_json(child.findings, files)
    except context.s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        return None
    if child.failure_type is FailureType.QUARANTINE_CORRECTIONS:
        return ChildFindings(feedback=document["comment"], reviewer=document["reviewer"])
    return ChildFindings(report=report_from(document))


def upload_report(job: Job, context: QueryContext) -> UploadReport | None:
    """What became of the file that was uploaded to the claim of a job last; None if there was none.
    Its findings are gone if its file was removed with the workspace.
    """
    sent = job.sent
    if sent is None or sent.is_reading:
        return UploadReport(sent.outcome) if sent else None
    try:
        return upload_report_from(read_json(report_key(job, sent), _files(context)))
    except context.s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        return UploadReport(sent.outcome, job.problem)


@dataclass(frozen=True)
class Forecast:
    """What will have to be merged when the work of an edit job comes back.

    `changed` are ids of features in its extent that changed since it was activated. `overlapping`
    are other open edit jobs there. `is_complete` is False if there was too much to read.
    """

    base_revision: int
    revision: int
    changed: tuple[str, ...] = ()
    overlapping: tuple[EditJob, ...] = ()
    is_complete: bool = True


def forecast(job: EditJob, context: QueryContext) -> Forecast | None:
    """What may conflict with the work of an edit job; None if it is not out."""
    if job.state not in _OUT or not job.base_revision:
        return None
    dataset = datasets.find(job.dataset)
    if dataset is None:
        return None
    made = [
        *islice(
            commits.between(job.dataset, job.base_revision + 1, dataset.revision),
            MAX_FORECAST_COMMITS + 1,
        )
    ]
    changed: dict[str, None] = {}
    for commit in made[:MAX_FORECAST_COMMITS]:
        if _may_intersect(commit, job.extent):
            for change in changes_of(commit, _files(context)):
                if _is_in(change, job.extent):
                    changed[change.feature_id] = None
    others, has_all = _overlapping(job, dataset, context)
    return Forecast(
        job.base_revision,
        dataset.revision,
        tuple(changed),
        others,
        has_all and len(made) <= MAX_FORECAST_COMMITS,
    )


def _may_intersect(commit: Commit, extent: Extent) -> bool:
    return bool(extent.feature_ids) or do_boxes_intersect(commit.boxes, extent.area)


def _is_in(change: CommittedChange, extent: Extent) -> bool:
    return any(each is not None and extent.includes(each) for each in (change.before, change.after))


def _overlapping(
    job: EditJob, dataset: Dataset, context: QueryContext
) -> tuple[tuple[EditJob, ...], bool]:
    """Other open edit jobs whose extents intersect that of a job, and whether all were read."""
    keys = edits.of_dataset(job.dataset, edits.OPEN, after="", limit=MAX_FORECAST_JOBS + 1)
    others = [
        each
        for each in edits.read([key.job_id for key in keys[:MAX_FORECAST_JOBS]])
        if isinstance(each, EditJob)
        and each.edit_id != job.edit_id
        and each.is_open
        and each.state is not EditState.PROPOSED
    ]
    # If one job lists features and the other has an area, the places of the features count.
    lists = bool(job.extent.feature_ids)
    unlike = [each.extent for each in others if bool(each.extent.feature_ids) is not lists]
    of_others = dict.fromkeys(chain.from_iterable(each.feature_ids for each in unlike))
    listed = (job.extent.feature_ids if unlike else ()) if lists else tuple(of_others)
    known = listed[:_MAX_LOOKED_UP]
    reader = RevisionReader(dataset, dataset.revision, _files(context))
    places = reader.features_at(known) if known else {}
    found = tuple(each for each in others if _do_intersect(each.extent, job.extent, places))
    return found, len(keys) <= MAX_FORECAST_JOBS and known == listed


def _do_intersect(extent: Extent, other: Extent, places: Mapping[str, Feature]) -> bool:
    """Whether two extents have something in common; areas are compared by their boxes. `places`
    are the features that one lists if the other one is an area.
    """
    if extent.feature_ids and other.feature_ids:
        return not set(extent.feature_ids).isdisjoint(other.feature_ids)
    if not extent.feature_ids and not other.feature_ids:
        return do_boxes_intersect(extent.area, other.area)
    listed, area = (extent, other) if extent.feature_ids else (other, extent)
    return any(area.includes(places[each]) for each in listed.feature_ids if each in places)


@dataclass(frozen=True)
class AreaView:
    """The features in some boxes. If there are too many, `blocks` says roughly where they are."""

    features: tuple[Feature, ...] = ()
    blocks: tuple[Box, ...] = ()


def view_of(
    dataset: Dataset,
    boxes: Boxes,
    context: QueryContext,
    *,
    revision: int = 0,
    limit: int = MAX_DRAWN,
) -> AreaView:
    """What a dataset has in `boxes` at a revision, 0 for its head."""
    reader = RevisionReader(dataset, revision or dataset.revision, _files(context), boxes)
    found = tuple(islice(reader.features_near(boxes), limit + 1))
    if len(found) <= limit:
        return AreaView(found)
    return AreaView(blocks=tuple(reader.boxes_near(boxes)))


def features_of(job: EditJob, context: QueryContext, *, limit: int = MAX_DRAWN) -> AreaView:
    """The features in the extent of an edit job, at the revision of its workspace or the head."""
    dataset = datasets.find(job.dataset)
    if dataset is None:
        return AreaView()
    revision = job.base_revision or dataset.revision
    if job.extent.feature_ids:
        reader = RevisionReader(dataset, revision, _files(context))
        return AreaView(tuple(reader.features_at(job.extent.feature_ids[:limit]).values()))
    return view_of(dataset, job.extent.area, context, revision=revision, limit=limit)


@dataclass(frozen=True)
class RescuedUpload:
    """An upload that came when its claim was over. It is kept for a week."""

    key: str
    attempt: int
    sub: str
    filename: str
    size: int
    at: datetime


def rescued_uploads(job_id: str, context: QueryContext) -> list[RescuedUpload]:
    """The uploads of earlier attempts at a job, the latest first: all for planners and admins, and
    for others their own.

    Raises:
        NotFound: there is no such job, or the actor neither sees it nor had it.
    """
    return _rescued_uploads(visible_or_had_job(job_id, context.actor), context)


def _rescued_uploads(job: Job, context: QueryContext) -> list[RescuedUpload]:
    prefix = f"edits/{id_of(job)}/uploads/"
    listed = context.s3.list_objects_v2(
        Bucket=context.settings.intake_bucket, Prefix=prefix, MaxKeys=1_000
    )
    sees_all = is_allowed("edit", "view", context.actor.roles)
    found = []
    for each in listed.get("Contents", ()):
        parts = each["Key"].removeprefix(prefix).split("/")
        if len(parts) != 4 or not parts[0].isdecimal():
            continue
        attempt, sub = int(parts[0]), parts[1]
        if attempt < job.attempt and (sees_all or sub == context.actor.sub):
            found.append(
                RescuedUpload(
                    each["Key"], attempt, sub, parts[3], each["Size"], each["LastModified"]
                )
            )
    found.sort(key=lambda upload: upload.at, reverse=True)
    return found[:MAX_RESCUED]


def _rescued_upload(job: Job, name: str, context: QueryContext) -> RescuedUpload:
    """The upload whose key is `name` after what all keys of the job begin with.

    Raises:
        NotFound: there is none.
    """
    key = f"edits/{id_of(job)}/uploads/{name}"
    found = next((each for each in _rescued_uploads(job, context) if each.key == key), None)
    if found is None:
        raise NotFound("there is no such upload; it is kept for 7 days")
    return found


@dataclass(frozen=True)
class RescuedDiff:
    """How a rescued upload differs from the dataset as it is now."""

    upload: RescuedUpload
    changes: tuple[FeatureChange, ...]
    same: int
    findings: Sequence[FeatureFinding]
    is_complete: bool


def rescued_diff(job_id: str, name: str, context: QueryContext) -> RescuedDiff:
    """How a rescued upload differs from the dataset. `name` is its key without what all keys of the
    job begin with.

    Raises:
        NotFound: there is none. BadRequest: it is too large to compare, or no such file.
    """
    job = visible_or_had_job(job_id, context.actor)
    upload = _rescued_upload(job, name, context)
    if upload.size > MAX_DIFF_BYTES:
        raise BadRequest(f"it has more than {MAX_DIFF_BYTES:,} bytes: download it")
    dataset = datasets.get(job.dataset)
    files = _files(context)
    found = context.s3.get_object(Bucket=context.settings.intake_bucket, Key=upload.key)
    body = found["Body"].read()
    read = read_upload(_blocks(body), dataset.precision)
    ids = [*dict.fromkeys((*read.features, *read.deleted))]
    live = RevisionReader(dataset, dataset.revision, files).features_at(ids[:_MAX_CHANGES])
    made = [
        change
        for each in ids[:_MAX_CHANGES]
        if (change := change_of(each, live.get(each), read.features.get(each), dataset.precision))
    ]
    return RescuedDiff(
        upload,
        tuple(made),
        min(len(ids), _MAX_CHANGES) - len(made),
        read.findings,
        len(ids) <= _MAX_CHANGES,
    )


def _blocks(body: bytes) -> Iterator[bytes]:
    """The GeoJSON of an upload, which may be a zip with either of its files."""
    try:
        yield from [*uploaded_blocks(io.BytesIO(body), CHANGES_FILE)]
    except BadRequest:
        yield from uploaded_blocks(io.BytesIO(body), FEATURES_FILE)


def rescued_link(job_id: str, name: str, context: QueryContext) -> str:
    """A link to download a rescued upload.

    Raises:
        NotFound: there is none.
    """
    upload = _rescued_upload(visible_or_had_job(job_id, context.actor), name, context)
    return _link(context.settings.intake_bucket, upload.key, upload.filename, context)


@dataclass(frozen=True)
class AttachmentLink:
    """Where to download an attachment, for `LINK_EXPIRES_S`, and what its custodian called it."""

    url: str
    filename: str


def attachment_link(edit_id: str, index: int, context: QueryContext) -> AttachmentLink:
    """A link to download the file that a custodian sent.

    Raises:
        Forbidden, Gone. NotFound: there is no such job or attachment, or it has no file.
    """
    authorize(context.actor, "attachment", "download")
    job = visible_edit(edit_id, context.actor)
    found = next((each for each in job.attachments if each.index == index and each.key), None)
    if found is None:
        raise NotFound(f"{edit_id} has no file of an attachment {index}")
    url = _link(context.settings.work_bucket, found.key, found.filename, context)
    return AttachmentLink(url, found.filename)


def _link(bucket: str, key: str, name: str, context: QueryContext) -> str:
    """A link to a file that somebody sent: browsers download it, and never show it."""
    filename = clean(name).replace("\\", "_").replace('"', "_")
    url: str = context.s3.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": bucket,
            "Key": key,
            "ResponseContentType": "application/octet-stream",
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
        },
        ExpiresIn=LINK_EXPIRES_S,
    )
    return url
