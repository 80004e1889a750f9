"""The function behind the HTTP API: one request in, one answer out."""

import os
import secrets
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from api.answers import Answer, finished
from api.application import APP, log_fields
from api.bodies import check_body
from api.desk import Desk
from api.people import email_of
from api.problems import NotJson, TooLarge, problem_of
from api.repeats import remembered_in
from jobyard.domain.errors import BadRequest
from jobyard.services import cursors
from jobyard.wiring import wire

LOGGER = Logger()
SETTINGS = wire(os.environ)
# The gateway gives up after 30 seconds, so no call may wait long.
_PATIENCE = Config(
    retries={"mode": "standard", "max_attempts": 3}, connect_timeout=2, read_timeout=8
)


def _now() -> datetime:
    """The time to the millisecond, as it is stored: an answer shows what the next one shows."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@cache
def _cognito() -> Any:
    """Made when first needed: its description is large and few requests ask for an address."""
    return boto3.client("cognito-idp", config=_PATIENCE)


@cache
def _cursor_key() -> bytes:
    return cursors.key(secrets.token_urlsafe(32))


DESK = Desk(
    settings=SETTINGS,
    s3=boto3.client("s3", config=_PATIENCE.merge(Config(signature_version="s3v4"))),
    machines=boto3.client("stepfunctions", config=_PATIENCE),
    requests=remembered_in(SETTINGS.requests_table, boto3.client("dynamodb", config=_PATIENCE)),
    email_of=lambda name: email_of(name, SETTINGS.user_pool, _cognito()),
    cursor_key=_cursor_key,
    now=_now,
    surprised=lambda error: LOGGER.error("unforeseen", exc_info=error),
)


def handler(event: dict[str, Any], context: LambdaContext) -> Answer:
    """Answer a request, and say so in one line."""
    answer = finished(event, _answered(event, context))
    fields = log_fields(event, answer["headers"].get("Location", ""))
    LOGGER.info("answered", status=answer["statusCode"], **fields)
    return answer


def _answered(event: dict[str, Any], context: LambdaContext) -> Answer:
    try:
        check_body(event)
    except (BadRequest, TooLarge, NotJson) as refused:
        refusal = problem_of(refused, event, SETTINGS.url)
        return {
            "statusCode": refusal.status_code,
            "headers": refusal.headers,
            "body": refusal.body,
        }
    APP.context["desk"] = DESK
    return APP.resolve(event, context)
