"""`Idempotency-Key`: what is asked again is answered again, and done once."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

from api.context import current_request


def idempotent(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[Any]:
    """Carry a request out, or answer as it was answered before if it came with the same key.

    Raises:
        IdempotencyKeyReused: the key came before with another body. RequestInProgress: it is being
        carried out.
    """
    request = current_request(app)
    if not request.idempotency_key:
        return next_middleware(app)
    from api.idempotency_records import run_once

    return run_once(request, app, next_middleware)
