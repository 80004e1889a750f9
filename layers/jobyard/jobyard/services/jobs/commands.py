"""What people do to a job: one conditional write of a move, then an execution for it."""

from jobyard.domain.errors import InvalidTransition, NotFound
from jobyard.domain.jobs.job import JOB, JobRecord, JobState, apply_event, new_job
from jobyard.services.access import authorize, visible_job
from jobyard.services.batches.commands import is_open_to
from jobyard.services.context import CommandContext, require_reason
from jobyard.store import jobs


def send_job_event(job_id: str, event: str, context: CommandContext) -> JobRecord:
    """Send a job a person's event; one that starts it again starts it by itself.

    Raises:
        NotFound, Gone: there is no such job, or its batch is no more.
        InvalidTransition: its state, or its batch's, does not know the event. Forbidden: not for
        this
            person. StaleState: someone else moved it. BadRequest: no reason is given.
    """
    batch, place = visible_job(job_id, context.actor, context.now())
    authorize(context.actor, "job", event)
    stored = jobs.get(place)
    if stored and any(e.cause == context.run and e.event == event for e in stored.history):
        job = stored
    else:
        if place.position >= batch.size_of(place.chunk):
            raise NotFound(f"batch {batch.batch_id} has no job {job_id}")
        before = stored or new_job(place, context.now())
        JOB.asked(before.state, event, context.now(), context.cause, context.actor.roles)
        require_reason(context, event)
        if not is_open_to(batch, event):
            raise InvalidTransition(f"its batch is {batch.state}: cannot {event} a job of it")
        after = apply_event(before, event, context.now(), context.cause)
        job = jobs.apply(before, after, batch.state)
    if job.state is JobState.SCHEDULED:
        context.executions.start_job(place, context.run)
    elif job.state is not JobState.HELD:
        context.executions.start_batch(batch.batch_id, "settle", context.run)
    return job
