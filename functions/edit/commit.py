"""Commits, publishes and cleans up; takes jobs back from executions that failed."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from edit.clients import LOGGER, run_step
from jobyard.services.machines.edit import EditStep, run_commit, run_give_up


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do the task that `event` names, or take a job back from the execution that it names."""
    if "execution" not in event:
        step = EditStep.of(event)
        return run_step("commit", step, lambda edit: run_commit(step, edit), context)
    step = EditStep.of(event["input"])
    LOGGER.error("edit task failed", job_id=step.job_id, task=step.task, error=step.error)
    execution = event["execution"]
    return run_step("commit", step, lambda edit: run_give_up(step, execution, edit), context)
