"""The answers kept for repeats: what was asked before is answered as before, and done once.

Apart from api.idempotency because few requests get this far: it brings boto3, which no other part
of this function needs.
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
from api.problems import IdempotencyKeyReused, RequestInProgress

RETENTION_S = 24 * 60 * 60  # how long an answer is kept for a repeat


def record_store(table: str, dynamodb: Any) -> DynamoDBPersistenceLayer:
    """Where answers are kept: `table`, beside the other things with an end."""
    return DynamoDBPersistenceLayer(
        table_name=table, key_attr="id", expiry_attr="expires", boto3_client=dynamodb
    )


def run_once(
    request: RequestContext, app: APIGatewayHttpResolver, next_middleware: NextMiddleware
) -> Response[Any]:
    """Carry a request out, or answer as it was answered before. A refusal is not kept.

    Raises:
        IdempotencyKeyReused: the key came before with another body. RequestInProgress: it is being
        carried out.
    """
    asked = {"key": request.key, "body": app.current_event.json_body}
    answer = _kept(request.app.idempotency_records(), app.lambda_context)
    try:
        document = answer(asked=asked, carry_out=lambda: _document(next_middleware(app)))
    except IdempotencyValidationError as error:
        raise IdempotencyKeyReused(
            f"the key {request.idempotency_key!r} came before with another body; a new request "
            "needs a new key"
        ) from error
    except IdempotencyAlreadyInProgressError as error:
        raise RequestInProgress(
            f"the request {request.idempotency_key!r} is being carried out"
        ) from error
    return Response(
        status_code=document["status"],
        content_type="application/json",
        body=json.dumps(document["body"], separators=(",", ":")),
        headers=document["headers"],
    )


def _kept(requests: BasePersistenceLayer, context: LambdaContext) -> Callable[..., dict[str, Any]]:
    """`_carried_out`, but what was asked before is answered from `requests`."""
    config = IdempotencyConfig(
        event_key_jmespath="key",
        payload_validation_jmespath="body",
        expires_after_seconds=RETENTION_S,
        hash_function="sha256",
        lambda_context=context,  # what is left of its time bounds how long it may be in progress
    )
    kept: Callable[..., dict[str, Any]] = idempotent_function(
        _carried_out,
        data_keyword_argument="asked",
        persistence_store=requests,
        config=config,
        key_prefix="request",
    )
    return kept


def _carried_out(asked: dict[str, Any], carry_out: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return carry_out()


def _document(answer: Response[Any]) -> dict[str, Any]:
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
    return {"status": answer.status_code, "headers": headers, "body": answer.body}
