"""`Idempotency-Key`: what is asked again is answered again, and done once."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

from api.desk import visit_of


def once(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[Any]:
    """Carry a request out, or answer as it was answered before if it came with the same key.

    Raises:
        IdempotencyKeyReused: the key came before with another body. RequestInProgress: it is being
        carried out.
    """
    visit = visit_of(app)
    if not visit.repeat_key:
        return next_middleware(app)
    from api.remembering import answered

    return answered(visit, app, next_middleware)
