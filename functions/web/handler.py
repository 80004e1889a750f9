"""The Lambda function of the pages: an event of the gateway in, a page out."""
# ruff: noqa: E402

from jobyard import cold_start

cold_start.begin()

import json
import os
import secrets
from datetime import UTC, datetime
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from gateway.accounts import account_of
from gateway.errors import Unavailable
from gateway.headers import LambdaResponse
from gateway.runtime import CLIENT_CONFIG, cursor_key, lazy_client, log_skipped, now
from jobyard.domain.link_paths import ATTACHMENTS, REPORT_FILES
from jobyard.services import sessions
from jobyard.wiring import wire
from web.dispatcher import dispatch
from web.responses import finish
from web.signer import Signer
from web.site import Site

LOGGER = Logger()
SETTINGS = wire(os.environ)
# The home page can do without these, and must not wait for them long.
_MONITORING_CONFIG = CLIENT_CONFIG.merge(
    Config(retries={"mode": "standard", "total_max_attempts": 2}, read_timeout=3)
)
_KEYS_TIME_S = 600
_NO_SIGN_IN = "the sign-in page does not answer now; sign in again in a moment"
_HTTP = urllib3.PoolManager(timeout=urllib3.Timeout(connect=2, read=8), retries=False)
_COGNITO = lazy_client("cognito-idp")


def _exchange_code(form: dict[str, str]) -> dict[str, Any]:
    """The tokens for a code; {} if the sign-in page refuses it.

    Raises:
        Unavailable: it does not answer, or answers something else.
    """
    address = f"{SETTINGS.sign_in_url}/oauth2/token"
    try:
        response = _HTTP.request("POST", address, fields=form, encode_multipart=False)
        if 400 <= response.status < 500:
            return {}
        tokens = json.loads(response.data)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise Unavailable(_NO_SIGN_IN) from error
    if response.status != 200 or not isinstance(tokens, dict):
        raise Unavailable(_NO_SIGN_IN)
    return tokens


@lru_cache(maxsize=2)
def _signer_of(month: datetime, _period: int) -> Signer:
    return Signer(sessions.signing_keys(month, secrets.token_urlsafe(32)))


def _signer_at(at: datetime) -> Signer:
    """The signer of a month. Its keys are read again every ten minutes, so all instances of the
    function agree soon after somebody deletes a key to sign everybody out.
    """
    month = datetime(at.year, at.month, 1, tzinfo=UTC)
    return _signer_of(month, int(at.timestamp()) // _KEYS_TIME_S)


SITE = Site(
    settings=SETTINGS,
    s3=lazy_client("s3", CLIENT_CONFIG.merge(Config(signature_version="s3v4"))),
    machines=lazy_client("stepfunctions"),
    cognito=_COGNITO,
    cloudwatch=lazy_client("cloudwatch", _MONITORING_CONFIG),
    logs=lazy_client("logs"),
    sqs=lazy_client("sqs", _MONITORING_CONFIG),
    exchange_code=_exchange_code,
    account_of=lambda name: account_of(name, SETTINGS, _COGNITO),
    cursor_key=cursor_key,
    signer_of=_signer_at,
    new_id=lambda: secrets.token_urlsafe(18),
    now=now,
    log_internal_error=lambda error: LOGGER.error("internal error", exc_info=error),
    log_unavailable=lambda error: LOGGER.warning("unavailable", exc_info=error),
    log_skipped=partial(log_skipped, LOGGER),
)

cold_start.end()


def _logged_path(path: str) -> str:
    """A path as the log has it: without the token of a link in a mail."""
    return next((f"{each}…" for each in (ATTACHMENTS, REPORT_FILES) if path.startswith(each)), path)


def handler(event: dict[str, Any], context: LambdaContext) -> LambdaResponse:
    """Handle a request, and log it in one line unless a poll found nothing new."""
    dispatched = dispatch(event, context, SITE)
    response = finish(event, dispatched.response, SITE)
    if response["statusCode"] != HTTPStatus.NOT_MODIFIED:
        LOGGER.info(
            "answered",
            request_id=event["requestContext"]["requestId"],
            method=event["requestContext"]["http"]["method"],
            path=_logged_path(event["rawPath"]),
            status=response["statusCode"],
            actor=dispatched.actor.name if dispatched.actor else "",
            sub=dispatched.actor.sub if dispatched.actor else "",
        )
    return response
