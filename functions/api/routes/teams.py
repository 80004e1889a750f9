"""Teams and the settings of edit jobs. Admins change them."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from api.context import current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.routes.parameters import Cursor, Limit
from api.schemas import teams as schemas
from jobyard.domain.edits.work import MAX_TYPE_BYTES
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    Gone,
    InvalidTransition,
    NotFound,
    StaleState,
)
from jobyard.services.edits import settings as settings_service
from jobyard.services.edits import teams as team_service
from jobyard.services.queries import edits as edit_queries

router = Router()  # type: ignore[no-untyped-call]

TeamName = Annotated[str, Path(description="The team's name.", max_length=64)]
DatasetName = Annotated[str, Path(description="The dataset's name.", max_length=64)]
EditType = Annotated[str, Path(description="The type of edit jobs.", max_length=MAX_TYPE_BYTES)]


@router.get(
    "/api/teams",
    operation_id="list_teams",
    tags=["Teams"],
    summary="List teams, by name",
    responses={
        200: {"description": "A page of names."},
        **problem_responses(BadRequest, Forbidden),
    },
)
def list_teams(cursor: Cursor = "", limit: Limit = 50) -> schemas.TeamList:
    request = current_request(router)
    pagination = request.pagination("teams")
    page = edit_queries.list_teams(
        request.query_context(), after=pagination.start(cursor, ""), limit=limit
    )
    return schemas.TeamList(
        items=[*page.names], next_cursor=pagination.next_cursor(page.after or None)
    )


@router.get(
    "/api/teams/<team>",
    operation_id="get_team",
    tags=["Teams"],
    summary="Get a team with its members",
    responses={200: {"description": "The team."}, **problem_responses(Forbidden, NotFound)},
)
def get_team(team: TeamName) -> schemas.Team:
    request = current_request(router)
    return schemas.Team.of(edit_queries.team(team, request.query_context()), request)


@router.put(
    "/api/teams/<team>",
    operation_id="put_team",
    tags=["Teams"],
    summary="Create or replace a team",
    description="It applies at once: who is not a member any more can do nothing more.",
    responses={
        200: {"description": "The team."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def put_team(team: TeamName, body: schemas.TeamRequest) -> schemas.Team:
    request = current_request(router)
    wanted = team_service.TeamEdit(body.title, body.workers, body.reviewers)
    return schemas.Team.of(team_service.put(team, wanted, request.command_context()), request)


@router.delete(
    "/api/teams/<team>",
    operation_id="delete_team",
    tags=["Teams"],
    summary="Delete a team that has nothing to do",
    responses={
        200: {"description": "The teams that are left, a page of names."},
        **problem_responses(Forbidden, NotFound, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def delete_team(team: TeamName) -> schemas.TeamList:
    request = current_request(router)
    team_service.delete(team, request.command_context())
    page = edit_queries.list_teams(request.query_context(), after="", limit=50)
    return schemas.TeamList(
        items=[*page.names],
        next_cursor=request.pagination("teams").next_cursor(page.after or None),
    )


@router.get(
    "/api/edit-settings/<dataset>",
    operation_id="get_edit_settings",
    tags=["Edit jobs"],
    summary="Get the settings of a dataset's types of edit jobs",
    responses={
        200: {"description": "The settings, by type."},
        **problem_responses(Forbidden, NotFound, Gone),
    },
)
def get_edit_settings(dataset: DatasetName) -> schemas.EditTypes:
    request = current_request(router)
    found = edit_queries.edit_settings(dataset, request.query_context())
    types = {name: schemas.EditTypeSettings.of(each) for name, each in found.items()}
    return schemas.EditTypes(dataset=dataset, types=types)


@router.put(
    "/api/edit-settings/<dataset>/<edit_type>",
    operation_id="put_edit_settings",
    tags=["Edit jobs"],
    summary="Set what holds for a type of edit jobs on a dataset",
    description="A setting counts at the step that reads it; jobs that are past it keep what held.",
    responses={
        200: {"description": "The settings."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone, StaleState),
    },
    middlewares=[idempotent],
)
def put_edit_settings(
    dataset: DatasetName, edit_type: EditType, body: schemas.EditTypeSettings
) -> schemas.EditTypeSettings:
    context = current_request(router).command_context()
    stored = settings_service.put_settings(dataset, edit_type, body.model_dump(), context)
    return schemas.EditTypeSettings.of(stored)


@router.delete(
    "/api/edit-settings/<dataset>/<edit_type>",
    operation_id="delete_edit_settings",
    tags=["Edit jobs"],
    summary="Remove a type of edit jobs from a dataset",
    description="Edit jobs of it must have ended. A dataset without any type accepts every type.",
    responses={
        200: {"description": "The settings that are left, by type."},
        **problem_responses(Forbidden, NotFound, Gone, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def delete_edit_settings(dataset: DatasetName, edit_type: EditType) -> schemas.EditTypes:
    request = current_request(router)
    settings_service.delete_settings(dataset, edit_type, request.command_context())
    found = edit_queries.edit_settings(dataset, request.query_context())
    types = {name: schemas.EditTypeSettings.of(each) for name, each in found.items()}
    return schemas.EditTypes(dataset=dataset, types=types)
