"""Webhooks and their deliveries. All for admins only."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.routes.parameters import Cursor, Limit
from api.routes.responses import LOCATION, created
from api.schemas.fields import Reason, ReasonRequest
from api.schemas.reports import WebhookDelivery
from api.schemas.webhooks import (
    NewWebhook,
    SecretRotation,
    Webhook,
    WebhookChanges,
    WebhookDeliveryList,
    WebhookList,
)
from jobyard.domain.errors import BadRequest, Forbidden, InvalidTransition, NotFound, StaleState
from jobyard.domain.webhooks import WEBHOOK_NAME_LENGTH, WEBHOOK_NAME_PATTERN
from jobyard.services import webhooks

router = Router()  # type: ignore[no-untyped-call]

Name = Annotated[
    str,
    Path(
        description="The webhook's name.",
        max_length=WEBHOOK_NAME_LENGTH,
        pattern=f"^{WEBHOOK_NAME_PATTERN}$",
        examples=["repository"],
    ),
]
DeliveryId = Annotated[
    str, Path(description="The id of the delivery, its `webhook-id`.", max_length=64)
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
    return WebhookList(items=[Webhook.of(each, request) for each in found])


@router.post(
    "/api/webhooks",
    operation_id="create_webhook",
    tags=["Webhooks"],
    summary="Create a webhook",
    description="The response shows its secret, once.",
    status_code=201,
    responses={
        201: {"description": "The webhook, with its secret.", "headers": LOCATION},
        **problem_responses(BadRequest, Forbidden, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def create_webhook(body: NewWebhook) -> Response[Webhook]:
    request = current_request(router)
    context = request.command_context(body.reason)
    new = webhooks.create(body.name, body.settings(), context)
    return created(Webhook.of(new, request, with_secret=True))


@router.get(
    "/api/webhooks/<webhook>",
    operation_id="get_webhook",
    tags=["Webhooks"],
    summary="Get a webhook",
    responses={200: {"description": "The webhook."}, **problem_responses(Forbidden, NotFound)},
)
def get_webhook(webhook: Name) -> Webhook:
    request = current_request(router)
    return Webhook.of(webhooks.get_webhook(webhook, request.query_context()), request)


@router.patch(
    "/api/webhooks/<webhook>",
    operation_id="update_webhook",
    tags=["Webhooks"],
    summary="Change the URL, the events or the collections of a webhook",
    description="Pending deliveries go to its new URL.",
    responses={
        200: {"description": "The webhook."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def update_webhook(webhook: Name, body: WebhookChanges) -> Webhook:
    request = current_request(router)
    context = request.command_context(body.reason)
    return Webhook.of(webhooks.update(webhook, body.edit(), context), request)


@router.post(
    "/api/webhooks/<webhook>/rotate_secret",
    operation_id="rotate_webhook_secret",
    tags=["Webhooks"],
    summary="Give a webhook a new secret",
    description="For `overlap_hours`, deliveries have two signatures, one by each secret. The "
    "response shows the new secret, once.",
    responses={
        200: {"description": "The webhook, with its new secret."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def rotate_webhook_secret(webhook: Name, body: SecretRotation) -> Webhook:
    request = current_request(router)
    context = request.command_context(body.reason)
    rotated = webhooks.rotate_secret(webhook, context, body.overlap_hours)
    return Webhook.of(rotated, request, with_secret=True)


@router.post(
    "/api/webhooks/<webhook>/disable",
    operation_id="disable_webhook",
    tags=["Webhooks"],
    summary="Disable a webhook; pending deliveries fail",
    responses={
        200: {"description": "The webhook."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def disable_webhook(webhook: Name, body: ReasonRequest) -> Webhook:
    request = current_request(router)
    return Webhook.of(webhooks.disable(webhook, request.command_context(body.reason)), request)


@router.post(
    "/api/webhooks/<webhook>/enable",
    operation_id="enable_webhook",
    tags=["Webhooks"],
    summary="Enable a webhook again",
    responses={
        200: {"description": "The webhook."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def enable_webhook(webhook: Name, body: ReasonRequest) -> Webhook:
    request = current_request(router)
    return Webhook.of(webhooks.enable(webhook, request.command_context(body.reason)), request)


@router.delete(
    "/api/webhooks/<webhook>",
    operation_id="delete_webhook",
    tags=["Webhooks"],
    summary="Delete a webhook; pending deliveries fail",
    responses={
        200: {"description": "The deleted webhook."},
        **problem_responses(BadRequest, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def delete_webhook(webhook: Name, reason: Annotated[Reason, Query(description="Why.")]) -> Webhook:
    request = current_request(router)
    return Webhook.of(webhooks.delete(webhook, request.command_context(reason)), request)


@router.get(
    "/api/webhooks/<webhook>/deliveries",
    operation_id="list_webhook_deliveries",
    tags=["Webhooks"],
    summary="List the deliveries of a webhook, newest first",
    responses={
        200: {"description": "A page of deliveries."},
        **problem_responses(BadRequest, Forbidden, NotFound),
    },
)
def list_webhook_deliveries(
    webhook: Name, cursor: Cursor = "", limit: Limit = 50
) -> WebhookDeliveryList:
    request = current_request(router)
    pagination = request.pagination("webhook deliveries", webhook)
    found, following = webhooks.list_deliveries(
        webhook, request.query_context(), before=pagination.start(cursor, ""), limit=limit
    )
    return WebhookDeliveryList(
        items=[WebhookDelivery.of(each) for each in found],
        next_cursor=pagination.next_cursor(following),
    )


@router.post(
    "/api/webhooks/<webhook>/deliveries/<delivery_id>/redeliver",
    operation_id="redeliver_webhook_delivery",
    tags=["Webhooks"],
    summary="Send a delivery again, within a minute",
    responses={
        200: {"description": "The delivery."},
        **problem_responses(BadRequest, Forbidden, NotFound, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def redeliver_webhook_delivery(
    webhook: Name, delivery_id: DeliveryId, body: ReasonRequest
) -> WebhookDelivery:
    request = current_request(router)
    context = request.command_context(body.reason)
    return WebhookDelivery.of(webhooks.redeliver(webhook, delivery_id, context))
