"""Decisions of reviewers: approve, require corrections, discard. Each ends the review and moves the
edit job in one transaction.
"""

from dataclasses import replace

from jobyard.domain.edits.child import ChildJob, FailureType, child_id_of
from jobyard.domain.edits.children import new_child
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.work import MAX_COMMENT_BYTES, Approval
from jobyard.domain.errors import BadRequest, InvalidTransition
from jobyard.domain.text import clean
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.edits.access import authorize_claim, user_of, visible_child
from jobyard.services.edits.changes import JobChange, caused_move, change_job, requested_move
from jobyard.services.edits.claims import check_impartial
from jobyard.services.edits.notices import Notice, notice
from jobyard.services.edits.settings import settings_or_default
from jobyard.services.edits.tasks import start_task
from jobyard.services.edits.work_files import CHILDREN, root_of, write_json
from jobyard.store import edits, teams
from jobyard.store.edits import ChildWrite


def approve(child_id: str, comment: str, context: CommandContext) -> ChildJob:
    """Approve: the package is released, or the changes are checked once more and committed.

    Raises:
        Forbidden: another person has the review, or the actor had a part in the changes. NotFound.
        InvalidTransition: the state does not allow it, or edits of the reviewer would be lost.
    """
    return _decided(child_id, "approve", comment, context)


def require_corrections(child_id: str, comment: str, context: CommandContext) -> ChildJob:
    """Ask the worker for corrections. What the reviewer uploaded is part of them, and makes the
    reviewer an author.

    Raises:
        Forbidden, NotFound, InvalidTransition: as for `approve`. BadRequest: there is no comment.
    """
    return _decided(child_id, "require_corrections", comment, context)


def discard(child_id: str, comment: str, context: CommandContext) -> ChildJob:
    """Discard: changes are to be made again by their worker, who keeps them; a package under
    embargo is abandoned with its job.

    Raises:
        Forbidden, NotFound, InvalidTransition: as for `approve`. BadRequest: there is no comment.
    """
    return _decided(child_id, "discard", comment, context)


def _decided(child_id: str, event: str, comment: str, context: CommandContext) -> ChildJob:
    authorize(context.actor, "review", event)
    if event != "approve" and not comment.strip():
        raise BadRequest(f"{event.replace('_', ' ')} needs a comment, which the worker reads")
    context = replace(context, reason=context.reason or comment)
    review = visible_child(child_id, context.actor)
    if not review.failure_type.is_review:
        raise InvalidTransition(f"{child_id} is a fix-up: upload to it; nobody decides about it")
    parent = change_job(
        lambda: edits.get(review.parent_id),
        lambda before: _decision(before, child_id, event, comment, context),
        context,
        event,
        about=review,
    )
    _start(parent, context)
    return edits.get_child(child_id)


def _decision(
    job: EditJob, child_id: str, event: str, comment: str, context: CommandContext
) -> JobChange:
    review = edits.get_child(child_id)
    is_embargo = review.failure_type is FailureType.EMBARGO_REVIEW
    if review.worker is not None:
        authorize_claim(review, event, context.actor)
    move = requested_move(review, event, context)
    check_impartial(review, job, context)
    if review.is_reading:
        raise InvalidTransition("the file that you uploaded is being read: try again in a moment")
    if reason := review.refused_events.get(event):
        raise InvalidTransition(reason)
    ended = ChildWrite(review, review.moved(move, comment=comment))
    parent_move = caused_move(job, event, context)
    if event == "approve":
        fields = {"open_child": ""} | ({} if is_embargo else _approved(job, review, context))
        after = job.moved(parent_move, **fields)
        notices = _notices_to_worker(after, _APPROVED[is_embargo], comment, context)
        return JobChange(after, [ended], notices)
    if event == "discard" and is_embargo:
        after = job.dropping_work(parent_move, actual_end=context.now())
        notices = _notices_to_worker(job, "Your edit job was abandoned", comment, context)
        return JobChange(after, [ended], notices)
    if event == "discard":
        after = job.moved(parent_move, open_child="", is_discarded=True, approval=None)
        headline = "Your edits were discarded, and kept: repair them and upload again"
        notices = _notices_to_worker(after, headline, comment, context)
        return JobChange(after, [ended], notices)
    fields = job.with_child(FailureType.QUARANTINE_CORRECTIONS)
    authors = job.authors
    if review.edits is not None:
        authors = job.with_author(user_of(context.actor))
    after = job.moved(parent_move, authors=authors, approval=None, **fields)
    corrections = _corrections(after, review, comment, context)
    notices = _notices_to_worker(after, "Corrections of your edits are required", comment, context)
    return JobChange(after, [ended, ChildWrite(None, corrections)], notices)


_APPROVED = {True: "Your package is released", False: "Your edits were approved"}


def _approved(
    job: EditJob, review: ChildJob, context: CommandContext
) -> dict[str, Approval | int | None]:
    """The approval of the changes that were reviewed, by their digest."""
    subject = review.subject
    if subject is None or job.workspace is None or subject.digest != job.workspace.digest:
        raise InvalidTransition(
            f"the changes of {job.edit_id} are not those that {review.child_id} is about: "
            "they are checked and reviewed again"
        )
    approval = Approval(subject.digest, context.actor.sub, context.actor.name, context.now())
    return {"approval": approval, "checks": job.checks + 1}


def _corrections(job: EditJob, review: ChildJob, comment: str, context: CommandContext) -> ChildJob:
    """The fix-up for the worker, with their edits and those of the reviewer."""
    number = job.children[FailureType.QUARANTINE_CORRECTIONS]
    child_id = child_id_of(job.edit_id, FailureType.QUARANTINE_CORRECTIONS, number)
    edits_of_reviewer = [*vars(review.edits).values()] if review.edits else None
    feedback = {
        "comment": clean(comment, MAX_COMMENT_BYTES),
        "reviewer": context.actor.name,
        "edits": edits_of_reviewer,
    }
    key = f"{root_of(job.edit_id)}/{CHILDREN}/{child_id}/feedback.json"
    write_json(key, feedback, DatasetContext(context.settings, context.s3, context.now))
    return new_child(
        job,
        FailureType.QUARANTINE_CORRECTIONS,
        context.now(),
        context.cause,
        team=job.team,
        worker=job.worker,
        subject=job.workspace,
        findings=key,
    )


def _start(job: EditJob, context: CommandContext) -> None:
    """Start what follows from the decision. A repeat starts it if its first try died."""
    if job.state in {EditState.UPLOADED, EditState.QUARANTINED}:
        start_task(job, context.executions)
    elif job.state is EditState.ABANDONED:
        context.executions.start_edit(job.edit_id, "clean_up", str(job.attempt - 1))


def _notices_to_worker(
    job: EditJob, headline: str, comment: str, context: CommandContext
) -> list[Notice]:
    if job.worker is None or not settings_or_default(job).mails:
        return []
    member = teams.member(job.team, job.worker.sub)
    facts = [("Reviewer", context.actor.name), ("Comment", comment or "-")]
    return notice(job, [member.email] if member else [], headline, facts, context.settings)
