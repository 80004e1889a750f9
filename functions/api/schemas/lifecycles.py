"""Lifecycles, and the person who asks."""

from pydantic import Field

from api.schemas.fields import Document
from jobyard.domain.lifecycle import StateType


class State(Document):
    """A state."""

    name: str = Field(description="Its name, the same everywhere.")
    type: StateType = Field(description="What it waits for.")
    meaning: str = Field(description="How one gets here and who takes it away.")
    words: dict[str, str] = Field(description="What each audience calls it.")


class Transition(Document):
    """A move from one state to another."""

    before: str = Field(alias="from", description="The state before.")
    event: str = Field(description="What is sent.")
    after: str = Field(alias="to", description="The state after.")
    senders: list[str] = Field(description="Roles that may send it, or `machine`.")


class Lifecycle(Document):
    """The states something can be in, and how it gets from one to another."""

    name: str = Field(description="What it is the lifecycle of.")
    initial: str = Field(description="The state it begins in.")
    states: list[State]
    transitions: list[Transition]


class Me(Document):
    """The person whose token was sent."""

    name: str = Field(description="As histories name this person.")
    roles: list[str] = Field(description="What this person may do follows from these.")
