"""Who one is."""

from aws_lambda_powertools.event_handler.api_gateway import Router

from api.desk import visit_of
from api.documents.lifecycles import Me
from api.problems import documented

router = Router()  # type: ignore[no-untyped-call]


@router.get(
    "/api/me",
    operation_id="get_me",
    tags=["People"],
    summary="Who you are here, and your roles",
    responses={200: {"description": "You."}, **documented()},
)
def get_me() -> Me:
    person = visit_of(router).person
    return Me(name=person.name, roles=sorted(person.roles))
