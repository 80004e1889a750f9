"""The deposit job type: stores the files of a manifest in the archive. See docs/deposit.md.

The steps are imported when the first one runs. So code that only lists job types, such as the API,
does not load the modules that fetch and unpack.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jobyard.domain.jobs.job import labels_for
from jobyard.domain.jobs.job_type import JobType, RetryPolicy, StepInput, StepResult
from jobyard.jobtypes.step_context import StorageContext

_STEPS = (
    "estimating",
    "provisioning",
    "downloading",
    "processing",
    "storing",
    "recording",
    "notify",
)


def _step(name: str) -> Callable[[StepInput, StorageContext], StepResult]:
    def run(step_input: StepInput, context: StorageContext) -> StepResult:
        from jobyard.jobtypes.deposit.steps import STEPS

        return STEPS[name](step_input, context)

    return run


def _lock(entry: Mapping[str, Any]) -> str:
    from jobyard.jobtypes.deposit.identity import lock

    return lock(entry)


def _on_failure(
    step_input: StepInput, context: StorageContext, code: str, message: str, requeues: int
) -> Mapping[str, Any]:
    from jobyard.jobtypes.deposit.callbacks import post_failure

    return post_failure(step_input, context, code, message, requeues)


DEPOSIT = JobType(
    name="deposit",
    title="Deposit",
    steps=tuple((name, _step(name)) for name in _STEPS),
    context=StorageContext,
    retry=RetryPolicy(max_retries=3, first_wait=5.0, factor=4.0, max_wait=900.0),
    labels=labels_for("deposit"),
    lock=_lock,
    on_failure=_on_failure,
    parameters={
        "primary": "The object's identifier, of a deposit of one object.",
        "local": "Its local identifiers, one or a list.",
        "creator": "Who made it.",
        "title": "What it is called.",
        "date": "When it was made.",
    },
)
