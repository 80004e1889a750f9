"""Search."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from api.context import current_request
from api.problems import problem_responses
from api.schemas.search import SearchResult
from jobyard.domain.errors import BadRequest
from jobyard.services.queries import search as search_queries

router = Router()  # type: ignore[no-untyped-call]


@router.get(
    "/api/find",
    operation_id="find",
    tags=["Search"],
    summary="Find things by id, ark, local identifier, day, failure code or name",
    description="An id or an ark finds one thing. Other text is compared with the names of "
    "collections, the titles of schedules, and the file names and submitters of the newest 200 "
    "batches; `maps box-1` finds the object of collection `maps` with local identifier `box-1`, "
    "and those from files with such a name in the newest batches of the collection. A day (UTC) "
    "such as `2026-11-30` finds the batches submitted on it, a failure code or a part of one the "
    "newest batches with such jobs.",
    responses={200: {"description": "What you may see."}, **problem_responses(BadRequest)},
)
def find(
    q: Annotated[
        str,
        Query(
            description="What to search for; it must not be empty.",
            max_length=search_queries.MAX_TEXT_LENGTH,
        ),
    ] = "",
    kind: Annotated[
        str,
        Query(
            description="List all that is found of this kind, not the first "
            f"{search_queries.SHOWN_OF_A_KIND} of each: {', '.join(search_queries.MATCH_KINDS)}.",
            max_length=20,
        ),
    ] = "",
) -> SearchResult:
    request = current_request(router)
    return SearchResult.of(search_queries.find(q, request.query_context(), kind), request)
