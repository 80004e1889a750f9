"""Holds: deliberate stops, placed and lifted."""

from typing import Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import RequestContext, current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.schemas.fields import Reason
from api.schemas.holds import Hold, HoldList, HoldRequest, LiftedHold
from jobyard.domain import hold as holds
from jobyard.domain.errors import AlreadyHeld, BadRequest, Forbidden, NotFound, StaleState
from jobyard.services import holds as hold_commands
from jobyard.services.queries import holds as hold_queries

router = Router()  # type: ignore[no-untyped-call]

Scope = Annotated[
    str, Path(description="`everything`, `collection:NAME` or `type:NAME`.", max_length=200)
]


def shown(hold: holds.Hold, request: RequestContext) -> Hold:
    """A hold as its document."""
    return Hold(
        scope=hold.scope,
        owner=hold.owner,
        reason=hold.reason,
        placed_at=hold.since,
        until=hold.until,
        is_active=holds.active_hold([hold], request.app.now()) is not None,
        links={"self": request.link(f"holds/{hold.scope}")},
    )


@router.get(
    "/api/holds",
    operation_id="list_holds",
    tags=["Holds"],
    summary="All holds",
    responses={200: {"description": "The holds, by scope."}, **problem_responses(Forbidden)},
)
def list_holds() -> HoldList:
    request = current_request(router)
    return HoldList(
        items=[shown(hold, request) for hold in hold_queries.list_holds(request.query_context())]
    )


@router.get(
    "/api/holds/<scope>",
    operation_id="get_hold",
    tags=["Holds"],
    summary="The hold on a scope",
    responses={
        200: {"description": "The hold."},
        **problem_responses(BadRequest, Forbidden, NotFound),
    },
)
def get_hold(scope: Scope) -> Hold:
    request = current_request(router)
    return shown(hold_queries.hold(unquote(scope), request.query_context()), request)


@router.put(
    "/api/holds/<scope>",
    operation_id="place_hold",
    tags=["Holds"],
    summary="Hold a collection, a job type or everything",
    description="From now on what would start is held; what runs goes on. While a hold is in force "
    "on the scope, another is refused unless it says `replace`; the same one again is the one that "
    "is there. For operator and admin.",
    responses={
        200: {"description": "The hold."},
        **problem_responses(BadRequest, Forbidden, NotFound, AlreadyHeld, StaleState),
    },
    middlewares=[idempotent],
)
def place_hold(scope: Scope, placing: HoldRequest) -> Hold:
    request = current_request(router)
    asked = request.command_context(placing.reason)
    hold = hold_commands.place_hold(unquote(scope), placing.until, asked, replacing=placing.replace)
    return shown(hold, request)


@router.delete(
    "/api/holds/<scope>",
    operation_id="lift_hold",
    tags=["Holds"],
    summary="Lift a hold, and release what it held",
    description="It stops nothing from now on. What it held is released, the first batches at "
    "once, others within the next minutes. What another hold still covers stays held. For operator "
    "and admin.",
    responses={
        200: {"description": "It is lifted, and what it held is released."},
        202: {"description": "It is lifted, and what it held is being released."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def lift_hold(
    scope: Scope, reason: Annotated[Reason | None, Query(description="Why.")] = None
) -> Response[LiftedHold]:
    request = current_request(router)
    named = unquote(scope)
    lift = hold_commands.begin_lift(named, request.command_context(reason or ""))
    lifted = LiftedHold(scope=named, released_batches=lift.released)
    return Response(200 if lift.is_between else 202, "application/json", lifted)
