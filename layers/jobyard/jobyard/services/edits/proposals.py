"""Proposals: a planner describes an edit job, changes it, and deletes it again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jobyard.domain.datasets.extent import Extent
from jobyard.domain.edits.attachment import request_attachment
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.work import MAX_NAME_BYTES, MAX_TYPE_BYTES, Priority
from jobyard.domain.errors import BadRequest, InvalidTransition, StaleState
from jobyard.domain.history import HistoryEntry
from jobyard.domain.ids import edit_id_of
from jobyard.domain.quota import SlotKind
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext
from jobyard.services.edits.access import user_of, visible_edit
from jobyard.services.edits.changes import (
    JobChange,
    change_job,
    proposing_again,
    requested_move,
    subject_of,
)
from jobyard.services.edits.settings import settings_for
from jobyard.services.quotas import take_open_slot
from jobyard.services.recipients import check_recipients
from jobyard.store import datasets, edits
from jobyard.store.edits import ChildWrite

MAX_BUFFER = 10.0  # degrees around the extent
_ONLY_PROPOSED = ("extent", "edit_type", "quarantine")  # they change only in a proposal
_INHERITED = ("name", "priority", "planned_start", "planned_end")  # a child has its job's


@dataclass(frozen=True)
class AttachmentRequest:
    """What a data custodian is asked for."""

    custodian: str
    email: str
    description: str


@dataclass(frozen=True)
class Proposal:
    """What a planner proposes. `buffer` is in degrees; `quarantine` None follows the settings."""

    dataset: str
    extent: Extent
    name: str = ""
    edit_type: str = ""
    priority: Priority = Priority.NORMAL
    buffer: float = 0.0
    planned_start: datetime | None = None
    planned_end: datetime | None = None
    quarantine: bool | None = None
    attachments: tuple[AttachmentRequest, ...] = ()


@dataclass(frozen=True)
class ProposalEdit:
    """Changes of an edit job by field. What is not in `fields` stays as it is."""

    fields: Mapping[str, Any] = field(default_factory=dict)


def propose(proposal: Proposal, context: CommandContext) -> EditJob:
    """Propose an edit job. A repeated request returns the job that the first one made.

    Raises:
        Forbidden: the actor may not. NotFound: there is no such dataset. Gone: it was deleted.
        BadRequest: a field is wrong, or the deployment may not mail a custodian.
        InvalidTransition: the dataset has no such type of edit jobs.
        QuotaExceeded: the actor has too many open edit jobs.
    """
    authorize(context.actor, "edit", "propose")
    now = context.now()
    dataset = datasets.get(proposal.dataset)
    _check_fields(
        {
            "name": proposal.name,
            "edit_type": proposal.edit_type,
            "buffer": proposal.buffer,
            "planned_start": proposal.planned_start,
            "planned_end": proposal.planned_end,
        }
    )
    if proposal.edit_type:
        settings_for(dataset, proposal.edit_type)
    attachments: tuple[Any, ...] = ()
    for each in proposal.attachments:
        attachments = request_attachment(attachments, each.custodian, each.email, each.description)
    check_recipients(tuple(each.email for each in attachments), context)
    job = EditJob(
        edit_id=edit_id_of(f"{context.actor.sub}\n{context.key}".encode()),
        state=EditState.PROPOSED,
        version=1,
        dataset=proposal.dataset,
        name=proposal.name,
        edit_type=proposal.edit_type,
        planner=user_of(context.actor),
        planner_email=context.own_email(),
        created_at=now,
        since=now,
        extent=proposal.extent,
        priority=proposal.priority,
        buffer=proposal.buffer,
        planned_start=proposal.planned_start,
        planned_end=proposal.planned_end,
        quarantine=proposal.quarantine,
        attachments=attachments,
        history=(
            HistoryEntry(
                event="propose",
                before=EditState.PROPOSED,
                after=EditState.PROPOSED,
                at=now,
                actor=context.actor.name,
                cause=context.run,
                reason=context.reason,
                sub=context.actor.sub,
            ),
        ),
    )
    take_open_slot(context.actor.sub, SlotKind.EDIT, job.edit_id, context.settings.quotas, now)
    try:
        edits.put_new(job, datasets.require(job.dataset))
    except StaleState:
        datasets.get(job.dataset)  # it may have been deleted meanwhile
        job = edits.get(job.edit_id)
        _check_repeated(job, proposal)
    activity.record(context, "propose", subject_of(job), job.created_at)
    return job


def copy(edit_id: str, context: CommandContext) -> EditJob:
    """Propose an edit job like another one, whatever became of that: with its extent, type and
    requests to custodians, and without its planned times, which may have passed.

    Raises:
        Forbidden, NotFound, Gone, BadRequest, InvalidTransition, QuotaExceeded: as for `propose`.
    """
    authorize(context.actor, "edit", "propose")
    job = visible_edit(edit_id, context.actor)
    proposal = Proposal(
        job.dataset,
        job.extent,
        job.name,
        job.edit_type,
        job.priority,
        job.buffer,
        quarantine=job.quarantine,
        attachments=tuple(
            AttachmentRequest(each.custodian, each.email, each.description)
            for each in job.attachments
        ),
    )
    return propose(proposal, context)


def _check_repeated(job: EditJob, proposal: Proposal) -> None:
    """Check that a stored job is the one that an earlier try of this request proposed."""
    was_edited = any(each.counts or each.event == "edit" for each in job.history)
    if not was_edited and (job.dataset, job.extent) != (proposal.dataset, proposal.extent):
        raise BadRequest(
            f"this key proposed {job.edit_id}, with another body; another proposal needs a new key"
        )


def edit(
    edit_id: str, changes: ProposalEdit, context: CommandContext, *, seen: int | None = None
) -> EditJob:
    """Change an edit job. Its extent, type and quarantine change only while it is proposed; the
    rest at any time, also of its open child, and a claim stays as it is.

    `seen` is the version that the changes are for; None changes any.

    Raises:
        Forbidden, NotFound. BadRequest: a field is wrong.
        InvalidTransition: it has ended, the machine works on it, or the field is not changeable.
        StaleState: it has another version than `seen`.
    """
    authorize(context.actor, "edit", "edit")
    fields = dict(changes.fields)
    _check_fields(fields)

    def edited(before: EditJob) -> JobChange:
        move = requested_move(before, "edit", context)
        if seen is not None and seen != before.version:
            raise StaleState(f"edit job {edit_id} has been changed since you read it")
        fixed = [each for each in _ONLY_PROPOSED if each in fields]
        if fixed and before.state is not EditState.PROPOSED:
            raise InvalidTransition(
                f"the {fixed[0].replace('edit_', '')} of {edit_id} may change only while it is "
                f"proposed; it is {before.state}: {proposing_again(before, context.actor.roles)}"
            )
        if fields.get("edit_type"):
            settings_for(datasets.get(before.dataset), fields["edit_type"])
        start = fields.get("planned_start", before.planned_start)
        _check_planned(start, fields.get("planned_end", before.planned_end))
        if before.state is not EditState.PROPOSED and not fields.get("name", before.name).strip():
            raise BadRequest("an edit job that is allocated has a name")
        after = before.moved(move, problem=before.problem, **fields)
        return JobChange(after, _child_with(before, fields))

    return change_job(lambda: visible_edit(edit_id, context.actor), edited, context, "edit")


def _child_with(job: EditJob, fields: Mapping[str, Any]) -> list[ChildWrite]:
    """The open child of a job, with those of the changed fields that are the job's."""
    changed = {name: value for name, value in fields.items() if name in _INHERITED}
    if not job.open_child or not changed:
        return []
    child = edits.get_child(job.open_child)
    if not child.is_open:
        return []
    return [ChildWrite(child, replace(child, version=child.version + 1, **changed))]


def delete(edit_id: str, context: CommandContext) -> EditJob:
    """Delete a proposal. A tombstone remains.

    Raises:
        Forbidden, NotFound, Gone. InvalidTransition: it is not a proposal any more.
    """
    authorize(context.actor, "edit", "delete")

    def deleted(before: EditJob) -> JobChange:
        return JobChange(before.moved(requested_move(before, "delete", context)))

    return change_job(lambda: visible_edit(edit_id, context.actor), deleted, context, "delete")


def _check_fields(fields: Mapping[str, Any]) -> None:
    name, edit_type = fields.get("name", ""), fields.get("edit_type", "")
    if len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        raise BadRequest(f"name: up to {MAX_NAME_BYTES} bytes")
    if len(edit_type.encode(errors="replace")) > MAX_TYPE_BYTES:
        raise BadRequest(f"type: up to {MAX_TYPE_BYTES} bytes")
    buffer = fields.get("buffer", 0.0)
    if not math.isfinite(buffer) or not 0 <= buffer <= MAX_BUFFER:
        raise BadRequest(f"buffer: 0 to {MAX_BUFFER:g} degrees")
    _check_planned(fields.get("planned_start"), fields.get("planned_end"))


def _check_planned(start: datetime | None, end: datetime | None) -> None:
    if start is not None and end is not None and end < start:
        raise BadRequest("planned_end: not before planned_start")
