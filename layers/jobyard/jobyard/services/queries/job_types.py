"""Job types, as lists show them."""

from typing import Any

from jobyard.domain.jobs.job_type import JobType
from jobyard.jobtypes import TYPES


def list_job_types() -> tuple[JobType[Any], ...]:
    """All job types, system types last."""
    return tuple(sorted(TYPES.values(), key=lambda each: (each.is_system, each.name)))
