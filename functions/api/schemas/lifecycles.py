"""Lifecycles."""

from pydantic import Field

from api.schemas.fields import Schema
from jobyard.domain.lifecycle import StateType


class State(Schema):
    """A state of a lifecycle."""

    name: str = Field(description="The name of the state.")
    type: StateType = Field(description="What the state waits for.")
    description: str = Field(description="How the state is reached and left.")
    labels: dict[str, str] = Field(
        description="The state's name by audience, such as `deposit`, `schedule` or `device` "
        "(campaigns)."
    )


class Transition(Schema):
    """A transition from one state to another."""

    before: str = Field(alias="from", description="The state before.")
    event: str = Field(description="The event.")
    after: str = Field(alias="to", description="The state after.")
    senders: list[str] = Field(
        description="Who may send the event: roles, relations to the entity, such as its "
        "submitter, and `machine`, which is Jobyard itself."
    )
    after_end: bool = Field(description="Whether it leaves a terminal state, such as a retry.")


class Lifecycle(Schema):
    """The states that an entity can be in, and the transitions between them."""

    name: str = Field(description="The kind of entity, such as batch.")
    initial: str = Field(description="The first state.")
    states: list[State]
    transitions: list[Transition]
