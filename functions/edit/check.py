"""Checks the changes of an edit job, or merges those of a child into it."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from edit.clients import run_step
from jobyard.services.machines.edit import EditStep, run_check


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do the task that `event` names."""
    step = EditStep.of(event)
    return run_step("check", step, lambda edit: run_check(step, edit), context)
