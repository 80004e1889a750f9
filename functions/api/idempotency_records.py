"""The stored responses of requests with an idempotency key.

Separate from `api.idempotency` because it imports boto3, which few requests need.
"""

import json
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.utilities.idempotency import (
    BasePersistenceLayer,
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from api.context import RequestContext
from gateway.errors import IdempotencyKeyReused, RequestInProgress

RETENTION_S = 24 * 60 * 60  # how long a response is kept for repeats


def record_store(table: str, dynamodb: Any) -> DynamoDBPersistenceLayer:
    """The store of responses, in `table`, next to the small values of `store.key_values`."""
    return DynamoDBPersistenceLayer(
        table_name=table, key_attr="id", expiry_attr="expires", boto3_client=dynamodb
    )


def run_once(
    request: RequestContext, app: APIGatewayHttpResolver, next_middleware: NextMiddleware
) -> Response[Any]:
    """Handle a request, or return the stored response. Refusals are not stored.

    Raises:
        IdempotencyKeyReused: the key was used with another body.
        RequestInProgress: the first request is still in progress.
    """
    identity = {"key": request.key, "body": app.current_event.json_body}
    handle_once = _with_records(request.app.idempotency_records(), app.lambda_context)
    try:
        document = handle_once(identity=identity, handle=lambda: _document(next_middleware(app)))
    except IdempotencyValidationError as error:
        raise IdempotencyKeyReused(
            f"the key {request.idempotency_key!r} was used with another body; a new request "
            "needs a new key"
        ) from error
    except IdempotencyAlreadyInProgressError as error:
        raise RequestInProgress(
            f"the request {request.idempotency_key!r} is still in progress"
        ) from error
    return Response(
        status_code=document["status"],
        content_type="application/json",
        body=json.dumps(document["body"], separators=(",", ":")),
        headers=document["headers"],
    )


def _with_records(
    records: BasePersistenceLayer, context: LambdaContext
) -> Callable[..., dict[str, Any]]:
    """`_handle`, which for a repeated request returns the response in `records`."""
    config = IdempotencyConfig(
        event_key_jmespath="key",
        payload_validation_jmespath="body",
        expires_after_seconds=RETENTION_S,
        hash_function="sha256",
        lambda_context=context,  # a request is in progress for at most the time that is left
    )
    handle_once: Callable[..., dict[str, Any]] = idempotent_function(
        _handle,
        data_keyword_argument="identity",
        persistence_store=records,
        config=config,
        key_prefix="request",
    )
    return handle_once


def _handle(identity: dict[str, Any], handle: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return handle()


def _document(response: Response[Any]) -> dict[str, Any]:
    headers = {name: value for name, value in response.headers.items() if name != "Content-Type"}
    return {"status": response.status_code, "headers": headers, "body": response.body}
