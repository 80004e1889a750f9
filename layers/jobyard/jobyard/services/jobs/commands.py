"""Commands for a job of any origin: write a move, then start its execution or settle its origin.

If the second part failed, repeat the request: it finds its own move and does only the rest.
"""

from datetime import datetime

from jobyard.domain.access import roles_for
from jobyard.domain.activity import Subject
from jobyard.domain.errors import InvalidTransition
from jobyard.domain.jobs.job import JOB, JobRecord, JobState, apply_event
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext, require_reason
from jobyard.services.origins import job_origin
from jobyard.store import jobs


def send_job_event(job_id: str, event: str, context: CommandContext) -> JobRecord:
    """Apply a person's event to a job. If the job runs again, have it started.

    A task of a campaign that runs is cancelled after its step.

    Raises:
        NotFound, Gone: there is no such job or event, or the actor may not see the job.
        Forbidden: the actor may not send the event. BadRequest: no reason is given.
        InvalidTransition: the event is not valid in the job's state or its origin's.
        StaleState: someone else moved it at the same time.
    """
    JOB.check_event(event)
    origin = job_origin(job_id, context.actor, context.now())
    kind = origin.address.kind
    if not roles_for(kind, event):
        raise InvalidTransition(f"{event} cannot be sent to a {kind}; {origin.refusal_hint}")
    authorize(context.actor, kind, event)
    job = jobs.find(origin.address)
    if job is None or not _is_repeat(job, event, context):
        before = job or origin.unwritten_job
        actor = context.actor
        JOB.authorized_move(
            before.state, event, context.now(), context.cause, actor.roles, kind=kind
        )
        require_reason(context, event)
        origin.check_open(event)
        after = apply_event(before, event, context.now(), context.cause)
        job = origin.write(before, after, context)
    if (at := _time_of(job, event, context)) is not None:
        activity.record(context, event, Subject(kind, job_id), at)
    if job.state is JobState.SCHEDULED:
        origin.start(context)
    elif job.state is not JobState.HELD:
        origin.settle(context)
    return job


def starts_work(event: str) -> bool:
    """Whether the job runs after this event of a person."""
    return event in {"release", "requeue"}


def _is_repeat(job: JobRecord, event: str, context: CommandContext) -> bool:
    """Whether this request moved the job before."""
    return any((each.cause, each.event) == (context.run, event) for each in job.history)


def _time_of(job: JobRecord, event: str, context: CommandContext) -> datetime | None:
    """When this request moved the job; None if another one did the same before."""
    own = (each.at for each in job.history if (each.cause, each.event) == (context.run, event))
    return next(own, None)
