"""The lambda job type: invokes a function of one's own. See docs/calls.md.

The step is imported when it runs: code that only lists job types does not load it.
"""

from collections.abc import Mapping
from typing import Any

from jobyard.domain.errors import InvalidParameters
from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job_type import JobType, RetryPolicy, StepInput, StepResult
from jobyard.jobtypes.calls import refuse_callback
from jobyard.jobtypes.lambda_call.plan import InvocationPlan
from jobyard.jobtypes.step_context import FunctionContext


def _invoke(step_input: StepInput, context: FunctionContext) -> StepResult:
    from jobyard.jobtypes.lambda_call.steps import invoke

    return invoke(step_input, context)


def _check(parameters: Mapping[str, Any]) -> None:
    """Check the parameters of a batch or a schedule.

    Raises:
        InvalidParameters: a parameter is not valid, unknown or missing.
    """
    refuse_callback(parameters)
    LAMBDA.check_parameter_names(parameters.keys())
    if not InvocationPlan.of(parameters).function:
        raise InvalidParameters("function", "is missing")


LAMBDA = JobType(
    name="lambda",
    title="Lambda function",
    steps=(("invoke", _invoke),),
    context=FunctionContext,
    retry=RetryPolicy(max_retries=3, first_wait=5.0, factor=4.0, max_wait=900.0),
    labels={"scheduled": "Waiting", "running": "Calling"},
    origins=frozenset({Origin.BATCH, Origin.SCHEDULE}),
    check_parameters=_check,
    check_submission=_check,
    batch_kind="batch of lambda",
    parameters={
        "function": "The function's ARN or name; one that the deployment allows.",
        "mode": "`wait` for its answer, or let it answer by a `callback`; wait if left out.",
        "body": "An object, whose fields are added to the event that the function gets.",
        "wait_hours": "How many hours the job waits for a callback; 1 if left out.",
    },
)
