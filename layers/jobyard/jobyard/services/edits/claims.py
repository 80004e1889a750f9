"""What workers and reviewers do with what they claim: activate, download, relinquish, finish."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.errors import Forbidden, InvalidTransition, StaleState
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext
from jobyard.services.edits.access import (
    authorize_claim,
    authorize_job,
    check_member,
    check_reviewable,
    id_of,
    user_of,
    visible_job,
)
from jobyard.services.edits.changes import JobChange, change_job, requested_move
from jobyard.services.edits.settings import settings_for
from jobyard.services.edits.tasks import start_task
from jobyard.store import datasets, edits
from jobyard.store.edits import Job

LINK_TIME_OF_PACKAGE = timedelta(minutes=15)


def activate(job_id: str, context: CommandContext) -> Job:
    """Claim a job. The first one has it: of all who try, one wins, and the others get its name.

    Raises:
        Forbidden: the actor may not work on it, or it is another person's. NotFound.
        InvalidTransition: it is not allocated any more; the message says who has it.
    """
    authorize_job(job_id, "activate", context.actor)
    job = visible_job(job_id, context.actor)
    if isinstance(job, ChildJob):
        activated: Job = change_job(
            lambda: edits.get_child(job_id),
            lambda before: _activated_child(before, context),
            context,
            "activate",
        )
    else:
        activated = change_job(
            lambda: edits.get(job_id),
            lambda before: _activated_edit(before, context),
            context,
            "activate",
        )
    if activated.state == EditState.ACTIVATED:
        start_task(activated, context.executions)
    return activated


def _check_free(job: Job, context: CommandContext) -> None:
    """Check that nobody else has claimed a job.

    Raises:
        InvalidTransition: somebody has; the message names them. Forbidden: it is for another.
    """
    worker = job.worker
    if worker is not None and worker.sub != context.actor.sub:
        if job.state == EditState.ALLOCATED:
            raise Forbidden(
                f"{id_of(job)} is for {worker.name}; a planner may give it to somebody else"
            )
        raise InvalidTransition(
            f"{worker.name} has activated {id_of(job)}: it is {job.state}; choose another one"
        )


def _activated_edit(before: EditJob, context: CommandContext) -> JobChange:
    _check_free(before, context)
    move = requested_move(before, "activate", context)
    actor = user_of(context.actor)
    assignee = before.assignee
    if assignee is not None and assignee.sub != actor.sub:
        raise Forbidden(
            f"{before.edit_id} is allocated to {assignee.name}; a planner may allocate it again"
        )
    if before.is_batch:
        raise InvalidTransition(f"a function edits {before.edit_id}: nobody can activate it")
    check_member(before.team, context.actor, is_reviewer=False)
    dataset = datasets.get(before.dataset)
    check_reviewable(before, settings_for(dataset, before.edit_type), [actor])
    return JobChange(
        before.moved(
            move,
            worker=actor,
            authors=before.with_author(actor),
            actual_start=context.now(),
            base_revision=dataset.revision,
        )
    )


def _activated_child(before: ChildJob, context: CommandContext) -> JobChange:
    _check_free(before, context)
    move = requested_move(before, "activate", context)
    check_member(before.team, context.actor, is_reviewer=before.failure_type.is_review)
    parent = edits.get(before.parent_id)
    check_impartial(before, parent, context)
    if not before.failure_type.is_review:
        settings = settings_for(datasets.get(parent.dataset), parent.edit_type)
        check_reviewable(parent, settings, [user_of(context.actor)])
    return JobChange(before.moved(move, worker=user_of(context.actor)))


def check_impartial(child: ChildJob, parent: EditJob, context: CommandContext) -> None:
    """Check that who reviews had no part in the changes, whatever their roles.

    Raises:
        Forbidden: they had.
    """
    if child.failure_type.is_review and parent.is_author(context.actor.sub):
        raise Forbidden(
            f"you had a part in the changes of {parent.edit_id}: another reviewer of team "
            f"{child.team} has to review them"
        )


@dataclass(frozen=True)
class PackageLink:
    """Where to download a package from, until `expires_at`."""

    job: Job
    url: str
    filename: str
    expires_at: datetime


def download(job_id: str, context: CommandContext) -> PackageLink:
    """A link to the package of a job that the actor has claimed. Each download is in its history.

    Raises:
        Forbidden: another person has it. NotFound.
        InvalidTransition: there is no package now.
    """
    authorize_job(job_id, "download", context.actor)
    job = visible_job(job_id, context.actor)
    if isinstance(job, ChildJob):
        job = change_job(
            lambda: edits.get_child(job_id),
            lambda before: _downloaded(before, context),
            context,
            "download",
        )
    else:
        job = change_job(
            lambda: edits.get(job_id),
            lambda before: _downloaded(before, context),
            context,
            "download",
        )
    package = job.package
    if package is None:
        raise StaleState(f"the package of {job_id} was removed meanwhile")
    filename = f"{package.package_id}.zip"
    url = context.s3.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": context.settings.work_bucket,
            "Key": package.key,
            "ResponseContentType": "application/zip",
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
        },
        ExpiresIn=int(LINK_TIME_OF_PACKAGE.total_seconds()),
    )
    return PackageLink(job, url, filename, context.now() + LINK_TIME_OF_PACKAGE)


def _downloaded(before: EditJob | ChildJob, context: CommandContext) -> JobChange:
    _check_own(before, "download", context)
    move = requested_move(before, "download", context)
    if before.package is None:
        raise InvalidTransition(f"the package of {id_of(before)} is being written; try again")
    return JobChange(before.moved(move, problem=before.problem))


def _check_own(job: Job, event: str, context: CommandContext) -> None:
    """Check that the actor may send `event` to a job, and that it is theirs."""
    if job.worker is None:
        requested_move(job, event, context)  # says what its state is
        raise Forbidden(f"nobody has claimed {id_of(job)}: activate it first")
    authorize_claim(job, event, context.actor)


def relinquish(job_id: str, context: CommandContext) -> Job:
    """Give back what one has claimed: another person may activate it, and the edits are dropped.

    Raises:
        Forbidden: another person has it. NotFound. InvalidTransition: the state does not allow it.
    """
    authorize_job(job_id, "relinquish", context.actor)
    job = visible_job(job_id, context.actor)
    if isinstance(job, ChildJob):

        def given_up(before: ChildJob) -> JobChange:
            _check_own(before, "relinquish", context)
            return JobChange(before.given_up(requested_move(before, "relinquish", context), None))

        return change_job(lambda: edits.get_child(job_id), given_up, context, "relinquish")

    def relinquished(before: EditJob) -> JobChange:
        _check_own(before, "relinquish", context)
        move = requested_move(before, "relinquish", context)
        return JobChange(before.dropping_work(move, assignee=None))

    done = change_job(lambda: edits.get(job_id), relinquished, context, "relinquish")
    context.executions.start_edit(job_id, "clean_up", str(done.attempt - 1))
    return done


def finish(edit_id: str, context: CommandContext) -> EditJob:
    """Complete an edit job of a read-only type.

    Raises:
        Forbidden: another person has it. NotFound.
        InvalidTransition: its type has edits, or the state does not allow it.
    """
    authorize(context.actor, "edit", "finish")
    job = visible_job(edit_id, context.actor)
    if isinstance(job, ChildJob):
        raise InvalidTransition(f"{edit_id} is a {job.kind}: upload to it, or decide")

    def finished(before: EditJob) -> JobChange:
        _check_own(before, "finish", context)
        move = requested_move(before, "finish", context)
        settings = settings_for(datasets.get(before.dataset), before.edit_type)
        if not settings.read_only:
            raise InvalidTransition(
                f"edit jobs of type {before.edit_type} end with an upload; "
                f"upload to {edit_id}, or relinquish it"
            )
        return JobChange(before.moved(move, actual_end=context.now(), workspace=None))

    done = change_job(lambda: edits.get(edit_id), finished, context, "finish")
    context.executions.start_edit(edit_id, "clean_up", str(done.attempt))
    return done
