"""Responses of more than one route: those that say where the result is."""

from typing import Protocol, TypeVar

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponseHeader

from api.schemas.fields import Links

LOCATION: dict[str, OpenAPIResponseHeader] = {
    "Location": {"description": "The address of the result.", "schema": {"type": "string"}}
}


class _Linked(Protocol):
    links: Links


Body = TypeVar("Body", bound=_Linked)


def created(made: Body) -> Response[Body]:
    """201, with the address of what was made."""
    return Response(201, "application/json", made, {"Location": made.links["self"]})


def accepted(made: Body, link: str = "self") -> Response[Body]:
    """202, with the address of what was started, if there is one yet."""
    address = made.links.get(link)
    return Response(202, "application/json", made, {"Location": address} if address else {})
