"""The reconcile job type, the system's own: whatever no execution works on any more is taken up.

The minute looks at so many batches; this looks at all there is. See decisions/0015.
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

RECONCILE_MARGIN_S = 20.0  # of its time that a worker keeps: AWS may be slow to tell of executions


def reconciling(step_input: StepInput, context: MaintenanceContext) -> StepResult:
    """Look at every batch that is open or may be under repair, and at every schedule with runs."""
    at = context.checkpoints.get(step_input.job_id)
    began, maintenance = at.version, context.maintenance()
    while not at.ended:
        if context.remaining() < RECONCILE_MARGIN_S:
            words = f"looked at {at.total:,} so far"
            return Continue(0, words) if at.version > began else Snooze(0, words)
        at = maintenance.recover_slice(at)
    recovered = at.place.get("recovered", 0)
    words = f"looked at {at.total:,}, took up {recovered:,}"
    return Done({"records": at.counts, "recovered": recovered}, words)


RECONCILE = JobType(
    name="reconcile",
    title="Reconcile",
    steps=(("reconciling", reconciling),),
    context=MaintenanceContext,
    labels=labels_for("schedule"),
    origins=frozenset({Origin.SCHEDULE}),
    keep_days=30,
    rule={"kind": "hourly", "every": 1, "anchor": "2026-01-01T00:20", "zone": "UTC"},
)
