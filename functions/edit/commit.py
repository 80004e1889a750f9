"""Commits, publishes and cleans up; takes jobs back from executions that failed."""

from typing import Any

from edit.clients import LOGGER, edit_context, log_step
from jobyard.services.machines.edit import EditStep, run_commit, run_give_up


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Do the task that `event` names, or take a job back from the execution that it names."""
    if "execution" not in event:
        step = EditStep.of(event)
        return log_step(step, run_commit(step, edit_context(step)))
    step = EditStep.of(event["input"])
    LOGGER.error("edit task failed", job_id=step.job_id, task=step.task, error=step.error)
    return log_step(step, run_give_up(step, event["execution"], edit_context(step)))
