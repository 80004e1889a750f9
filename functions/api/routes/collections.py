"""Collections: create, show and edit them, and say who may deposit."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from api.context import RequestContext, current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.routes.parameters import Cursor, Limit
from api.routes.responses import LOCATION, created
from api.schemas import collections as schemas
from jobyard.domain.collection import Collection
from jobyard.domain.errors import BadRequest, Forbidden, InvalidTransition, NotFound, StaleState
from jobyard.services import collections
from jobyard.services.queries import collections as collection_queries

router = Router()  # type: ignore[no-untyped-call]

Name = Annotated[str, Path(description="The collection's name.", max_length=64)]


def _schema(collection: Collection, request: RequestContext) -> schemas.Collection:
    (view,) = collection_queries.collection_views([collection], request.query_context())
    return schemas.Collection.of(view, request)


@router.get(
    "/api/collections",
    operation_id="list_collections",
    tags=["Collections"],
    summary="List collections, by name",
    description="Depositors see those they may deposit into, and owners their own. Viewers, "
    "operators and admins see all.",
    responses={200: {"description": "A page of collections."}, **problem_responses(BadRequest)},
)
def list_collections(cursor: Cursor = "", limit: Limit = 50) -> schemas.CollectionList:
    request = current_request(router)
    pagination = request.pagination("collections")
    found = collection_queries.list_collections(
        request.query_context(), after=pagination.start(cursor, ""), limit=limit
    )
    return schemas.CollectionList.of(found.items, pagination.next_cursor(found.after), request)


@router.post(
    "/api/collections",
    operation_id="create_collection",
    tags=["Collections"],
    summary="Create a collection",
    description="Until others are allowed, only its owner and admins may deposit into it.",
    status_code=201,
    responses={
        201: {"description": "The collection.", "headers": LOCATION},
        **problem_responses(BadRequest, Forbidden, InvalidTransition),
    },
    middlewares=[idempotent],
)
def create_collection(body: schemas.NewCollection) -> Response[schemas.Collection]:
    request = current_request(router)
    context = request.command_context(body.reason or "")
    new = collections.create(body.name, body.settings(), body.people, body.groups, context)
    return created(_schema(new, request))


@router.get(
    "/api/collections/<collection>",
    operation_id="get_collection",
    tags=["Collections"],
    summary="Get a collection with its depositors and history",
    responses={200: {"description": "The collection."}, **problem_responses(NotFound)},
)
def get_collection(collection: Name) -> schemas.Collection:
    request = current_request(router)
    view = collection_queries.collection(collection, request.query_context())
    return schemas.Collection.of(view, request)


@router.patch(
    "/api/collections/<collection>",
    operation_id="edit_collection",
    tags=["Collections"],
    summary="Edit a collection",
    description="Its owner, NAANs, addresses, and whether it accepts dropped manifests. Only "
    "an admin may add NAANs.",
    responses={
        200: {"description": "The collection."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def edit_collection(collection: Name, body: schemas.CollectionChanges) -> schemas.Collection:
    request = current_request(router)
    context = request.command_context(body.reason)
    return _schema(collections.edit(collection, body.settings(), context), request)


@router.post(
    "/api/collections/<collection>/allow",
    operation_id="allow_depositors",
    tags=["Collections"],
    summary="Allow people and groups to deposit into a collection",
    responses={
        200: {"description": "The collection."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def allow_depositors(collection: Name, body: schemas.DepositorsRequest) -> schemas.Collection:
    request = current_request(router)
    context = request.command_context(body.reason)
    return _schema(collections.allow(collection, body.people, body.groups, context), request)


@router.post(
    "/api/collections/<collection>/deny",
    operation_id="deny_depositors",
    tags=["Collections"],
    summary="Remove the right of people and groups to deposit",
    description="Name people as the collection shows them, or by their id. Running jobs "
    "stop before their next write.",
    responses={
        200: {"description": "The collection."},
        **problem_responses(BadRequest, Forbidden, NotFound, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def deny_depositors(collection: Name, body: schemas.DepositorsRequest) -> schemas.Collection:
    request = current_request(router)
    context = request.command_context(body.reason)
    return _schema(collections.deny(collection, body.people, body.groups, context), request)
