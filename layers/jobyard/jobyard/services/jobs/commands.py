"""What people do to a job of any origin. The move is written first, then the machine told.

If the machine could not be told, the same request sent again finds its own move and tells it.
"""

from jobyard.domain.access import roles_for
from jobyard.domain.errors import InvalidTransition
from jobyard.domain.jobs.job import JOB, JobRecord, JobState, apply_event, new_job
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext, require_reason
from jobyard.services.jobs.origin import job_origin
from jobyard.store import jobs


def send_job_event(job_id: str, event: str, context: CommandContext) -> JobRecord:
    """Send a job a person's event. A job that is to run again gets an execution of its own.

    Raises:
        NotFound, Gone: there is no such job or event, or none this person may know of.
        Forbidden: not for this person. BadRequest: no reason is given.
        InvalidTransition: its state, or its origin's, does not know the event.
        StaleState: someone else moved it at the same time.
    """
    JOB.check_event(event)
    origin = job_origin(job_id, context.actor, context.now())
    kind = origin.address.kind
    if not roles_for(kind, event):
        raise InvalidTransition(f"a {kind} cannot {event}; {origin.instead}")
    authorize(context.actor, kind, event)
    job = jobs.find(origin.address)
    if job is None or not _is_repeat(job, event, context):
        before = job or new_job(origin.address, context.now())
        JOB.authorized_move(before.state, event, context.now(), context.cause, context.actor.roles)
        require_reason(context, event)
        origin.check_open(event)
        after = apply_event(before, event, context.now(), context.cause)
        job = origin.write(before, after, context)
    if job.state is JobState.SCHEDULED:
        context.executions.start_job(origin.address, context.run)
    elif job.state is not JobState.HELD:
        origin.settle(context)
    return job


def starts_work(event: str) -> bool:
    """Whether the job runs after this event of a person."""
    return event in {"release", "requeue"}


def _is_repeat(job: JobRecord, event: str, context: CommandContext) -> bool:
    return any((each.cause, each.event) == (context.run, event) for each in job.history)
