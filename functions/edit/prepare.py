"""Writes the package of an edit job or a child; in batch mode, has a function edit it."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from edit.clients import edit_context, log_step, remaining_in
from jobyard.services.machines.edit import EditStep, run_prepare


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do the task that `event` names."""
    step = EditStep.of(event)
    return log_step(step, run_prepare(step, edit_context(step), remaining_in(context)))
