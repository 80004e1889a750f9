"""What planners do with edit jobs: allocate, revoke, release, abandon, retry, archive them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.team import Team, User
from jobyard.domain.errors import BadRequest, InvalidTransition, JobyardError
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext, require_reason
from jobyard.services.edits.access import (
    authorize_job,
    check_reviewable,
    visible_child,
    visible_edit,
)
from jobyard.services.edits.attachments import request_notices
from jobyard.services.edits.changes import (
    JobChange,
    caused_move,
    change_job,
    requested_move,
)
from jobyard.services.edits.notices import Notice, allocation_notices, email_in, notice
from jobyard.services.edits.settings import settings_for, settings_or_default
from jobyard.services.edits.tasks import start_task
from jobyard.store import datasets, edits, teams
from jobyard.store.edits import ChildWrite

MAX_ARCHIVED = 500  # edit jobs that one request archives
ARCHIVE_AFTER = timedelta(days=30)  # by default, what was completed longer ago is archived


def allocate(edit_id: str, team_name: str, assignee: str, context: CommandContext) -> EditJob:
    """Allocate a proposal to a team, and to one person of it unless `assignee` is "". It waits in
    `blocked` while data custodians are asked for attachments.

    Raises:
        Forbidden, NotFound. BadRequest: there is no such team, or the person is not of it.
        InvalidTransition: it is not proposed, has no name or type, or nobody could review it.
        QuotaExceeded: the mails to custodians are more than the actor may send today.
    """
    authorize(context.actor, "edit", "allocate")
    team = teams.find(team_name)
    if team is None:
        raise BadRequest(f"team: there is no team {team_name!r:.80}")
    person = _assignee(team, assignee)

    def allocated(before: EditJob) -> JobChange:
        move = requested_move(before, "allocate", context)
        _check_complete(before, team)
        settings = settings_for(datasets.get(before.dataset), before.edit_type)
        job = replace(before, team=team.name, assignee=person, is_batch=bool(settings.batch))
        if not settings.batch:
            check_reviewable(job, settings, [person] if person else team.workers)
        elif person:
            raise BadRequest("assignee: a function edits jobs of this type, and nobody else")
        if before.open_attachments:
            move = caused_move(before, "block", context)
            requested = tuple(
                each.sent(context.now()) if each.is_open else each for each in before.attachments
            )
            after = job.moved(move, attachments=requested)
            return JobChange(after, notices=request_notices(after, after.open_attachments, context))
        after = job.moved(move)
        return JobChange(after, notices=allocation_notices(after, team, settings, context.settings))

    job = change_job(lambda: visible_edit(edit_id, context.actor), allocated, context, "allocate")
    if job.state is EditState.ALLOCATED:
        start_task(job, context.executions)
    return job


def _assignee(team: Team, name: str) -> User | None:
    if not name:
        return None
    found = [each for each in team.members if each.is_worker and each.user.name == name]
    if not found:
        raise BadRequest(f"assignee: {name!r:.80} is no worker of team {team.name}")
    return found[0].user


def _check_complete(job: EditJob, team: Team) -> None:
    missing = [
        field
        for field, value in (("name", job.name.strip()), ("type", job.edit_type.strip()))
        if not value
    ]
    if missing:
        raise InvalidTransition(
            f"{job.edit_id} has no {' and no '.join(missing)}: edit it before you allocate it"
        )
    if not team.workers:
        raise InvalidTransition(f"team {team.name} has no workers: an admin can add some")


def revoke(edit_id: str, context: CommandContext) -> EditJob:
    """Take an edit job back: it is a proposal again, and the work on it is dropped.

    Raises:
        Forbidden, NotFound. BadRequest: no reason is given.
        InvalidTransition: the state does not allow it.
    """
    authorize(context.actor, "edit", "revoke")
    require_reason(context, "revoke")

    def revoked(before: EditJob) -> JobChange:
        after = before.dropping_work(
            requested_move(before, "revoke", context), assignee=None, is_batch=False
        )
        return JobChange(after, notices=_notices_to_worker(before, after, "was revoked", context))

    job = change_job(lambda: visible_edit(edit_id, context.actor), revoked, context, "revoke")
    _clean_up(job, context)
    return job


def release(edit_id: str, context: CommandContext) -> EditJob:
    """End the claim of a worker who does not work on it: others of the team may activate it.

    Raises:
        Forbidden, NotFound. InvalidTransition: nobody has claimed it, or the state does not allow
            it.
    """
    authorize(context.actor, "edit", "release")

    def released(before: EditJob) -> JobChange:
        after = before.dropping_work(requested_move(before, "release", context), assignee=None)
        notices = _notices_to_worker(before, after, "was released, and others may do it", context)
        return JobChange(after, notices=notices)

    job = change_job(lambda: visible_edit(edit_id, context.actor), released, context, "release")
    _clean_up(job, context)
    return job


def abandon(edit_id: str, context: CommandContext) -> EditJob:
    """Abandon an edit job and its open child: all work is dropped.

    Raises:
        Forbidden, NotFound. BadRequest: no reason is given.
        InvalidTransition: the state does not allow it, such as after its commit.
    """
    authorize(context.actor, "edit", "abandon")
    require_reason(context, "abandon")

    def abandoned(before: EditJob) -> JobChange:
        move = requested_move(before, "abandon", context)
        after = before.dropping_work(move, actual_end=context.now())
        children = abandoned_child(before, context)
        notices = _notices_to_worker(before, after, "was abandoned", context)
        return JobChange(after, children, notices)

    job = change_job(lambda: visible_edit(edit_id, context.actor), abandoned, context, "abandon")
    _clean_up(job, context)
    return job


def abandoned_child(job: EditJob, context: CommandContext) -> list[ChildWrite]:
    """What becomes of the open child of a job that is abandoned."""
    if not job.open_child:
        return []
    child = edits.get_child(job.open_child)
    if not child.is_open:
        return []
    return [ChildWrite(child, child.moved(caused_move(child, "abandon", context)))]


def retry(edit_id: str, context: CommandContext) -> EditJob:
    """Start an abandoned or failed edit job again: it is allocated as it was. Its children stay
    closed.

    Raises:
        Forbidden, NotFound. Gone: its dataset was deleted. InvalidTransition: it has not ended so,
            was never allocated, its team is gone, or nobody could review it.
    """
    authorize(context.actor, "edit", "retry")

    def retried(before: EditJob) -> JobChange:
        move = requested_move(before, "retry", context)
        team = teams.find(before.team) if before.team else None
        if team is None:
            raise InvalidTransition(
                f"{edit_id} has no team to allocate it to: propose it again, and allocate that"
            )
        settings = settings_for(datasets.get(before.dataset), before.edit_type)
        after = before.dropping_work(move, actual_end=None, is_batch=bool(settings.batch))
        if not settings.batch:
            check_reviewable(after, settings, [after.assignee] if after.assignee else team.workers)
        return JobChange(
            after,
            notices=allocation_notices(after, team, settings, context.settings),
            conditions=[datasets.require(before.dataset)],
        )

    job = change_job(lambda: visible_edit(edit_id, context.actor), retried, context, "retry")
    if job.state is EditState.ALLOCATED:
        start_task(job, context.executions)
    return job


def archive(edit_id: str, context: CommandContext) -> EditJob:
    """Hide an edit job that has ended. Its record is kept.

    Raises:
        Forbidden, NotFound. InvalidTransition: it has not ended.
    """
    authorize(context.actor, "edit", "archive")

    def archived(before: EditJob) -> JobChange:
        return JobChange(before.moved(requested_move(before, "archive", context)))

    return change_job(lambda: visible_edit(edit_id, context.actor), archived, context, "archive")


@dataclass(frozen=True)
class ArchiveOutcome:
    """What became of one edit job: `refusal` says why it was not archived, "" if it was."""

    edit_id: str
    refusal: str = ""


def archive_many(edit_ids: Sequence[str], context: CommandContext) -> list[ArchiveOutcome]:
    """Archive edit jobs, each for itself. Returns an outcome for each, in order.

    Raises:
        Forbidden. BadRequest: there are too many, or none.
    """
    authorize(context.actor, "edit", "archive")
    wanted = [*dict.fromkeys(edit_ids)]
    if not 0 < len(wanted) <= MAX_ARCHIVED:
        raise BadRequest(f"1 to {MAX_ARCHIVED} edit jobs are archived at once, not {len(wanted)}")
    return [_archived(each, context) for each in wanted]


def archive_completed(
    dataset: str, older_than: timedelta, context: CommandContext
) -> list[ArchiveOutcome]:
    """Archive up to 500 edit jobs of a dataset that were completed longer ago than `older_than`.
    Repeat it until it returns none.

    Raises:
        Forbidden.
    """
    authorize(context.actor, "edit", "archive")
    until = context.now() - older_than
    found: list[str] = []
    after = ""
    while len(found) < MAX_ARCHIVED:
        keys = edits.of_dataset(dataset, edits.ENDED, after=after, limit=100)
        if not keys:
            break
        after = keys[-1].position
        found += [
            job.edit_id
            for job in edits.read([each.job_id for each in keys])
            if isinstance(job, EditJob)
            and job.state is EditState.COMPLETED
            and job.actual_end is not None
            and job.actual_end < until
        ]
    return [_archived(each, context) for each in found[:MAX_ARCHIVED]]


def _archived(edit_id: str, context: CommandContext) -> ArchiveOutcome:
    try:
        archive(edit_id, context)
    except JobyardError as refusal:
        return ArchiveOutcome(edit_id, str(refusal))
    return ArchiveOutcome(edit_id)


def allocate_child(child_id: str, person: str, context: CommandContext) -> ChildJob:
    """Give a child to another person of its team; "" for anyone of it. What its claim made so far
    is dropped.

    Raises:
        Forbidden, NotFound. BadRequest: the person is not of its team, or had a part in what they
            would review. InvalidTransition: the state does not allow it.
    """
    authorize_job(child_id, "allocate", context.actor)

    def allocated(before: ChildJob) -> JobChange:
        move = requested_move(before, "allocate", context)
        team = teams.find(before.team) or Team(before.team)
        user = None
        if person:
            user = _member_for(before, team, person)
        after = before.given_up(move, user)
        notices = []
        if user is not None and settings_or_default(before).mails:
            headline = "A part of an edit job was given to you"
            notices = notice(after, email_in(team, user), headline, [], context.settings)
        return JobChange(after, notices=notices)

    job = change_job(lambda: visible_child(child_id, context.actor), allocated, context, "allocate")
    return job


def _member_for(child: ChildJob, team: Team, person: str) -> User:
    is_review = child.failure_type.is_review
    found = [
        each.user
        for each in team.members
        if each.user.name == person and (each.is_reviewer if is_review else each.is_worker)
    ]
    if not found:
        role = "reviewer" if is_review else "worker"
        raise BadRequest(f"assignee: {person!r:.80} is no {role} of team {team.name}")
    if is_review and edits.get(child.parent_id).is_author(found[0].sub):
        raise BadRequest(f"assignee: {person} had a part in what is reviewed")
    return found[0]


def _notices_to_worker(
    before: EditJob, after: EditJob, what: str, context: CommandContext
) -> list[Notice]:
    if before.worker is None or not settings_or_default(before).mails:
        return []
    member = teams.member(before.team, before.worker.sub)
    facts = [("By", context.actor.name), ("Reason", context.reason)]
    if before.package is not None:
        facts.append(("Your edits", "An upload is refused now, and kept for 7 days"))
    to = (member.email,) if member else ()
    return notice(after, to, f"Your edit job {what}", facts, context.settings)


def _clean_up(job: EditJob, context: CommandContext) -> None:
    """Have the machine remove the files of the attempt that was dropped."""
    if not job.has_entry_of(context.run):
        return
    context.executions.start_edit(job.edit_id, "clean_up", str(job.attempt - 1))
