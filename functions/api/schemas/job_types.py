"""The catalogue of job types."""

from pydantic import Field

from api.schemas.fields import Document


class JobType(Document):
    """What jobs do."""

    name: str = Field(description="Its name, as submissions and schedules give it.")
    title: str = Field(description="The same as people read it.")
    words: dict[str, str] = Field(description="What its users call each state of its jobs.")
    steps: list[str] = Field(description="The steps of its jobs, in order.")
    parameters: dict[str, str] = Field(description="What it can be told, and what each means.")
    takes_manifests: bool = Field(description="Whether a submission may name it.")
    is_scheduled: bool = Field(description="Whether a schedule may name it.")
    is_system: bool = Field(description="Whether only Jobyard itself uses it.")


class JobTypes(Document):
    """All job types, those of the system last."""

    items: list[JobType]
