"""Checks the changes of an edit job, or merges those of a child into it."""

from typing import Any

from edit.clients import edit_context, log_step
from jobyard.services.machines.edit import EditStep, run_check


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Do the task that `event` names."""
    step = EditStep.of(event)
    return log_step(step, run_check(step, edit_context(step)))
