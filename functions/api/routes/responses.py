"""Responses of more than one route: those that say where the result is."""

from typing import Protocol, TypeVar

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponseHeader

from api.schemas.fields import Links

LOCATION: dict[str, OpenAPIResponseHeader] = {
    "Location": {"description": "The URL of the result.", "schema": {"type": "string"}}
}

LINK_TO_NEXT: dict[str, OpenAPIResponseHeader] = {
    "Link": {
        "description": 'The URL of the next part, as `<URL>; rel="next"`; missing after the last.',
        "schema": {"type": "string"},
    }
}


class _Linked(Protocol):
    links: Links


Body = TypeVar("Body", bound=_Linked)


def created(document: Body) -> Response[Body]:
    """201, with the URL of what was created."""
    return Response(201, "application/json", document, {"Location": document.links["self"]})


def accepted(document: Body, link: str = "self") -> Response[Body]:
    """202, with the URL of what was started, if there is one yet."""
    url = document.links.get(link)
    return Response(202, "application/json", document, {"Location": url} if url else {})
