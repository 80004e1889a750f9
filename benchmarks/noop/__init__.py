"""Job types that do nothing, at once or for a second, to measure Jobyard's overhead."""

import time

from jobyard.domain.jobs.job_type import Done, JobType, StepInput, StepResult
from jobyard.jobtypes.step_context import StepContext


def doing_nothing(step_input: StepInput, context: StepContext) -> StepResult:
    """Succeed at once."""
    return Done()


def taking_a_second(step_input: StepInput, context: StepContext) -> StepResult:
    """Succeed after a second."""
    time.sleep(1)
    return Done()


NOOP = JobType(
    name="noop", title="Nothing", steps=(("doing_nothing", doing_nothing),), context=StepContext
)
SECOND = JobType(
    name="second",
    title="A second",
    steps=(("taking_a_second", taking_a_second),),
    context=StepContext,
)
