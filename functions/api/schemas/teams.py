"""Teams, and the settings of edit jobs."""

from pydantic import Field

from api.context import RequestContext
from api.schemas.edits import PersonRef
from api.schemas.fields import Links, NextCursor, PersonName, Schema
from jobyard.domain.edits.settings import MAX_BATCH_BYTES, MAX_LATEST, EditSettings
from jobyard.domain.edits.team import MAX_MEMBERS, MAX_TITLE_BYTES
from jobyard.domain.edits.team import Team as DomainTeam


class TeamRequest(Schema, extra="forbid"):
    """A team as it is to be. Its members are those that are named here, and no others."""

    title: str = Field(default="", description="What people call it.", max_length=MAX_TITLE_BYTES)
    workers: list[PersonName] = Field(
        default=[],
        description="The user names of those who work on its edit jobs.",
        max_length=MAX_MEMBERS,
    )
    reviewers: list[PersonName] = Field(
        default=[],
        description="The user names of those who review; they may be workers too.",
        max_length=MAX_MEMBERS,
    )


class Member(Schema):
    """A member of a team."""

    person: PersonRef
    is_worker: bool = Field(description="Whether they work on its edit jobs.")
    is_reviewer: bool = Field(description="Whether they review.")
    has_email: bool = Field(description="Whether mails reach them.")


class Team(Schema):
    """People who work on edit jobs, and people who review them."""

    name: str = Field(description="Its name.")
    title: str = Field(description="What people call it.")
    version: int = Field(description="Counts its changes.")
    members: list[Member] = Field(description="Its members, by name.")
    links: Links

    @classmethod
    def of(cls, team: DomainTeam, request: RequestContext) -> "Team":
        """The team of the service."""
        return cls(
            name=team.name,
            title=team.title,
            version=team.version,
            members=[
                Member(
                    person=PersonRef(id=each.user.sub, name=each.user.name),
                    is_worker=each.is_worker,
                    is_reviewer=each.is_reviewer,
                    has_email=bool(each.email),
                )
                for each in team.members
            ],
            links={"self": request.link(f"teams/{team.name}")},
        )


class TeamList(Schema):
    """A page of the names of teams."""

    items: list[str]
    next_cursor: NextCursor


class EditTypeSettings(Schema, extra="forbid"):
    """What holds for a type of edit jobs. docs/edit-jobs.md explains each setting."""

    quarantine: bool = Field(default=False, description="A person reviews valid changes.")
    embargo: bool = Field(default=False, description="A person reviews packages.")
    latest: list[str] = Field(
        default=[],
        description="Properties whose latest value counts, instead of a conflict.",
        max_length=MAX_LATEST,
    )
    batch: str = Field(
        default="",
        description="The URL, or the name of the Lambda function, that edits instead of workers.",
        max_length=MAX_BATCH_BYTES,
    )
    read_only: bool = Field(default=False, description="Workers only look at the features.")
    inherited_fails: bool = Field(
        default=False, description="A defect that a feature had already fails too."
    )
    reviewers: str = Field(
        default="", description="The team that reviews; the job's own if empty.", max_length=64
    )
    grow_extent: bool = Field(default=False, description="The extent grows to whole features.")
    mails: bool = Field(default=True, description="Workers, reviewers and planners get mails.")

    @classmethod
    def of(cls, settings: EditSettings) -> "EditTypeSettings":
        """The settings of the service."""
        return cls.model_validate(settings.document())


class EditTypes(Schema):
    """The settings of a dataset's types of edit jobs."""

    dataset: str = Field(description="The dataset.")
    types: dict[str, EditTypeSettings] = Field(
        description="By type. Without any, every type is accepted, with all settings off."
    )
