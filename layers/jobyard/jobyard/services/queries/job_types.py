"""Job types, as lists show them."""

from typing import Any

from jobyard.domain.jobs.job_type import JobType
from jobyard.jobtypes import TYPES


def list_job_types() -> tuple[JobType[Any], ...]:
    """All job types, system types last."""
    return tuple(sorted(TYPES.values(), key=lambda each: (each.is_system, each.name)))


def steps_of(name: str) -> tuple[str, ...]:
    """The steps of a job type, in order; () for a type that does not exist any more."""
    found = TYPES.get(name)
    return tuple(step for step, _ in found.steps) if found else ()
