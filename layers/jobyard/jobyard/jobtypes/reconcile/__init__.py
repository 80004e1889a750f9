"""The reconcile job type, the system's own: recovers all orphaned work.

The scheduler checks some batches each minute; this job checks everything. See docs/decisions/0015.
"""

from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job import labels_for
from jobyard.domain.jobs.job_type import (
    Continue,
    Done,
    JobType,
    Snooze,
    StepInput,
    StepResult,
)
from jobyard.jobtypes.step_context import MaintenanceContext

RECONCILE_MARGIN_S = 20.0  # the time a worker keeps back: listing executions may be slow


def reconciling(step_input: StepInput, context: MaintenanceContext) -> StepResult:
    """Check every batch that is open or under repair, and every schedule with active jobs."""
    at = context.checkpoints.get(step_input.job_id)
    began, maintenance = at.version, context.maintenance()
    while not at.ended:
        if context.remaining() < RECONCILE_MARGIN_S:
            words = f"checked {at.total:,} so far"
            return Continue(0, words) if at.version > began else Snooze(0, words)
        at = maintenance.recover_slice(at)
    recovered = at.cursor.get("recovered", 0)
    words = f"checked {at.total:,}, recovered {recovered:,}"
    return Done({"records": at.counts, "recovered": recovered}, words)


RECONCILE = JobType(
    name="reconcile",
    title="Reconcile",
    steps=(("reconciling", reconciling),),
    context=MaintenanceContext,
    labels=labels_for("schedule"),
    origins=frozenset({Origin.SCHEDULE}),
    retention_days=30,
    rule={"kind": "hourly", "every": 1, "anchor": "2026-01-01T00:20", "zone": "UTC"},
)
