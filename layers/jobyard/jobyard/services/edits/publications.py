"""What administrators do about an edit job that is committed, and was not published."""

from jobyard.domain.edits.edit_job import EditJob
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext
from jobyard.services.edits.access import visible_edit
from jobyard.services.edits.changes import JobChange, change_job, requested_move


def publish_again(edit_id: str, context: CommandContext) -> EditJob:
    """Have the machine publish a committed edit job again now.

    Raises:
        Forbidden, NotFound. InvalidTransition: it is not committed, or is published already.
    """
    authorize(context.actor, "edit", "publish_again")

    def published(before: EditJob) -> JobChange:
        move = requested_move(before, "publish_again", context)
        return JobChange(before.moved(move, problem=before.problem))

    job = change_job(
        lambda: visible_edit(edit_id, context.actor), published, context, "publish_again"
    )
    number = f"{job.attempt}-again-{context.run}"
    context.executions.start_edit(edit_id, "publish", number)
    return job
