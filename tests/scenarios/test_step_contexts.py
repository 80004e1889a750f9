"""A step gets the context that its job type declares, and nothing else."""

from dataclasses import fields
from typing import Any, cast

import pytest

from jobyard.domain.jobs.job_type import Done, JobType, StepInput, StepResult
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.step_context import HttpContext, StepContext
from tests.harness import Harness

CONTEXTS = (StepContext, *StepContext.__subclasses__())


def a_type(context: type[StepContext]) -> JobType[Any]:
    return JobType("any", "Any", (), context)


@pytest.mark.parametrize("declared", CONTEXTS, ids=lambda each: each.__name__)
def test_the_runner_builds_exactly_what_a_job_type_declares(
    harness: Harness, declared: type[StepContext]
) -> None:
    context = harness.worker().step_context(a_type(declared))

    assert type(context) is declared
    assert vars(context).keys() == {field.name for field in fields(declared)}


@pytest.mark.parametrize("name", TYPES)
def test_every_job_type_declares_an_existing_context(name: str) -> None:
    assert TYPES[name].context in CONTEXTS


def test_a_step_cannot_reach_what_its_job_type_does_not_declare(harness: Harness) -> None:
    def store(step_input: StepInput, context: HttpContext) -> StepResult:
        cast(Any, context).s3.put_object(Bucket="archive", Key="stolen", Body=b"")
        return Done()

    job_type = JobType("intruder", "Intruder", (("store", store),), HttpContext)
    context = harness.worker().step_context(job_type)
    ((_, step),) = job_type.steps

    with pytest.raises(AttributeError, match="'HttpContext' object has no attribute 's3'"):
        step(StepInput("", "b.0.0", "", {}, {}, {}, attempt=1), context)


def test_an_attempt_has_no_more_time_than_its_job_type_allows(harness: Harness) -> None:
    worker = harness.worker()
    context = worker.step_context(JobType("any", "Any", (), StepContext, time_limit=60.0))

    assert context.remaining() == 60.0

    harness.advance(59)

    assert context.remaining() == 1.0
