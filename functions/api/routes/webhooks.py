"""Webhooks: put, list and delete them. All for admins only."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.schemas.fields import Reason
from api.schemas.webhooks import PutWebhookRequest, Webhook, WebhookList
from jobyard.domain.errors import BadRequest, Forbidden, InvalidTransition, NotFound, StaleState
from jobyard.services import webhooks

router = Router()  # type: ignore[no-untyped-call]

Name = Annotated[
    str,
    Path(
        description="The webhook's name.",
        max_length=40,
        pattern="^[a-z0-9]+(-[a-z0-9]+)*$",
        examples=["repository"],
    ),
]


@router.get(
    "/api/webhooks",
    operation_id="list_webhooks",
    tags=["Webhooks"],
    summary="List all webhooks, by name",
    responses={200: {"description": "The webhooks."}, **problem_responses(Forbidden)},
)
def list_webhooks() -> WebhookList:
    request = current_request(router)
    found = webhooks.list_webhooks(request.query_context())
    return WebhookList(items=[Webhook.of(each, request, None) for each in found])


@router.get(
    "/api/webhooks/<webhook>",
    operation_id="get_webhook",
    tags=["Webhooks"],
    summary="Get a webhook",
    responses={200: {"description": "The webhook."}, **problem_responses(Forbidden, NotFound)},
)
def get_webhook(webhook: Name) -> Webhook:
    request = current_request(router)
    found = webhooks.get_webhook(webhook, request.query_context())
    return Webhook.of(found, request, None)


@router.put(
    "/api/webhooks/<webhook>",
    operation_id="put_webhook",
    tags=["Webhooks"],
    summary="Create or replace a webhook",
    description="Calls that wait are made as it is now.",
    responses={
        200: {"description": "The webhook, with its secret if that is new."},
        **problem_responses(BadRequest, Forbidden, NotFound, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def put_webhook(webhook: Name, body: PutWebhookRequest) -> Webhook:
    request = current_request(router)
    stored = webhooks.put(body.request(webhook), request.command_context(body.reason))
    return Webhook.stored(stored, request)


@router.delete(
    "/api/webhooks/<webhook>",
    operation_id="delete_webhook",
    tags=["Webhooks"],
    summary="Delete a webhook; calls that wait are given up",
    responses={
        200: {"description": "The deleted webhook."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def delete_webhook(webhook: Name, reason: Annotated[Reason, Query(description="Why.")]) -> Webhook:
    request = current_request(router)
    return Webhook.of(webhooks.delete(webhook, request.command_context(reason)), request, None)
