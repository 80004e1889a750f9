"""The retention job type, a system job type: archives what ended long ago, then removes it.

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

RETENTION_MARGIN_S = 45.0  # kept back for one slice, which takes some seconds
_NEXT_WORKER_S = 1.0  # before the next worker continues


def archive(step_input: StepInput, context: MaintenanceContext) -> StepResult:
    """Archive what ended long enough ago, then remove it: batches, occurrences, campaigns and edit
    jobs.

    A job that ended with failures and is requeued archives what is still there: the failed ones.
    """
    checkpoint = context.checkpoints.get(step_input.job_id)
    first_version, maintenance = checkpoint.version, context.maintenance()
    if checkpoint.ended and checkpoint.failed:
        checkpoint = checkpoint.next_pass()
    while not checkpoint.ended:
        seen = checkpoint.version
        if context.remaining() >= RETENTION_MARGIN_S:
            checkpoint = maintenance.archive(
                checkpoint, lambda: context.remaining() - RETENTION_MARGIN_S
            )
        if checkpoint.version == seen:
            message = f"archived records so far: {checkpoint.processed:,}"
            result_class = Continue if checkpoint.version > first_version else Snooze
            return result_class(_NEXT_WORKER_S, message)
    result = {"records": checkpoint.counts}
    if checkpoint.failed:
        return Fail(Failure.RECORDS_FAILED, _failure_summary(checkpoint), result=result)
    return Done(result, f"archived records: {checkpoint.processed:,}")


def _failure_summary(checkpoint: Checkpoint) -> str:
    """How many could not be archived, and the first of them with their reasons."""
    reasons = "; ".join(f"{key}: {reason}" for key, reason in checkpoint.failures)
    more = " and more" if checkpoint.failed > len(checkpoint.failures) else ""
    return f"{checkpoint.failed:,} of {checkpoint.total:,} could not be archived. {reasons}{more}"


RETENTION = JobType(
    name="retention",
    title="Retention",
    steps=(("archive", archive),),
    retry=RetryPolicy(max_retries=5, first_wait=60.0, factor=4.0, max_wait=3600.0),
    context=MaintenanceContext,
    labels=labels_for("schedule"),
    origins=frozenset({Origin.SCHEDULE}),
    retention_days=30,
    rule={"kind": "daily", "at": "03:30", "anchor": "2026-01-01", "zone": "UTC"},
)
