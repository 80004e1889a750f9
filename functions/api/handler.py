"""The Lambda function of the HTTP API: an event of the gateway in, a response out."""
# ruff: noqa: E402

from jobyard import cold_start

cold_start.begin()  # not in __init__.py, which `api.openapi` imports too

import os
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from api.access import authorize_schedules, forbidden_or
from api.application import APP, load_routes
from api.auth import with_allowed_groups
from api.context import AppContext
from api.problems import problem_response
from api.request_body import check_body
from api.request_log import log_fields
from api.responses import finish
from gateway.accounts import account_of
from gateway.headers import LambdaResponse
from gateway.mfa import MfaCheck
from gateway.runtime import CLIENT_CONFIG, cursor_key, lazy_client, log_skipped, now
from jobyard.domain.errors import JobyardError
from jobyard.wiring import wire

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer

LOGGER = Logger()
SETTINGS = wire(os.environ)

_COGNITO = lazy_client("cognito-idp")
_DYNAMODB = lazy_client("dynamodb")
_MFA = MfaCheck(SETTINGS.mfa_roles, SETTINGS.user_pool, _COGNITO, now)


@cache
def _idempotency_records() -> "BasePersistenceLayer":
    from api.idempotency_records import record_store

    return record_store(SETTINGS.requests_table, _DYNAMODB)


CONTEXT = AppContext(
    settings=SETTINGS,
    s3=lazy_client("s3", CLIENT_CONFIG.merge(Config(signature_version="s3v4"))),
    machines=lazy_client("stepfunctions"),
    logs=lazy_client("logs"),
    cloudwatch=lazy_client("cloudwatch"),
    idempotency_records=_idempotency_records,
    account_of=lambda name: account_of(name, SETTINGS, _COGNITO),
    cursor_key=cursor_key,
    now=now,
    log_internal_error=lambda error: LOGGER.error("internal error", exc_info=error),
    log_unavailable=lambda error: LOGGER.warning("unavailable", exc_info=error),
    log_skipped=partial(log_skipped, LOGGER),
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
        event = with_allowed_groups(event, _MFA)
        authorize_schedules(event, SETTINGS.machine_clients)
        check_body(event)
    except JobyardError as refused:
        error = forbidden_or(refused, event, SETTINGS.machine_clients)
        refusal = problem_response(error, event, SETTINGS.url)
        return {
            "statusCode": refusal.status_code,
            "headers": refusal.headers,
            "body": refusal.body,
        }
    load_routes(event["rawPath"])
    APP.context["app"] = CONTEXT
    return APP.resolve(event, context)
