"""The usage of the edit machine: what a task uses counts for its edit job, or for its dataset."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.ids import is_child_id
from jobyard.services.machines.edit import EditStep, EditTask
from jobyard.services.meter import Meter
from jobyard.store import edits

_OF_TASK = 2  # transitions: a task, and the choice that follows it
_OF_EXECUTION = 2  # its first and its last state
_OF_DATASET_TASK = 3  # an execution of one task, without a choice after it


@dataclass(frozen=True)
class MeteredStep:
    """The step that follows a task. `metering_error` says why its usage could not be recorded."""

    step: EditStep
    metering_error: str = ""


def run_metered(
    part: str, step: EditStep, run: Callable[[], EditStep], meter: Meter, memory_mb: int
) -> MeteredStep:
    """Run a task, and add what it used to the usage of its edit job. `part` names the function."""
    with meter.invocation(f"edit {part}", memory_mb) as invocation:
        invocation.origin_id, invocation.transitions = _edit_of(step.job_id), _OF_TASK
        following = run()
        if following.task is EditTask.END:
            invocation.transitions += _OF_EXECUTION
    return MeteredStep(following, invocation.metering_error)


def _edit_of(job_id: str) -> str:
    """The edit job that a child is part of, or itself."""
    if not is_child_id(job_id):
        return job_id
    found = edits.find(job_id)
    return found.parent_id if isinstance(found, ChildJob) else job_id


def run_metered_load(
    dataset: str, run: Callable[[], dict[str, Any]], meter: Meter, memory_mb: int
) -> tuple[dict[str, Any], str]:
    """Load or export a dataset, and add what that used to the usage of the month. Returns its
    result, and why the usage could not be recorded.
    """
    with meter.invocation("load", memory_mb) as invocation:
        # No id of anything has a space.
        invocation.origin_id, invocation.transitions = f"dataset {dataset}", _OF_DATASET_TASK
        result = run()
    return result, invocation.metering_error
