"""The pack job type, a system job type: writes new base files of datasets with many changes.

See docs/datasets.md.
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

PACK_MARGIN_S = 300.0  # kept back for one dataset: the largest takes some minutes
_NEXT_WORKER_S = 1.0  # before the next worker continues


def pack(step_input: StepInput, context: MaintenanceContext) -> StepResult:
    """Pack every dataset with many changes or commits, by name."""
    checkpoint = context.checkpoints.get(step_input.job_id)
    first_version, maintenance = checkpoint.version, context.maintenance()
    while not checkpoint.ended:
        if context.remaining() < PACK_MARGIN_S:
            message = f"packed datasets so far: {checkpoint.processed:,}"
            result_class = Continue if checkpoint.version > first_version else Snooze
            return result_class(_NEXT_WORKER_S, message)
        checkpoint = maintenance.pack(checkpoint)
    message = f"packed datasets: {checkpoint.processed:,}"
    return Done({"records": checkpoint.counts}, message)


PACK = JobType(
    name="pack",
    title="Pack",
    steps=(("pack", pack),),
    context=MaintenanceContext,
    labels=labels_for("schedule"),
    origins=frozenset({Origin.SCHEDULE}),
    retention_days=30,
    rule={"kind": "daily", "at": "02:30", "anchor": "2026-01-01", "zone": "UTC"},
)
