"""The header Idempotency-Key: a repeated change is made once, and gets the first response."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

from api.context import current_request


def idempotent(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[Any]:
    """Handle a request, or return the stored response if its key was used before.

    Raises:
        IdempotencyKeyReused: the key was used with another body.
        RequestInProgress: the first request is still in progress.
    """
    request = current_request(app)
    if not request.idempotency_key:
        return next_middleware(app)
    from api.idempotency_records import run_once

    return run_once(request, app, next_middleware)
