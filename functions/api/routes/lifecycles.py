"""The lifecycles."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from api.context import current_request
from api.problems import problem_responses
from api.schemas.lifecycles import Lifecycle
from jobyard.domain.errors import NotFound
from jobyard.domain.lifecycles import LIFECYCLES, lifecycle_named

router = Router()  # type: ignore[no-untyped-call]


@router.get(
    "/api/lifecycles/<name>",
    operation_id="get_lifecycle",
    tags=["Lifecycles"],
    summary="Get a lifecycle: its states, and who may send which event",
    responses={200: {"description": "The lifecycle."}, **problem_responses(NotFound)},
)
def get_lifecycle(
    name: Annotated[
        str, Path(description="Its name.", json_schema_extra={"enum": [*LIFECYCLES]}, max_length=64)
    ],
) -> Lifecycle:
    current_request(router)
    return Lifecycle.model_validate(lifecycle_named(name).document())
