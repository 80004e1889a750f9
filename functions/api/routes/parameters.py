"""Parameters of more than one route."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponseHeader

BatchId = Annotated[str, Path(description="The batch's id.", max_length=64)]
Cursor = Annotated[
    str,
    Query(
        description="`next_cursor` of the page before; left out, the first page.", max_length=1024
    ),
]
Limit = Annotated[int, Query(description="How many items at most.", ge=1, le=200)]
LOCATION: dict[str, OpenAPIResponseHeader] = {
    "Location": {"description": "The address of the result.", "schema": {"type": "string"}}
}
