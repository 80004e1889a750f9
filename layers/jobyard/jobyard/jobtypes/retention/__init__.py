"""The retention job type, the system's own: archives what ended long ago, and then removes it.

Each job type says in `retention_days` how long it keeps ended jobs. See docs/operating.md.
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

RETENTION_MARGIN_S = 45.0  # the time a worker keeps back: one slice takes some seconds
_NEXT_WORKER_S = 1.0  # until another worker, with all its time, continues


def archiving(step_input: StepInput, context: MaintenanceContext) -> StepResult:
    """Archive every batch and every occurrence that is old enough, then remove it.

    If it ended with failures and is requeued, it goes through what is still there: the failed ones.
    """
    at = context.checkpoints.get(step_input.job_id)
    began, maintenance = at.version, context.maintenance()
    if at.ended and at.failed:
        at = at.next_pass()
    while not at.ended:
        seen = at.version
        if context.remaining() >= RETENTION_MARGIN_S:
            at = maintenance.archive(at, lambda: context.remaining() - RETENTION_MARGIN_S)
        if at.version == seen:
            words = f"archived batches and occurrences so far: {at.processed:,}"
            result_class = Continue if at.version > began else Snooze
            return result_class(_NEXT_WORKER_S, words)
    result = {"records": at.counts}
    if at.failed:
        return Fail(Failure.RECORDS_FAILED, _failure_summary(at), result=result)
    return Done(result, f"archived batches and occurrences: {at.processed:,}")


def _failure_summary(at: Checkpoint) -> str:
    """How many could not be archived, and the reasons for the first of them."""
    reasons = "; ".join(f"{key}: {why}" for key, why in at.failures)
    more = " and more" if at.failed > len(at.failures) else ""
    return f"{at.failed:,} of {at.total:,} could not be archived. {reasons}{more}"


RETENTION = JobType(
    name="retention",
    title="Retention",
    steps=(("archiving", archiving),),
    retry=RetryPolicy(max_retries=5, first_wait=60.0, factor=4.0, max_wait=3600.0),
    context=MaintenanceContext,
    labels=labels_for("schedule"),
    origins=frozenset({Origin.SCHEDULE}),
    retention_days=30,
    rule={"kind": "daily", "at": "03:30", "anchor": "2026-01-01", "zone": "UTC"},
)
