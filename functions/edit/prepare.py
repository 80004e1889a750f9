"""Writes the package of an edit job or a child; in batch mode, has a function edit it."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from edit.clients import remaining_in, run_step
from jobyard.services.machines.edit import EditStep, run_prepare


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do the task that `event` names."""
    step = EditStep.of(event)
    remaining = remaining_in(context)
    return run_step("prepare", step, lambda edit: run_prepare(step, edit, remaining), context)
