"""The actor of a request."""

from pydantic import Field

from api.schemas.fields import Schema


class Me(Schema):
    """The actor of the request."""

    name: str = Field(description="Your user name, as histories show it.")
    roles: list[str] = Field(description="Your roles.")
