"""Stores edit jobs and their children. Every write is conditional on the version that was read.

A move of an edit job and the creation or the end of its child are one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobyard.domain.archive import Phase, Tombstone
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.edits.attachment import Attachment, AttachmentState
from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.edit_job import EDIT, EditJob, EditState
from jobyard.domain.edits.fixup import FixupState
from jobyard.domain.edits.review import ReviewState
from jobyard.domain.edits.team import User
from jobyard.domain.edits.work import (
    Approval,
    ChangeSet,
    Package,
    Priority,
    SentFile,
    UploadOutcome,
)
from jobyard.domain.edits.worklist import sort_key
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.ids import is_name
from jobyard.store import transactions, worklist_marks
from jobyard.store.documents import (
    from_ms,
    from_ms_or_none,
    history_document,
    parse_history,
    sortable,
    to_ms,
    to_ms_or_none,
    without_blanks,
)
from jobyard.store.due_work import DUE_EDITS
from jobyard.store.tables import (
    AllEditsIndex,
    ByDatasetIndex,
    ByPlannerIndex,
    ByTeamIndex,
    ByWorkerIndex,
    EditItem,
    save_if,
)

Job = EditJob | ChildJob
OPEN, ENDED, ARCHIVED = "open", "ended", "archived"  # the lists of a dataset, and of all
_HIDDEN = frozenset({EditState.ARCHIVED, EditState.DELETED})
_PARENT = "parent"  # the field that only a child has
_ARCHIVE = "archive"  # the field that only a tombstone has
_ARCHIVING = "archiving"  # a partition of the same index: what retention has not finished


def _line(value: User | Package | ChangeSet | None) -> list[Any] | None:
    return [*vars(value).values()] if value else None


def item_of(job: Job) -> EditItem:
    """An edit job or a child as an item."""
    return _edit_item(job) if isinstance(job, EditJob) else _child_item(job)


def _tombstone_item(tombstone: Tombstone[EditJob]) -> EditItem:
    """No list shows it; while records are left, the index has it of what has to be done."""
    item = _edit_item(tombstone.origin)
    at, was = to_ms(tombstone.archived_at), tombstone.origin.version
    item.body[_ARCHIVE] = [at, tombstone.folder, tombstone.phase.value, was]
    item.version = tombstone.version
    item.list_partition = item.listing = None
    if tombstone.phase is not Phase.REMOVED:
        item.due_shard, item.due_at = _ARCHIVING, to_ms(tombstone.archived_at)
    return item


def _edit_item(job: EditJob) -> EditItem:
    approval = job.approval
    body = without_blanks(
        {
            "dataset": job.dataset,
            "name": job.name,
            "type": job.edit_type,
            "planner": _line(job.planner),
            "created_at": to_ms(job.created_at),
            "since": to_ms(job.since),
            "extent": job.extent.document(),
            "priority": job.priority.value,
            "buffer": job.buffer,
            "team": job.team,
            "assignee": _line(job.assignee),
            "worker": _line(job.worker),
            "planned": [to_ms_or_none(job.planned_start), to_ms_or_none(job.planned_end)],
            "actual": [to_ms_or_none(job.actual_start), to_ms_or_none(job.actual_end)],
            "is_batch": job.is_batch,
            "planner_email": job.planner_email,
            "attempt": job.attempt,
            "checks": job.checks,
            "base_revision": job.base_revision,
            "revision": job.revision,
            "package": _line(job.package),
            "sent": _sent_line(job.sent),
            "workspace": _line(job.workspace),
            "approval": approval
            and [approval.digest, approval.reviewer_sub, approval.reviewer, to_ms(approval.at)],
            "authors": [_line(each) for each in job.authors],
            "former_authors": [_line(each) for each in job.former_authors],
            "children": {each.value: number for each, number in job.children.items()},
            "open_child": job.open_child,
            "attachments": [_attachment_line(each) for each in job.attachments],
            "minutes": job.time_spent_minutes,
            "comment": job.upload_comment,
            "is_discarded": job.is_discarded,
            "problem": job.problem,
            "history": history_document(job.history),
        }
    )
    if job.quarantine is not None:
        body["quarantine"] = job.quarantine
    place = sort_key(job)
    is_listed = job.state not in _HIDDEN
    listing = listing_of(job.state)
    return EditItem(
        job_id=job.edit_id,
        team=job.team if place and job.team else None,
        worker=job.worker.sub if place and job.worker else None,
        place=place or None,
        list_partition=f"{job.dataset}#{listing}" if listing else None,
        listing=listing,
        planner=job.planner.sub if is_listed else None,
        created=f"{sortable(job.created_at)}#{job.edit_id}",
        due_shard=DUE_EDITS if job.needs_machine else None,
        due_at=to_ms(job.due_since) if job.needs_machine else None,
        state=job.state.value,
        version=job.version,
        body=body,
    )


def _sent_line(sent: SentFile | None) -> list[Any] | None:
    if sent is None:
        return None
    return [*{**vars(sent), "at": to_ms(sent.at), "outcome": sent.outcome.value}.values()]


def _sent(line: Sequence[Any] | None) -> SentFile | None:
    if not line:
        return None
    fields = dict(zip(SentFile.__dataclass_fields__, line, strict=False))
    outcome = UploadOutcome(fields["outcome"])
    return SentFile(**{**fields, "at": from_ms(fields["at"]), "outcome": outcome})


def listing_of(state: EditState) -> str | None:
    """The list that has edit jobs in a state; None if no list has them."""
    if state is EditState.DELETED:
        return None
    if state is EditState.ARCHIVED:
        return ARCHIVED
    return ENDED if EDIT.is_final(state) else OPEN


def _attachment_line(each: Attachment) -> list[Any]:
    fields = {**vars(each), "state": each.state.value}
    for name in ("expires_at", "answered_at"):
        fields[name] = to_ms_or_none(fields[name])
    return [*fields.values()]


def _attachment(line: Sequence[Any]) -> Attachment:
    fields = dict(zip(Attachment.__dataclass_fields__, line, strict=False))
    fields["state"] = AttachmentState(fields["state"])
    for name in ("expires_at", "answered_at"):
        fields[name] = from_ms_or_none(fields[name])
    return Attachment(**fields)


def _child_item(child: ChildJob) -> EditItem:
    body = without_blanks(
        {
            _PARENT: child.parent_id,
            "failure_type": child.failure_type.value,
            "number": child.number,
            "dataset": child.dataset,
            "name": child.name,
            "type": child.edit_type,
            "team": child.team,
            "created_at": to_ms(child.created_at),
            "since": to_ms(child.since),
            "priority": child.priority.value,
            "worker": _line(child.worker),
            "planned": [to_ms_or_none(child.planned_start), to_ms_or_none(child.planned_end)],
            "ended_at": to_ms_or_none(child.ended_at),
            "attempt": child.attempt,
            "package": _line(child.package),
            "subject": _line(child.subject),
            "findings": child.findings,
            "sent": _sent_line(child.sent),
            "edits": _line(child.edits),
            "comment": child.comment,
            "minutes": child.time_spent_minutes,
            "problem": child.problem,
            "history": history_document(child.history),
        }
    )
    place = sort_key(child)
    return EditItem(
        job_id=child.child_id,
        team=child.team if place and child.team else None,
        worker=child.worker.sub if place and child.worker else None,
        place=place or None,
        due_shard=DUE_EDITS if child.needs_machine else None,
        due_at=to_ms(child.due_since) if child.needs_machine else None,
        state=child.state,
        version=child.version,
        body=body,
    )


def _job(item: EditItem) -> Job:
    return _child(item) if _PARENT in item.body else _edit(item)


def _user(line: list[Any] | None) -> User | None:
    return User(*line) if line else None


def _edit(item: EditItem) -> EditJob:
    body: dict[str, Any] = item.body
    planned, actual = body["planned"], body["actual"]
    return EditJob(
        edit_id=item.job_id,
        state=EditState(item.state),
        version=int(item.version),
        dataset=body["dataset"],
        name=body.get("name", ""),
        edit_type=body.get("type", ""),
        planner=User(*body["planner"]),
        created_at=from_ms(body["created_at"]),
        since=from_ms(body["since"]),
        extent=parse_extent(body["extent"]),
        priority=Priority(body["priority"]),
        buffer=body.get("buffer", 0.0),
        team=body.get("team", ""),
        assignee=_user(body.get("assignee")),
        worker=_user(body.get("worker")),
        planned_start=from_ms_or_none(planned[0]),
        planned_end=from_ms_or_none(planned[1]),
        actual_start=from_ms_or_none(actual[0]),
        actual_end=from_ms_or_none(actual[1]),
        quarantine=body.get("quarantine"),
        is_batch=body.get("is_batch", False),
        planner_email=body.get("planner_email", ""),
        attempt=body["attempt"],
        checks=body.get("checks", 0),
        base_revision=body.get("base_revision", 0),
        revision=body.get("revision", 0),
        package=_package(body),
        sent=_sent(body.get("sent")),
        workspace=_change_set(body.get("workspace")),
        approval=_approval(body.get("approval")),
        authors=tuple(User(*each) for each in body.get("authors", ())),
        former_authors=tuple(User(*each) for each in body.get("former_authors", ())),
        children={FailureType(each): number for each, number in body.get("children", {}).items()},
        open_child=body.get("open_child", ""),
        attachments=tuple(map(_attachment, body.get("attachments", ()))),
        time_spent_minutes=body.get("minutes", 0),
        upload_comment=body.get("comment", ""),
        is_discarded=body.get("is_discarded", False),
        problem=body.get("problem", ""),
        history=parse_history(body.get("history", [])),
    )


def _package(body: dict[str, Any]) -> Package | None:
    return Package(*body["package"]) if "package" in body else None


def _approval(line: list[Any] | None) -> Approval | None:
    if not line:
        return None
    digest, sub, name, at = line
    return Approval(digest, sub, name, from_ms(at))


def _change_set(line: list[Any] | None) -> ChangeSet | None:
    return ChangeSet(*line) if line else None


def _child(item: EditItem) -> ChildJob:
    body: dict[str, Any] = item.body
    failure_type = FailureType(body["failure_type"])
    states = ReviewState if failure_type.is_review else FixupState
    planned = body["planned"]
    return ChildJob(
        child_id=item.job_id,
        parent_id=body[_PARENT],
        failure_type=failure_type,
        number=body["number"],
        state=states(item.state),
        version=int(item.version),
        dataset=body["dataset"],
        name=body.get("name", ""),
        edit_type=body.get("type", ""),
        team=body.get("team", ""),
        created_at=from_ms(body["created_at"]),
        since=from_ms(body["since"]),
        priority=Priority(body["priority"]),
        worker=_user(body.get("worker")),
        planned_start=from_ms_or_none(planned[0]),
        planned_end=from_ms_or_none(planned[1]),
        ended_at=from_ms_or_none(body.get("ended_at")),
        attempt=body["attempt"],
        package=_package(body),
        subject=_change_set(body.get("subject")),
        findings=body.get("findings", ""),
        sent=_sent(body.get("sent")),
        edits=_change_set(body.get("edits")),
        comment=body.get("comment", ""),
        time_spent_minutes=body.get("minutes", 0),
        problem=body.get("problem", ""),
        history=parse_history(body.get("history", [])),
    )


def put_new(job: EditJob, *conditions: transactions.TransactItem) -> None:
    """Store a new edit job, if `conditions` hold.

    Raises:
        StaleState: there is one with its id, or a condition does not hold.
    """
    if conditions:
        transactions.write([transactions.put(item_of(job), 0), *conditions])
    elif not save_if(item_of(job), EditItem.job_id.does_not_exist()):
        raise StaleState(f"edit job {job.edit_id} exists already")
    _mark([(None, job)])


def find(job_id: str) -> Job | None:
    """The edit job or the child with this id; None if there is none, or retention archived it."""
    try:
        item = EditItem.get(job_id, consistent_read=True)
    except EditItem.DoesNotExist:
        return None
    return None if _ARCHIVE in item.body else _job(item)


def get(edit_id: str) -> EditJob:
    """The edit job.

    Raises:
        NotFound: there is none. Gone: a planner deleted it, or retention archived it.
    """
    found = find(edit_id)
    if not isinstance(found, EditJob):
        archived = tombstone(edit_id)
        if archived is not None:
            raise Gone(archived.description)
        raise NotFound(f"there is no edit job {edit_id!r:.80}")
    if found.state is EditState.DELETED:
        last = found.history[-1]
        raise Gone(f"edit job {edit_id} was deleted by {last.actor}")
    return found


def get_child(child_id: str) -> ChildJob:
    """The child.

    Raises:
        NotFound: there is none.
    """
    found = find(child_id)
    if not isinstance(found, ChildJob):
        raise NotFound(f"no edit job has a child {child_id!r:.80}")
    return found


@dataclass(frozen=True)
class ChildWrite:
    """What becomes of a child in the transaction that moves its edit job: `before` is None if it is
    made."""

    before: ChildJob | None
    after: ChildJob


def write(
    before: Job,
    after: Job,
    *children: ChildWrite,
    more: Sequence[transactions.TransactItem] = (),
) -> None:
    """Write `after` over `before`, with its children and `more` in one transaction. A repeat
    succeeds.

    Raises:
        StaleState: one of them changed since it was read.
    """
    pairs: list[tuple[Job | None, Job]] = [(before, after)]
    pairs += [(each.before, each.after) for each in children]
    if len(pairs) == 1 and not more:
        is_written = save_if(item_of(after), EditItem.version == before.version)
    else:
        is_written = _write_together(pairs, more)
    if not is_written and not _is_stored(pairs):
        name = after.edit_id if isinstance(after, EditJob) else after.child_id
        raise StaleState(f"{name} has changed since it was read; it may be another person's now")
    _mark(pairs)


def _mark(pairs: Sequence[tuple[Job | None, Job]]) -> None:
    """Mark the worklists that show one of the jobs, before or after its change."""
    for before, after in pairs:
        found: dict[str, None] = {}
        for each in (before or after, after):
            if each.team:
                found[worklist_marks.of_team(each.team)] = None
            if each.worker is not None:
                found[worklist_marks.of_person(each.worker.sub)] = None
        at = max((after.since, *(each.at for each in after.history[-1:])))
        job_id = after.edit_id if isinstance(after, EditJob) else after.child_id
        worklist_marks.put(found, f"{job_id}.{after.version}", at)


def _write_together(
    pairs: Sequence[tuple[Job | None, Job]], more: Sequence[transactions.TransactItem]
) -> bool:
    items = [transactions.put(item_of(new), old.version if old else 0) for old, new in pairs]
    try:
        transactions.write([*items, *more])
    except StaleState:
        return False
    return True


def _is_stored(pairs: Sequence[tuple[Job | None, Job]]) -> bool:
    """Whether an earlier try of the same write has stored all."""
    for _, after in pairs:
        item = item_of(after)
        stored = EditItem.get(item.job_id, consistent_read=True)
        if (stored.version, stored.state, stored.body) != (item.version, item.state, item.body):
            return False
    return True


def read(job_ids: Sequence[str]) -> list[Job]:
    """The edit jobs and children with these ids, in this order, without those that do not exist."""
    items = EditItem.batch_get(job_ids, consistent_read=True)
    found = {item.job_id: _job(item) for item in items if _ARCHIVE not in item.body}
    return [found[each] for each in job_ids if each in found]


def children_of(job: EditJob) -> list[ChildJob]:
    """The children of an edit job, oldest first: of each type the last `CHILDREN_READ`."""
    found = [each for each in read(job.child_ids) if isinstance(each, ChildJob)]
    return sorted(found, key=lambda child: child.created_at)


@dataclass(frozen=True)
class EditKey:
    """A job from an index, which may be outdated. `position` is its place in the list."""

    job_id: str
    position: str


def of_team(team: str, first: str, last: str, limit: int) -> list[EditKey]:
    """Up to `limit` jobs in the worklist of a team, whose places are after `first` and before
    `last`, in order.
    """
    if not is_name(team):
        return []  # it may be longer than a key
    return _between(EditItem.by_team, team, first, last, limit)


def of_worker(sub: str, first: str, last: str, limit: int) -> list[EditKey]:
    """Up to `limit` jobs that a person has claimed, as `of_team`."""
    return _between(EditItem.by_worker, sub, first, last, limit)


def _between(
    index: ByTeamIndex | ByWorkerIndex, partition: str, first: str, last: str, limit: int
) -> list[EditKey]:
    condition = EditItem.place.between(first, last)
    found = index.query(partition, range_key_condition=condition, limit=limit)
    return [EditKey(item.job_id, item.place) for item in found]


def of_dataset(dataset: str, which: str, *, after: str, limit: int) -> list[EditKey]:
    """Up to `limit` edit jobs of a dataset, newest first, after a position. `which` is one of its
    lists: `OPEN`, `ENDED` or `ARCHIVED`.
    """
    if not is_name(dataset):
        return []  # it may be longer than a key
    return _newest_first(EditItem.by_dataset, f"{dataset}#{which}", after, limit)


def of_all(which: str, *, after: str, limit: int) -> list[EditKey]:
    """Up to `limit` edit jobs of all datasets, as `of_dataset`."""
    return _newest_first(EditItem.listed, which, after, limit)


def of_planner(sub: str, *, after: str, limit: int) -> list[EditKey]:
    """Up to `limit` edit jobs of a planner, newest first, after a position: not archived ones."""
    return _newest_first(EditItem.by_planner, sub, after, limit)


def _newest_first(
    index: AllEditsIndex | ByDatasetIndex | ByPlannerIndex, partition: str, after: str, limit: int
) -> list[EditKey]:
    condition = EditItem.created < after if after else None
    found = index.query(
        partition, range_key_condition=condition, scan_index_forward=False, limit=limit
    )
    return [EditKey(item.job_id, item.created) for item in found]


def oldest_archived(*, after: str, until: datetime, limit: int) -> list[EditKey]:
    """Up to `limit` edit jobs that planners archived, those proposed first, after a position; none
    that was proposed after `until`.
    """
    last = f"{sortable(until)}#~"  # "~" follows all ids
    condition = EditItem.created.between(f"{after}!" if after else "0", last)
    found = EditItem.listed.query(ARCHIVED, range_key_condition=condition, limit=limit)
    return [EditKey(item.job_id, item.created) for item in found]


def tombstone(edit_id: str) -> Tombstone[EditJob] | None:
    """The tombstone of an edit job that retention archived; None if it did not."""
    try:
        item = EditItem.get(edit_id, consistent_read=True)
    except EditItem.DoesNotExist:
        return None
    if _ARCHIVE not in item.body:
        return None
    at, folder, phase, version = item.body[_ARCHIVE]
    job = replace(_edit(item), version=version)
    return Tombstone(job, from_ms(at), folder, Phase(phase), int(item.version))


def start_archiving(job: EditJob, at: datetime, folder: str) -> None:
    """Replace an edit job by a tombstone, before its records are archived.

    Raises:
        StaleState: it changed since it was read.
    """
    made = Tombstone(job, at, folder, Phase.ARCHIVING, job.version + 1)
    if not save_if(_tombstone_item(made), EditItem.version == job.version):
        raise StaleState(f"{job.edit_id} has changed since it was read")


def cancel_archiving(seen: Tombstone[EditJob]) -> None:
    """Undo `start_archiving`.

    Raises:
        StaleState: its records are being removed, or archiving was cancelled already.
    """
    job = replace(seen.origin, version=seen.version + 1)
    if not save_if(item_of(job), EditItem.version == seen.version):
        raise StaleState(f"{job.edit_id} is no longer {seen.phase}")


def tombstone_item(
    seen: Tombstone[EditJob], after: Tombstone[EditJob]
) -> transactions.TransactItem:
    """The item of a transaction that replaces the tombstone `seen` by `after`."""
    item = _tombstone_item(replace(after, version=seen.version + 1))
    return transactions.put(item, seen.version)


@dataclass(frozen=True)
class ArchivingEdit:
    """An edit job whose records are not all removed yet. `position` is its place among them."""

    job_id: str
    position: int


def in_archiving(after: int | None) -> ArchivingEdit | None:
    """The oldest edit job after a position whose records are not all removed yet; None if there is
    none.
    """
    condition = EditItem.due_at > after if after is not None else None
    found = EditItem.due.query(_ARCHIVING, range_key_condition=condition, limit=1)
    return next((ArchivingEdit(each.job_id, int(each.due_at)) for each in found), None)


def remove_children(job: EditJob) -> None:
    """Remove all children of an edit job. What is gone already is ignored."""
    with EditItem.batch_write() as removing:
        for each in job.all_child_ids:
            removing.delete(EditItem(job_id=each))
