"""Commits, publishes and cleans up; takes jobs back from executions that failed."""

from typing import Any

from edit.clients import LOGGER, edit_context, log_step
from jobyard.services.machines.edit import EditStep, run_commit, run_give_up


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Do the task that `event` names. If it has the error of another task, give the job back."""
    step = EditStep.of(event)
    if step.error is None:
        return log_step(step, run_commit(step, edit_context(step)))
    execution = f"{step.job_id}-{step.task}-{step.number}"
    LOGGER.error("edit task failed", job_id=step.job_id, task=step.task, error=step.error)
    return log_step(step, run_give_up(step, execution, edit_context(step)))
