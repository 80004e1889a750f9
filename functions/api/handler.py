"""The Lambda function of the HTTP API: an event of the gateway in, a response out."""
# ruff: noqa: E402

from jobyard import cold_start

cold_start.begin()  # not in __init__.py, which `api.openapi` imports too

import os
import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from api.access import authorize_schedules, forbidden_or
from api.application import APP, load_routes
from api.context import AppContext
from api.problems import problem_response
from api.request_body import check_body
from api.request_log import log_fields
from api.responses import finish
from gateway.accounts import account_of
from gateway.clients import LazyClient
from gateway.headers import LambdaResponse
from jobyard.domain import metrics
from jobyard.domain.errors import JobyardError
from jobyard.services import cursors
from jobyard.wiring import session, wire

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer

    from jobyard.domain.schedules.occurrence import Occurrence

LOGGER = Logger()
SETTINGS = wire(os.environ)
# The gateway times out after 30 seconds, so no call may take long.
_CLIENT_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 3}, connect_timeout=2, read_timeout=8
)


def _now() -> datetime:
    """The time, UTC, in whole milliseconds as it is stored: responses must match later reads."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _lazy_client(service: str, config: Config = _CLIENT_CONFIG) -> Any:
    return LazyClient(lambda: session().create_client(service, config=config))


_COGNITO = _lazy_client("cognito-idp")
_DYNAMODB = _lazy_client("dynamodb")


@cache
def _idempotency_records() -> "BasePersistenceLayer":
    from api.idempotency_records import record_store

    return record_store(SETTINGS.requests_table, _DYNAMODB)


@cache
def _cursor_key() -> bytes:
    return cursors.key(secrets.token_urlsafe(32))


def _log_skipped(occurrences: Sequence["Occurrence"]) -> None:
    """Log skipped occurrences, and count those that need attention."""
    reasons = Counter(each.skip_reason for each in occurrences if each.skip_reason)
    LOGGER.warning("skipped", origin_id=occurrences[0].schedule_id, reasons=reasons)
    missed = sum(number for reason, number in reasons.items() if reason.needs_attention)
    if missed:
        from telemetry import emit_metrics

        emit_metrics({metrics.RUNS_FAILED_OR_MISSED: missed})


CONTEXT = AppContext(
    settings=SETTINGS,
    s3=_lazy_client("s3", _CLIENT_CONFIG.merge(Config(signature_version="s3v4"))),
    machines=_lazy_client("stepfunctions"),
    logs=_lazy_client("logs"),
    idempotency_records=_idempotency_records,
    account_of=lambda name: account_of(name, SETTINGS.user_pool, _COGNITO),
    cursor_key=_cursor_key,
    now=_now,
    log_internal_error=lambda error: LOGGER.error("internal error", exc_info=error),
    log_unavailable=lambda error: LOGGER.warning("unavailable", exc_info=error),
    log_skipped=_log_skipped,
)

cold_start.end()


def handler(event: dict[str, Any], context: LambdaContext) -> LambdaResponse:
    """Handle a request, and log it in one line."""
    response = finish(event, _respond(event, context))
    fields = log_fields(event, response["headers"].get("Location", ""))
    LOGGER.info("answered", status=response["statusCode"], **fields)
    return response


def _respond(event: dict[str, Any], context: LambdaContext) -> LambdaResponse:
    try:
        authorize_schedules(event)
        check_body(event)
    except JobyardError as refused:
        refusal = problem_response(forbidden_or(refused, event), event, SETTINGS.url)
        return {
            "statusCode": refusal.status_code,
            "headers": refusal.headers,
            "body": refusal.body,
        }
    load_routes(event["rawPath"])
    APP.context["app"] = CONTEXT
    return APP.resolve(event, context)
