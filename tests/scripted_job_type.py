"""A job type whose step does what a test says: it stands for any that has a schedule."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job_type import Done, JobType, RetryPolicy, StepInput, StepResult
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.step_context import StepContext

NAME = "scripted"


@dataclass
class Script:
    """The answers of the step, run after run, and its inputs. Without an answer it is Done."""

    answers: list[StepResult | BaseException] = field(default_factory=list)
    inputs: list[StepInput] = field(default_factory=list)
    during: Callable[[], None] = lambda: None
    context: StepContext | None = None  # the last step's

    def step(self, step_input: StepInput, context: StepContext) -> StepResult:
        """Do the next thing in the script."""
        self.inputs.append(step_input)
        self.context = context
        self.during()
        answer = self.answers.pop(0) if self.answers else Done()
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _anything(_parameters: Mapping[str, Any]) -> None:
    """No parameters are wrong."""


@contextmanager
def scripted(retries: int = 1) -> Iterator[Script]:
    """The job type is there for a while."""
    script = Script()
    types: dict[str, JobType[Any]] = TYPES  # type: ignore[assignment]
    types[NAME] = JobType(
        NAME,
        "Scripted",
        steps=(("doing", lambda step_input, context: script.step(step_input, context)),),
        context=StepContext,
        retry=RetryPolicy(max_retries=retries, first_wait=5.0),
        origins=frozenset({Origin.SCHEDULE}),
        check_parameters=_anything,
    )
    try:
        yield script
    finally:
        del types[NAME]
