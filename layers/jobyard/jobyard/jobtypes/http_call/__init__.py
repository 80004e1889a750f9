"""The http job type: calls a URL, and waits until the work behind it is done. See docs/calls.md.

The step is imported when it runs: code that only lists job types does not load it.
"""

from collections.abc import Mapping
from typing import Any

from jobyard.domain.errors import InvalidParameters
from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job_type import JobType, RetryPolicy, StepInput, StepResult
from jobyard.jobtypes.calls import refuse_callback
from jobyard.jobtypes.http_call.plan import CallPlan
from jobyard.jobtypes.step_context import CallContext


def _call(step_input: StepInput, context: CallContext) -> StepResult:
    from jobyard.jobtypes.http_call.steps import call

    return call(step_input, context)


def _check_schedule(parameters: Mapping[str, Any]) -> None:
    """Check the parameters of a schedule, which has no rows with URLs.

    Raises:
        InvalidParameters: a parameter is not valid, unknown or missing.
    """
    HTTP.check_parameter_names(parameters.keys())
    if not CallPlan.of(parameters).url:
        raise InvalidParameters("url", "is missing")


def _check_submission(parameters: Mapping[str, Any]) -> None:
    """Check the parameters of a batch.

    Raises:
        InvalidParameters: a parameter is not valid.
    """
    refuse_callback(parameters)
    CallPlan.of(parameters)


HTTP = JobType(
    name="http",
    title="HTTP call",
    steps=(("call", _call),),
    context=CallContext,
    retry=RetryPolicy(max_retries=3, first_wait=5.0, factor=4.0, max_wait=900.0),
    labels={"scheduled": "Waiting", "running": "Calling"},
    origins=frozenset({Origin.BATCH, Origin.SCHEDULE}),
    check_parameters=_check_schedule,
    check_submission=_check_submission,
    batch_kind="batch of http",
    parameters={
        "url": "The URL to call; the row's own URL if it is left out.",
        "method": "GET, POST, PUT, PATCH or DELETE; POST if it is left out.",
        "headers": "An object of more headers.",
        "body": "An object, whose fields are added to the JSON that is sent.",
        "secret": "The name of a secret with credentials for the URL.",
        "status_field": "Of an answer without Location: the field with the URL to poll.",
        "state_field": "Of the answer to a poll: the field with the state of the work.",
        "done": "The values of that field that mean success.",
        "failed": "The values of that field that mean failure.",
        "poll_seconds": "The least seconds between two polls; 10 if left out.",
        "wait_hours": "How many hours the job polls; 1 if left out.",
    },
)
