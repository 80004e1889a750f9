"""Lifecycles, and the person who asks."""

from pydantic import Field

from api.schemas.fields import Schema
from jobyard.domain.lifecycle import StateType


class State(Schema):
    """A state."""

    name: str = Field(description="Its name, the same everywhere.")
    type: StateType = Field(description="What it waits for.")
    description: str = Field(description="How one gets here and who takes it away.")
    labels: dict[str, str] = Field(description="What each audience calls it.")


class Transition(Schema):
    """A move from one state to another."""

    before: str = Field(alias="from", description="The state before.")
    event: str = Field(description="What is sent.")
    after: str = Field(alias="to", description="The state after.")
    senders: list[str] = Field(description="Roles that may send it, or `machine`.")


class Lifecycle(Schema):
    """The states something can be in, and how it gets from one to another."""

    name: str = Field(description="What it is the lifecycle of.")
    initial: str = Field(description="The state it begins in.")
    states: list[State]
    transitions: list[Transition]


class Me(Schema):
    """The person whose token was sent."""

    name: str = Field(description="As histories name this person.")
    roles: list[str] = Field(description="What this person may do follows from these.")
