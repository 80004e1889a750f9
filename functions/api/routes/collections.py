"""Collections: made, looked at, changed; who may deposit into them."""

from collections.abc import Iterable
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from api.context import RequestContext, current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.routes.batches import notified
from api.routes.jobs import Cursor, Limit
from api.schemas import collections as schemas
from jobyard.domain.errors import BadRequest, Forbidden, InvalidTransition, NotFound, StaleState
from jobyard.services import collections
from jobyard.services.access import authorize
from jobyard.services.collections import CollectionEdit, PersonNamed
from jobyard.services.queries import collections as collection_queries
from jobyard.services.queries.collections import CollectionView

router = Router()  # type: ignore[no-untyped-call]

Name = Annotated[str, Path(description="The collection's name.", max_length=64)]
_KIND = "collections"


def shown(view: CollectionView, request: RequestContext) -> schemas.Collection:
    """A collection as its document."""
    found, hold = view.collection, view.hold
    held = None
    if hold:
        held = schemas.CollectionHold(scope=hold.scope, description=hold.words(), until=hold.until)
    own = request.link(f"collections/{found.name}")
    return schemas.Collection(
        name=found.name,
        owner=found.owner,
        owner_id=found.owner_sub,
        people=[
            schemas.Depositor(id=sub, name=name)
            for sub, name in sorted(found.people.items(), key=lambda each: each[1])
        ],
        groups=sorted(found.groups),
        naans=list(found.naans),
        notify=list(found.notify),
        accepts_drops=found.drops,
        hold=held,
        may_deposit=view.may_deposit,
        may_edit=view.may_edit,
        version=found.version,
        history=[
            schemas.CollectionChange(
                event=each.event,
                changes=each.what,
                at=each.at,
                actor=each.actor,
                actor_id=each.sub,
                reason=each.reason,
                cause=each.cause,
            )
            for each in found.changes
        ],
        links={"self": own, "batches": request.link(f"batches?collection={found.name}")},
    )


def _named(names: Iterable[str], request: RequestContext) -> list[PersonNamed]:
    """Who is called so now.

    Raises:
        BadRequest: nobody is.
    """
    found = []
    for name in names:
        account = request.app.account_of(name)
        if account is None:
            raise BadRequest(f"nobody in the user pool is called {name!r}")
        found.append(PersonNamed(account.sub, account.name))
    return found


def _edit(wanted: Any, request: RequestContext) -> CollectionEdit:
    owner = _named([wanted.owner], request)[0] if wanted.owner else None
    return CollectionEdit(
        owner=owner,
        naans=None if wanted.naans is None else tuple(dict.fromkeys(wanted.naans)),
        notify=None if wanted.notify is None else notified(wanted.notify),
        drops=wanted.accepts_drops,
    )


def _answer(found: Any, request: RequestContext) -> schemas.Collection:
    return shown(collection_queries.collection_views([found], request.query_context())[0], request)


@router.get(
    "/api/collections",
    operation_id="list_collections",
    tags=["Collections"],
    summary="Collections, by name",
    description="A depositor sees those they may deposit into, an owner their own; viewer, "
    "operator and admin see all.",
    responses={200: {"description": "A page of collections."}, **problem_responses(BadRequest)},
)
def list_collections(cursor: Cursor = "", limit: Limit = 50) -> schemas.CollectionList:
    request = current_request(router)
    found, after = collection_queries.list_collections(
        request.query_context(), after=request.decode_cursor(cursor, _KIND, first=""), limit=limit
    )
    return schemas.CollectionList(
        items=[shown(view, request) for view in found],
        next_cursor=request.encode_cursor(after, _KIND),
    )


@router.post(
    "/api/collections",
    operation_id="create_collection",
    tags=["Collections"],
    summary="Make a collection",
    description="Nobody but its owner and admins may deposit into it until somebody is allowed to. "
    "For admin.",
    status_code=201,
    responses={
        201: {
            "description": "The collection.",
            "headers": {"Location": {"description": "Where it is.", "schema": {"type": "string"}}},
        },
        **problem_responses(BadRequest, Forbidden, InvalidTransition),
    },
    middlewares=[idempotent],
)
def create_collection(wanted: schemas.NewCollection) -> Response[schemas.Collection]:
    request = current_request(router)
    authorize(request.actor, "collection", "create")
    made = collections.create(
        wanted.name,
        _edit(wanted, request),
        _named(wanted.people, request),
        wanted.groups,
        request.command_context(wanted.reason or ""),
    )
    answer = _answer(made, request)
    return Response(201, "application/json", answer, {"Location": answer.links["self"]})


@router.get(
    "/api/collections/<collection>",
    operation_id="get_collection",
    tags=["Collections"],
    summary="A collection, who may deposit into it, and its history",
    responses={200: {"description": "The collection."}, **problem_responses(NotFound)},
)
def get_collection(collection: Name) -> schemas.Collection:
    request = current_request(router)
    return shown(collection_queries.collection(collection, request.query_context()), request)


@router.patch(
    "/api/collections/<collection>",
    operation_id="edit_collection",
    tags=["Collections"],
    summary="Change a collection's owner, NAANs, addresses, or whether manifests may be dropped",
    description="For its owner and admin; only an admin adds NAANs.",
    responses={
        200: {"description": "The collection."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def edit_collection(collection: Name, wanted: schemas.CollectionChanges) -> schemas.Collection:
    request = current_request(router)
    asking = request.command_context(wanted.reason)
    collections.editable_collection(collection, request.actor)
    return _answer(collections.edit(collection, _edit(wanted, request), asking), request)


@router.post(
    "/api/collections/<collection>/allow",
    operation_id="allow_depositors",
    tags=["Collections"],
    summary="Let people and groups deposit into a collection",
    description="For its owner and admin.",
    responses={
        200: {"description": "The collection."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def allow_depositors(collection: Name, asked: schemas.DepositorsRequest) -> schemas.Collection:
    request = current_request(router)
    collections.editable_collection(collection, request.actor, "allow")
    people = _named(asked.people, request)
    asking = request.command_context(asked.reason)
    return _answer(collections.allow(collection, people, asked.groups, asking), request)


@router.post(
    "/api/collections/<collection>/deny",
    operation_id="deny_depositors",
    tags=["Collections"],
    summary="Take away people's and groups' right to deposit",
    description="People are named as the collection shows them, or by their id. Their jobs that "
    "have not written yet are stopped. For its owner and admin.",
    responses={
        200: {"description": "The collection."},
        **problem_responses(BadRequest, Forbidden, NotFound, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def deny_depositors(collection: Name, asked: schemas.DepositorsRequest) -> schemas.Collection:
    request = current_request(router)
    asking = request.command_context(asked.reason)
    return _answer(collections.deny(collection, asked.people, asked.groups, asking), request)
