"""The actor of a request."""

from aws_lambda_powertools.event_handler.api_gateway import Router

from api.context import current_request
from api.problems import problem_responses
from api.schemas.me import Me

router = Router()  # type: ignore[no-untyped-call]


@router.get(
    "/api/me",
    operation_id="get_me",
    tags=["People"],
    summary="Get your name and roles",
    responses={200: {"description": "You."}, **problem_responses()},
)
def get_me() -> Me:
    actor = current_request(router).actor
    return Me(name=actor.name, roles=sorted(actor.roles))
