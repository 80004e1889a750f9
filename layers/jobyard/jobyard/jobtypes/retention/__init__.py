"""The retention job type, the system's own: what ended long ago goes to the archive, then away.

How long it is kept says each job type, as `keep_days`. See docs/operating.md.
"""

from jobyard.domain.ids import Origin
from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import labels_for
from jobyard.domain.jobs.job_type import (
    Continue,
    Done,
    Fail,
    JobType,
    RetryPolicy,
    Snooze,
    StepInput,
    StepResult,
)
from jobyard.jobtypes.step_context import MaintenanceContext

RETENTION_MARGIN_S = (
    45.0  # of its time that a worker keeps: what is done at a time takes some seconds
)
_BREATH_S = 1.0  # until another worker, with all its time, tries what this one had not enough for


def archiving(step_input: StepInput, context: MaintenanceContext) -> StepResult:
    """Archive every batch and every occurrence that is old enough, and remove it then.

    Ended before and begun again, by a requeue, it goes through what is still there: what failed.
    """
    at = context.checkpoints.get(step_input.job_id)
    began, maintenance = at.version, context.maintenance()
    if at.ended and at.failed:
        at = at.again()
    while not at.ended:
        seen = at.version
        if context.remaining() >= RETENTION_MARGIN_S:
            at = maintenance.archive(at, lambda: context.remaining() - RETENTION_MARGIN_S)
        if at.version == seen:
            words = f"archived batches and occurrences so far: {at.processed:,}"
            outcome = Continue if at.version > began else Snooze
            return outcome(_BREATH_S, words)
    result = {"records": at.counts}
    if at.failed:
        return Fail(Failure.RECORDS_FAILED, _told(at), result=result)
    return Done(result, f"archived batches and occurrences: {at.processed:,}")


def _told(at: Checkpoint) -> str:
    """How many could not be archived, and of the first of them which and why."""
    reasons = "; ".join(f"{key}: {why}" for key, why in at.failures)
    more = " and more" if at.failed > len(at.failures) else ""
    return f"{at.failed:,} of {at.total:,} could not be archived. {reasons}{more}"


RETENTION = JobType(
    name="retention",
    title="Retention",
    steps=(("archiving", archiving),),
    retry=RetryPolicy(retries=5, first=60.0, factor=4.0, longest=3600.0),
    context=MaintenanceContext,
    labels=labels_for("schedule"),
    origins=frozenset({Origin.SCHEDULE}),
    keep_days=30,
    rule={"kind": "daily", "at": "03:30", "anchor": "2026-01-01", "zone": "UTC"},
)
