"""Holds: list, show, place and lift them."""

from typing import Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.schemas.fields import Reason
from api.schemas.holds import Hold, HoldList, HoldRequest, LiftedHold
from jobyard.domain.errors import AlreadyHeld, BadRequest, Forbidden, NotFound, StaleState
from jobyard.services import holds
from jobyard.services.queries import holds as hold_queries

router = Router()  # type: ignore[no-untyped-call]

Scope = Annotated[
    str,
    Path(
        description="`everything`, `collection:NAME`, `type:NAME` or `campaign:ID`.", max_length=200
    ),
]


@router.get(
    "/api/holds",
    operation_id="list_holds",
    tags=["Holds"],
    summary="List all holds, by scope",
    responses={200: {"description": "The holds."}, **problem_responses(Forbidden)},
)
def list_holds() -> HoldList:
    request = current_request(router)
    found = hold_queries.list_holds(request.query_context())
    held = hold_queries.held_work(found, request.query_context())
    return HoldList(items=[Hold.of(hold, request, held.get(hold.scope)) for hold in found])


@router.get(
    "/api/holds/<scope>",
    operation_id="get_hold",
    tags=["Holds"],
    summary="Get the hold on a scope",
    responses={
        200: {"description": "The hold."},
        **problem_responses(BadRequest, Forbidden, NotFound),
    },
)
def get_hold(scope: Scope) -> Hold:
    request = current_request(router)
    hold = hold_queries.hold(unquote(scope), request.query_context())
    held = hold_queries.held_work([hold], request.query_context())
    return Hold.of(hold, request, held.get(hold.scope))


@router.put(
    "/api/holds/<scope>",
    operation_id="place_hold",
    tags=["Holds"],
    summary="Hold everything, a collection, a job type or a campaign",
    description="From now on, work that would start is held; active work continues. While a hold "
    "is active on the scope, another one needs `replace`. The same hold again changes nothing.",
    responses={
        200: {"description": "The hold."},
        **problem_responses(BadRequest, Forbidden, NotFound, AlreadyHeld, StaleState),
    },
    middlewares=[idempotent],
)
def place_hold(scope: Scope, body: HoldRequest) -> Hold:
    request = current_request(router)
    context = request.command_context(body.reason)
    hold = holds.place_hold(unquote(scope), body.until, context, replacing=body.replace)
    return Hold.of(hold, request)


@router.delete(
    "/api/holds/<scope>",
    operation_id="lift_hold",
    tags=["Holds"],
    summary="Lift a hold and release what it held",
    description="The first batches are released at once, the others within minutes. What another "
    "hold covers stays held.",
    responses={
        200: {"description": "The hold is lifted, and what it held is released."},
        202: {"description": "The hold is lifted, and what it held is being released."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def lift_hold(
    scope: Scope, reason: Annotated[Reason | None, Query(description="Why.")] = None
) -> Response[LiftedHold]:
    context = current_request(router).command_context(reason or "")
    lift = holds.lift_hold(unquote(scope), context)
    lifted = LiftedHold(scope=unquote(scope), released_batches=lift.released_count)
    # After the last slice of a round over all held work, the next one starts a round.
    return Response(200 if lift.is_round_start else 202, "application/json", lifted)
