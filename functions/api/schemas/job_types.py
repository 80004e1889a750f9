"""Job types."""

from typing import Any

from pydantic import Field

from api.schemas.fields import Schema
from jobyard.domain.ids import Origin
from jobyard.domain.jobs import job_type as domain


class JobType(Schema):
    """A job type: what its jobs do."""

    name: str = Field(description="The name in submissions, schedules and campaigns.")
    title: str = Field(description="The title for people.")
    labels: dict[str, str] = Field(description="The name of each job state for its users.")
    steps: list[str] = Field(description="The steps of its jobs, in order.")
    parameters: dict[str, str] = Field(description="A description of each parameter.")
    origins: list[Origin] = Field(
        description=f"What may create its jobs: {', '.join(f'`{each}`' for each in Origin)}."
    )
    needs_min: int = Field(
        description="Minutes that must be left in an opening when a task of a campaign starts, if "
        "the campaign does not say."
    )
    needs_address: bool = Field(
        description="Whether its tasks fail on targets without an `address`, a host or URL."
    )
    is_system: bool = Field(description="Whether only Jobyard itself uses it.")

    @classmethod
    def of(cls, job_type: domain.JobType[Any]) -> "JobType":
        """A job type of the registry."""
        return cls(
            name=job_type.name,
            title=job_type.title,
            labels=dict(job_type.labels),
            steps=[name for name, _ in job_type.steps],
            parameters=dict(job_type.parameters),
            origins=sorted(job_type.origins),
            needs_min=job_type.needs_min,
            needs_address=job_type.needs_address,
            is_system=job_type.is_system,
        )


class JobTypeList(Schema):
    """All job types, those of the system last."""

    items: list[JobType]
