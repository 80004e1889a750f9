"""The line-count job type: counts the lines of each file in a manifest."""

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Done, Fail, JobType, RetryPolicy, StepInput, StepResult
from jobyard.jobtypes.http_client import FetchRefused
from jobyard.jobtypes.step_context import HttpContext


def count_lines(step_input: StepInput, context: HttpContext) -> StepResult:
    """Fetch the file and count its lines, block by block."""
    lines = 0
    try:
        with context.http.get(step_input.entry["url"], context.remaining) as answer:
            for block in answer.blocks():
                lines += block.count(b"\n")
    except FetchRefused as refusal:
        return Fail(refusal.code, refusal.message, retryable=refusal.retryable)
    return Done({"lines": lines})


def check_limit(step_input: StepInput, context: HttpContext) -> StepResult:
    """Fail if the file has more lines than the submission allows."""
    limit = step_input.parameters.get("max_lines")
    lines = step_input.data["lines"]
    if limit is not None and lines > int(limit):
        return Fail(Failure.TOO_LARGE, f"{lines} lines, but max_lines is {limit}")
    return Done()


LINE_COUNT = JobType(
    name="line-count",
    title="Line count",
    steps=(("count_lines", count_lines), ("check_limit", check_limit)),
    context=HttpContext,
    retry=RetryPolicy(max_retries=2, first_wait=5.0),
    labels={"scheduled": "Waiting", "running": "Counting", "succeeded": "Counted"},
    parameters={"max_lines": "The most lines that a file may have."},
)
