"""The reconcile job type, a system job type: recovers all orphaned work.

The scheduler tick checks some batches each minute; this job checks all work. See
docs/decisions/0015.
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

RECONCILE_MARGIN_S = 20.0  # kept back for one slice: listing executions may be slow


def reconcile(step_input: StepInput, context: MaintenanceContext) -> StepResult:
    """Check every batch that is open or under repair, every schedule with active jobs, every
    overdue campaign, and every edit job that waits for the machine.
    """
    checkpoint = context.checkpoints.get(step_input.job_id)
    first_version, maintenance = checkpoint.version, context.maintenance()
    while not checkpoint.ended:
        if context.remaining() < RECONCILE_MARGIN_S:
            message = f"checked {checkpoint.total:,} so far"
            result_class = Continue if checkpoint.version > first_version else Snooze
            return result_class(0, message)
        checkpoint = maintenance.recover_slice(checkpoint)
    recovered = checkpoint.cursor.get("recovered", 0)
    message = f"checked {checkpoint.total:,}, recovered {recovered:,}"
    return Done({"records": checkpoint.counts, "recovered": recovered}, message)


RECONCILE = JobType(
    name="reconcile",
    title="Reconcile",
    steps=(("reconcile", reconcile),),
    context=MaintenanceContext,
    labels=labels_for("schedule"),
    origins=frozenset({Origin.SCHEDULE}),
    retention_days=30,
    rule={"kind": "hourly", "every": 1, "anchor": "2026-01-01T00:20", "zone": "UTC"},
)
