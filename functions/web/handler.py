"""The Lambda function of the pages: an event of the gateway in, a page out."""
# ruff: noqa: E402

from jobyard import cold_start

cold_start.begin()

import json
import os
import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from gateway.accounts import account_of
from gateway.clients import LazyClient
from gateway.errors import Unavailable
from gateway.headers import LambdaResponse
from jobyard.domain import metrics
from jobyard.services import cursors, sessions
from jobyard.wiring import session, wire
from web.dispatcher import dispatch
from web.responses import finish
from web.signer import Signer
from web.site import Site

if TYPE_CHECKING:
    from jobyard.domain.schedules.occurrence import Occurrence

LOGGER = Logger()
SETTINGS = wire(os.environ)
# The gateway times out after 30 seconds, so no call may take long.
_CLIENT_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 3}, connect_timeout=2, read_timeout=8
)
# The home page can do without these, and must not wait for them long.
_MONITORING_CONFIG = _CLIENT_CONFIG.merge(
    Config(retries={"mode": "standard", "total_max_attempts": 2}, read_timeout=3)
)
_KEYS_TIME_S = 600
_NO_SIGN_IN = "the sign-in page does not answer now; sign in again in a moment"
_HTTP = urllib3.PoolManager(timeout=urllib3.Timeout(connect=2, read=8), retries=False)


def _now() -> datetime:
    """The time, UTC, in whole milliseconds as it is stored."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _lazy_client(service: str, config: Config = _CLIENT_CONFIG) -> Any:
    return LazyClient(lambda: session().create_client(service, config=config))


_COGNITO = _lazy_client("cognito-idp")


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


@cache
def _cursor_key() -> bytes:
    return cursors.key(secrets.token_urlsafe(32))


@lru_cache(maxsize=2)
def _signer_of(month: datetime, _period: int) -> Signer:
    return Signer(sessions.signing_keys(month, secrets.token_urlsafe(32)))


def _signer_at(now: datetime) -> Signer:
    """The signer of a month. Its keys are read again every ten minutes, so all instances of the
    function agree soon after somebody deletes a key to sign everybody out.
    """
    month = datetime(now.year, now.month, 1, tzinfo=UTC)
    return _signer_of(month, int(now.timestamp()) // _KEYS_TIME_S)


def _log_skipped(occurrences: Sequence["Occurrence"]) -> None:
    """Log skipped occurrences, and count those that need attention."""
    reasons = Counter(each.skip_reason for each in occurrences if each.skip_reason)
    LOGGER.warning("skipped", origin_id=occurrences[0].schedule_id, reasons=reasons)
    missed = sum(number for reason, number in reasons.items() if reason.needs_attention)
    if missed:
        from telemetry import emit_metrics

        emit_metrics({metrics.RUNS_FAILED_OR_MISSED: missed})


SITE = Site(
    settings=SETTINGS,
    s3=_lazy_client("s3", _CLIENT_CONFIG.merge(Config(signature_version="s3v4"))),
    machines=_lazy_client("stepfunctions"),
    cognito=_COGNITO,
    cloudwatch=_lazy_client("cloudwatch", _MONITORING_CONFIG),
    logs=_lazy_client("logs"),
    sqs=_lazy_client("sqs", _MONITORING_CONFIG),
    exchange_code=_exchange_code,
    account_of=lambda name: account_of(name, SETTINGS.user_pool, _COGNITO),
    cursor_key=_cursor_key,
    signer_of=_signer_at,
    new_id=lambda: secrets.token_urlsafe(18),
    now=_now,
    log_internal_error=lambda error: LOGGER.error("internal error", exc_info=error),
    log_unavailable=lambda error: LOGGER.warning("unavailable", exc_info=error),
    log_skipped=_log_skipped,
)

cold_start.end()


def handler(event: dict[str, Any], context: LambdaContext) -> LambdaResponse:
    """Handle a request, and log it in one line unless a poll found nothing new."""
    dispatched = dispatch(event, context, SITE)
    response = finish(event, dispatched.response, SITE)
    if response["statusCode"] != HTTPStatus.NOT_MODIFIED:
        LOGGER.info(
            "answered",
            request_id=event["requestContext"]["requestId"],
            method=event["requestContext"]["http"]["method"],
            path=event["rawPath"],
            status=response["statusCode"],
            actor=dispatched.actor.name if dispatched.actor else "",
            sub=dispatched.actor.sub if dispatched.actor else "",
        )
    return response
