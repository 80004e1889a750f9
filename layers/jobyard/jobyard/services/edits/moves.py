"""Moves that the machine makes: of edit jobs, and of children in the same transaction."""

from collections.abc import Sequence
from typing import Any

from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.children import new_child
from jobyard.domain.edits.edit_job import EDIT, EditJob
from jobyard.domain.lifecycle import Move, StateType
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.notices import Notice, child_notices, end_notices, outbox_items
from jobyard.services.edits.settings import settings_or_default
from jobyard.store import edits
from jobyard.store.edits import ChildWrite


def move_of(job: EditJob | ChildJob, event: str, context: EditContext, reason: str = "") -> Move:
    """The move that the machine makes of a job."""
    lifecycle = EDIT if isinstance(job, EditJob) else job.lifecycle
    return lifecycle.move(job.state, event, context.now(), context.cause(reason))


def write_job(
    before: EditJob, after: EditJob, context: EditContext, *children: ChildWrite
) -> EditJob:
    """Write an edit job after a move of the machine, with children and mails in the same
    transaction.

    Raises:
        StaleState: somebody changed it since it was read.
    """
    made = [each.after for each in children if each.before is None]
    notices = _notices(after, made, context)
    items = outbox_items(after, notices, context.now(), context.s3, context.settings)
    edits.write(before, after, *children, more=items)
    return after


def _notices(job: EditJob, made: Sequence[ChildJob], context: EditContext) -> list[Notice]:
    """The mails about children that are made, and about the end of a job."""
    if not made and EDIT.state(job.state).type is not StateType.TERMINAL:
        return []
    settings = settings_or_default(job)
    notices = [
        each for child in made for each in child_notices(job, child, settings, context.settings)
    ]
    return notices + end_notices(job, settings, context.settings)


def write_child(before: ChildJob, after: ChildJob) -> ChildJob:
    """Write a child after a move of the machine.

    Raises:
        StaleState: somebody changed it since it was read.
    """
    edits.write(before, after)
    return after


def move_with_child(
    job: EditJob,
    event: str,
    failure_type: FailureType,
    team: str,
    context: EditContext,
    *,
    findings: str = "",
    **changes: Any,
) -> EditJob:
    """Move a job to a state in which it waits for a new child, and make the child: a review for the
    reviewers of `team`, or a fix-up for the worker of the job. `findings` is the key of what it is
    about.

    Raises:
        StaleState: somebody changed the job since it was read.
    """
    move = move_of(job, event, context)
    after = job.moved(move, **job.with_child(failure_type), **changes)
    child = new_child(
        after,
        failure_type,
        move.at,
        move.cause,
        team=team,
        worker=None if failure_type.is_review else job.worker,
        subject=job.workspace,
        findings=findings,
    )
    return write_job(job, after, context, ChildWrite(None, child))
